"""Starts the runs that may start, tells the others what they wait for, turns away what is no run."""

from collections.abc import Iterable
from typing import Final

from controller.core import admission, result
from controller.core.actions import PatchJob, Plan, TellJob
from controller.core.contract import ErrorCode, Keys, Phase, Reason, Status, keys_of
from controller.core.model import Job, Now
from controller.core.rules import publishing
from controller.core.snapshot import Policy, Run, Snapshot, Standing

_REFUSED_AGAIN_SECONDS: Final = 60.0
"""When a Job whose start the API server refused is tried again."""


def reject_invalid(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A suspended Job that is no run gets phase and result, and parallelism 0 so that nobody can start it."""
    actions: list[PatchJob | TellJob] = []
    for run in seen.runs:
        if not admission.is_waiting(run.job) or not (said := admission.problem(run.job)):
            continue
        code = ErrorCode.ADAPTER_FAILED if run.job.ids.agent else ErrorCode.AGENT_ID_INVALID
        ended = result.rejected(run.job, Reason.INVALID_RUN, said, code)
        standing = Standing(Phase.REJECTED, Reason.INVALID_RUN, said)
        extra = {Status.RESULT: result.fit(ended)}
        patch = publishing.patch(
            run, standing, now, policy, why="reject", extra=extra, spec={"parallelism": 0}
        )
        actions += [patch, _tell(run.job, "Rejected", said, warning=True)]
    return Plan(tuple(actions))


def admit_or_queue(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Each waiting run is started if its slot has a place, else told at once what it waits for."""
    verdicts = admission.decide(seen, policy)
    if not verdicts and not seen.refused:
        return Plan()
    actions: list[PatchJob | TellJob] = []
    for run in sorted(seen.runs, key=lambda run: (run.job.created_at, run.job.name)):
        verdict = verdicts.get(run.job.uid)
        if verdict is None:
            continue
        if verdict.phase is Phase.STARTING:
            actions += _admit(run, verdict, now, policy)
        elif run.job.phase is None or run.job.status.get(Status.REASON) != verdict.reason:
            actions += _queue(run, verdict, now, policy)
    return Plan(tuple(actions), look_again=_REFUSED_AGAIN_SECONDS if seen.refused else None)


def _admit(run: Run, verdict: Standing, now: Now, policy: Policy) -> Iterable[PatchJob | TellJob]:
    patch = publishing.patch(
        run,
        verdict,
        now,
        policy,
        why="admit",
        spec={"suspend": False},
        template_labels=_wrong_labels(run.job, keys_of(policy.domain)),
    )
    return patch, *_tell_oddities(run.job), _tell(run.job, "Admitted", "The run has been started.")


def _queue(run: Run, verdict: Standing, now: Now, policy: Policy) -> Iterable[PatchJob | TellJob]:
    patch = publishing.patch(run, verdict, now, policy, why="queue")
    return patch, *_tell_oddities(run.job), _tell(run.job, "Queued", verdict.message)


def _tell_oddities(job: Job) -> list[TellJob]:
    """What is odd about a Job is told once, with its first phase."""
    if job.phase is not None:
        return []
    return [_tell(job, "OddInput", f"{odd.where}: {odd.what}", warning=True) for odd in job.oddities]


def _wrong_labels(job: Job, keys: Keys) -> dict[str, str]:
    """Identity labels that the pod template lacks, or has otherwise than its Job.

    Pods of a run carry its labels: with another agent's, one would hold that agent's place without its Job.
    """
    present = dict(job.template_labels)
    return {key: value for key, value in job.ids.labels(keys).items() if present.get(key) != value}


def _tell(job: Job, reason: str, note: str, *, warning: bool = False) -> TellJob:
    return TellJob(job.namespace, job.name, job.uid, reason, note, warning)
