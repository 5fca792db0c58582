"""When what was written, seen where it is committed: no watch and no poll stands in between.

Owns the steps of a run that are timed, and what in an object shows each.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from bench.shapes import KEYS
from controller.core.contract import JOB_UID_LABEL, Status
from devcluster.fake import FakeCluster, Write

CREATED: Final = "created"
ADMITTED: Final = "admitted"
CONTAINER: Final = "container running"
RUNNING: Final = "Running written"
POD_ENDED: Final = "pod ended"
COMPLETE: Final = "Job complete"
RESULT: Final = "result written"

_PHASE: Final = KEYS.status(Status.PHASE)
_RESULT: Final = KEYS.status(Status.RESULT)


class Commits:
    """The moment of each step of each run, by the uid of its Job, in seconds of one monotonic clock."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._steps: dict[str, dict[str, float]] = {}
        cluster.storage.listen(self._see)

    def reached(self, uids: list[str], step: str) -> bool:
        """Whether all of these runs have come that far."""
        return all(step in self._steps.get(uid, {}) for uid in uids)

    def last(self, uids: list[str], step: str) -> float:
        """When the last of these runs came that far."""
        return max(self._steps[uid][step] for uid in uids)

    def milliseconds(self, uids: list[str], first: str, last: str) -> list[float]:
        """From one step to the other; runs that skipped one of them are left out."""
        known = (self._steps.get(uid, {}) for uid in uids)
        return [(steps[last] - steps[first]) * 1000 for steps in known if first in steps and last in steps]

    def handed_on(self, lines: list[tuple[str, str]], first: str, last: str) -> list[float]:
        """Milliseconds from a step of one run to a step of the one that waits for it, whichever that is."""
        steps = [(self._steps[one][first], self._steps[other][last]) for one, other in self._by_turn(lines)]
        return [(then - before) * 1000 for before, then in steps]

    def _by_turn(self, lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Both are of one second and one agent: who came first is seen, not assumed."""
        ordered = (sorted(line, key=lambda uid: self._steps[uid][ADMITTED]) for line in lines)
        return [(first, second) for first, second in ordered]

    def _see(self, write: Write) -> None:
        now, steps = time.perf_counter(), _steps_of(write)
        uid = _job_uid(write)
        for step in steps:
            self._steps.setdefault(uid, {}).setdefault(step, now)


def _job_uid(write: Write) -> str:
    if write.kind == "Job":
        return write.uid
    return str(write.object["metadata"].get("labels", {}).get(JOB_UID_LABEL, ""))


def _steps_of(write: Write) -> Iterator[str]:
    if write.kind == "Job":
        yield from _steps_of_job(write.object)
    elif write.kind == "Pod":
        statuses = write.object.get("status", {}).get("containerStatuses") or []
        if any("running" in status.get("state", {}) for status in statuses):
            yield CONTAINER
        if write.object.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            yield POD_ENDED


def _steps_of_job(job: dict[str, Any]) -> Iterator[str]:
    yield CREATED
    told = job["metadata"].get("annotations", {})
    if not job["spec"].get("suspend"):
        yield ADMITTED
    if told.get(_PHASE) == "Running":
        yield RUNNING
    if _RESULT in told:
        yield RESULT
    if any(c["type"] == "Complete" and c["status"] == "True" for c in job["status"].get("conditions", [])):
        yield COMPLETE
