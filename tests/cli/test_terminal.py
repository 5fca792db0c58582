import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli import outline, terminal
from controller.core.spantree import Span, SpanKind, SpanLink, SpanTree

SECOND = 10**9
ESCAPE = re.compile(r"\x1b\[\d+m")


def span(number, parent, name, start, end, *, error=None, **attributes):
    found = tuple((key.replace("__", "."), value) for key, value in attributes.items())
    times = int(start * SECOND), int(end * SECOND)
    return Span(
        f"{number:016x}", parent and f"{parent:016x}", name, SpanKind.INTERNAL, *times, found, error=error
    )


def tree(*spans, links=()):
    root = span(1, "", "RUN Reviewer", 0, 100, agent__run__phase="Failed", agent__run__reason="OOMKilled")
    root = Span(root.id, "", root.name, SpanKind.SERVER, root.start, root.end, root.attributes, links=links)
    resource = (("k8s.namespace.name", "agents"), ("k8s.job.name", "run-1"))
    return SpanTree("ab" * 16, resource, (root, *spans))


SMALL = tree(
    span(2, 1, "attempt 1", 10, 100, error="exit code 137", error__type="OOMKilled"),
    span(3, 2, "chat m", 50, 75, gen_ai__usage__input_tokens=12345, gen_ai__usage__output_tokens=7),
    span(4, 2, "execute_tool Bash", 20, 50),
    span(5, 1, "queued", 0, 10),
)


def test_a_span_is_a_line_with_its_time_and_what_matters_most():
    assert list(terminal.draw(SMALL, 80, colour=False)) == [
        "span                           took                        0            1 m 40 s",
        "RUN Reviewer               1 m 40 s                        █████████████████████",
        "├── queued                  10.00 s                        ██",
        "└── ✗ attempt 1            1 m 30 s OOMKilled                ██████████████████▉",
        "    ├── execute_tool Bash   30.00 s                            ██████▎",
        "    └── chat m              25.00 s 12k in, 7 out                    █████▎",
    ]


def test_the_heading_says_what_the_run_came_to_and_what_it_is_linked_to():
    link = SpanLink("cd" * 16, "ef" * 8, (("agent.link.kind", "work"),))
    assert list(terminal.heading(tree(links=(link,)))) == [
        "RUN Reviewer · agents/run-1 · Failed/OOMKilled",
        f"trace {'ab' * 16}",
        f"linked to trace {'cd' * 16} (work)",
    ]


def test_errors_are_red_and_without_colours_nothing_else_changes():
    coloured = list(terminal.draw(SMALL, 80, colour=True))
    assert [line for line in coloured if "\x1b[31m" in line] == [coloured[3]]
    assert [ESCAPE.sub("", line) for line in coloured] == list(terminal.draw(SMALL, 80, colour=False))


@pytest.mark.parametrize("seconds", [0, 59.994, 60, 3599, 3600, 90000])
def test_durations_are_read_as_people_say_them(seconds):
    (_, _, line) = terminal.draw(tree(span(2, 1, "x", 0, seconds)), 80, colour=False)
    want = {
        0: "0 ms",
        59.994: "59.99 s",
        60: "1 m 0 s",
        3599: "59 m 59 s",
        3600: "1 h 0 m",
        90000: "25 h 0 m",
    }
    assert want[seconds] in line


SPANS = st.lists(
    st.tuples(
        st.integers(0, 30), st.text(max_size=80), st.floats(-50, 150), st.floats(0, 200), st.booleans()
    ),
    max_size=25,
)


@given(SPANS, st.integers(0, 300))
def test_every_span_has_one_line_and_no_line_is_wider_than_the_terminal(given_spans, width):
    spans = [
        span(n + 2, parent % (n + 1) + 1, name, start, start + took, error="" if bad else None)
        for n, (parent, name, start, took, bad) in enumerate(given_spans)
    ]
    made = tree(*spans)
    rows = outline.rows(made)
    assert {row.span.id for row in rows} == {s.id for s in made.spans}
    assert len(rows) == len(made.spans) == len(outline.document(made)["spans"])
    lines = list(terminal.draw(made, width, colour=False))
    assert len(lines) == len(rows) + 1
    assert all(len(line) <= max(width, terminal.WIDTH_LEAST) for line in lines)


def test_a_span_whose_parent_is_not_there_is_below_the_root():
    lonely = span(7, 6, "lonely", 1, 2)
    assert [(row.span.name, row.guides) for row in outline.rows(tree(lonely))][1] == ("lonely", (False,))
