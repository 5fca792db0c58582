"""A whole trace of one run as a value: what `spans` builds and `telemetry/traces.py` encodes."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

Attribute = str | int | float | bool | tuple[str, ...]


class SpanKind(StrEnum):
    """Kinds of OpenTelemetry that occur here."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class SpanEvent(msgspec.Struct, frozen=True, gc=False):
    """A moment inside a span."""

    name: str
    at: int
    attributes: tuple[tuple[str, Attribute], ...] = ()


class SpanLink(msgspec.Struct, frozen=True, gc=False):
    """A reference to a span of another trace. Ids in hex."""

    trace_id: str
    span_id: str
    attributes: tuple[tuple[str, Attribute], ...] = ()


class Span(msgspec.Struct, frozen=True, gc=False):
    """One finished span. Ids in hex: 16 digits; `parent` empty for a root without a remote parent."""

    id: str
    parent: str
    name: str
    kind: SpanKind
    start: int
    end: int
    attributes: tuple[tuple[str, Attribute], ...] = ()
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    error: str | None = None
    """None: status unset. Otherwise the status is Error with this description (may be empty)."""


@dataclass(frozen=True, slots=True)
class SpanTree:
    """A whole trace of one run: 32 hex digits, resource attributes, spans with the root first."""

    trace_id: str
    resource: tuple[tuple[str, Attribute], ...]
    spans: tuple[Span, ...]
