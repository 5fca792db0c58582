"""A span tree as text: names, durations, and bars on one time axis.

Owns: the shape of the tree (who is whose child, in which order) and its drawing. Knows nothing of runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from devcluster.otlp import Span

ERROR: Final = "ERROR"
INDENT: Final = 4
"""Characters of a guide of rich's tree, for each level."""
NAME_MAX: Final = 52
SLIVER: Final = 0.01
"""Share of the axis that even a span of no duration gets, so that it can be seen."""
MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """A span and what happened inside of it, in order of time."""

    span: Span
    children: tuple["Node", ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Span]]:
        """This span and all below it, with their depth, top to bottom as they are drawn."""
        yield depth, self.span
        for child in self.children:
            yield from child.walk(depth + 1)


def arrange(spans: Sequence[Span]) -> Node | None:
    """The tree of one trace; None if it has no root. A parent that is missing makes a span a root."""
    known = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in known]
    return _node(min(roots, key=lambda span: span.start_ns), spans) if roots else None


def _node(span: Span, spans: Sequence[Span]) -> Node:
    inside = sorted((s for s in spans if s.parent_id == span.span_id), key=lambda s: s.start_ns)
    return Node(span, tuple(_node(child, spans) for child in inside))


def draw(root: Node) -> RenderableType:
    """Name, duration and bar of each span, one line each."""
    rows = list(root.walk())
    grid = Table(box=None, expand=True, show_header=True, header_style="dim", padding=(0, 1, 0, 0))
    widest = max(depth * INDENT + _label(span).cell_len for depth, span in rows)
    grid.add_column("span", width=min(widest, NAME_MAX), no_wrap=True)
    grid.add_column("took", justify="right", no_wrap=True)
    grid.add_column(_axis(root.span), ratio=1, no_wrap=True)
    # One line for each span in every cell: what stands beside each other belongs together.
    took = Group(*(Text(duration(span.end_ns - span.start_ns)) for _, span in rows))
    grid.add_row(_names(root), took, Group(*(_bar(span, root.span) for _, span in rows)))
    return grid


def _names(node: Node, into: Tree | None = None) -> Tree:
    branch = Tree(_label(node.span), guide_style="dim") if into is None else into.add(_label(node.span))
    for child in node.children:
        _names(child, branch)
    return branch


def _label(span: Span) -> Text:
    if span.status_code != ERROR:
        return Text(span.name, no_wrap=True, overflow="ellipsis")
    kind = span.attributes.get("error.type", "")
    return Text(f"✗ {span.name} {kind}".rstrip(), style="red", no_wrap=True, overflow="ellipsis")


def _bar(span: Span, root: Span) -> Bar:
    size = max(root.end_ns - root.start_ns, 1)
    least = int(size * SLIVER) + 1
    begin = min(max(span.start_ns - root.start_ns, 0), size - least)
    end = max(span.end_ns - root.start_ns, begin + least)
    return Bar(size, begin, end, color="red" if span.status_code == ERROR else "bright_blue")


def _axis(root: Span) -> RenderableType:
    axis = Table.grid(expand=True)
    axis.add_column()
    axis.add_column(justify="right")
    axis.add_row("0", duration(root.end_ns - root.start_ns))
    return axis


def duration(nanoseconds: int) -> str:
    """As people read it."""
    if nanoseconds < 1000 * MS:
        return f"{nanoseconds // MS} ms"
    return f"{nanoseconds / (1000 * MS):.2f} s"
