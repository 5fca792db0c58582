"""Which logs must be read: those that a result, a live report or a trace still needs."""

from controller.core import lifecycle
from controller.core.actions import FollowLog, Plan
from controller.core.contract import TERMINAL, Status
from controller.core.model import Job, Now, Pod, RunState
from controller.core.snapshot import Export, Policy, Run, Snapshot
from controller.core.transcript import LogState


def follow_logs(seen: Snapshot, _now: Now, policy: Policy) -> Plan:
    """Every log that is still needed is being read, and its reader knows whether its container has ended."""
    return Plan(tuple(follow for run in seen.runs for follow in of_run(run, policy)))


def of_run(run: Run, policy: Policy) -> tuple[FollowLog, ...]:
    """What the readers of this run's logs must still be told."""
    if not is_needed(run.job, policy) or run.export is not Export.NONE:
        return ()
    return tuple(follow for pod in run.pods if (follow := _follow(run, pod)) is not None)


def is_needed(job: Job, policy: Policy) -> bool:
    """Whether anything about this run is still to be concluded from its log."""
    if not job.ids.name_a_run:
        return False
    if job.phase not in TERMINAL:
        return True
    return policy.tracing and Status.TRACE_EXPORTED not in job.status


def _follow(run: Run, pod: Pod) -> FollowLog | None:
    name = lifecycle.agent_container(run.job)
    container = lifecycle.agent_in(pod, name)
    if container is None or not lifecycle.has_started(container):
        return None
    ended = pod.ended or container.state is RunState.TERMINATED
    log = run.log(pod.uid)
    if log is not None and (log.state is not LogState.READING or log.final or not ended):
        return None
    return FollowLog(
        namespace=pod.namespace,
        pod=pod.name,
        pod_uid=pod.uid,
        job_uid=run.job.uid,
        container=name,
        output=run.job.wishes.output,
        ended=ended,
    )
