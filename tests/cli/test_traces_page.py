"""docs/traces.md explains a run as the program shows it."""

import re

from controller.core.spans import conventions as names
from tests.cli.failing_run import failing_run
from tests.cli.picture import picture
from tests.cli.traces_page import DRAWN, PAGE, PICTURE, drawing

TEXT = PAGE.read_text()


def test_what_the_page_shows_is_what_the_program_draws():
    assert DRAWN.search(TEXT)[0] == drawing(), "run python -m tests.cli.traces_page"
    assert PICTURE.read_text() == picture(failing_run()), "run python -m tests.cli.traces_page"


def test_the_picture_has_a_line_for_each_span():
    said = re.findall(r"<text [^>]+>(.*?)</text>", picture(failing_run()))
    assert all(any(text.endswith(span.name) for text in said) for span in failing_run().spans)


def test_every_span_that_is_explained_is_one_of_that_run():
    explained = {
        name
        for line in re.findall(r"^\d\. (.*)$", TEXT, re.MULTILINE)
        for name in re.findall(r"`([a-z]+(?:_\w+)? [\w-]+(?: #\d)?|queued|finalizing|RUN \w+)`", line)
    }
    assert len(explained) > 6
    assert explained - {span.name for span in failing_run().spans} == set()


def test_every_kind_of_span_of_that_run_is_told_of():
    table = TEXT[TEXT.index("## What each span is") :]
    kinds = {
        re.match(r"[\w ]*?(?=<|`)", row)[0].strip() for row in re.findall(r"^\| `(.+?`)", table, re.MULTILINE)
    }
    assert all(any(span.name.startswith(kind) for kind in kinds) for span in failing_run().spans)


def test_every_attribute_that_is_named_exists():
    known = {value for value in vars(names).values() if isinstance(value, str)}
    named = set(re.findall(r"`((?:agent|gen_ai|cicd)\.[a-z_.]+)(?:=\w+)?`", TEXT))
    assert named - known - {"agent."} == set()
    assert len(named) > 6
