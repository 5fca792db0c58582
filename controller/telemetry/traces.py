"""Span trees -> OTLP over HTTP: one request, one answer. The only file that imports opentelemetry.

The SDK's own processors lose a batch on failure and say that all is well, so none of them is used. Neither is
`Resource.create`, which adds a random id. Never keeps or changes a tree: the same tree is the same bytes,
whoever sends it. What waits for the collector is in `spool`.

The exporter itself reads the standard `OTEL_EXPORTER_OTLP_*` variables.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no stubs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace.status import Status, StatusCode

from controller import VERSION
from controller.core.spans import conventions
from controller.core.spantree import Span, SpanKind, SpanLink, SpanTree
from controller.telemetry.answers import Answer, Verdict, of_status

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_KINDS: Final = {
    SpanKind.INTERNAL: OtelKind.INTERNAL,
    SpanKind.SERVER: OtelKind.SERVER,
    SpanKind.CLIENT: OtelKind.CLIENT,
}
_SCOPE: Final = InstrumentationScope(conventions.SCOPE, VERSION, conventions.SCHEMA_GEN_AI)

# Without any handler Python prints warnings of libraries on stderr. What is to be shown is `app`'s business.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


def configured(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables name a collector and do not switch tracing off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name, "").strip() for name in _ENDPOINTS)


def readable(tree: SpanTree, spans: Sequence[Span] | None = None) -> list[ReadableSpan]:
    """Spans of the tree, all if none are named, as the SDK's own values, in the same order.

    The parent of the root, the only SERVER, is somebody else's if it has one.
    """
    resource = Resource(dict(tree.resource), conventions.SCHEMA_CORE)
    trace_id = int(tree.trace_id, 16)
    return [
        _readable(span, _context(trace_id, span.parent, is_remote=span.kind is SpanKind.SERVER), resource)
        for span in (tree.spans if spans is None else spans)
    ]


class OtlpSender:
    """The SDK's exporter, and what the collector really said to it.

    The exporter calls every status below 400 a success, and follows a redirect, which turns a POST into a
    GET: a page that asks for a password would have "accepted" traces. So the session remembers the answer.
    """

    def __init__(self, endpoint: str | None = None, timeout: float | None = None) -> None:
        self._session = _Session()
        self._exporter = OTLPSpanExporter(endpoint, timeout=timeout, session=self._session)

    def send(self, tree: SpanTree, spans: Sequence[Span], /) -> Answer:
        """These spans of the tree in one request, tried again within OTEL_EXPORTER_OTLP_TIMEOUT."""
        self._session.last = None
        try:
            self._exporter.export(readable(tree, spans))
        except Exception as error:  # noqa: BLE001 — one odd trace must not end the export of all others
            return Answer(Verdict.UNENCODABLE, repr(error)[:200])
        return _answer(self._session.last)

    def shutdown(self) -> None:
        """Abort retries and close connections."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK's own gap


class _Session(requests.Session):
    """Remembers how the last request ended. Follows no redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.last: requests.Response | requests.RequestException | None = None

    def request(self, *arguments: Any, **more: Any) -> requests.Response:
        """As in the library, which has no smaller place for this."""
        try:
            self.last = super().request(*arguments, **{**more, "allow_redirects": False})
        except requests.RequestException as error:
            self.last = error
            raise
        return self.last


def _answer(last: requests.Response | requests.RequestException | None) -> Answer:
    match last:
        case None:
            return Answer(Verdict.UNENCODABLE, "the exporter made no request")
        case requests.Response():
            page = last.headers.get("Content-Type", "").startswith("text/html")
            refused, said = _partial(last) if last.ok and not page else (0, last.reason or "")
            wait = _seconds(last.headers.get("Retry-After", ""))
            return of_status(last.status_code, page=page, said=said, wait=wait, rejected=refused)
        case requests.exceptions.SSLError():
            return Answer(Verdict.TLS, _words(last))
        case requests.exceptions.ConnectTimeout() | requests.exceptions.ReadTimeout():
            return Answer(Verdict.TIMEOUT, _words(last))
    return Answer(Verdict.UNREACHABLE, _words(last))


def _partial(reply: requests.Response) -> tuple[int, str]:
    """Spans that an answer of success has refused, and why."""
    try:
        partial = ExportTraceServiceResponse.FromString(reply.content).partial_success
    except DecodeError:
        return 0, ""
    return max(0, partial.rejected_spans), str(partial.error_message)


def _seconds(text: str) -> float:
    """Of a Retry-After; 0 if it is none, or a date: the exporter has waited for that as long as it may."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _words(error: BaseException) -> str:
    """The innermost reason: what is around it names objects of this process."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"[:200]


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
