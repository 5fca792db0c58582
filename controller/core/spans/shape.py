"""How spans keep within bounds: attributes that fit, times that fit into the parent.

Owns the limits of a trace. It knows nothing about runs.
"""

import math
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from controller.core import redaction
from controller.core.contract import clip
from controller.core.spantree import Attribute, Span

MAX_SPANS: Final = 5_000
"""Per trace. With attributes as short as ours that is about 2 MB; Tempo refuses traces above 5 MB."""
MAX_FRAME: Final = 500
"""Of those, for all but what the agents did: a fixed part, so that neither takes room from the other."""
MAX_EVENTS: Final = 128
"""Per span (OpenTelemetry's default SpanLimits)."""
TEXT_MAX: Final = 1024
"""Bytes of one attribute value."""
NAME_MAX: Final = 128
"""Bytes of a name that is part of a span's name."""
_INT_MAX: Final = 2**63 - 1
"""OTLP's int_value; also the latest instant that every backend can hold."""

Pair = tuple[str, Attribute | None]
Attributes = tuple[tuple[str, Attribute], ...]


def attributes(*pairs: Pair) -> Attributes:
    """The pairs that have a value, each cut to what OTLP and backends hold. None, "" and () are unknown."""
    found: list[tuple[str, Attribute]] = []
    for key, value in pairs:
        if value is None or value in ("", ()):
            continue
        kind = type(value)
        if kind is str:
            fitted: Attribute | None = short(value)
        elif kind is int and -_INT_MAX <= value <= _INT_MAX:  # type: ignore[operator]  # it is an int
            fitted = value
        else:
            fitted = _fitted(value)
        if fitted is not None and fitted not in ("", ()):
            found.append((key, fitted))
    return tuple(found)


def name(text: str) -> str:
    """Text for a span's name or a low-cardinality value."""
    return short(text, NAME_MAX)


@lru_cache(maxsize=4096)  # most are of a few kinds
def short(text: str, limit: int = TEXT_MAX) -> str:
    """One line of at most `limit` bytes, without what looks like a credential."""
    text = redaction.hidden(text)
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    return clip(text, limit)


def _fitted(value: Attribute | None) -> Attribute | None:
    match value:
        case bool() | None:
            return value
        case str():
            return short(value)
        case int():
            return max(-_INT_MAX, min(value, _INT_MAX))
        case float():
            return value if math.isfinite(value) else None
    return tuple(short(item, NAME_MAX) for item in value[:8])


def storable(at: int) -> int:
    """An instant that OTLP can hold."""
    return max(0, min(at, _INT_MAX - 1))


def fit(span: Span, parent: Span) -> Span:
    """The span as a child of `parent`: not outside of it, and of some length, as all are.

    Jaeger warns of a span that ends when it starts. So what is known by one instant ends a nanosecond later,
    and parents end after the last instant of what is inside of them.
    """
    start = max(parent.start, min(span.start, parent.end - 1))
    end = max(start + 1, min(span.end, parent.end))
    return replace(span, parent=parent.id, start=start, end=end)
