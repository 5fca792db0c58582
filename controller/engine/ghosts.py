"""Jobs that are not seen any more and may still run: where they hold a place, until the cluster says not.

Owns which ghosts there are. It decides nothing.
"""

from controller.core import history
from controller.core.model import Job, Slot
from controller.core.snapshot import Ghost


class Ghosts:
    """By slot; a Job leaves one at most."""

    def __init__(self) -> None:
        self._of: dict[Slot, dict[str, Ghost]] = {}
        self._slot: dict[str, Slot] = {}

    def __contains__(self, job_uid: str) -> bool:
        return job_uid in self._slot

    def add(self, job: Job) -> None:
        """This is how the Job was last seen; an older ghost of it goes."""
        self.discard(job.uid)
        served = (job.ids, *(each.ids for each in history.told(job)))
        ghost = Ghost(job.namespace, job.name, job.uid, served)
        self._of.setdefault(job.slot, {})[job.uid] = ghost
        self._slot[job.uid] = job.slot

    def discard(self, job_uid: str) -> set[Slot]:
        """The Job is known again, or known to be gone."""
        slot = self._slot.pop(job_uid, None)
        if slot is None:
            return set()
        ghosts = self._of[slot]
        del ghosts[job_uid]
        if not ghosts:
            del self._of[slot]
        return {slot}

    def of(self, slot: Slot) -> tuple[Ghost, ...]:
        """Those of a slot."""
        return tuple(self._of.get(slot, {}).values())

    def slots(self) -> set[Slot]:
        """Where there are any."""
        return set(self._of)
