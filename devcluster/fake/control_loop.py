"""The loop that every controller of the cluster runs: keys in, one level-triggered look at each.

Owns: the queue of keys, delays, and standing still while paused. Never: decides anything about objects.
"""

import asyncio
from typing import Generic, TypeVar

from devcluster.fake.faults import Faults

K = TypeVar("K")


class ControlLoop(Generic[K]):
    """Subclasses say in `sync` what a key needs; a key is never looked at twice at once."""

    name = ""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._queue: dict[K, None] = {}
        self._wake = asyncio.Event()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        faults.on_change(self._wake.set)

    def enqueue(self, key: K) -> None:
        """Look at a key soon."""
        self._queue[key] = None
        self._wake.set()

    def enqueue_after(self, key: K, seconds: float) -> None:
        """Look at a key later; an earlier appointment stands."""
        loop = asyncio.get_running_loop()
        at, known = loop.time() + max(seconds, 0), self._timers.get(key)
        if known is not None and not known.cancelled() and loop.time() < known.when() <= at:
            return
        if known is not None:
            known.cancel()
        self._timers[key] = loop.call_at(at, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.enqueue(key)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue and self.name not in self._faults.paused:
                    key = next(iter(self._queue))
                    del self._queue[key]
                    self.sync(key)
                    await asyncio.sleep(0)  # others may have their turn between two keys
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def sync(self, key: K) -> None:
        """Bring the world nearer to what the key's object wants."""
        raise NotImplementedError
