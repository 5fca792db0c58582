"""The same spans as the SDK's own values, to compare what its encoder writes of them."""

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from controller import VERSION
from controller.core.spans import conventions

SCOPE = InstrumentationScope(conventions.SCOPE, VERSION, conventions.SCHEMA_GEN_AI)


def encoded(tree):
    resource = Resource(dict(tree.resource), conventions.SCHEMA_CORE)
    return encode_spans([_readable(tree, span, resource) for span in tree.spans]).SerializeToString()


def _readable(tree, span, resource):
    status = Status() if span.error is None else Status(StatusCode.ERROR, span.error or None)
    parent = _context(tree.trace_id, span.parent, is_remote=span is tree.spans[0]) if span.parent else None
    return ReadableSpan(
        name=span.name,
        context=_context(tree.trace_id, span.id),
        parent=parent,
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.at) for event in span.events],
        links=[
            Link(_context(link.trace_id, link.span_id, is_remote=True), dict(link.attributes))
            for link in span.links
        ],
        kind=SpanKind[span.kind.upper()],
        status=status,
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=SCOPE,
    )


def _context(trace_id, span_id, *, is_remote=False):
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=is_remote, trace_flags=flags)
