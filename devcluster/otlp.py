"""An OTLP/HTTP trace sink: keeps what an exporter sends, so that a test or a demo can look at it.

Owns: the endpoint `POST /v1/traces`, the decoded spans, the raw requests and the failures asked for.
Never: forwards, stores on disk, or accepts metrics and logs.
"""

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no stubs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

PROTOBUF = "application/x-protobuf"
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A point in time inside a span."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A reference to a span of another (or the same) trace."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """One exported span; ids are lower-case hex, `parent_id` is empty for a root."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    status_code: str
    status_message: str
    resource: Attributes
    scope: str


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One export call as it arrived: headers, raw (compressed) body and the status it was answered with."""

    headers: Mapping[str, str]
    body: bytes
    status: int
    spans: tuple[Span, ...] = ()


@dataclass
class OtlpSink:
    """`async with OtlpSink() as sink:` listens on `sink.url`; failures are switched by plain attributes.

    `fail_next` answers the next n requests with `fail_status`; `status` other than 200 answers all so. Of
    the next `lose_next` requests the spans are taken, and then the connection is cut instead of an answer.
    Between `stop` and `start` nobody listens.
    """

    port: int = 0
    host: str = "127.0.0.1"
    status: int = 200
    fail_next: int = 0
    fail_status: int = 503
    lose_next: int = 0
    retry_after: int | None = None
    spans: list[Span] = field(default_factory=list)
    requests: list[TraceRequest] = field(default_factory=list)
    _runner: web.AppRunner | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        """The base endpoint, as `OTEL_EXPORTER_OTLP_ENDPOINT` wants it."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; again on the same port after a `stop`."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/traces", self._export)
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Cut all connections; what was taken is kept."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, in the order they arrived."""
        return [span for span in self.spans if span.trace_id == trace_id]

    async def _export(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self._next_status()
        spans = self._decode(request, body) if status == 200 else ()
        if spans is None:
            status, spans = 400, ()
        self.requests.append(TraceRequest(dict(request.headers), body, status, spans))
        self.spans.extend(spans)
        if status == 200 and self.lose_next > 0 and request.transport is not None:
            self.lose_next -= 1
            request.transport.abort()
        return self._answer(status)

    def _next_status(self) -> int:
        if self.fail_next > 0:
            self.fail_next -= 1
            return self.fail_status
        return self.status

    def _answer(self, status: int) -> web.Response:
        if status == 200:
            return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type=PROTOBUF)
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return web.Response(status=status, headers=headers)

    @staticmethod
    def _decode(request: web.Request, body: bytes) -> tuple[Span, ...] | None:
        if request.content_type != PROTOBUF:
            return None
        try:
            raw = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
            return decode_spans(raw)
        except (DecodeError, OSError, EOFError):
            return None


def decode_spans(body: bytes) -> tuple[Span, ...]:
    """All spans of an encoded `ExportTraceServiceRequest`."""
    message = ExportTraceServiceRequest.FromString(body)
    return tuple(
        _span(span, _attributes(group.resource.attributes), scope.scope.name)
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    )


def _span(span: trace_pb2.Span, resource: Attributes, scope: str) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(SpanEvent(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events),
        links=tuple(
            SpanLink(k.trace_id.hex(), k.span_id.hex(), _attributes(k.attributes)) for k in span.links
        ),
        status_code=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        status_message=span.status.message,
        resource=resource,
        scope=scope,
    )


def _link(link: trace_pb2.Span.Link) -> SpanLink:
    return SpanLink(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes))


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
