"""Traces in OTLP's JSON, as backends answer them -> the same values that the sink decodes.

Never: reads a network. What the encoding is: the OTLP specification, "JSON Protobuf Encoding": ids are
lower-case hex, 64-bit integers are strings, enums are numbers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.trace.v1 import trace_pb2

from devcluster.otlp import Attributes, Span, SpanEvent, SpanLink

JSON = Mapping[str, Any]


def spans(trace: JSON) -> tuple[Span, ...]:
    """All spans of `{"resourceSpans": [...]}`."""
    return tuple(
        _span(span, _attributes(group.get("resource", {})), scope.get("scope", {}).get("name", ""))
        for group in trace.get("resourceSpans", ())
        for scope in group.get("scopeSpans", ())
        for span in scope.get("spans", ())
    )


def _span(span: JSON, resource: Attributes, scope: str) -> Span:
    status = span.get("status", {})
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        name=span.get("name", ""),
        kind=trace_pb2.Span.SpanKind.Name(span.get("kind", 0)).removeprefix("SPAN_KIND_"),
        start_ns=int(span.get("startTimeUnixNano", 0)),
        end_ns=int(span.get("endTimeUnixNano", 0)),
        attributes=_attributes(span),
        events=tuple(
            SpanEvent(e.get("name", ""), int(e.get("timeUnixNano", 0)), _attributes(e))
            for e in span.get("events", ())
        ),
        links=tuple(
            SpanLink(link["traceId"], link["spanId"], _attributes(link)) for link in span.get("links", ())
        ),
        status_code=trace_pb2.Status.StatusCode.Name(status.get("code", 0)).removeprefix("STATUS_CODE_"),
        status_message=status.get("message", ""),
        resource=resource,
        scope=scope,
    )


def _attributes(of: JSON) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in of.get("attributes", ())}


def _value(value: JSON) -> Any:
    if not value:
        return None
    kind, held = next(iter(value.items()))
    match kind:
        case "intValue":
            return int(held)
        case "doubleValue":
            return float(held)
        case "arrayValue":
            return _values(held.get("values", ()))
        case "kvlistValue":
            return _attributes({"attributes": held.get("values", ())})
    return held


def _values(found: Iterable[JSON]) -> list[Any]:
    return [_value(item) for item in found]
