"""Spans as bytes of an OTLP request: protobuf's wire format, written at once. It sends nothing.

The SDK's encoder makes an object of each attribute, which takes ten times as long and was most of what a
trace cost. What it would write of the same spans is written here byte for byte; a test compares them. Field
numbers and types are those of opentelemetry-proto 1.x, which never change.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from controller import VERSION
from controller.core.spans import conventions
from controller.core.spantree import Attribute, Span, SpanEvent, SpanKind, SpanLink, SpanTree

_KINDS: Final = {SpanKind.INTERNAL: b"\x30\x01", SpanKind.SERVER: b"\x30\x02", SpanKind.CLIENT: b"\x30\x03"}
"""Field 6 of Span: SpanKind."""
_FLAGS: Final = b"\x85\x01" + struct.pack("<I", 0x100)
"""Field 16 of Span: it is known that the parent is of this process."""
_FLAGS_REMOTE: Final = b"\x85\x01" + struct.pack("<I", 0x300)
_LINK_FLAGS_REMOTE: Final = b"\x35" + struct.pack("<I", 0x300)
_STATUS_UNSET: Final = b"\x7a\x00"
_STATUS_ERROR: Final = b"\x18\x02"
"""Field 3 of Status: STATUS_CODE_ERROR."""

Pairs = Iterable[tuple[str, Attribute]]


def request(parts: Iterable[tuple[SpanTree, Sequence[Span]]]) -> bytes:
    """An ExportTraceServiceRequest with these spans of these trees. ValueError: an id is no hex."""
    return b"".join(_field(1, _resource_spans(tree, spans)) for tree, spans in parts if spans)


def _resource_spans(tree: SpanTree, spans: Sequence[Span]) -> bytes:
    trace_id = _field(1, bytes.fromhex(tree.trace_id))
    scope = _text(1, conventions.SCOPE) + _text(2, VERSION)
    scope_spans = _field(1, scope) + b"".join(_field(2, _span(trace_id, span)) for span in spans)
    return (
        _field(1, _attributes(1, tree.resource))
        + _field(2, scope_spans + _text(3, conventions.SCHEMA_GEN_AI))
        + _text(3, conventions.SCHEMA_CORE)
    )


def _span(trace_id: bytes, span: Span) -> bytes:
    is_root = span.kind is SpanKind.SERVER
    parts = [trace_id, _field(2, bytes.fromhex(span.id))]
    if span.parent:
        parts.append(_field(4, bytes.fromhex(span.parent)))
    parts += [
        _text(5, span.name),
        _KINDS[span.kind],
        _fixed64(7, span.start),
        _fixed64(8, span.end),
        _attributes(9, span.attributes),
        *(_field(11, _event(event)) for event in span.events),
        *(_field(13, _link(link)) for link in span.links),
        _STATUS_UNSET if span.error is None else _field(15, _text(2, span.error) + _STATUS_ERROR),
        _FLAGS_REMOTE if is_root and span.parent else _FLAGS,
    ]
    return b"".join(parts)


def _event(event: SpanEvent) -> bytes:
    return _fixed64(1, event.at) + _text(2, event.name) + _attributes(3, event.attributes)


def _link(link: SpanLink) -> bytes:
    ids = _field(1, bytes.fromhex(link.trace_id)) + _field(2, bytes.fromhex(link.span_id))
    return ids + _attributes(4, link.attributes) + _LINK_FLAGS_REMOTE


def _attributes(number: int, pairs: Pairs) -> bytes:
    return b"".join([_pair(number, key, value) for key, value in dict(pairs).items()])


@lru_cache(maxsize=8192, typed=True)  # most are of a few kinds; True, 1 and 1.0 are equal, but not the same
def _pair(number: int, key: str, value: Attribute) -> bytes:
    return _field(number, _text(1, key) + _field(2, _value(value)))


def _value(value: Attribute) -> bytes:
    """An AnyValue. Members of a oneof are written even if they are zero or empty."""
    match value:
        case str():
            return _field(1, value.encode("utf-8", "replace"))
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        case float():
            return b"\x21" + struct.pack("<d", value)
    return _field(5, b"".join(_field(1, _value(item)) for item in value))


def _text(number: int, text: str) -> bytes:
    """A string; nothing if it is empty, as proto3 has it."""
    return _field(number, text.encode("utf-8", "replace")) if text else b""


def _field(number: int, body: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(body)) + body


def _fixed64(number: int, value: int) -> bytes:
    return bytes((number << 3 | 1,)) + struct.pack("<Q", value) if value else b""


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
