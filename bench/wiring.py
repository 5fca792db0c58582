"""Informers, parser, store and queue as `controller.app` wires them, on a cluster that is none: bytes.

Everything of the controller between the socket and the plan is the real one: what is measured is what runs.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

from bench.shapes import KEYS
from controller.core.model import Job, Now, Pod, Slot, Unreadable
from controller.core.parse import Parser
from controller.core.snapshot import Policy
from controller.engine import loops
from controller.engine.parts import Parts
from controller.engine.queue import WorkQueue
from controller.engine.store import Store
from controller.kube.api import JOBS, PODS, Kube, Resource
from controller.kube.informer import Informer
from controller.kube.transport import Reply, Request, Wire

CHUNK_BYTES: Final = 64 * 1024
"""What one read of a busy socket brings."""
_EMPTY_LIST: Final = b'{"metadata":{"resourceVersion":"1"},"items":[]}'

T = TypeVar("T", Job, Pod)


class Countdown:
    """`done` once that many objects have been decoded."""

    def __init__(self, objects: int) -> None:
        self.left = objects
        self.done = asyncio.Event()

    def taken(self) -> None:
        """One more."""
        self.left -= 1
        if not self.left:
            self.done.set()


class MemoryWire:
    """Empty lists, and watches whose bytes are there already."""

    def __init__(self, chunks: Mapping[str, Iterable[bytes]]) -> None:
        self._chunks = chunks

    async def send(self, _purpose: str, _request: Request) -> Reply:
        """The answer to a list."""
        return Reply(200, {}, _EMPTY_LIST)

    @asynccontextmanager
    async def stream(self, _purpose: str, request: Request) -> AsyncGenerator[Reply, None]:
        """The answer to a watch."""
        yield Reply(200, {}, chunks=self._watch(request.resource))

    async def _watch(self, plural: str) -> AsyncIterator[bytes]:
        for chunk in self._chunks[plural]:
            yield chunk
        await asyncio.Event().wait()  # a watch that has nothing more to say stays open


def chunked(lines: Iterable[bytes]) -> Iterable[bytes]:
    """Lines as a socket brings them: many in one piece."""
    waiting, size = [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def in_memory(chunks: Mapping[str, Iterable[bytes]]) -> Kube:
    """A cluster whose watches say this."""
    return Kube(cast("Wire", MemoryWire(chunks)))


def parts_on(kube: Kube, countdown: Countdown) -> Parts:
    """What stands between a watch and a plan. An object that is odd or unreadable breaks the measurement."""
    parser, rng = Parser(KEYS), random.Random(0)

    def counted(decode: Callable[[bytes], T | Unreadable]) -> Callable[[bytes], T | Unreadable]:
        def decoded(raw: bytes) -> T | Unreadable:
            countdown.taken()
            return decode(raw)

        return decoded

    def informer(resource: Resource, decode: Callable[[bytes], T | Unreadable]) -> Informer[T]:
        return Informer(kube, resource, counted(decode), clock=time.monotonic, rng=rng, observe=_ignore)

    nobody = cast("Any", None)
    return Parts(
        store=Store(Policy()),
        queue=WorkQueue[Slot](rng),
        parser=parser,
        writer=nobody,
        follower=nobody,
        exporter=None,
        informers=(informer(JOBS, parser.job), informer(PODS, parser.pod)),
        policy=Policy(),
        now=lambda: Now(time.time_ns(), time.monotonic()),
        held=lambda: True,
        observer=nobody,
    )


async def feed(parts: Parts, countdown: Countdown, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of `clock` from open watches until everything is decoded, stored and queued."""
    tasks = [asyncio.create_task(loops.feed(parts, informer)) for informer in parts.informers]
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(countdown.done.wait())]
    try:
        await parts.synced.wait()
        began = clock()
        await asyncio.wait([*tasks, *waits], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        return clock() - began
    finally:
        await cancel([*tasks, *waits])


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End them all, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ignore(_what: str) -> None:
    pass
