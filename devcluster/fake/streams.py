"""Open watches and log follows: how they wait, and how faults or the end of the cluster cut them short.

Owns: the set of open streams and the timers of the stream faults. Never: what is sent through them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from aiohttp import web

from devcluster.fake.faults import LOGS, WATCHES, Faults

CLOSE, CUT = "close", "cut"


class Stream:
    """One open answer; `wake` is set by whatever it waits for."""

    def __init__(self, kind: str, resource: str, request: web.BaseRequest) -> None:
        self.kind = kind
        self.resource = resource
        self.wake = asyncio.Event()
        self.ending = ""
        self.silent = False
        self._transport = request.transport
        self._timers: list[asyncio.TimerHandle] = []
        self._fault_timers: list[asyncio.TimerHandle] = []

    def end(self, how: str) -> None:
        """Ask the stream to end: properly, or in the middle of a line."""
        self.ending = self.ending or how
        self.wake.set()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, unless the stream has ended by then."""
        self._timers.append(asyncio.get_running_loop().call_later(seconds, action))

    def end_after(self, ends: Iterable[tuple[str, float]]) -> None:
        """End, in some way, after some seconds; replaces what was set before."""
        for timer in self._fault_timers:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._fault_timers = [loop.call_later(seconds, self.end, how) for how, seconds in ends]

    def cancel_timers(self) -> None:
        """Forget what was to be done later."""
        self.end_after(())
        for timer in self._timers:
            timer.cancel()

    async def wait(self) -> None:
        """Until something happened."""
        await self.wake.wait()
        self.wake.clear()


class Streams:
    """All open streams, under the current fault switches."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._open: set[Stream] = set()
        faults.on_change(self._apply)

    @contextmanager
    def open(self, kind: str, resource: str, request: web.BaseRequest) -> Iterator[Stream]:
        """A stream, known for as long as it is served."""
        stream = Stream(kind, resource, request)
        self._open.add(stream)
        self._set(stream)
        try:
            yield stream
        finally:
            self._open.discard(stream)
            stream.cancel_timers()

    def count(self, kind: str = "") -> int:
        """How many are open."""
        return sum(1 for stream in self._open if kind in ("", stream.kind))

    def end_all(self, how: str = CLOSE, kind: str = "") -> None:
        """End what is open now."""
        for stream in tuple(self._open):
            if kind in ("", stream.kind):
                stream.end(how)

    def _apply(self) -> None:
        for stream in tuple(self._open):
            self._set(stream)
            stream.wake.set()

    def _set(self, stream: Stream) -> None:
        exempt = stream.resource in self._faults.exempt
        stream.silent = stream.kind in self._faults.half_open and not exempt
        ends = [] if exempt else [(how, s) for kind, how, s in self._ends() if s > 0 and kind == stream.kind]
        stream.end_after(ends)

    def _ends(self) -> tuple[tuple[str, str, float], ...]:
        faults = self._faults
        return (
            (WATCHES, CLOSE, faults.close_watches_every),
            (WATCHES, CUT, faults.cut_watches_every),
            (LOGS, CUT, faults.cut_logs_every),
        )
