"""Who may read a log now, and how: an open stream for some, a short read now and then for the others.

Owns the budget of streams, the bounds of everything beside it, and the order in which logs are served:
those that have ended, those that are about to, then whoever has waited longest. It reads nothing itself.

    last     one read to the end, LAST_READS at once; a result waits for it
    urgent   a stream outside the budget, URGENT_STREAMS at most: the container is about to end
    stream   a stream of the budget
    poll     no stream is left: one read to the present, each log every POLL_EVERY seconds if that can be
             had with POLLS_A_SECOND, else as often as all in turn allows

After a restart all logs are read from their beginning. So that this starves nobody, only CATCHING_UP of those
with a `last` or a `stream` may be reading what was said before they came. One that hangs is not counted.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final

LAST_READS: Final = 200
URGENT_STREAMS: Final = 500
POLLS: Final = 64
POLLS_A_SECOND: Final = 100.0
POLL_EVERY: Final = 5.0
"""Seconds between two short reads of a log at least."""
CATCHING_UP: Final = 16
OPENING_SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 0.25
"""A connection in which nothing came for so long has come to the present, or hangs."""
CATCH_UP_SECONDS: Final = 10.0
"""One that never pauses keeps others waiting for no longer than this."""
BESIDES: Final = LAST_READS + URGENT_STREAMS + POLLS
"""Connections that may be open at once besides the streams of the budget."""


class Way(Enum):
    """How a log is read in a turn."""

    LAST = "last"
    URGENT = "urgent"
    STREAM = "stream"
    POLL = "poll"

    @property
    def follows(self) -> bool:
        """The connection stays open for what is still to come."""
        return self in (Way.URGENT, Way.STREAM)


@dataclass(eq=False, slots=True)
class Wish:
    """What one log's reader wants to be considered. It lines up once, and takes a turn at a time."""

    urgent: bool = False
    ended: bool = False
    patient: bool = False
    """Among the logs that have ended: others go first."""
    hurried: bool = False
    """If it is polled, then before others."""
    polled_at: float | None = None
    """When it was last granted a short read, by the loop's clock."""
    since: int = 0
    """Its number in the line for a stream, kept until it has got one."""
    queued: bool = False
    """There is a ticket with that number."""


class Turn:
    """The right to read with one connection."""

    def __init__(self, way: Way, arrived: Callable[[], None] | None = None) -> None:
        self.way = way
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(OPENING_SECONDS, self.end) if arrived else None

    def heard(self) -> None:
        """Something came: it may be catching up still."""
        if self._timer is None:
            return
        self._timer.cancel()
        now = self._loop.time()
        until = min(now + PAUSE_SECONDS, self._began + CATCH_UP_SECONDS)
        self._timer = self._loop.call_at(until, self.end)

    def end(self) -> None:
        """It has caught up, or is over: the next may begin to."""
        if self._timer is not None and self._arrived is not None:
            self._timer.cancel()
            self._timer = None
            self._arrived()


class Turns:
    """Gives turns. `waiting(count)` is told how many logs have to do without a stream."""

    def __init__(self, streams: int, waiting: Callable[[int], None]) -> None:
        self._free = {
            Way.LAST: LAST_READS,
            Way.URGENT: URGENT_STREAMS,
            Way.STREAM: streams,
            Way.POLL: POLLS,
        }
        self._places = CATCHING_UP
        self._tell_waiting = waiting
        self._asking: dict[Wish, asyncio.Future[Turn]] = {}
        # Those who ask, in the order of their coming. (Of a plain dict that is emptied from its beginning
        # the first is found ever more slowly.)
        self._ended = (OrderedDict[Wish, None](), OrderedDict[Wish, None]())
        self._urgent = OrderedDict[Wish, None]()
        self._polled = OrderedDict[Wish, None]()
        self._soon = OrderedDict[Wish, None]()
        self._streamless: set[Wish] = set()
        """Whether they ask just now or not: who is being polled, or has failed, keeps its number."""
        self._tickets: list[tuple[int, Wish]] = []
        self._numbers = count(1)
        self._next_poll = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, wish: Wish) -> AsyncIterator[Turn]:
        """Waits for a turn, as long as it takes."""
        turn = await self._wait(wish)
        try:
            yield turn
        finally:
            self._give_back(turn)

    def reconsider(self, wish: Wish) -> None:
        """What this log wants has changed."""
        if wish in self._asking:
            self._line_up(wish)
            self._serve()

    def leave(self, wish: Wish) -> None:
        """This log is not read any more."""
        self._stop_asking(wish)
        self._part(wish)

    async def _wait(self, wish: Wish) -> Turn:
        future: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._asking[wish] = future
        self._line_up(wish)
        self._serve()
        try:
            return await future
        except asyncio.CancelledError:
            self.leave(wish)
            if future.done() and not future.cancelled():
                self._give_back(future.result())
            raise

    def _give_back(self, turn: Turn) -> None:
        turn.end()
        self._free[turn.way] += 1
        self._serve()

    # ── Lines ────────────────────────────────────────────────────────────────────────────────────

    def _line_up(self, wish: Wish) -> None:
        self._leave_lines(wish)
        if wish.ended:
            self._part(wish)
            self._ended[wish.patient][wish] = None
            return
        if wish not in self._streamless:
            self._streamless.add(wish)
            wish.since = next(self._numbers)
            self._tell_waiting(len(self._streamless))
        self._take_ticket(wish)
        self._polled[wish] = None
        if wish.urgent:
            self._urgent[wish] = None
        if wish.urgent or wish.hurried:
            self._soon[wish] = None

    def _take_ticket(self, wish: Wish) -> None:
        if not wish.queued:
            wish.queued = True
            heapq.heappush(self._tickets, (wish.since, wish))

    def _leave_lines(self, wish: Wish) -> None:
        for line in (*self._ended, self._urgent, self._polled, self._soon):
            line.pop(wish, None)

    def _stop_asking(self, wish: Wish) -> None:
        self._asking.pop(wish, None)
        self._leave_lines(wish)

    def _part(self, wish: Wish) -> None:
        """It needs no stream any more, or has one: the next time it comes last."""
        if wish in self._streamless:
            self._streamless.discard(wish)
            self._tell_waiting(len(self._streamless))

    # ── Serving ──────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        """Gives away all that can be had now."""
        while self._urgent and self._free[Way.URGENT]:
            self._grant(next(iter(self._urgent)), Way.URGENT)
        for line in self._ended:
            while line and self._free[Way.LAST] and self._places:
                self._grant(next(iter(line)), Way.LAST)
        while self._free[Way.STREAM] and self._places and (wish := self._eldest()) is not None:
            self._grant(wish, Way.STREAM)
        self._serve_polls()

    def _eldest(self) -> Wish | None:
        """Who asks and has waited longest for a stream; those that are urgent before others."""
        if self._urgent:
            return next(iter(self._urgent))
        while self._tickets:
            number, wish = heapq.heappop(self._tickets)
            wish.queued = False
            if wish not in self._polled:
                continue
            if wish.since == number:
                return wish
            self._take_ticket(wish)  # this one is of an earlier time
        return None

    def _grant(self, wish: Wish, way: Way) -> None:
        future = self._asking[wish]
        self._stop_asking(wish)
        if future.done():  # its reader has been cancelled, and has not come to know it yet
            self._part(wish)
            return
        if way is not Way.POLL:
            self._part(wish)
        self._free[way] -= 1
        paced = way in (Way.LAST, Way.STREAM)
        self._places -= paced
        future.set_result(Turn(way, self._arrive if paced else None))

    def _arrive(self) -> None:
        """One has come to the present."""
        self._places += 1
        asyncio.get_running_loop().call_soon(self._serve)

    def _serve_polls(self) -> None:
        """For those for whom no stream is left; whoever was read longest ago is the next."""
        now = asyncio.get_running_loop().time()
        while self._polled and self._free[Way.POLL] and not self._free[Way.STREAM]:
            wish = next((wish for wish in self._soon if self._due(wish) <= now), next(iter(self._polled)))
            when = max(self._due(wish), self._next_poll)
            if when > now:
                self._come_back(when)
                return
            self._next_poll = now + 1.0 / POLLS_A_SECOND
            wish.polled_at, wish.hurried = now, False
            self._grant(wish, Way.POLL)

    def _due(self, wish: Wish) -> float:
        return 0.0 if wish.polled_at is None else wish.polled_at + POLL_EVERY

    def _come_back(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._serve)
