"""Keys that wait to be worked on.

Guarantees:

1. A key that waits is there once, however often it is added, with the highest priority it was added with.
2. A key that is being worked on is given to nobody else; added meanwhile, it waits until `done`, then comes.
3. A delayed key comes at the earliest of its times; `add` brings it at once.
4. A backed-off key comes later each time (5 ms doubling to 60 s, with jitter) until it is forgotten.

Nothing here blocks but `get`. It knows nothing of what a key means.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Hashable
from itertools import count
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FRESH: Final = 0
INITIAL: Final = 100
"""Priority of what was there before we came: new runs are not behind ten thousand old ones."""

_SHORTEST: Final = 0.001
"""Seconds: what is left of a wait may be too little for a clock to tell, and be asked for again at once."""
_BACKOFF_FIRST: Final = 0.005
_BACKOFF_MOST: Final = 60.0


class WorkQueue(Generic[K]):
    """A queue for one event loop. `observe(seconds)` is told how long each key waited when it is given."""

    def __init__(self, rng: random.Random, observe: Callable[[float], None] = lambda _seconds: None) -> None:
        self._rng = rng
        self._observe = observe
        self._order = count()
        self._ready: list[tuple[int, int, K]] = []
        self._waiting: dict[K, tuple[int, float]] = {}  # priority, since when; keys not in work only
        self._working: dict[K, int | None] = {}  # None, or the priority it was added with meanwhile
        self._delayed: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """How many keys wait to be worked on now."""
        return len(self._waiting)

    def add(self, key: K, priority: int = FRESH) -> None:
        """The key is to be worked on as soon as possible."""
        self._undelay(key)
        if key in self._working:
            before = self._working[key]
            self._working[key] = priority if before is None else min(before, priority)
            return
        self._idle.clear()
        known = self._waiting.get(key)
        if known is not None and known[0] <= priority:
            return
        self._waiting[key] = (priority, known[1] if known else asyncio.get_running_loop().time())
        heapq.heappush(self._ready, (priority, next(self._order), key))
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """The key is to be worked on in that many seconds, or earlier if it was to be already."""
        loop = asyncio.get_running_loop()
        seconds = max(seconds, _SHORTEST)
        timer = self._delayed.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._undelay(key)
        self._delayed[key] = loop.call_later(seconds, self.add, key)

    def add_backoff(self, key: K) -> None:
        """The key has failed: it is to be tried again, later each time."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(_BACKOFF_FIRST * 2 ** min(failures, 20), _BACKOFF_MOST)
        self.add_after(key, delay * self._rng.uniform(0.5, 1.0))

    def forget(self, key: K) -> None:
        """The key has succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, now in work until `done`."""
        while True:
            while self._ready:
                priority, _, key = heapq.heappop(self._ready)
                known = self._waiting.get(key)
                if known is None or known[0] != priority:
                    continue  # it was given already, or stands further ahead under a better priority
                del self._waiting[key]
                self._working[key] = None
                self._observe(asyncio.get_running_loop().time() - known[1])
                return key
            self._wake.clear()
            await self._wake.wait()

    def done(self, key: K) -> None:
        """The key is no longer in work; if it was added meanwhile, it waits again."""
        again = self._working.pop(key)
        if again is not None:
            self.add(key, again)
        elif not self._working and not self._waiting:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Until no key waits and none is in work; delayed ones don't count."""
        await self._idle.wait()

    def _undelay(self, key: K) -> None:
        timer = self._delayed.pop(key, None)
        if timer is not None:
            timer.cancel()
