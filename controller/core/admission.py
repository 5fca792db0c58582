"""Who of a slot may start, who continues on a Job that runs, and why the others wait.

A place is held by whatever may still run an agent: a live Job, a pod that has not ended, a Job that vanished
and is not confirmed to be gone. Places are counted by the controller uid, so a Job and its pods hold one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.core import attachments, contract, history, limits, orphans, ownership
from controller.core.contract import LIVE, TERMINAL, Phase, Reason
from controller.core.model import Job
from controller.core.orphans import Decision, Other, Ruling
from controller.core.snapshot import Policy, Run, Snapshot, Standing

_NAMED: Final = 3
"""So many holders of places are named to those who wait."""


@dataclass(frozen=True, slots=True)
class Verdict(Standing):
    """Where a waiting run is to stand, and the ruling that says so; None: no other Job has to do with it."""

    ruling: Ruling | None = None


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
    if job.active or job.failed or job.succeeded:
        return True
    if attachments.was_attached(job):
        return False  # whoever unsuspends it starts nothing: its parallelism is 0
    return job.started_at is not None or job.phase in LIVE


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


def decide(seen: Snapshot, policy: Policy) -> Mapping[str, Verdict]:
    """For each waiting run of the slot (by Job uid): Starting, Queued, Attached or Rejected, and why.

    A run that may not wait is left out as long as the place may yet be its own: while others are only about
    to be started.
    """
    waiting = sorted(
        (run for run in seen.runs if _may_be_decided(run.job)),
        key=lambda run: limits.place_in_line(run, seen),
    )
    if not waiting:
        return {}
    before = free = policy.agent_concurrency - len(holders(seen))
    names = _holding(seen)
    admitted: list[Job] = []
    limit: Verdict | None = None
    verdicts: dict[str, Verdict] = {}
    for run in waiting:
        job = run.job
        ruling = _rule(job, seen, admitted, full=free <= 0)
        verdict = _attached(ruling) or _held_back(run, seen, policy) or _placed(ruling, names, policy)
        if verdict.phase is Phase.STARTING:
            if ownership.is_open(run, policy):  # the answer comes at once: nobody behind it is held up
                continue
            free -= 1
            names.append(job.name)
            if (limited := limits.limited(run, seen, policy)) is not None:
                verdict = limit = Verdict(limited.phase, limited.reason, limited.message)
            else:
                admitted.append(job)
        if verdict.phase is Phase.QUEUED and verdict.ruling and _may_not_wait(job, policy):
            if before > 0 and limit is None:
                continue
            verdict = limit or _turned_away(ruling, names, policy)
        verdicts[job.uid] = verdict
    return verdicts


def _may_be_decided(job: Job) -> bool:
    """A run that its host wants cancelled is never started, whatever else is decided in the same plan."""
    return is_waiting(job) and not problem(job) and not job.wishes.cancel_requested


def on_conflict(job: Job, policy: Policy) -> str:
    """`queue` or `fail`: what its host wants for a run that can't be started now."""
    return job.wishes.on_conflict or policy.on_conflict


def _may_not_wait(job: Job, policy: Policy) -> bool:
    return on_conflict(job, policy) == "fail"


def _attached(ruling: Ruling) -> Verdict | None:
    other = ruling.other
    if other is None or ruling.decision not in (Decision.REATTACH, Decision.DUPLICATE):
        return None
    said = {
        Decision.REATTACH: f"Continues on Job {other.name}, which works on the same task.",
        Decision.DUPLICATE: f"Is the same run as Job {other.name}, and takes its result.",
    }
    return Verdict(
        Phase.ATTACHED, orphans.REASONS[ruling.decision], contract.clip(said[ruling.decision]), ruling
    )


def _held_back(run: Run, seen: Snapshot, policy: Policy) -> Verdict | None:
    """What holds it back whatever the table says; no conflict, so that its host's wish has no part in it."""
    if said := _twin(run.job, seen) or _changed(run.job) or _refused(run.job, seen):
        return Verdict(Phase.QUEUED, Reason.AGENT_BUSY, said)
    if ownership.is_open(run, policy) and (lacks := ownership.complaint(run, policy)):
        return Verdict(Phase.QUEUED, Reason.OBJECT_MISSING, lacks)
    return None


def _placed(ruling: Ruling, names: Sequence[str], policy: Policy) -> Verdict:
    if ruling.decision is Decision.ADMIT:
        return Verdict(Phase.STARTING, Reason.ADMITTED, "Admitted.", ruling)
    said = contract.clip(f"Waits: {_busy(names, policy)}{_because(ruling)}")
    return Verdict(Phase.QUEUED, orphans.REASONS[ruling.decision], said, ruling)


def _turned_away(ruling: Ruling, names: Sequence[str], policy: Policy) -> Verdict:
    said = f"Not started, as its on-conflict is fail: {_busy(names, policy)}{_because(ruling)}"
    return Verdict(Phase.REJECTED, orphans.REASONS[ruling.decision], contract.clip(said), ruling)


def _because(ruling: Ruling) -> str:
    """What is known of the Job that is in the way, as a further sentence."""
    other = f" Job {ruling.other.name}" if ruling.other else ""
    return {
        Decision.BLOCK_TASK_UNKNOWN: f"{other} may work on another task: one of the two says no task id.",
        Decision.BLOCK_TASK_MISMATCH: f"{other} works on another task.",
        Decision.BLOCK_SESSION_MISMATCH: f"{other} works on the same task in another session.",
    }.get(ruling.decision, "")


# ── The Jobs that a waiting run is judged by ─────────────────────────────────────────────────────


def _rule(me: Job, seen: Snapshot, admitted: Sequence[Job], *, full: bool) -> Ruling:
    live = [_live(run.job, me, seen) for run in seen.runs if _is_live(run.job)]
    # Those that are started by this very plan are in the way, but nothing can be attached to them yet.
    begun = (job for job in admitted if not history.serves(job, me.ids))
    live += [Other(job.name, job.uid, job.ids, created_at=job.created_at) for job in begun]
    same = [_same_run(job, me) for job in _ran_as(me, seen)]
    return orphans.judge(me.ids, [*same, *live], reattach=me.wishes.reattach, full=full)


def _is_live(job: Job) -> bool:
    return holds(job) and not attachments.was_attached(job)


def _live(job: Job, me: Job, seen: Snapshot) -> Other:
    allows = orphans.allows(job, me.created_at) and not attachments.cancel_of(seen, job)
    return Other(job.name, job.uid, job.ids, allows=allows, created_at=job.created_at)


def _same_run(job: Job, me: Job) -> Other:
    served = (history.run_of(me.ids),)
    return Other(job.name, job.uid, job.ids, served, live=_is_live(job), created_at=job.created_at)


def _ran_as(me: Job, seen: Snapshot) -> list[Job]:
    """The Jobs that do, or did, the same run's work."""
    everywhere = (*(run.job for run in seen.runs), *seen.settled)
    named = [job for job in everywhere if job.uid != me.uid and history.serves(job, me.ids)]
    resolved = {found.uid: found for job in named if (found := _worker(seen, job)) is not None}
    return [job for job in resolved.values() if job.uid != me.uid and _has_run(job)]


def _worker(seen: Snapshot, job: Job) -> Job | None:
    """Where that run's work is done; one whose Job is gone still has its result on itself."""
    return attachments.resolve(seen, job) or (job if job.phase in TERMINAL else None)


def _has_run(job: Job) -> bool:
    """One that is deleted in mid-run is about to be gone: its run is waited for, not attached to."""
    if job.phase is Phase.REJECTED or is_waiting(job):
        return False
    if job.phase in TERMINAL:
        return True
    return job.deleted_at is None and (holds(job) or was_started(job) or job.finished is not None)


# ── Why a run is held back whatever the table says ───────────────────────────────────────────────


def _twin(mine: Job, seen: Snapshot) -> str:
    """Why a run whose run id has been seen on another Job is held back: no run is started twice."""
    others = [
        other.job.name
        for other in seen.runs
        if other.job.uid != mine.uid and history.serves(other.job, mine.ids) and _goes_first(other.job, mine)
    ]
    others += [ghost.name for ghost in seen.ghosts if any(mine.ids.same("run", ids) for ids in ghost.served)]
    if others:
        return f"Waits: Job {min(others)} has the same run id; a run is never started twice."
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
        return f"the agent's place in this namespace is taken{by}."
    return f"the agent's {policy.agent_concurrency} places are taken{by}."


def _holding(seen: Snapshot) -> list[str]:
    """Names of what holds places, for people: Jobs, then pods and Jobs that are not gone yet."""
    jobs = [run.job.name for run in seen.runs if holds(run.job)]
    pods = [pod for run in seen.runs if not holds(run.job) for pod in run.pods]
    lingering = [pod.name for pod in (*pods, *seen.strays) if not pod.ended]
    return sorted(jobs) + sorted(lingering) + sorted(ghost.name for ghost in seen.ghosts)
