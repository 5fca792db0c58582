"""What a trace adds up to, and how people say it: durations, counts, tools, models, errors. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from controller.core.contract import SECOND
from controller.core.spans import conventions as names
from controller.core.spantree import Attribute, Span, SpanTree


@dataclass(frozen=True, slots=True)
class ToolUse:
    """All calls of one tool. Times in nanoseconds."""

    tool: str
    calls: int = 0
    failed: int = 0
    took: int = 0
    longest: int = 0


@dataclass(frozen=True, slots=True)
class ModelUse:
    """All requests to one model. Tokens are those that its answers told of."""

    model: str
    requests: int = 0
    failed: int = 0
    took: int = 0
    """Nanoseconds."""
    read: int = 0
    """Tokens, those of caches included."""
    cached: int = 0
    """Of these, from a cache."""
    written: int = 0


def tools(tree: SpanTree) -> list[ToolUse]:
    """By tool, the one that took longest first. What subagents called counts too."""
    found: dict[str, ToolUse] = {}
    for span, about in _of(tree, names.OPERATION_EXECUTE_TOOL):
        tool, took = str(about.get(names.TOOL_NAME, "")), span.end - span.start
        use = found.get(tool, ToolUse(tool))
        found[tool] = replace(
            use,
            calls=use.calls + 1,
            failed=use.failed + (span.error is not None),
            took=use.took + took,
            longest=max(use.longest, took),
        )
    return sorted(found.values(), key=lambda use: (-use.took, use.tool))


def models(tree: SpanTree) -> list[ModelUse]:
    """By model, the one that read most first."""
    found: dict[str, ModelUse] = {}
    for span, about in _of(tree, names.OPERATION_CHAT):
        model = str(about.get(names.REQUEST_MODEL, ""))
        use = found.get(model, ModelUse(model))
        found[model] = replace(
            use,
            requests=use.requests + 1,
            failed=use.failed + (span.error is not None),
            took=use.took + span.end - span.start,
            read=use.read + _number(about.get(names.USAGE_INPUT)),
            cached=use.cached + _number(about.get(names.USAGE_CACHE_READ)),
            written=use.written + _number(about.get(names.USAGE_OUTPUT)),
        )
    return sorted(found.values(), key=lambda use: (-use.read, use.model))


def errors(tree: SpanTree) -> list[Span]:
    """What went wrong, in the order in which it ended: a cause comes before what it took down with it.

    Of those that ended at once the innermost is first.
    """
    depths = _depths(tree.spans)
    wrong = [span for span in tree.spans if span.error is not None]
    return sorted(wrong, key=lambda span: (span.end, -depths[span.id]))


def said(span: Span) -> str:
    """What matters most of a span: what went wrong, what it cost, what it read and wrote."""
    about = dict(span.attributes)
    if span.error is not None:
        return str(about.get(names.ERROR_TYPE, "") or span.error)
    if names.COST_USD in about:
        return f"${about[names.COST_USD]:.4f}"
    if names.USAGE_INPUT in about:
        read, written = about[names.USAGE_INPUT], about.get(names.USAGE_OUTPUT)
        return f"{count(read)} in" + ("" if written is None else f", {count(written)} out")
    return str(about.get(names.NODE_NAME, ""))


def count(number: Attribute) -> str:
    """A number of tokens: 9999, 10k, 10M."""
    if not isinstance(number, int) or number < 10_000:
        return str(number)
    return f"{number / 1000:.0f}k" if number < 10_000_000 else f"{number / 1_000_000:.0f}M"


def duration(nanoseconds: int) -> str:
    """12 ms, 1.50 s, 3 m 7 s, 26 h 0 m."""
    if nanoseconds < SECOND:
        return f"{nanoseconds // _MILLISECOND} ms"
    seconds = nanoseconds / SECOND
    if seconds < _MINUTE:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} m {rest} s" if minutes < _MINUTE else f"{minutes // 60} h {minutes % 60} m"


_MILLISECOND: Final = 1_000_000
_MINUTE: Final = 60


def _of(tree: SpanTree, operation: str) -> Iterator[tuple[Span, dict[str, Attribute]]]:
    for span in tree.spans:
        about = dict(span.attributes)
        if about.get(names.OPERATION) == operation:
            yield span, about


def _number(value: Attribute | None) -> int:
    return value if isinstance(value, int) else 0


def _depths(spans: Iterable[Span]) -> dict[str, int]:
    """Parents stand before their children."""
    found: dict[str, int] = {}
    for span in spans:
        found[span.id] = found.get(span.parent, -1) + 1
    return found
