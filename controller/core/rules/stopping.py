"""When a run is stopped: always one patch, `activeDeadlineSeconds: 1` with the `stop` key (contract §4).

Kubernetes' Job controller then deletes the pod with its grace period. Elapsed times run on the monotonic
clock from when this controller first saw the state: late after a restart, never early.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from controller.core import admission, attachments, diagnosis, lifecycle
from controller.core.actions import Plan, ReadPods, TellJob
from controller.core.contract import RANK, TERMINAL, Phase, Reason, Status, rfc3339
from controller.core.model import Job, Now, Pod, RunState
from controller.core.rules import diagnosing, publishing
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot, Standing
from controller.core.transcript import LogState
from controller.core.verdict import cancel_said

DEADLINE_TO_STOP: Final = 1
"""Seconds of `activeDeadlineSeconds` that end a Job which has been running for longer."""

_LOG_SECONDS: Final = 5.0
"""So long a stop waits for the agent's log to be opened: what it said last must not be lost."""
_UNDONE_SECONDS: Final = 60.0
"""So long a stop that somebody has undone is left alone: whoever does it all the time is not fought."""

_SUSPENDED: Final = (
    "Somebody suspended the Job after its start: its pod was deleted, a new one would start anew."
)


# ── Starts that fail ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """What a start waits for. The mark says of which pod: another obstacle has a time of its own."""

    mark: str
    seconds: float
    failure: Reason
    message: str
    about: str = ""
    """Uid of whose Events may say more; empty: they can't."""


def stop_hopeless_starts(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A start that cannot heal is stopped at once; one that has not healed in time, after its timeout."""
    hopeful = (run for run in seen.runs if may_be_stopped(run.job))
    return merge(
        _judge_start(seen, run, now, policy) for run in hopeful if not attachments.cancel_of(seen, run.job)
    )


def may_be_stopped(job: Job) -> bool:
    """Whether a stop could still change anything, and this run is ours to stop."""
    return not job.suspended and job.deleted_at is None and _is_open(job) and Status.STOP not in job.status


def _is_open(job: Job) -> bool:
    """A run whose Job nobody has decided to end yet."""
    if job.phase in TERMINAL or job.phase is Phase.ATTACHED or not job.ids.name_a_run:
        return False
    return not (job.finished or job.condition("FailureTarget") or job.condition("SuccessCriteriaMet"))


def _judge_start(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    if (found := _obstacle(run, policy)) is None:
        return Plan()
    due = seen.first_seen(found.mark, now) + found.seconds
    if now.mono < due:
        return Plan(look_again=due - now.mono, marks=(found.mark,))
    asked = diagnosing.before_stop(run, found.about, due) if found.about else ()
    if not run.pods_read_since(due):
        # The cache may lag: an agent that has begun to work meanwhile must not be ended.
        return Plan((ReadPods(run.job.namespace, run.job.uid), *asked), marks=(found.mark,))
    if asked:
        return Plan(asked, marks=(found.mark,))
    return merge((stop(run, found.failure, found.message, now, policy), Plan(marks=(found.mark,))))


def _obstacle(run: Run, policy: Policy) -> _Obstacle | None:
    pod = lifecycle.newest_pod(run)
    if pod is None:
        return _without_pod(run, policy)
    if pod.ended:
        return None
    if not pod.node:
        return _without_node(run, pod, policy)
    if lifecycle.has_started(lifecycle.agent_in(pod, lifecycle.agent_container(run.job))):
        return None
    found = diagnosis.of_start(pod, run.events(pod.uid))
    if found.hopeless:  # A mark of its own: this state is new even if the start has been waited for before.
        return _Obstacle(f"hopeless:{pod.uid}", 0, found.failure, found.message)
    said = f"Pod {pod.name} did not start in time. {found.message}"
    limit = policy.start_timeout_seconds
    return _Obstacle(f"starting:{pod.uid}", limit, found.failure, said, about=pod.uid)


def _without_pod(run: Run, policy: Policy) -> _Obstacle | None:
    job = run.job
    if not lifecycle.never_had_pod(run) or not admission.holds(job):
        return None
    limit = policy.start_timeout_seconds
    why = diagnosis.of_no_pod(run.events(job.uid)) or "Look at its Events."
    said = f"Kubernetes made no pod for the Job within {limit} s. {why}"
    return _Obstacle(f"podless:{job.uid}", limit, Reason.POD_MISSING, said, about=job.uid)


def _without_node(run: Run, pod: Pod, policy: Policy) -> _Obstacle | None:
    limit = policy.unschedulable_timeout_seconds
    if not limit or pod.deleted_at is not None:
        return None
    said = diagnosis.of_start(pod, run.events(pod.uid)).message
    return _Obstacle(f"unscheduled:{pod.uid}", limit, Reason.UNSCHEDULABLE, said, about=pod.uid)


# ── What the host, or somebody else, wants ended ─────────────────────────────────────────────────


def stop_cancelled(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A run whose host wants it to end is stopped, whatever it does. After a natural end nothing changes."""
    return merge(_cancel(seen, run, now, policy) for run in seen.runs if _may_be_cancelled(run))


def _may_be_cancelled(run: Run) -> bool:
    job = run.job
    if Status.STOP in job.status or not _is_open(job):
        return False
    if job.suspended:
        return _is_cut_off(job)
    if job.deleted_at is not None:  # held by somebody's finalizer, it keeps its pods
        return any(not pod.ended and pod.deleted_at is None for pod in run.pods)
    return not _has_ended(run)


def _has_ended(run: Run) -> bool:
    """By itself: its last pod has ended, and no further one can come."""
    pod = lifecycle.newest_pod(run)
    if pod is None or not pod.ended:
        return False
    return pod.phase == "Succeeded" or not lifecycle.further_pod_possible(run)


def _cancel(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    if not (asked := attachments.cancel_of(seen, run.job)):
        return Plan()
    waits = opens_log(seen, run, now)
    if waits.look_again is not None:
        return waits
    return merge((stop(run, Reason.CANCELLED_BY_HOST, cancel_said(asked), now, policy), waits))


def opens_log(seen: Snapshot, run: Run, now: Now) -> Plan:
    """Waits for the log of an agent at work to be open, for a while; without reading, for nothing."""
    pod = lifecycle.newest_pod(run)
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job)) if pod else None
    if pod is None or container is None or container.state is not RunState.RUNNING:
        return Plan()
    log = run.log(pod.uid)
    is_open = log is not None and (log.streaming or log.state is not LogState.READING)
    if is_open or not seen.fresh or seen.doubts:
        return Plan()
    mark = f"log:{pod.uid}"
    left = _LOG_SECONDS - (now.mono - seen.first_seen(mark, now))
    return Plan(look_again=left if left > 0 else None, marks=(mark,))


def close_suspended(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A run that somebody suspended after its start is closed: an unsuspend would start it a second time."""
    return merge(_close(run, now, policy) for run in seen.runs if _may_be_closed(seen, run.job))


def _may_be_closed(seen: Snapshot, job: Job) -> bool:
    if Status.STOP in job.status or not _is_open(job) or attachments.cancel_of(seen, job):
        return False
    return job.suspended and _is_cut_off(job)


def _is_cut_off(job: Job) -> bool:
    """Suspended after its start, and not by a queue that will start it again."""
    return admission.was_started(job) and not job.external_queue and job.deleted_at is None


def _close(run: Run, now: Now, policy: Policy) -> Plan:
    return stop(run, Reason.EXTERNALLY_SUSPENDED, _SUSPENDED, now, policy)


# ── The patch ────────────────────────────────────────────────────────────────────────────────────


def stop(run: Run, reason: Reason, message: str, now: Now, policy: Policy) -> Plan:
    """The one patch that ends a run, with what is known of its attempts, and the Event that says so."""
    job = run.job
    standing = Standing(_phase(run), Reason.STOPPING, message)
    extra = {Status.STOP: _record(run, reason, now)}
    patch = publishing.patch(run, standing, now, policy, why="stop", extra=extra, spec=_ending(job))
    return Plan((patch, TellJob(job.namespace, job.name, job.uid, "Stopping", message, warning=True)))


def _phase(run: Run) -> Phase:
    """The phase stays, unless the run has gone further than was written."""
    found, written = lifecycle.standing(run).phase, run.job.phase
    return found if written is None or RANK[found] > RANK[written] else written


def _record(run: Run, reason: Reason, now: Now) -> str:
    """`stop`: why, when, and in which pod the agent had ended by then (contract §3)."""
    held = run.job.condition("Suspended") if run.job.suspended else None
    if held is not None and held.at is not None:
        # Its pod was deleted then: an end since is no end of its own.
        return msgspec.json.encode({"reason": reason, "at": rfc3339(held.at)}).decode()
    record = {"reason": reason, "at": rfc3339(now.wall)}
    pod = lifecycle.newest_pod(run)
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job)) if pod else None
    if pod is not None and container is not None and container.state is RunState.TERMINATED:
        record["ended"] = pod.uid
    return msgspec.json.encode(record).decode()


def _ending(job: Job) -> dict[str, bool | int | None]:
    """What of its spec makes a Job end. A deadline that is shorter already stays."""
    short = job.deadline_seconds is not None and job.deadline_seconds <= DEADLINE_TO_STOP
    deadline: dict[str, bool | int | None] = {} if short else {"activeDeadlineSeconds": DEADLINE_TO_STOP}
    return {"suspend": False, "parallelism": 0, **deadline} if job.suspended else deadline


def stop_again(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A stop that somebody has undone, by a longer deadline or by suspending the Job, is done again."""
    return merge(_stop_again(seen, run, now, policy) for run in seen.runs if _is_undone(run.job))


def _is_undone(job: Job) -> bool:
    if Status.STOP not in job.status or not _is_open(job) or job.deleted_at is not None:
        return False
    return _is_cut_off(job) if job.suspended else bool(_ending(job))


def _stop_again(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    mark = f"undone:{run.job.uid}"
    left = _UNDONE_SECONDS - (now.mono - seen.first_seen(mark, now))
    if left > 0:
        return Plan(look_again=left, marks=(mark,))
    said = run.job.status.get(Status.MESSAGE) or "The run is being stopped."
    standing = Standing(_phase(run), Reason.STOPPING, said)
    patch = publishing.patch(run, standing, now, policy, why="stop-again", spec=_ending(run.job))
    return Plan((patch,), marks=(mark,))
