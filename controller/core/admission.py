"""Who of a slot may start, and why the others wait.

A place is held by whatever may still run an agent: a live Job, a pod that has not ended, a Job that vanished
and is not confirmed to be gone. Places are counted by the controller uid, so a Job and its pods hold one.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from controller.core import contract, limits, ownership
from controller.core.contract import LIVE, TERMINAL, Phase, Reason
from controller.core.model import Job
from controller.core.snapshot import Policy, Run, Snapshot, Standing

_NAMED: Final = 3
"""So many holders of places are named to those who wait."""


def holders(seen: Snapshot) -> frozenset[str]:
    """Uids of the Jobs that hold a place in the slot (contract §4)."""
    held = {run.job.uid for run in seen.runs if holds(run.job) or not is_released(run, seen)}
    held |= {pod.job_uid or pod.uid for run in seen.runs for pod in run.pods if not pod.ended}
    held |= {pod.job_uid or pod.uid for pod in seen.strays if not pod.ended}
    held |= {ghost.uid for ghost in seen.ghosts}
    return frozenset(held)


def holds(job: Job) -> bool:
    """The Job by itself holds a place: pods of it run, or may be made at any moment."""
    runnable = not job.suspended and job.parallelism > 0
    return runnable and job.finished is None and job.deleted_at is None


def is_retired(job: Job) -> bool:
    """It never ran, and we have closed it so that Kubernetes collects it: no pod of it is ever made."""
    closed = job.parallelism == 0 and job.ttl_seconds == 0 and not job.suspended
    return closed and job.phase in TERMINAL and not (job.active or job.failed or job.succeeded)


def was_started(job: Job) -> bool:
    """Pods of this Job have existed, as far as the Job itself tells."""
    if is_retired(job):
        return False
    counted = job.active or job.failed or job.succeeded
    return bool(counted) or job.started_at is not None or job.phase in LIVE


def release_mark(job: Job) -> str:
    """Holds while a started Job holds no place by itself any more, though Kubernetes has not closed it."""
    return f"released:{job.uid}"


def is_released(run: Run, seen: Snapshot) -> bool:
    """A Job that was started and then suspended or deleted frees its place only when its pods were read.

    The watch of pods may lag behind that of Jobs: a pod that is not in the cache may still run.
    """
    if run.job.finished is not None or not was_started(run.job):
        return True
    since = seen.since.get(release_mark(run.job))
    return since is not None and run.pods_read_since(since)


def is_waiting(job: Job) -> bool:
    """The Job waits for our word: suspended by its host, never started, not under another's admission."""
    if not job.suspended or job.deleted_at is not None or job.finished is not None:
        return False
    return not was_started(job) and job.phase in (None, Phase.QUEUED) and not job.external_queue


def problem(job: Job) -> str:
    """Why a waiting Job is no run that can be admitted: one sentence, empty if it is one (contract §1)."""
    missing = [name for name in ("agent", "run", "adapter") if not getattr(job.ids, name)]
    if missing:
        labels = ", ".join("adapter-type" if name == "adapter" else f"{name}-id" for name in missing)
        return f"The Job's labels do not say its {labels}: submit it again with them."
    if job.phase is None and (job.parallelism != 1 or job.completions != 1):
        return (
            f"The Job asks for parallelism {job.parallelism} and completions {job.completions}:"
            " a run is one pod; submit it again with 1 and 1."
        )
    if job.indexed:
        return "The Job's completionMode is Indexed: a run is one pod; submit it again without."
    return ""


def decide(seen: Snapshot, policy: Policy) -> Mapping[str, Standing]:
    """For each waiting run of the slot (by Job uid): Starting/Admitted, or Queued and what it waits for."""
    waiting = sorted(
        (run for run in seen.runs if _may_be_decided(run.job)),
        key=lambda run: limits.place_in_line(run, seen),
    )
    if not waiting:
        return {}
    free = policy.agent_concurrency - len(holders(seen))
    names = _holding(seen)
    verdicts: dict[str, Standing] = {}
    for run in waiting:
        obstacle = _twin(run, seen) or _changed(run.job) or _refused(run.job, seen)
        unanswered = ownership.is_open(run, policy)
        if not obstacle and unanswered and (lacks := ownership.complaint(run, policy)):
            verdicts[run.job.uid] = Standing(Phase.QUEUED, Reason.OBJECT_MISSING, lacks)
        elif not obstacle and free > 0:
            if unanswered:  # the answer comes at once: nothing to tell, and nobody behind it is held up
                continue
            free -= 1
            names.append(run.job.name)
            admitted = Standing(Phase.STARTING, Reason.ADMITTED, "Admitted.")
            verdicts[run.job.uid] = limits.limited(run, seen, policy) or admitted
        else:
            said = obstacle or _busy(names, policy)
            verdicts[run.job.uid] = Standing(Phase.QUEUED, Reason.AGENT_BUSY, said)
    return verdicts


def _may_be_decided(job: Job) -> bool:
    """A run that its host wants cancelled is never started, whatever else is decided in the same plan."""
    return is_waiting(job) and not problem(job) and not job.wishes.cancel_requested


def _twin(run: Run, seen: Snapshot) -> str:
    """Why a run whose run id has been seen on another Job is held back: no run is started twice."""
    mine = run.job
    others = [
        other.job.name
        for other in seen.runs
        if other.job.uid != mine.uid and other.job.ids.same("run", mine.ids) and _goes_first(other.job, mine)
    ]
    if others:
        return f"Job {min(others)} has the same run id; a run is never started twice."
    if any(ids.same("run", mine.ids) for ids in seen.settled_runs):
        return "A Job of the same run id has already ended; a run is never started twice."
    return ""


def _changed(job: Job) -> str:
    """Why a run that was fine when it was first seen is held back now: it would be no pod, or several."""
    if job.parallelism == 1 and job.completions == 1:
        return ""
    return f"Waits: its parallelism and completions are {job.parallelism} and {job.completions}, not 1 and 1."


def _refused(job: Job, seen: Snapshot) -> str:
    return "The API server refused to start it; it will be tried again." if job.uid in seen.refused else ""


def _goes_first(other: Job, mine: Job) -> bool:
    if not is_waiting(other):
        return other.phase is not Phase.REJECTED
    return (other.created_at, other.name) < (mine.created_at, mine.name)


def _busy(names: Sequence[str], policy: Policy) -> str:
    by = f" by {', '.join(names[:_NAMED])}" if names else ""
    if policy.agent_concurrency == 1:
        return contract.clip(f"Waits: the agent's place in this namespace is taken{by}.")
    return contract.clip(f"Waits: the agent's {policy.agent_concurrency} places are taken{by}.")


def _holding(seen: Snapshot) -> list[str]:
    """Names of what holds places, for people: Jobs, then pods and Jobs that are not gone yet."""
    jobs = [run.job.name for run in seen.runs if holds(run.job)]
    pods = [pod for run in seen.runs if not holds(run.job) for pod in run.pods]
    lingering = [pod.name for pod in (*pods, *seen.strays) if not pod.ended]
    return sorted(jobs) + sorted(lingering) + sorted(ghost.name for ghost in seen.ghosts)
