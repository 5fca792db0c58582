"""A trace as a page for a browser: what it came to, what went wrong, what happened when, what it used. Pure.

The page is whole in itself: no script, nothing that is fetched, and a policy that forbids both. Whatever a
name contains is text there.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from controller import VERSION
from controller.cli import figures
from controller.cli.outline import Row, rows
from controller.cli.style import STYLE
from controller.core.contract import SECOND, rfc3339
from controller.core.spans import conventions as names
from controller.core.spantree import Attribute, Span, SpanEvent, SpanLink, SpanTree

DEEPEST: Final = 60
"""Levels that are drawn as such: browsers stop at some hundred elements inside of each other."""
_TICKS: Final = 5
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_KINDS: Final = {
    names.OPERATION_INVOKE_AGENT: "agent",
    names.OPERATION_CHAT: "chat",
    names.OPERATION_EXECUTE_TOOL: "tool",
}
_LEGEND: Final = {
    "frame": "Kubernetes",
    "agent": "the agent",
    "chat": "model",
    "tool": "tool",
    "wrong": "went wrong",
}

Cells = Sequence[str]


def page(tree: SpanTree, *, live: bool, drawn: int) -> str:
    """The whole document. `live`: the run is not over; `drawn`: when this was made, in nanoseconds."""
    root = tree.spans[0]
    title = escape(f"{root.name} · {_place(tree)}")
    parts = (
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{STYLE}</style></head><body>",
        *_heading(tree),
        *_wrong(tree),
        *_waterfall(tree),
        *_tools(tree),
        *_models(tree),
        *_foot(tree, live=live, drawn=drawn),
        "</body></html>",
    )
    return "\n".join(parts) + "\n"


# ── What it came to ──────────────────────────────────────────────────────────────────────────────


def _heading(tree: SpanTree) -> Iterator[str]:
    root = tree.spans[0]
    about = dict(root.attributes)
    stands = "/".join(str(about[key]) for key in (names.RUN_PHASE, names.RUN_REASON) if key in about)
    mood = "wrong" if root.error is not None else "fine"
    yield f'<header><h1>{escape(root.name)} <span class="badge {mood}">{escape(stands)}</span></h1>'
    yield f"<p>{escape(_place(tree))} · began {_instant(root.start)} · trace <code>{tree.trace_id}</code></p>"
    for link in root.links:
        yield f"<p>linked to trace <code>{escape(link.trace_id)}</code> ({escape(_kind_of(link))})</p>"
    yield "</header><dl class=tiles>"
    for name, value, more in _tiles(root, about):
        small = f"<small>{escape(more)}</small>" if more else ""
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"
    yield "</dl>"


def _tiles(root: Span, about: dict[str, Attribute]) -> Iterator[tuple[str, str, str]]:
    """Name, value, and what is to be known beside it, of what is known."""
    yield "took", figures.duration(root.end - root.start), ""
    if names.COST_USD in about:
        yield "cost", f"${about[names.COST_USD]:.4f}", "as the agent says"
    if names.USAGE_INPUT in about:
        cached = about.get(names.USAGE_CACHE_READ)
        beside = "" if cached is None else f"{figures.count(cached)} of them cached"
        yield "tokens in", figures.count(about[names.USAGE_INPUT]), beside
    if names.USAGE_OUTPUT in about:
        yield "tokens out", figures.count(about[names.USAGE_OUTPUT]), ""
    if names.TOOL_CALLS in about:
        failed = about.get(names.TOOL_CALLS_FAILED)
        yield "tool calls", str(about[names.TOOL_CALLS]), f"{failed} failed" if failed else ""
    for key, name in _SMALL.items():
        if key in about:
            yield name, str(about[key]), ""


_SMALL: Final = {
    names.TURNS: "turns",
    names.REQUEST_MODEL: "model",
    names.RUN_ATTEMPTS: "attempts",
    names.LOG_STATE: "log",
}


# ── What went wrong ──────────────────────────────────────────────────────────────────────────────


def _wrong(tree: SpanTree) -> Iterator[str]:
    if not (found := figures.errors(tree)):
        return
    began = tree.spans[0].start
    lines = (
        (
            f"+{figures.duration(span.end - began)}",
            f'<a href="#s-{span.id}">{escape(span.name)}</a>',
            escape(str(dict(span.attributes).get(names.ERROR_TYPE, ""))),
            escape(span.error or ""),
        )
        for span in found
    )
    caption = "What went wrong, in the order in which it ended"
    yield from _table("wrongs", caption, ("after", "span", "error.type", "in its words"), lines)


# ── Who waited for whom ──────────────────────────────────────────────────────────────────────────


def _waterfall(tree: SpanTree) -> Iterator[str]:
    found = rows(tree)
    root = found[0].span
    yield '<section><h2>What happened when</h2><p class="legend">'
    yield " ".join(f'<span class="{kind}"><i></i>{words}</span>' for kind, words in _LEGEND.items())
    yield "<small>Choose a span's name to see all that it says.</small></p>"
    yield '<div class="waterfall"><div class="line axis"><b>span</b><b>took</b><b></b><span class="bars">'
    whole = root.end - root.start
    for number in range(_TICKS):
        share = number / (_TICKS - 1)
        shown = figures.duration(round(whole * share)) if number else "0"
        yield f'<i style="left:{share:.0%}">{shown}</i>'
    yield "</span></div>"
    ahead = [len(row.guides) for row in found[1:]] + [0]
    for row, deeper in zip(found, ahead, strict=True):
        yield from _span(row, root, deeper)
    yield "</div></section>"


def _span(row: Row, root: Span, next_depth: int) -> Iterator[str]:
    """One line, and what it says; what is inside of it can be folded away."""
    span, depth = row.span, min(len(row.guides), DEEPEST)
    deeper = min(next_depth, DEEPEST)
    outer, line = ("details open", "summary") if deeper > depth else ("div", "div")
    kind = "wrong" if span.error is not None else _kind(span)
    yield f'<{outer} class="span {kind}" id="s-{span.id}">'
    yield f'<{line} class="line" style="--depth:{depth}">{_line(span, root)}</{line}>'
    yield from _about(span, root)
    if deeper <= depth:
        yield "</div>" + "</details>" * (depth - deeper)


def _line(span: Span, root: Span) -> str:
    whole = root.end - root.start
    left = min(max(span.start - root.start, 0), whole) / whole * 100
    width = min((span.end - span.start) / whole * 100, 100 - left)
    mark = "✗ " if span.error is not None else ""
    took = figures.duration(span.end - span.start)
    return (
        f'<b><a href="#s-{span.id}">{mark}{escape(span.name)}</a></b>'
        f"<span>{took}</span><span>{escape(figures.said(span))}</span>"
        f'<span class="bars"><i style="left:{left:.3f}%;width:{width:.3f}%" title="{took}"></i></span>'
    )


def _about(span: Span, root: Span) -> Iterator[str]:
    """What is shown of a span that was chosen."""
    said: list[tuple[str, str]] = [
        ("began", f"{_instant(span.start)}, {figures.duration(span.start - root.start)} after the run"),
        ("id", span.id),
    ]
    if span.error:
        said.append(("error", span.error))
    said += [(key, _text(value)) for key, value in span.attributes]
    said += [(f"event {event.name}", _event(event, root)) for event in span.events]
    lines = ((escape(key), escape(value)) for key, value in said)
    yield from _table("about", "", ("", ""), lines)


def _kind(span: Span) -> str:
    return _KINDS.get(str(dict(span.attributes).get(names.OPERATION, "")), "frame")


# ── What it used ─────────────────────────────────────────────────────────────────────────────────


def _tools(tree: SpanTree) -> Iterator[str]:
    lines = [
        (
            escape(use.tool),
            str(use.calls),
            str(use.failed or ""),
            figures.duration(use.took),
            figures.duration(use.longest),
        )
        for use in figures.tools(tree)
    ]
    if lines:
        yield from _table("tools", "Tools", ("tool", "calls", "failed", "took", "the longest"), lines)


def _models(tree: SpanTree) -> Iterator[str]:
    lines = [
        (
            escape(use.model),
            str(use.requests),
            str(use.failed or ""),
            figures.duration(use.took),
            figures.count(use.read),
            figures.count(use.cached),
            figures.count(use.written),
        )
        for use in figures.models(tree)
    ]
    if lines:
        heads = ("model", "requests", "failed", "took", "tokens in", "cached", "out")
        yield from _table("models", "Models, as far as single answers tell", heads, lines)


# ── What all of them use ─────────────────────────────────────────────────────────────────────────


def _table(kind: str, caption: str, heads: Cells, lines: Iterable[Cells]) -> Iterator[str]:
    """The cells are HTML."""
    yield f'<table class="{kind}">' + (f"<caption>{caption}</caption>" if caption else "")
    if any(heads):
        yield "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>"
    yield "<tbody>"
    for first, *others in lines:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'
    yield "</tbody></table>"


def _foot(tree: SpanTree, *, live: bool, drawn: int) -> Iterator[str]:
    so_far = " The run is not over: this is what was known then." if live else ""
    yield (
        f"<footer>{len(tree.spans)} spans, drawn by runherd {escape(VERSION)} at {rfc3339(drawn)} from the"
        f" run's Job and log.{so_far}</footer>"
    )


def _place(tree: SpanTree) -> str:
    of = dict(tree.resource)
    cluster = of.get(names.CLUSTER_NAME)
    place = f"{of.get(names.NAMESPACE_NAME)}/{of.get(names.JOB_NAME)}"
    return f"{cluster} · {place}" if cluster else place


def _instant(at: int) -> str:
    """To the millisecond, UTC."""
    seconds, rest = divmod(at, SECOND)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}Z"


def _event(event: SpanEvent, root: Span) -> str:
    told = [f"{key} {_text(value)}" for key, value in event.attributes]
    return ", ".join([f"+{figures.duration(max(0, event.at - root.start))}", *told])


def _kind_of(link: SpanLink) -> str:
    return _text(dict(link.attributes).get(names.LINK_KIND, "of somebody else"))


def _text(value: Attribute) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
