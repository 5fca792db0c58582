"""Whatever the bytes: a fold never raises, counts what is odd, and goes on."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, OUTPUTS
from tests.core.agents.agent_transcript import Transcript, lines_of

GOOD = {"type": "result", "subtype": "success", "is_error": False, "result": "done", "session_id": "s"}


def wrong(**fields):
    return json.dumps(GOOD | fields).encode()


@pytest.mark.parametrize(
    ("line", "odd"),
    [
        pytest.param(b"", 1, id="an empty line is odd"),
        pytest.param(b"\r", 1, id="a lone carriage return is odd"),
        pytest.param(b"\x00\x00", 1, id="NUL bytes are odd"),
        pytest.param(b"npm warn deprecated", 1, id="stderr is odd"),
        pytest.param(b"[1, 2]", 1, id="an array at the top is odd"),
        pytest.param(b"7", 1, id="a number at the top is odd"),
        pytest.param(b'{"type":"assistant"', 1, id="a broken object is odd"),
        pytest.param(b'{"type":"x"} tail', 1, id="an object with something behind it is odd"),
        pytest.param(b'{"type":NaN}', 1, id="NaN is no JSON and odd"),
        pytest.param(b'{"\xff\xfe":1}', 1, id="an object without a type is odd even with a broken key"),
        pytest.param(b"{}", 1, id="an object without a type is odd"),
        pytest.param(b'{"type":5}', 1, id="a type that is no string is odd"),
        pytest.param(b'{"type":null}', 1, id="a type that is null is odd"),
        pytest.param(b'{"type":"assistant","message":7}', 1, id="a message that is no object is odd"),
        pytest.param(b'{"type":"user"}', 1, id="a user line without a message is odd"),
        pytest.param(b'{"type":"x","a":' + b"[" * 65 + b"]" * 65 + b"}", 0, id="depth 65 is no harm"),
        pytest.param(b'{"type":"x","a":' + b"[" * 99_999 + b"]" * 99_999 + b"}", 1, id="depth 99999 is odd"),
        pytest.param(b'{"a":' * 99_999, 1, id="depth without end is odd"),
        pytest.param(b'{"type":"brand_new","message":7}', 0, id="an unknown type is ignored"),
        pytest.param(
            b'{"type":"system","subtype":"brand_new","error":{}}', 0, id="an unknown subtype is ignored"
        ),
        pytest.param(b'{"type":"system"}', 0, id="a system event without a subtype is ignored"),
        pytest.param(b'{"type":"x","type":"y"}', 0, id="duplicate keys are no harm"),
        pytest.param(b'{"type":"x"}\r', 0, id="a carriage return at the end is no harm"),
    ],
)
def test_a_bad_line_is_counted_and_the_next_one_still_read(line, odd):
    transcript = Transcript()
    assert transcript.say(line).odd_lines == odd
    seen = transcript.say(GOOD)
    assert (seen.claim.text, seen.lines, seen.odd_lines) == ("done", 2, odd)


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(wrong(num_turns="3"), {}, id="a number that is a string"),
        pytest.param(wrong(num_turns=10**400), {}, id="a number that is huge"),
        pytest.param(wrong(duration_ms=-1), {}, id="a time that is negative"),
        pytest.param(wrong(total_cost_usd=[]), {}, id="a cost that is a list"),
        pytest.param(wrong(is_error="no"), {}, id="a flag that is a string"),
        pytest.param(wrong(modelUsage=[1]), {}, id="a table that is a list"),
        pytest.param(wrong(uuid=5), {}, id="an identity that is a number"),
        pytest.param(wrong(session_id={}), {}, id="a session that is an object"),
        pytest.param(wrong(permission_denials=3), {}, id="a list that is a number"),
        pytest.param(
            wrong(modelUsage={"a": 5, "b": {"inputTokens": "x", "outputTokens": 4}}),
            {"models": (("b", 0, 4),)},
            id="a table with a bad entry",
        ),
        pytest.param(
            wrong(result=7, errors=["one", 2, {"message": "three", "code": []}]),
            {"text": "one\nthree"},
            id="a list with a bad entry",
        ),
        pytest.param(
            json.dumps(GOOD | {"stop_reason": "Ü"}, ensure_ascii=False).encode("latin-1"),
            {"stop_reason": "�"},
            id="a string that is not UTF-8",
        ),
        pytest.param(
            wrong(num_turns=[]).replace(b"done", b"done\\ud83d"), {"text": "done�"}, id="two faults at once"
        ),
    ],
)
def test_a_wrong_field_costs_itself_and_not_its_line(line, want):
    seen = Transcript().say(line)
    claim = seen.claim
    assert seen.odd_lines == 1
    assert (claim.subtype, claim.is_error) == ("success", False)
    assert claim.text == want.get("text", "done")
    assert claim.stop_reason == want.get("stop_reason", "")
    assert tuple((m.model, m.input_tokens, m.output_tokens) for m in claim.models) == want.get("models", ())


def test_one_bad_block_does_not_cost_the_others():
    blocks = [5, {"type": "tool_use", "id": "t", "name": ["Bash"]}, {"type": "text", "text": "hello"}]
    seen = Transcript().say({"type": "assistant", "message": {"id": "m", "content": blocks, "usage": "many"}})
    assert (seen.odd_lines, seen.turns, seen.tool_calls, seen.tail) == (1, 1, 1, "hello")


def test_a_duplicate_key_counts_as_its_last_value():
    seen = Transcript().say(b'{"type":"system","subtype":"init","session_id":"a","session_id":"b"}')
    assert seen.session_id == "b"


def test_a_line_of_five_megabytes_is_read():
    block = {"type": "tool_result", "tool_use_id": "t", "content": "x\n" * 2_500_000, "is_error": True}
    line = json.dumps({"type": "user", "message": {"content": [block]}}).encode()
    assert Transcript().say(line).tool_errors == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *(
            "uuid",
            "session_id",
            "message",
            "parent_tool_use_id",
            "tool_use_result",
            "subtype",
            "result",
            "errors",
        ),
        *(
            "modelUsage",
            "num_turns",
            "is_error",
            "tasks",
            "task_id",
            "tool_use_id",
            "patch",
            "status",
            "error",
        ),
        *("rate_limit_info", "exit_code", "compact_metadata"),
    ]
)
TYPES = st.sampled_from(["system", "assistant", "user", "result", "rate_limit_event", "permission_denied"])
SUBTYPES = st.sampled_from(
    [
        *("init", "api_retry", "task_started", "task_updated", "background_tasks_changed"),
        *("compact_boundary", "hook_response"),
    ]
)
EVENTS = st.builds(
    lambda kind, subtype, fields, content: json.dumps(
        {"subtype": subtype, "message": {"content": content}} | fields | {"type": kind}
    ).encode("utf-8", "surrogatepass"),
    TYPES,
    SUBTYPES,
    st.dictionaries(KEYS, JSON, max_size=5),
    JSON,
)


@given(st.lists(st.binary() | EVENTS, max_size=8), st.sampled_from(sorted(OUTPUTS)), st.booleans())
def test_no_bytes_make_a_fold_raise(lines, output, cut):
    fold = fold_for(output)
    for at, line in enumerate(lines):
        fold.feed(at, line, cut)
        fold.seen()
    assert fold.seen().lines <= len(lines)


NAMES = ["api-retry", "hook-events", "sigterm-truncated", "success-subagent-two-results"]


def timed(name):
    return list(enumerate(lines_of(name), start=1))


def folded(lines):
    fold = fold_for(OUTPUT_CLAUDE)
    for at, line in lines:
        fold.feed(at, line)
    return fold.seen()


@given(st.sampled_from(NAMES), st.data())
def test_lines_that_are_read_again_change_nothing(name, data):
    lines = timed(name)
    read = []
    for end in range(1, len(lines) + 1):
        read.append(lines[end - 1])
        if data.draw(st.booleans(), label=f"lost after {end}"):
            read += lines[data.draw(st.integers(0, end - 1), label="read again from") : end]
    assert folded(read) == folded(lines)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # draws are many on a busy machine
@given(st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing_but_the_raw_line(name, random):
    def shuffled(value):
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = random.sample(list(value), len(value))
        return {key: shuffled(value[key]) for key in keys}

    lines = timed(name)
    other = [(at, json.dumps(shuffled(json.loads(line))).encode()) for at, line in lines]
    assert without_bytes(folded(other)) == without_bytes(folded(lines))


def without_bytes(seen):
    claim = seen.claim and replace(seen.claim, raw=b"")
    return replace(seen, claim=claim, bytes=0)


@given(st.text(alphabet=st.characters() | st.sampled_from('\\"ud83{}\ud83d\ude00\U0001f600')))
def test_lone_surrogates_are_replaced_and_everything_else_is_kept(text):
    line = json.dumps(GOOD | {"result": f"x{text}"}).encode()
    want = json.loads(line)["result"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    seen = Transcript().say(line)
    assert (seen.odd_lines, seen.claim.text) == (0, want)
