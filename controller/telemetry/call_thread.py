"""One thread for calls that block, asked from the event loop. It knows nothing of what it calls."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Thread(Protocol):
    """What makes the calls that block."""

    async def ask(self, call: Callable[[], Any]) -> Any:
        """What the call answers."""
        ...

    def end(self) -> None:
        """Nothing more will be asked."""


class CallThread:
    """One thread that calls what it is given, one after the other.

    The SDK's exporter blocks, and makes no promise about two exports at once. A thread for each trace would
    hold the event loop up each time it starts. A daemon, not a pool's: a pool's threads are waited for when
    the process ends, and a collector that hangs would hold that up for as long as the exporter's own timeout.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    async def ask(self, call: Callable[[], Any]) -> Any:
        """Waits for the thread, and lets the event loop go on meanwhile."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def tell(settle: Callable[[], None]) -> None:
            if not answer.done():
                settle()

        def work() -> None:
            try:
                found = call()
            except Exception as error:  # noqa: BLE001 — told to who asked, in whose stack it belongs
                settle = _failing(answer, error)
            else:
                settle = _answering(answer, found)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(tell, settle)

        self._calls.put(work)
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="otlp", daemon=True).start()
        return await answer

    def end(self) -> None:
        """Once what it is at has ended."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _answering(answer: asyncio.Future[Any], found: object) -> Callable[[], None]:
    return lambda: answer.set_result(found)


def _failing(answer: asyncio.Future[Any], error: Exception) -> Callable[[], None]:
    return lambda: answer.set_exception(error)
