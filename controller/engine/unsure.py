"""Patches of which nobody knows whether they were taken in, until their Jobs have been read anew.

They count, and are told, once that is certain: not twice, and not never for a lost answer.
"""

from collections import OrderedDict
from typing import Final

from controller.core.actions import PatchJob
from controller.core.contract import Keys, Status
from controller.core.model import Job

_MOST: Final = 1000
"""So many are remembered; an API server that is away for long has failed each run's patch once."""
_TOLD: Final = (Status.PHASE, Status.REASON, Status.SINCE, Status.DECISION, Status.STOP)


class Unsure:
    """By uid of the Job; of each the last."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._patches: OrderedDict[str, PatchJob] = OrderedDict()

    def put(self, patch: PatchJob) -> None:
        """There was no certain answer to it."""
        self._patches[patch.job_uid] = patch
        self._patches.move_to_end(patch.job_uid)
        if len(self._patches) > _MOST:
            self._patches.popitem(last=False)

    def settle(self, job: Job) -> PatchJob | None:
        """This is how the Job was read since: the patch, if it was taken in."""
        patch = self._patches.pop(job.uid, None)
        return patch if patch is not None and self._is_in(job, patch) else None

    def _is_in(self, job: Job, patch: PatchJob) -> bool:
        """All that it says of the standing is there; what says nothing of it is no news either way."""
        keys = {name: self._keys.status(name) for name in _TOLD}
        said = {name: patch.annotations[key] for name, key in keys.items() if key in patch.annotations}
        return bool(said) and all(job.status.get(name) == value for name, value in said.items())
