"""Which run continues on which Job, as far as one slot's snapshot tells.

Owns what `status.D/attached-to` means. It writes nothing and decides nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

from controller.core import orphans
from controller.core.contract import Phase, Status
from controller.core.model import Job
from controller.core.snapshot import Run, Snapshot


class Target(NamedTuple):
    """The Job that a run continues on."""

    name: str
    uid: str


def target(job: Job) -> Target | None:
    """The Job that this run continues on, or has continued on; None if it stands for itself."""
    name, _, uid = job.status.get(Status.ATTACHED_TO, "").partition("/")
    return Target(name, uid) if name and uid else None


def is_attached(job: Job) -> bool:
    """The run continues on another Job, and waits for that one's end."""
    return job.phase is Phase.ATTACHED


def was_attached(job: Job) -> bool:
    """The Job never runs by itself: its run continues on another, or did so until its end."""
    return is_attached(job) or Status.ATTACHED_TO in job.status


def known(seen: Snapshot, job_uid: str) -> Job | None:
    """The Job of that uid, over or not; None if there is no such Job in this slot."""
    for run in seen.runs:
        if run.job.uid == job_uid:
            return run.job
    return next((job for job in seen.settled if job.uid == job_uid), None)


def resolve(seen: Snapshot, job: Job) -> Job | None:
    """The Job that does this run's work: itself, or the one that it continues on; None if that is unknown."""
    passed = {job.uid}
    while was_attached(job):
        on = target(job)
        found = known(seen, on.uid) if on and on.uid not in passed else None
        if found is None:
            return None
        passed.add(found.uid)
        job = found
    return job


def attached_to(seen: Snapshot, job_uid: str) -> tuple[Run, ...]:
    """The runs that continue on that Job now, oldest first."""
    found = (run for run in seen.runs if is_attached(run.job) and _is_on(run.job, job_uid))
    return tuple(sorted(found, key=lambda run: (run.job.created_at, run.job.name)))


def cancel_of(seen: Snapshot, job: Job) -> str:
    """Why the host wants this Job to end: said on it, or on the newest run that is attached to it."""
    if job.wishes.cancel_requested or seen.doubts:
        return job.wishes.cancel_requested  # in doubt it is not known which attached run is the newest
    attached = attached_to(seen, job.uid)
    return attached[-1].job.wishes.cancel_requested if attached else ""


def reattached(seen: Snapshot) -> Mapping[str, tuple[Job, ...]]:
    """By uid of the Job that does the work: the runs that have continued on it as another run than its own.

    Ended or not, oldest first. Made once for each plan: there may be many Jobs that are over.
    """
    everywhere = (*(run.job for run in seen.runs), *seen.settled)
    attached = [job for job in everywhere if Status.ATTACHED_TO in job.status and _is_reattached(job)]
    found: dict[str, tuple[Job, ...]] = {}
    for job in sorted(attached, key=lambda job: (job.created_at, job.name)):
        if (on := target(job)) is not None and on.uid != job.uid:
            found[on.uid] = (*found.get(on.uid, ()), job)
    return found


def _is_on(job: Job, job_uid: str) -> bool:
    return (on := target(job)) is not None and on.uid == job_uid != job.uid


def _is_reattached(job: Job) -> bool:
    found = orphans.read(job.status.get(Status.DECISION, ""))
    return found is not None and found.decision == orphans.Decision.REATTACH and bool(job.ids.run)
