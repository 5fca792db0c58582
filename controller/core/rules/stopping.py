"""When a run is stopped: always one patch, `activeDeadlineSeconds: 1` with the `stop` key (contract §4).

Kubernetes' Job controller then deletes the pod with its grace period. Elapsed times run on the monotonic
clock from when this controller first saw the state: late after a restart, never early.
"""

import msgspec

from controller.core import diagnosis, lifecycle
from controller.core.actions import Plan, ReadPods, TellJob
from controller.core.contract import TERMINAL, Reason, Status, rfc3339
from controller.core.model import Job, Now, Pod
from controller.core.rules import publishing
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot, Standing

DEADLINE_TO_STOP = 1
"""Seconds of `activeDeadlineSeconds` that end a Job which has been running for longer."""


def stop_hopeless_starts(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A start that cannot heal is stopped at once; one that has not healed in time, after startTimeout."""
    return merge(_judge_start(seen, run, now, policy) for run in seen.runs if may_be_stopped(run.job))


def may_be_stopped(job: Job) -> bool:
    """Whether a stop could still change anything, and this run is ours to stop."""
    if job.suspended or job.deleted_at is not None or job.phase in TERMINAL or not job.ids.name_a_run:
        return False
    over = job.finished or job.condition("FailureTarget") or job.condition("SuccessCriteriaMet")
    return not over and Status.STOP not in job.status


def _judge_start(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    pod = lifecycle.newest_pod(run)
    if pod is None or not pod.node or pod.ended:
        return Plan()
    if lifecycle.has_started(lifecycle.agent_in(pod, lifecycle.agent_container(run.job))):
        return Plan()
    found = diagnosis.of_start(pod)
    # A mark of its own: a hopeless state is new even if the start has been waited for before.
    mark = f"hopeless:{pod.uid}" if found.hopeless else f"starting:{pod.uid}"
    due = seen.first_seen(mark, now) + (0 if found.hopeless else policy.start_timeout_seconds)
    if now.mono < due:
        return Plan(look_again=due - now.mono, marks=(mark,))
    if not run.pods_read_since(due):
        # The cache may lag: an agent that has begun to work meanwhile must not be ended.
        return Plan((ReadPods(run.job.namespace, run.job.uid),), marks=(mark,))
    return merge((stop(run, found.failure, _told(found, pod), now, policy), Plan(marks=(mark,))))


def _told(found: diagnosis.Diagnosis, pod: Pod) -> str:
    return found.message if found.hopeless else f"Pod {pod.name} did not start in time. {found.message}"


def stop(run: Run, reason: Reason, message: str, now: Now, policy: Policy) -> Plan:
    """The one patch that ends a live run, with what is known of its attempts, and the Event that says so."""
    job = run.job
    phase = job.phase or lifecycle.standing(run).phase
    record = msgspec.json.encode({"reason": reason, "at": rfc3339(now.wall)}).decode()
    patch = publishing.patch(
        run,
        Standing(phase, Reason.STOPPING, message),
        now,
        policy,
        why="stop",
        extra={Status.STOP: record},
        spec={"activeDeadlineSeconds": DEADLINE_TO_STOP},
    )
    return Plan((patch, TellJob(job.namespace, job.name, job.uid, "Stopping", message, warning=True)))
