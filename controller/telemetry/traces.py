"""Span trees -> OTLP over HTTP. The only file that imports opentelemetry.

Owns the queue of traces that wait for the collector, and their retries. A trace counts as accepted only
after the collector has taken every batch of it: the SDK's own processors lose a batch on failure and say
that all is well, so none of them is used. Neither is `Resource.create`, which adds a random id.
It decides nothing about runs and never changes a tree: the same tree is the same bytes, whoever sends it.

The exporter itself reads the standard `OTEL_EXPORTER_OTLP_*` variables.
"""

import asyncio
import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace.status import Status, StatusCode

from controller import VERSION
from controller.core.spans import conventions
from controller.core.spantree import Span, SpanKind, SpanLink, SpanTree

BATCH: Final = 512
"""Spans a request."""
BACKOFF_SECONDS: Final = (1.0, 60.0)
"""First and longest wait between two tries of one trace."""
_EARLY_SECONDS: Final = 0.001
"""What is due this soon is due: timers fire a little early, and waiting for less than they resolve spins."""
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_KINDS: Final = {
    SpanKind.INTERNAL: OtelKind.INTERNAL,
    SpanKind.SERVER: OtelKind.SERVER,
    SpanKind.CLIENT: OtelKind.CLIENT,
}
_SCOPE: Final = InstrumentationScope(conventions.SCOPE, VERSION, conventions.SCHEMA_GEN_AI)

# Without any handler Python prints warnings of libraries on stderr. What is to be shown is `app`'s business.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


class Exporter(Protocol):
    """What is used of an OpenTelemetry span exporter."""

    def export(self, spans: Sequence[ReadableSpan], /) -> SpanExportResult:
        """Send; blocks until the collector has answered or the exporter has given up."""
        ...

    def shutdown(self) -> None:
        """Abort retries and close connections."""
        ...


def configured(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables name a collector and do not switch tracing off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name, "").strip() for name in _ENDPOINTS)


def readable(tree: SpanTree) -> list[ReadableSpan]:
    """The tree as the SDK's own values, in the same order. The root's parent, if any, is somebody else's."""
    resource = Resource(dict(tree.resource), conventions.SCHEMA_CORE)
    trace_id = int(tree.trace_id, 16)
    return [
        _readable(span, _context(trace_id, span.parent, is_remote=span is tree.spans[0]), resource)
        for span in tree.spans
    ]


@dataclass(slots=True)
class _Waiting:
    """A trace on its way. `since`, `due`: seconds of the clock; `sent`: spans that the collector has."""

    job_uid: str
    tree: SpanTree
    since: float
    due: float
    failures: int = 0
    sent: int = 0


class Thread(Protocol):
    """What makes the calls that block."""

    async def ask(self, call: Callable[[], bool]) -> bool:
        """What the call answers."""
        ...

    def end(self) -> None:
        """Nothing more will be asked."""


class TraceExporter:
    """Traces waiting for the collector, bounded; each is sent until it is accepted or given up.

    Sends one trace at a time, oldest first. One that fails goes behind those that are due, so that a trace
    which the collector refuses holds up nobody. Everything but the export itself runs on the event loop.
    """

    def __init__(  # noqa: PLR0913 — keyword-only wiring: three callbacks, two limits, three test seams
        self,
        *,
        accepted: Callable[[str], None],
        gave_up: Callable[[str], None],
        observe: Callable[[str, float, int], None],
        capacity: int = 1000,
        give_up_seconds: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        exporter: Exporter | None = None,
        thread: Thread | None = None,
    ) -> None:
        self._accepted = accepted
        self._gave_up = gave_up
        self._observe = observe
        self._capacity = capacity
        self._give_up_seconds = give_up_seconds
        self._clock = clock
        self._exporter: Exporter = exporter or OTLPSpanExporter()
        self._traces: dict[str, _Waiting] = {}
        self._added = asyncio.Event()
        self._turn = asyncio.Lock()
        self._thread: Thread = thread or _Thread()
        self._closed = False
        """Takes no more traces."""
        self._stopped = False
        """Sends no more either."""

    @property
    def waiting(self) -> int:
        """Traces that are neither accepted nor given up."""
        return len(self._traces)

    @property
    def waiting_spans(self) -> int:
        """Spans of those."""
        return sum(len(trace.tree.spans) for trace in self._traces.values())

    def submit(self, job_uid: str, tree: SpanTree) -> bool:
        """Take a trace over, at once. False: there is no room, ask again later.

        A trace of the same Job that is waiting already stays as it is.
        """
        if job_uid in self._traces:
            return True
        if self._closed or len(self._traces) >= self._capacity:
            self._observe("full", 0.0, 0)
            return False
        self._traces[job_uid] = _Waiting(job_uid, tree, since=self._clock(), due=self._clock())
        self._added.set()
        return True

    async def run(self) -> None:
        """Export what is submitted, until `drain`."""
        while not self._closed:
            self._added.clear()
            self._expire()
            # A look at all of them: cheap at this capacity, and a cancelled try leaves nothing half done.
            first = min(self._traces.values(), key=lambda trace: trace.due, default=None)
            seconds = None if first is None else first.due - self._clock()
            if first is not None and seconds is not None and seconds <= _EARLY_SECONDS:
                await self._attempt(first.job_uid)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._added.wait()

    async def drain(self, seconds: float) -> None:
        """Try each waiting trace once more, for at most `seconds`, and close. Takes no more traces."""
        self._closed = True
        self._added.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for job_uid in list(self._traces):
                    await self._attempt(job_uid)
        self._stopped = True
        self._exporter.shutdown()
        self._thread.end()

    def _expire(self) -> None:
        """Give up what has waited too long, whether or not its turn has come."""
        oldest_kept = self._clock() - self._give_up_seconds
        for trace in [trace for trace in self._traces.values() if trace.since <= oldest_kept]:
            del self._traces[trace.job_uid]
            self._observe("gave_up", self._clock() - trace.since, len(trace.tree.spans))
            self._gave_up(trace.job_uid)

    async def _attempt(self, job_uid: str) -> None:
        async with self._turn:
            if (trace := self._traces.get(job_uid)) is None or self._stopped:
                return
            began = self._clock()
            accepted = await self._thread.ask(lambda: self._send(trace))
            if accepted:
                self._traces.pop(job_uid, None)
            else:
                trace.failures += 1
                trace.due = self._clock() + _backoff(trace.failures)
            self._observe("accepted" if accepted else "failed", self._clock() - began, len(trace.tree.spans))
            if accepted:
                self._accepted(job_uid)

    def _send(self, trace: _Waiting) -> bool:
        """In the thread. A batch that was taken is not sent again."""
        try:
            spans = readable(trace.tree)
            while trace.sent < len(spans):
                batch = spans[trace.sent : trace.sent + BATCH]
                if self._exporter.export(batch) is not SpanExportResult.SUCCESS:
                    return False
                trace.sent += len(batch)
        except Exception:
            # Whatever is wrong with one trace or one reply must not end the export of all others.
            logging.getLogger(__name__).exception("the trace of Job %s could not be sent", trace.job_uid)
            return False
        return True


class _Thread:
    """One thread that calls what it is given, one after the other.

    The SDK's exporter blocks, and makes no promise about two exports at once. A thread for each trace would
    hold the event loop up each time it starts. A daemon, not a pool's: a pool's threads are waited for when
    the process ends, and a collector that hangs would hold that up for as long as the exporter's own timeout.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    async def ask(self, call: Callable[[], bool]) -> bool:
        """Waits for the thread, and lets the event loop go on meanwhile."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def tell(accepted: bool) -> None:  # noqa: FBT001 — called by position, by the loop
            if not answer.done():
                answer.set_result(accepted)

        def work() -> None:
            accepted = call()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(tell, accepted)

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


def _backoff(failures: int) -> float:
    first, longest = BACKOFF_SECONDS
    ceiling = min(longest, first * 2.0 ** min(failures, 16) / 2)
    return max(first, ceiling * random.uniform(0.5, 1.0))  # noqa: S311 — spreads retries, hides nothing


def _readable(span: Span, parent: SpanContext, resource: Resource) -> ReadableSpan:
    status = Status() if span.error is None else Status(StatusCode.ERROR, span.error or None)
    return ReadableSpan(
        name=span.name,
        context=_context(parent.trace_id, span.id),
        parent=parent if span.parent else None,
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.at) for event in span.events],
        links=[_link(link) for link in span.links],
        kind=_KINDS[span.kind],
        status=status,
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=_SCOPE,
    )


def _link(link: SpanLink) -> Link:
    return Link(_context(int(link.trace_id, 16), link.span_id, is_remote=True), dict(link.attributes))


def _context(trace_id: int, span_id: str, *, is_remote: bool = False) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id, int(span_id or "0", 16), is_remote=is_remote, trace_flags=flags)
