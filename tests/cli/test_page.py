import re
from html.parser import HTMLParser

from hypothesis import given

from controller.cli import outline, page
from tests.cli.failing_run import failing_run
from tests.cli.test_terminal import SECOND, SMALL, SPANS, span, tree

VOID = {"meta"}
NOON = 1_795_348_800 * SECOND


class Read(HTMLParser):
    """What a page has: elements that are open at each place, ids, and all text of each element's class."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.said = [], [], set(), {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.tags.add(tag)
        self.ids += [about["id"]] if "id" in about else []
        if tag not in VOID:
            self.open.append((tag, about.get("class", "").split(" ")[0]))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, kind in self.open:
            self.said.setdefault(kind, []).append(data)


def read(made, *, live=False):
    return Read(page.page(made, live=live, drawn=NOON))


def lines(found, kind):
    return " ".join(" ".join(found.said.get(kind, [])).split())


def test_a_page_says_what_the_run_came_to():
    found = read(SMALL)
    assert lines(found, "badge") == "Failed/OOMKilled"
    assert lines(found, "tiles").startswith("took 1 m 40 s")
    assert "agents/run-1" in lines(found, "")


def test_what_went_wrong_stands_in_the_order_in_which_it_ended_innermost_first():
    told = lines(read(failing_run()), "wrongs")
    assert re.findall(r"(execute_tool \w+|invoke_agent \S+|container|attempt|RUN)", told) == [
        "execute_tool Read",
        "execute_tool Bash",
        "execute_tool Bash",
        "invoke_agent general-purpose",
        "execute_tool Agent",
        "invoke_agent Coder",
        "container",
        "attempt",
        "RUN",
    ]
    assert read(tree()).said.get("wrongs") is None


def test_tools_and_models_are_summed():
    found = read(failing_run())
    assert lines(found, "tools").endswith(
        "Agent 1 1 31.50 s 31.50 s Bash 3 2 28.50 s 21.00 s Read 1 1 1.50 s 1.50 s"
    )
    assert "claude-opus-5-5 5 24.00 s" in lines(found, "models")


def test_a_run_that_goes_on_is_told_as_one():
    assert "The run is not over" in lines(read(SMALL, live=True), "")
    assert "The run is not over" not in lines(read(SMALL), "")


def test_whatever_a_name_contains_is_text():
    evil = "</b></details><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
    found = read(tree(span(2, 1, evil, 0, 1, error=evil, agent__x=evil)))
    assert not found.tags & {"script", "img"}
    assert evil in "".join(found.said["waterfall"])
    assert evil in "".join(found.said["wrongs"])


@given(SPANS)
def test_a_page_is_well_formed_and_has_every_span_once(given_spans):
    spans = [
        span(n + 2, parent % (n + 1) + 1, name, start, start + took, error="" if bad else None)
        for n, (parent, name, start, took, bad) in enumerate(given_spans)
    ]
    made = tree(*spans)
    found = read(made)
    assert found.open == []
    assert found.ids == [f"s-{row.span.id}" for row in outline.rows(made)]


def test_no_depth_is_too_deep():
    depth = 3 * page.DEEPEST
    made = tree(*(span(n + 2, n + 1, f"level {n}", 0, 100) for n in range(depth)))
    text = page.page(made, live=False, drawn=NOON)
    assert len(Read(text).ids) == depth + 1
    assert text.count("<details") == page.DEEPEST
