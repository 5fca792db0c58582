"""The logs that the plans ask for: one reader each, for as long as somebody wants to know.

Lines are folded as they come (`log_reader`), within a budget of streams (`log_turns`); what they say goes
into the store. A log that can't be read or folded holds up no other. It decides nothing.
"""

import asyncio
import random
import time
from collections.abc import Callable

from controller.core.actions import FollowLog
from controller.core.transcript import AttemptLog
from controller.engine.log_reader import Means, Observer, Reader
from controller.engine.log_turns import Turns
from controller.kube.api import Kube


class LogFollower:
    """Follows logs for as long as its task group lives. `publish(job_uid, log)` is told of every news."""

    def __init__(  # noqa: PLR0913 — its ports, and the budget
        self,
        kube: Kube,
        publish: Callable[[str, AttemptLog], None],
        observer: Observer,
        rng: random.Random,
        *,
        streams: int = 500,
        content: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        turns = Turns(streams, observer.logs_waiting)
        self._means = Means(kube, publish, observer, rng, clock, turns, content)
        self._readers: dict[tuple[str, str], tuple[Reader, asyncio.Task[None]]] = {}
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Keeps the readers' task group open. Never ends."""
        async with self._group:
            await asyncio.Event().wait()

    def follow(self, action: FollowLog) -> None:
        """Read this log, or tell its reader what has become known of its container. Never waits."""
        key = (action.job_uid, action.pod_uid)
        if key in self._readers:
            reader, task = self._readers[key]
            if action.restarts <= reader.restarts and not task.done():
                reader.tell(action)
                return
            task.cancel()  # its container was started again, and has another log
        reader = Reader(action, self._means)
        task = self._group.create_task(reader.read(), name=f"log {action.pod}")
        self._readers[key] = (reader, task)
        task.add_done_callback(lambda task: self._drop(key, task))
        if action.ended or action.urgent or action.check:
            reader.tell(action)

    def forget(self, job_uid: str) -> None:
        """Nothing about this Job is of interest any more."""
        for key in [key for key in self._readers if key[0] == job_uid]:
            self._readers.pop(key)[1].cancel()

    def _drop(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if key in self._readers and self._readers[key][1] is task:
            del self._readers[key]
