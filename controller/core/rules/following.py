"""Which logs must be read: those that a result, a live report or a trace still needs.

A log is urgent if its container is about to end, by somebody's will: what it says last would go with its pod.
"""

from typing import Final

from controller.core import attachments, cursor, lifecycle
from controller.core.actions import FollowLog, Plan
from controller.core.contract import SECOND, TERMINAL, Status
from controller.core.model import Job, Now, Pod, RunState
from controller.core.rules.merging import merge
from controller.core.snapshot import Export, Policy, Run, Snapshot
from controller.core.transcript import AttemptLog, Checkpoint, LogState

DEADLINE_NEAR: Final = 60.0
"""Seconds before its Job's deadline from which on a log is urgent. By the wall clock: it stops nothing."""


def follow_logs(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Every log that is still needed is being read; its reader knows what is to become of the container."""
    return merge(_of_run(seen, run, now) for run in seen.runs if _is_open(run, policy))


def check(seen: Snapshot, run: Run, pod: Pod, now: Now) -> Plan:
    """Have all read that this pod's agent has said by now, and told when (`AttemptLog.read_at`)."""
    return Plan((_request(run, pod, urgent=is_urgent(seen, run, pod, now), sure=True),))


def open_stream(run: Run, pod: Pod) -> Plan:
    """Have a stream of this pod's log opened at once, because its container is about to end."""
    return Plan() if _knows(run.log(pod.uid), urgent=True) else Plan((_request(run, pod, urgent=True),))


def is_needed(job: Job, policy: Policy) -> bool:
    """Whether anything about this run is still to be concluded from its log."""
    if not job.ids.name_a_run:
        return False
    if job.phase not in TERMINAL:
        return True
    return policy.tracing and Status.TRACE_EXPORTED not in job.status


def is_unasked(run: Run, policy: Policy) -> bool:
    """Whether a log that is needed has not been asked for yet."""
    return _is_open(run, policy) and any(_has_log(run, pod) and run.log(pod.uid) is None for pod in run.pods)


def is_urgent(seen: Snapshot, run: Run, pod: Pod, now: Now) -> bool:
    """Whether the container of this pod is about to be ended."""
    if pod.deleted_at is not None or Status.STOP in run.job.status or run.job.condition("FailureTarget"):
        return True
    if f"log:{pod.uid}" in seen.since:
        return True  # a stop waits for its stream (stopping.opens_log)
    left = _deadline_in(run.job, now)
    return (left is not None and left <= DEADLINE_NEAR) or bool(attachments.cancel_of(seen, run.job))


def _is_open(run: Run, policy: Policy) -> bool:
    return is_needed(run.job, policy) and run.export is Export.NONE


def _of_run(seen: Snapshot, run: Run, now: Now) -> Plan:
    plans = [_follow(seen, run, pod, now) for pod in run.pods if _has_log(run, pod)]
    return merge(plans)


def _has_log(run: Run, pod: Pod) -> bool:
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job))
    return container is not None and lifecycle.has_started(container)


def _has_ended(run: Run, pod: Pod) -> bool:
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job))
    return pod.ended or (container is not None and container.state is RunState.TERMINATED)


def _follow(seen: Snapshot, run: Run, pod: Pod, now: Now) -> Plan:
    log = run.log(pod.uid)
    if log is not None and log.restarts < _restarts(run, pod):
        log = None  # of a process that is gone: its container was started again
    if log is not None and (log.state is not LogState.READING or log.final):
        return Plan()
    if _has_ended(run, pod):
        return Plan((_request(run, pod, urgent=False),))
    urgent = is_urgent(seen, run, pod, now)
    asked = () if _knows(log, urgent=urgent) else (_request(run, pod, urgent=urgent),)
    left = _deadline_in(run.job, now)
    return Plan(asked, look_again=None if urgent or left is None else left - DEADLINE_NEAR)


def _restarts(run: Run, pod: Pod) -> int:
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job))
    return container.restarts if container is not None else 0


def _begun(run: Run, pod: Pod) -> Checkpoint | None:
    """What an earlier process of ours knew of the log, unless the container was started again since."""
    found = None if run.log(pod.uid) else cursor.of(run.job, pod.uid)
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job))
    if found is None or container is None or not container.restarts or container.started_at is None:
        return found
    return found if (found.seen.last_at or 0) >= container.started_at else None


def _knows(log: AttemptLog | None, *, urgent: bool) -> bool:
    """Whether the reader has been told."""
    return log is not None and log.urgent == urgent


def _deadline_in(job: Job, now: Now) -> float | None:
    """Seconds until Kubernetes ends this Job, None if it never will."""
    if job.deadline_seconds is None or job.started_at is None:
        return None
    return (job.started_at - now.wall) / SECOND + job.deadline_seconds


def _request(run: Run, pod: Pod, *, urgent: bool, sure: bool = False) -> FollowLog:
    return FollowLog(
        namespace=pod.namespace,
        pod=pod.name,
        pod_uid=pod.uid,
        job_uid=run.job.uid,
        container=lifecycle.agent_container(run.job),
        output=run.job.wishes.output,
        ended=_has_ended(run, pod),
        urgent=urgent,
        check=sure,
        patient=run.job.phase in TERMINAL,
        begun=_begun(run, pod),
        restarts=_restarts(run, pod),
    )
