"""Has Jobs collected that never ran: those whose run was rejected, cancelled while it waited, or attached.

Kubernetes collects only what has ended. So when its time has come, such a Job is started without a pod and
with a deadline that has passed: about a second later it has failed, and is gone (contract §4).
"""

from typing import Final

from controller.core import admission, attachments
from controller.core.actions import PatchJob, Plan, Rest
from controller.core.contract import SECOND, TERMINAL, Status, instant
from controller.core.model import Job, Now
from controller.core.rules import keeping
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot

RETIRED: Final = {
    "suspend": False,
    "parallelism": 0,
    "activeDeadlineSeconds": 1,
    "ttlSecondsAfterFinished": 0,
}
"""Of its spec: ended in about a second, without a pod, and collected at once."""

_LEAST_SECONDS: Final = 300.0
"""By the monotonic clock: a wall clock that is ahead takes no more from what a host has to read a result."""


def retire(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Every Job that never ran and has been kept for long enough is given to Kubernetes to be collected."""
    return merge(_retire(run, now, policy) for run in seen.runs if _is_due_one_day(seen, run, policy))


def never_ran(run: Run) -> bool:
    """It is over, and Kubernetes will never say so by itself: it waits for ever, suspended, without a pod."""
    job = run.job
    ended = job.phase in TERMINAL and Status.RESULT in job.status
    idle = job.suspended and not admission.was_started(job) and job.finished is None
    return ended and idle and all(pod.ended for pod in run.pods)


def is_kept(job: Job) -> bool:
    """Nobody is to have it collected, or somebody else does."""
    return job.wishes.retain or bool(job.external_queue) or job.deleted_at is not None


def _is_due_one_day(seen: Snapshot, run: Run, policy: Policy) -> bool:
    if not never_ran(run) or is_kept(run.job) or not keeping.trace_is_safe(run, policy):
        return False
    # What follows from an attachment may still have to be written on the other Job (contract §4).
    on = attachments.target(run.job)
    return on is None or all(other.job.uid != on.uid for other in seen.runs)


def _retire(run: Run, now: Now, policy: Policy) -> Plan:
    job = run.job
    left = 0.0 if run.rested else _left(job, now, policy)
    if left > 0:
        return Plan(rests=(Rest(job.uid, left),))
    spec = dict(RETIRED)
    return Plan((PatchJob(job.namespace, job.name, job.uid, job.version, spec=spec, why="retire"),))


def _left(job: Job, now: Now, policy: Policy) -> float:
    """Seconds for which it is still kept. Neither more nor much less than asked, whatever the clocks say."""
    kept = float(keeping.seconds(job, policy))
    since = instant(job.status.get(Status.SINCE, ""))
    left = kept if since is None else kept - (now.wall - since) / SECOND
    return min(kept, max(left, min(kept, _LEAST_SECONDS)))
