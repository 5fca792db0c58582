"""A trace as lines of text: names, how long they took, bars on one axis of time, tokens, cost, errors. Pure.

Whatever a name contains, a line is one line: what is not printable was taken out when spans were made.
"""

from collections.abc import Iterator
from typing import Final

from controller.cli.figures import duration, said
from controller.cli.outline import Row, rows
from controller.core.spans import conventions as names
from controller.core.spantree import Span, SpanTree

WIDTH_LEAST: Final = 80
_NAME_MOST: Final = 52
_BARS_LEAST: Final = 12
_TOOK: Final = 9
_SAID: Final = 22
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_RED, _BLUE, _DIM, _BOLD, _PLAIN = "\x1b[31m", "\x1b[94m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


def draw(tree: SpanTree, width: int, *, colour: bool) -> Iterator[str]:
    """One line for each span, at most `width` characters (80 at least) besides colours."""
    found = rows(tree)
    width = max(width, WIDTH_LEAST)
    beside = _TOOK + _SAID + 3
    room = min(_NAME_MOST, width - beside - _BARS_LEAST, max(len(_label(row)) for row in found))
    bars = width - room - beside
    root = found[0].span
    yield _painted(
        _DIM, f"{'span':<{room}} {'took':>{_TOOK}} {'':<{_SAID}} 0{_duration(root):>{bars - 1}}", colour
    )
    for row in found:
        name = _cut(_label(row), room)
        paints = (_RED, _RED) if row.span.error is not None else ("", _BLUE)
        text = f"{name:<{room}} {_duration(row.span):>{_TOOK}} {_cut(said(row.span), _SAID):<{_SAID}}"
        bar = _bar(row.span, root, bars)
        both = (_painted(paint, part, colour) for paint, part in zip(paints, (text, bar), strict=True))
        yield " ".join(both).rstrip()


def heading(tree: SpanTree) -> Iterator[str]:
    """What the run was and came to, in a few lines."""
    root = dict(tree.spans[0].attributes)
    of = dict(tree.resource)
    stands = "/".join(str(root[key]) for key in (names.RUN_PHASE, names.RUN_REASON) if key in root)
    yield f"{tree.spans[0].name} · {of.get(names.NAMESPACE_NAME)}/{of.get(names.JOB_NAME)} · {stands}"
    told = [f"trace {tree.trace_id}"]
    for key, words in _TOLD:
        if key in root:
            told.append(words.format(root[key]))
    yield " · ".join(told)
    for link in tree.spans[0].links:
        kind = dict(link.attributes).get(names.LINK_KIND, "of somebody else")
        yield f"linked to trace {link.trace_id} ({kind})"


_TOLD: Final = (
    (names.REQUEST_MODEL, "{}"),
    (names.TURNS, "{} turns"),
    (names.TOOL_CALLS, "{} tool calls"),
    (names.TOOL_CALLS_FAILED, "{} of them failed"),
    (names.USAGE_INPUT, "{} tokens in"),
    (names.USAGE_OUTPUT, "{} out"),
    (names.COST_USD, "${:.4f}"),
    (names.RUN_ATTEMPTS, "attempts: {}"),
    (names.LOG_STATE, "log {}"),
)


def _label(row: Row) -> str:
    name = f"{'✗ ' if row.span.error is not None else ''}{row.span.name}"
    if not row.guides:
        return name
    above = "".join("│   " if more else "    " for more in row.guides[:-1])
    return f"{above}{'├── ' if row.guides[-1] else '└── '}{name}"


def _bar(span: Span, root: Span, width: int) -> str:
    """At least a sliver, so that even what took no time can be seen; in eighths of a character."""
    whole = max(1, root.end - root.start)
    begin = max(0, min((span.start - root.start) * width // whole, width - 1))
    length = max(1, (span.end - span.start) * width * 8 // whole)
    length = min(length, (width - begin) * 8)
    return " " * begin + "█" * (length // 8) + _EIGHTHS[length % 8].strip()


def _duration(span: Span) -> str:
    return duration(span.end - span.start)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _painted(paint: str, text: str, colour: bool) -> str:  # noqa: FBT001 — a switch for all of them
    return f"{paint}{text}{_PLAIN}" if colour and paint and text else text
