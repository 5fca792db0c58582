"""Which Jobs do the work of other runs that have not ended: an index of the store. It decides nothing."""

from controller.core import attachments
from controller.core.model import Job
from controller.engine.groups import Groups


class Carriers:
    """By uid of the Job that does the work: uids of the Jobs whose runs continue on it."""

    def __init__(self) -> None:
        self._carried = Groups[str]()

    def move(self, before: Job | None, now: Job | None) -> set[str]:
        """One Job has changed from this to that; the uids of those that carry one more, or one less."""
        changed = set()
        if before is not None and (on := attachments.target(before)) is not None:
            changed |= {on.uid} if self._carried.discard(on.uid, before.uid) else set()
        if now is not None and attachments.is_attached(now) and (on := attachments.target(now)) is not None:
            self._carried.add(on.uid, now.uid)
            changed.add(on.uid)
        return changed

    def of(self, job_uid: str) -> tuple[str, ...]:
        """The Jobs whose runs continue on this one."""
        return self._carried.of(job_uid)
