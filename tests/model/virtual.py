"""Time that jumps: one clock for the cluster and its controllers, each of which has an event loop of its own.

A loop that is not run stands for a process that is stopped (SIGSTOP): its timers are late when it goes on.
"""

import asyncio
import heapq
from itertools import count

START = 1000.0
LIVELOCK = 20_000
"""So many turns at one instant, and nobody will ever be done."""


class Clock:
    """Seconds, as a monotonic clock counts them."""

    def __init__(self):
        self.now = START


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that never waits: it ends its run when nothing is ready, and others may set the clock."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock
        self._selector = self
        self._turns = 0

    def run_until_blocked(self):
        """Until nothing is ready at this instant."""
        self._turns = 0
        self.run_forever()

    def time(self):
        return self._clock.now

    def select(self, timeout):
        """Stands for the selector: there is nothing to be selected, and no time is spent."""
        self._turns += 1
        assert self._turns < LIVELOCK, "a controller is never done, and no time passes"
        if timeout is None or timeout > 0:
            self._stopping = True
        return []

    def _process_events(self, _events):
        pass

    def _write_to_self(self):
        pass

    def is_ready(self):
        """Whether something could run now."""
        return bool(self._ready) or self.upcoming() <= self._clock.now

    def upcoming(self):
        """When the next timer is due; far away if there is none."""
        while self._scheduled and self._scheduled[0].cancelled():
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False
        return self._scheduled[0].when() if self._scheduled else float("inf")


class Agenda:
    """What will happen in the cluster, in the order of time."""

    def __init__(self, clock):
        self.clock = clock
        self._entries = []
        self._order = count()

    def after(self, seconds, call, *arguments):
        heapq.heappush(self._entries, (self.clock.now + seconds, next(self._order), call, arguments))

    def upcoming(self):
        return self._entries[0][0] if self._entries else float("inf")

    def happen(self):
        """All that is due; says whether there was anything."""
        some = False
        while self._entries and self._entries[0][0] <= self.clock.now:
            _, _, call, arguments = heapq.heappop(self._entries)
            call(*arguments)
            some = True
        return some
