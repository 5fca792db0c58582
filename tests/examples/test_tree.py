import io

from rich.console import Console

from devcluster.otlp import Span
from examples.demo import tree

MS = 1_000_000


def span(name, start, end, parent="", *, error=""):
    return Span(
        trace_id="0" * 31 + "1",
        span_id=name,
        parent_id=parent,
        name=name,
        kind="INTERNAL",
        start_ns=start * MS,
        end_ns=end * MS,
        attributes={"error.type": error} if error else {},
        events=(),
        links=(),
        status_code="ERROR" if error else "UNSET",
        status_message="",
        resource={},
        scope="",
    )


RUN = [
    span("tool", 500, 750, "agent", error="tool_error"),
    span("agent", 500, 1000, "run"),
    span("queued", 0, 500, "run"),
    span("run", 0, 1000),
]


def drawn(spans, width=80, *, colour=False):
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(tree.draw(tree.arrange(spans)))
    return out.getvalue()


def test_children_stand_below_their_parent_in_order_of_time():
    rows = [(depth, found.name) for depth, found in tree.arrange(RUN).walk()]
    assert rows == [(0, "run"), (1, "queued"), (1, "agent"), (2, "tool")]


def test_every_span_is_one_line_with_its_name_and_duration():
    header, *lines = drawn(RUN).splitlines()
    assert "1.00 s" in header
    words = [
        ("run", "1.00 s"),
        ("├── queued", "500 ms"),
        ("└── agent", "500 ms"),
        ("    └── ✗ tool tool_error", "250 ms"),
    ]
    assert len(lines) == len(words)
    for line, (name, took) in zip(lines, words, strict=True):
        assert line.startswith(name)
        assert took in line


def bar(line):
    """First and last column of a bar, counted from the left of the axis."""
    axis = line[len("    └── ✗ tool tool_error   500 ms ") :]
    return len(axis) - len(axis.lstrip()), len(axis.rstrip())


def test_bars_share_one_axis():
    whole, queued, agent, tool = [bar(line) for line in drawn(RUN).splitlines()[1:]]
    assert queued[0] == whole[0] == 0
    assert agent[1] == whole[1]
    assert abs(queued[1] - agent[0]) <= 1
    assert tool[0] == agent[0]
    assert agent[0] < tool[1] < agent[1]


def test_an_error_is_red_and_nothing_else_is():
    red = [line for line in drawn(RUN, colour=True).splitlines() if "\x1b[31" in line]
    assert len(red) == 1
    assert "tool_error" in red[0]


def test_a_span_of_no_duration_can_be_seen():
    spans = [span("run", 0, 1000), span("instant", 1000, 1000, "run")]
    begin, end = bar(drawn(spans).splitlines()[2])
    assert begin < end


def test_a_trace_of_no_duration_can_be_drawn():
    assert "run" in drawn([span("run", 5, 5)])


def test_a_long_name_does_not_break_the_lines():
    spans = [span("run", 0, 10), span("n" * 300, 0, 5, "run")]
    assert len(drawn(spans).splitlines()) == 3


def test_a_span_whose_parent_is_missing_is_a_root():
    assert tree.arrange([span("agent", 0, 5, "run")]).span.name == "agent"


def test_no_spans_are_no_tree():
    assert tree.arrange([]) is None
