"""The moment of each step of each run, as one watch of Jobs shows them to somebody outside.

The watch adds nothing to speak of: an event is there before the answer to the write that made it. Seconds are
of the monotonic clock, which the node's process shares.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from bench.cluster.client import Cluster, Trouble
from bench.cluster.runs import DOMAIN
from controller.core.contract import Keys, Status

CREATED: Final = "created"
SAID: Final = "phase written"
ADMITTED: Final = "admitted"
CONTAINER: Final = "container running"
RUNNING: Final = "Running written"
COMPLETE: Final = "Job complete"
RESULT: Final = "result written"

_KEYS: Final = Keys(DOMAIN)
_PHASE: Final = _KEYS.status(Status.PHASE)
_RESULT: Final = _KEYS.status(Status.RESULT)


class _Meta(msgspec.Struct):
    uid: str
    annotations: dict[str, str] = {}


class _Spec(msgspec.Struct):
    suspend: bool = False


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Job(msgspec.Struct):
    metadata: _Meta
    spec: _Spec
    status: _Status


class _Event(msgspec.Struct):
    type: str
    object: _Job


_EVENT: Final = msgspec.json.Decoder(_Event)


class Moments:
    """By the uid of a Job: its steps, each with the second in which it was first seen."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        """The last result that was seen, by uid."""
        self._steps: dict[str, dict[str, float]] = {}
        self._changed = asyncio.Event()
        self._left = 0
        self._waits_for = ""
        self._of: frozenset[str] = frozenset()

    async def reached(self, uids: Collection[str], step: str, seconds: float) -> None:
        """Until all of these runs have come that far. Raises Trouble if they have not in time."""
        self._of, self._waits_for = frozenset(uids), step
        self._left = sum(step not in self._steps.get(uid, {}) for uid in uids)
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds if self._left else None):
                if self._left:
                    await self._changed.wait()
        except TimeoutError:
            raise Trouble(
                f"{self._left} of {len(uids)} runs did not come to `{step}` within {seconds:.0f} s"
            ) from None
        finally:
            self._of = frozenset()

    def last(self, uids: Collection[str], step: str) -> float:
        """When the last of these runs came that far."""
        return max(self._steps[uid][step] for uid in uids)

    def milliseconds(self, uids: Collection[str], first: str, last: str) -> list[float]:
        """From one step to the other; runs that skipped one of them are left out."""
        known = (self._steps.get(uid, {}) for uid in uids)
        return [(steps[last] - steps[first]) * 1000 for steps in known if first in steps and last in steps]

    def take(self, uid: str, step: str, at: float) -> None:
        """Somebody has seen this step."""
        steps = self._steps.setdefault(uid, {})
        if step in steps:
            return
        steps[step] = at
        if step == self._waits_for and uid in self._of:
            self._left -= 1
            if not self._left:
                self._changed.set()

    def see(self, line: bytes) -> None:
        """One event of the watch."""
        now, job = time.monotonic(), _EVENT.decode(line).object
        for step in _steps(job):
            self.take(job.metadata.uid, step, now)
        if result := job.metadata.annotations.get(_RESULT):
            self.results[job.metadata.uid] = result


def _steps(job: _Job) -> Iterator[str]:
    yield CREATED
    told = job.metadata.annotations
    if not job.spec.suspend:
        yield ADMITTED
    if (phase := told.get(_PHASE)) is not None:
        yield SAID
        if phase == "Running":
            yield RUNNING
    if _RESULT in told:
        yield RESULT
    if any(c.type == "Complete" and c.status == "True" for c in job.status.conditions or ()):
        yield COMPLETE


@asynccontextmanager
async def watched(cluster: Cluster, namespace: str) -> AsyncIterator[Moments]:
    """The moments of all runs of a namespace, for as long as the block lasts."""
    path, moments = f"/apis/batch/v1/namespaces/{namespace}/jobs", Moments()
    version = (await cluster.get(path))["metadata"]["resourceVersion"]

    async def read() -> None:
        async for lines in cluster.watch(path, version):
            for line in lines:
                moments.see(line)

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        yield moments
        reader.cancel()
