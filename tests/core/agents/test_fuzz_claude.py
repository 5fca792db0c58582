"""Real lines, spoilt in every way that one can think of: nothing raises, and nothing grows without bound."""

import json
import tracemalloc
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core import cursor
from controller.core.agents.calls import CALLS_MAX
from controller.core.agents.claims import MODELS_MAX, RAW_MAX
from controller.core.agents.claude import MOMENTS_MAX, TAIL_BYTES
from controller.core.agents.fold import fold_for
from controller.core.agents.words import WORD_MAX
from controller.core.contract import LOG_CURSOR_MAX, OUTPUT_CLAUDE
from controller.core.transcript import AttemptLog, LogState
from tests.core.agents.agent_transcript import RECORDED, lines_of
from tests.core.builders import PLACE

NAMES = sorted(path.stem for path in RECORDED.glob("*.jsonl"))
REAL = [json.loads(line) for name in NAMES for line in lines_of(name)]
MARK = "\x02here\x02"
MOST = 2**63

BAD_VALUES = [
    *(b"NaN", b"Infinity", b"-Infinity", b"-1", b"1e400", b"0.1", b"-0", b"1" * 400, b"18446744073709551616"),
    *(b"9223372036854775808", b"1e308", b"null", b"true", b"[]", b"{}", b'""', b"[[]]", b'{"":{}}', b""),
    *(b'"\\ud83d"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\u001b[31mred\\u001b[0m"', b'"\xff\xfe\xc3"'),
    *(b'"a\x00b"', b'"\\ud83d\\ude00"', b'"\\\\ud83d"', b'"\\x"', b'"\\u12"', b"'x'", b"undefined", b"01"),
    *(b'{"a":1,"a":2}', b'{"type":"result","subtype":"success"}', b'"' + b"x" * 5000 + b'"'),
    *(b"[" * 2000 + b"]" * 2000, b"[" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"\x1b[2J", b"/* */ 1"),
]
PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))


def places(tree, path=()):
    """The ways to all values in a tree of JSON."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def spoilt(tree, path, raw):
    """The line with these bytes in that place."""
    if not path:
        return raw
    tree = json.loads(json.dumps(tree))
    part = tree
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = MARK
    return json.dumps(tree).encode().replace(json.dumps(MARK).encode(), raw)


@st.composite
def spoilt_lines(draw):
    """A real line with a bad value in one place, or bytes changed, lost, doubled or put in between."""
    tree = draw(st.sampled_from(REAL))
    line = json.dumps(tree).encode()
    if draw(st.booleans()):
        line = spoilt(tree, draw(st.sampled_from(list(places(tree)))), draw(st.sampled_from(BAD_VALUES)))
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, len(line)))
        end = min(begin + draw(st.integers(0, 20)), len(line))
        put = draw(
            st.sampled_from([b"", b"\x00", b'"', b"}", b"{", b"\\", b",", b"\xf0", line[begin:end] * 2])
        )
        line = line[:begin] + put + line[end:]
    return line


def bounded(seen):
    """Everything that is kept is small, and everything that is counted has 64 bits."""
    for part in (seen, seen.claim, *(seen.claim.models if seen.claim else ())):
        for field in fields(part) if part is not None else ():
            value = getattr(part, field.name)
            if isinstance(value, int):
                assert 0 <= value < MOST, field.name
            if isinstance(value, float):
                assert 0 <= value < 1e16, field.name
            if isinstance(value, str) and field.name not in ("text", "tail"):
                assert len(value) <= WORD_MAX, field.name
                assert value.isprintable(), field.name
    assert len(seen.tools) <= CALLS_MAX
    assert len(seen.moments) <= MOMENTS_MAX
    assert len(seen.tail.encode()) <= TAIL_BYTES
    if seen.claim is not None:
        assert len(seen.claim.raw) <= RAW_MAX
        assert len(seen.claim.text) <= RAW_MAX
        assert len(seen.claim.models) <= MODELS_MAX
    text = cursor.encode(AttemptLog("pod", LogState.READING, seen, place=PLACE))
    assert len(text.encode()) <= LOG_CURSOR_MAX
    assert (cursor.decode(text) is None) == (not seen.lines or seen.unsettled)


def fed(lines):
    fold = fold_for(OUTPUT_CLAUDE)
    for at, line in enumerate(lines, start=1):
        fold.feed(at, line)
    return fold.seen()


@PATIENT
@given(st.lists(spoilt_lines(), min_size=1, max_size=6))
def test_spoilt_lines_never_raise_and_stay_small(lines):
    seen = fed(lines)
    assert seen.lines <= len(lines)
    bounded(seen)
    assert fed(lines) == seen


@pytest.mark.slow
@settings(PATIENT, max_examples=2_000)
@given(st.lists(spoilt_lines(), min_size=1, max_size=12))
def test_many_more_spoilt_lines_never_raise_and_stay_small(lines):
    bounded(fed(lines))


@pytest.mark.slow
@pytest.mark.parametrize("raw", BAD_VALUES)
def test_every_bad_value_in_every_place_of_every_real_line(raw):
    good = {"type": "result", "subtype": "success", "result": "the end"}
    for tree in REAL:
        for path in places(tree):
            fold = fold_for(OUTPUT_CLAUDE)
            fold.feed(1, spoilt(tree, path, raw))
            bounded(fold.seen())
            fold.feed(2, json.dumps(good | {"session_id": fold.seen().session_id}).encode())
            assert fold.seen().claim.text == "the end"


def huge(count):
    """Lines of so many keys, entries or levels."""
    keys = b",".join(b'"k%d":%d' % (n, n) for n in range(count))
    models = b",".join(b'"m%d":{"inputTokens":1}' % n for n in range(count))
    tasks = b",".join(b'{"task_id":"t%d"}' % n for n in range(count))
    blocks = b",".join(b'{"type":"tool_use","id":"t%d","name":"Bash"}' % n for n in range(count))
    yield b'{"type":"user",%s}' % keys
    yield b'{"type":"assistant","message":{%s}}' % keys
    yield b'{"type":"result","subtype":"success","modelUsage":{%s}}' % models
    yield b'{"type":"result","errors":[%s]}' % b",".join([b'"no"'] * count)
    yield b'{"type":"result","permission_denials":[%s]}' % b",".join([b"{}"] * count)
    yield b'{"type":"system","subtype":"background_tasks_changed","tasks":[%s]}' % tasks
    yield b'{"type":"assistant","message":{"id":"m","content":[%s]}}' % blocks
    yield b"{%s}" % b",".join([b'"type":"user"'] * count)
    yield b'{"type":"result","num_turns":%s}' % (b"9" * count)
    yield b'{"type":"user","message":' + b"[" * count + b"]" * count + b"}"
    yield b'{"type":"user","message":' * count
    yield b'{"type":"user","message":{"content":"%s"}}' % (b"\\ud83d" * count)
    yield b"\x1b[31m" * count
    yield b"\x00" * count


def check_huge(count):
    for line in huge(count):
        fold = fold_for(OUTPUT_CLAUDE)
        fold.feed(1, b'{"type":"system","subtype":"init","session_id":"s"}')
        tracemalloc.start()
        try:
            fold.feed(2, line)
            bounded(fold.seen())
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert kept < 4 * RAW_MAX, line[:60]
        assert fold.seen().session_id == "s"


def test_lines_of_ten_thousand_keys_are_folded_and_not_kept():
    check_huge(10_000)


@pytest.mark.slow
def test_lines_of_a_million_keys_are_folded_and_not_kept():
    check_huge(1_000_000)
