"""A trace as rows from top to bottom: who is inside of whom, in the order of time. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.core.spantree import Span, SpanTree


@dataclass(frozen=True, slots=True)
class Row:
    """One span. `guides`: for each level above it but the root's, whether more comes on that level."""

    span: Span
    guides: tuple[bool, ...] = ()


def rows(tree: SpanTree) -> list[Row]:
    """All spans of the tree, the root first. What has no known parent is below the root."""
    root = tree.spans[0]
    inside = _inside(tree.spans)
    found = [Row(root)]
    waiting = _rows(inside.get(root.id, ()), ())
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += _rows(inside.get(row.span.id, ()), row.guides)
    return found


def _inside(spans: Sequence[Span]) -> Mapping[str, Sequence[Span]]:
    """By the id of their parent, in the order of time; those that begin at once stay as they come."""
    known = {span.id for span in spans}
    found: dict[str, list[Span]] = {}
    for span in spans[1:]:
        found.setdefault(span.parent if span.parent in known else spans[0].id, []).append(span)
    return {key: sorted(these, key=lambda span: span.start) for key, these in found.items()}


def _rows(spans: Sequence[Span], above: tuple[bool, ...]) -> list[Row]:
    """The last one first, as a stack wants them."""
    last = len(spans) - 1
    return [Row(span, (*above, place < last)) for place, span in enumerate(spans)][::-1]


def document(tree: SpanTree) -> dict[str, Any]:
    """The trace for scripts: instants in nanoseconds since the epoch, an error's text or null."""
    return {
        "traceId": tree.trace_id,
        "resource": dict(tree.resource),
        "spans": [_span(row.span) for row in rows(tree)],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "id": span.id,
        "parent": span.parent,
        "name": span.name,
        "kind": str(span.kind),
        "startUnixNano": span.start,
        "endUnixNano": span.end,
        "error": span.error,
        "attributes": dict(span.attributes),
        "events": [
            {"name": event.name, "timeUnixNano": event.at, "attributes": dict(event.attributes)}
            for event in span.events
        ],
        "links": [
            {"traceId": link.trace_id, "spanId": link.span_id, "attributes": dict(link.attributes)}
            for link in span.links
        ],
    }
