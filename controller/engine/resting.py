"""Runs that need nothing for a while: until when, by slot and monotonic clock. Decides nothing."""

from controller.core.model import Slot


class Resting:
    """One instant for each run that rests; forgotten with the run, or when it changes."""

    def __init__(self) -> None:
        self._until: dict[Slot, dict[str, float]] = {}
        self._over: set[str] = set()

    def rest(self, slot: Slot, job_uid: str, until: float) -> None:
        """It may be left alone until that second."""
        self._over.discard(job_uid)
        self._until.setdefault(slot, {})[job_uid] = until

    def discard(self, slot: Slot, job_uid: str) -> None:
        """It has changed, or is gone: what was said of its rest holds no more."""
        self._over.discard(job_uid)
        self._forget(slot, job_uid)

    def wake(self, slot: Slot, mono: float) -> tuple[str, ...]:
        """Those of the slot whose rest is over by now."""
        due = tuple(uid for uid, until in self._until.get(slot, {}).items() if until <= mono)
        for job_uid in due:
            self._forget(slot, job_uid)
            self._over.add(job_uid)
        return due

    def is_over(self, job_uid: str) -> bool:
        """It has rested for as long as it was told to, and not changed since."""
        return job_uid in self._over

    def ends_at(self, slot: Slot) -> float | None:
        """The second at which the first of the slot has rested enough; None if none rests."""
        return min(self._until.get(slot, {}).values(), default=None)

    def _forget(self, slot: Slot, job_uid: str) -> None:
        resting = self._until.get(slot)
        if resting is not None and resting.pop(job_uid, None) is not None and not resting:
            del self._until[slot]
