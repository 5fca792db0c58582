"""Reads a run off the cluster: its Job, its pods and their logs -> its trace, by the controller's own rules.

Owns: which Job is meant, and what is read of it. Never: writes.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from controller.core import facts, lifecycle
from controller.core.agents.fold import fold_for
from controller.core.contract import JOB_UID_LABEL, TERMINAL, Keys, Phase, Status
from controller.core.model import Job, Pod, Unreadable
from controller.core.parse import Parser
from controller.core.snapshot import Policy, Run
from controller.core.spans import ids, tree
from controller.core.spantree import SpanTree
from controller.core.transcript import AttemptLog, LogState
from controller.kube import errors
from controller.kube.api import JOBS, PODS, Kube, Resource
from controller.kube.logs import ContainerLog

_SHOWN_MOST: Final = 10
"""Jobs that are named if several are meant."""


class NotFoundError(Exception):
    """No Job, or more than one, is meant; the message says what to do."""


class Records:
    """The runs of a namespace, or of all (empty)."""

    def __init__(self, kube: Kube, policy: Policy, namespace: str) -> None:
        self._kube = kube
        self._policy = policy
        self._namespace = namespace
        self._keys = Keys(policy.domain)
        self._parser = Parser(self._keys)

    async def find(self, run: str) -> Job:
        """The Job of this name or uid, of the run of this id, or of this trace."""
        found = [job async for job in self._jobs() if run in _names(job)]
        if len(found) == 1:
            return found[0]
        where = f"in namespace {self._namespace}" if self._namespace else "in any namespace"
        if not found:
            raise NotFoundError(
                f"No Job with the label {self._keys.agent_id} is {run!r} {where}, by name, uid, run id or "
                "trace id. A Job that was collected is gone: its trace is where traces are kept."
            )
        names = ", ".join(f"{job.namespace}/{job.name}" for job in found[:_SHOWN_MOST])
        raise NotFoundError(f"{run!r} is {len(found)} Jobs {where}: {names}. Say which by its name and -n.")

    async def trace(self, job: Job) -> SpanTree:
        """The trace as it was or would be sent; of a run that is not over, what is known of it so far."""
        pods = await self._pods(job)
        # What was told live, and under which settings, is not asked here: all that is known is shown.
        known = {name: text for name, text in job.status.items() if name != Status.TRACE_LIVE}
        job = replace(job, status=known)
        run = Run(job, pods=tuple(pods), logs=tuple([await self._log(job, pod) for pod in pods]))
        if job.phase in TERMINAL:
            return tree.build(run, facts.decode(job.status.get(Status.FACTS, "")), self._policy)
        # As if it had ended well at this moment: what is open is no failure.
        calm = replace(run, job=replace(job, status={**job.status, Status.PHASE: Phase.SUCCEEDED}))
        return tree.build(calm, facts.gather(run), self._policy)

    async def _jobs(self) -> AsyncIterator[Job]:
        async for raw in self._listed(JOBS, self._namespace, self._keys.agent_id):
            if not isinstance(job := self._parser.job(raw), Unreadable):
                yield job

    async def _pods(self, job: Job) -> list[Pod]:
        """Oldest first."""
        listed = self._listed(PODS, job.namespace, f"{JOB_UID_LABEL}={job.uid}")
        found = [pod async for raw in listed if not isinstance(pod := self._parser.pod(raw), Unreadable)]
        return sorted(found, key=lambda pod: (pod.created_at, pod.name))

    async def _listed(self, resource: Resource, namespace: str, selector: str) -> AsyncIterator[bytes]:
        token = ""
        while True:
            page = await self._kube.page(resource, namespace=namespace, selector=selector, token=token)
            for item in page.items:
                yield bytes(item)
            if not (token := page.token):
                return

    async def _log(self, job: Job, pod: Pod) -> AttemptLog:
        """All that the kubelet still has of it."""
        fold, container = fold_for(job.wishes.output), lifecycle.agent_container(job)
        restarts = next((c.restarts for c in pod.containers if c.name == container and not c.init), 0)
        log = ContainerLog(self._kube, job.namespace, pod.name, container)
        try:
            async with aclosing(log.read(follow=False)) as batches:
                async for batch in batches:
                    for line in batch:
                        fold.feed(line.at, line.data, line.cut)
        except errors.NoLog:
            return AttemptLog(pod.uid, LogState.MISSING, fold.seen(), restarts=restarts)
        for line in log.finish():
            fold.feed(line.at, line.data, line.cut)
        seen = fold.seen()
        state = LogState.TRUNCATED if log.gap or seen.headless else LogState.COMPLETE
        state = state if job.phase in TERMINAL else LogState.READING
        return AttemptLog(pod.uid, state, seen, restarts=restarts)


def _names(job: Job) -> tuple[str, ...]:
    return (job.name, job.uid, job.ids.best("run"), ids.of_trace(job.uid))
