"""What tools are asked and answer: kept only if asked for, and then cut, bounded and without credentials."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.agents import content
from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, OUTPUT_OPENCODE, OUTPUT_TEXT, OUTPUTS
from controller.core.snapshot import Facts, Policy, Run
from controller.core.spans import conventions as names
from controller.core.spans import tree as trees
from controller.core.transcript import AttemptLog, LogState
from tests.core.agents.test_chats import init, said
from tests.core.agents.test_chats import returned as bare
from tests.core.spans.test_tree import POD, at, make_attempt, make_job
from tests.core.test_redaction import NAMED, SHAPES, WORD


def use(call, asked):
    return said("m1", {"type": "tool_use", "id": call, "name": "Bash", "input": asked})


def returned(call, answer):
    line = bare(call)
    line["message"]["content"][0]["content"] = answer
    return line


def opencode(asked, answer):
    state = {"status": "completed", "input": asked, "output": answer}
    part = {"messageID": "m", "id": "p", "callID": "c", "tool": "bash", "state": state}
    return {"type": "tool_use", "timestamp": 1, "sessionID": "s", "part": part}


def folded(*lines, output=OUTPUT_CLAUDE, kept=True):
    fold = fold_for(output, content=kept)
    for number, line in enumerate(lines):
        fold.feed(at(50 + number), line if isinstance(line, bytes) else json.dumps(line).encode())
    return fold.seen()


def tool_spans(seen):
    run = Run(make_job(), logs=(AttemptLog(POD, LogState.COMPLETE, seen),))
    spans = trees.build(run, Facts((make_attempt(),)), Policy()).spans
    return [dict(span.attributes) for span in spans if span.name.startswith("execute_tool")]


def test_a_call_tells_what_it_was_asked_and_what_it_answered():
    answer = [
        {"type": "text", "text": "one"},
        {"type": "image", "source": {}},
        {"type": "text", "text": "two"},
    ]
    seen = folded(init(), use("t", {"command": "echo  one"}), returned("t", answer))
    (tool,) = tool_spans(seen)
    assert json.loads(tool[names.TOOL_ARGUMENTS]) == {"command": "echo one"}
    assert tool[names.TOOL_RESULT] == "one two"


def test_opencode_tells_both_at_once():
    (tool,) = tool_spans(folded(opencode({"command": "ls"}, "a b"), output=OUTPUT_OPENCODE))
    assert (tool[names.TOOL_ARGUMENTS], tool[names.TOOL_RESULT]) == ('{"command": "ls"}', "a b")


@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_nothing_of_it_is_kept_unless_it_is_asked_for(output):
    lines = (
        init(),
        use("t", {"command": "CANARY"}),
        returned("t", "CANARY"),
        opencode({"c": "CANARY"}, "CANARY"),
    )
    seen = folded(*lines, output=output, kept=False)
    assert "CANARY" not in repr(seen.tools)
    assert OUTPUT_TEXT in OUTPUTS


def test_what_one_log_may_keep_is_bounded_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(content, "ROOM", 3 * content.TEXT_MAX)
    lines = [line for n in range(5) for line in (use(f"t{n}", {}), returned(f"t{n}", "word " * 1000))]
    seen = folded(init(), *lines)
    assert sum(len((call.arguments + call.result).encode()) for call in seen.tools) <= content.ROOM
    assert seen.content_left_out == 3
    assert all(len(call.result.encode()) <= content.TEXT_MAX for call in seen.tools)


def test_what_comes_after_the_end_of_a_call_changes_nothing():
    seen = folded(init(), use("t", {}), returned("t", ""), returned("t", "late"), use("t", {"late": 1}))
    assert [(call.arguments, call.result) for call in seen.tools] == [("{}", "")]


def test_half_an_emoji_costs_neither_the_call_nor_its_secrets():
    raw = json.dumps(use("t", {"command": "X", "say": f"API_KEY={WORD}"})).replace('"X"', '"\\ud800"')
    (call,) = folded(init(), raw.encode()).tools
    assert "say" in call.arguments
    assert WORD not in call.arguments


FILLED = st.text(st.sampled_from("ab \n\t\"\\é{}:,='"), max_size=40).flatmap(
    lambda text: st.integers(0, 300).map(lambda times: (text * times)[:12_000])
)


@settings(max_examples=150, deadline=None)
@given(FILLED, st.sampled_from(SHAPES + NAMED), FILLED, st.sampled_from([OUTPUT_CLAUDE, OUTPUT_OPENCODE]))
def test_whatever_a_tool_is_told_no_value_is_too_long_and_no_credential_passes(before, secret, after, output):
    text = f"{before}\n{secret}\n{after}"
    lines = (
        (init(), use("t", {"command": text, "list": [text]}), returned("t", text))
        if output == OUTPUT_CLAUDE
        else (opencode({"command": text, "list": [text]}, text),)
    )
    for tool in tool_spans(folded(*lines, output=output)):
        for key in (names.TOOL_ARGUMENTS, names.TOOL_RESULT):
            assert WORD not in tool.get(key, "")
            assert len(tool.get(key, "").encode()) <= content.TEXT_MAX
