"""The checkpoint of a log: what is written is what is read back, it fits, and nothing makes it raise."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import cursor
from controller.core.contract import LOG_CURSOR_MAX, Status
from controller.core.transcript import AgentLog, AttemptLog, Claim, LogState, ModelUsage
from tests.core.builders import PLACE, make_claim, make_job, make_seen, uid_of

MODEL = ModelUsage("claude-opus-5-5", 98, 539, 7000, 700, 0.016)
POD = uid_of("run-1-x")


def read(seen, place=PLACE):
    return AttemptLog(POD, LogState.READING, seen, place=place)


def test_what_was_read_is_known_from_the_checkpoint_alone():
    claim = make_claim(models=(MODEL,), cost_usd=0.016, stop_reason="end_turn", permission_denials=0)
    seen = make_seen(claim=claim, turn_open=False, output_tokens=9, messages=("m1", "m2"), tail="Done.")
    found = cursor.decode(cursor.encode(read(seen)))
    assert (found.pod_uid, found.place) == (POD, PLACE)
    assert found.seen == replace(seen, claim=replace(claim, raw=b""), tail="")


def test_the_last_words_are_kept_while_there_is_no_claim():
    found = cursor.decode(cursor.encode(read(make_seen(tail="☃ at work"))))
    assert found.seen.tail == "☃ at work"


@pytest.mark.parametrize("log", [read(AgentLog()), read(make_seen(), place=None)])
def test_of_a_log_that_was_not_read_there_is_no_checkpoint(log):
    assert cursor.encode(log) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", "null", "cursor", '{"v":1}', '{"v":1,"pod":"p","place":{"same":1}}', "\ud800"),
        pytest.param('{"v":1,"x":' + "[" * 900 + "]" * 900 + "}", id="deep"),
        pytest.param(cursor.encode(read(make_seen())).replace('"v":1', '"v":2'), id="a later version"),
        pytest.param(cursor.encode(read(make_seen())).replace('"lines":12', '"lines":-1'), id="negative"),
        pytest.param(cursor.encode(read(make_seen())).replace('"lines":12', '"lines":1e99'), id="huge"),
        pytest.param(cursor.encode(read(make_seen())) + " " * LOG_CURSOR_MAX, id="long"),
    ],
)
def test_what_is_no_checkpoint_is_none(text):
    assert cursor.decode(text) is None


def test_fields_that_nobody_knows_are_passed_over():
    text = json.dumps(json.loads(cursor.encode(read(make_seen()))) | {"later": {"more": [1]}})
    assert cursor.decode(text).seen == make_seen()


def test_the_longest_words_leave_in_order_and_are_named():
    long = "ü" * 256
    claim = make_claim(text="☃" * 9000, models=(MODEL,) * 50, terminal_reason=long, stop_reason=long)
    text = cursor.encode(read(make_seen(claim=claim, session_id=long, model="opus", agent_version=long)))
    assert len(text.encode()) <= LOG_CURSOR_MAX
    assert json.loads(text)["leftOut"] == ["text", "models", "agentVersion"]
    found = cursor.decode(text).seen
    assert (found.session_id, found.model, found.claim.models, found.claim.text) == (long, "opus", (), "")
    assert (found.claim.stop_reason, found.claim.at) == (long, claim.at)
    assert set(found.claim.lost) == {"text", "models"}
    assert cursor.decode(cursor.encode(read(found))).seen == found, "what was lost stays lost"


def test_a_checkpoint_is_of_one_pod_only():
    job = make_job(notes={Status.LOG_CURSOR: cursor.encode(read(make_seen()))})
    assert cursor.of(job, POD).seen == make_seen()
    assert cursor.of(job, "another") is None
    assert cursor.of(make_job(), POD) is None


def values(kind):
    """Whatever a field of that kind may hold, and a little more."""
    if "bool" in kind:
        return st.booleans()
    number = st.integers(0, 10**20)
    return number | st.none() if "None" in kind else number


def filled(shape, **special):
    parts = {
        field.name: st.text(max_size=256) if field.type is str else values(str(field.type))
        for field in fields(shape)
        if field.name not in special
    }
    return st.builds(shape, **parts, **special)


MODELS = st.lists(filled(ModelUsage, cost_usd=st.none() | st.floats(0, 1e15)), max_size=100).map(tuple)
CLAIMS = filled(
    Claim,
    raw=st.just(b"{}"),
    text=st.text(max_size=2000),
    models=MODELS,
    lost=st.sampled_from([(), ("models",), ("models", "text")]),
    cost_usd=st.none() | st.floats(0, 1e15),
)
SEEN = filled(
    AgentLog,
    claim=st.none() | CLAIMS,
    tools=st.just(()),
    moments=st.just(()),
    messages=st.lists(st.text(max_size=256), max_size=4).map(tuple),
)


@given(SEEN)
def test_every_checkpoint_fits_and_is_the_same_when_written_again(seen):
    seen = replace(seen, lines=seen.lines or 1, unsettled=False)
    text = cursor.encode(read(seen))
    assert len(text.encode()) <= LOG_CURSOR_MAX
    found = cursor.decode(text)
    assert (found.seen.claim is None) == (seen.claim is None)
    again = cursor.decode(cursor.encode(read(found.seen)))
    assert again == found


@given(st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text())
def test_no_text_makes_it_raise(text):
    cursor.decode(text)
    cursor.decode(f'{{"v":1,"pod":{text}')
