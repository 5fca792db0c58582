"""Requests to the model, as the stream lets one know of them."""

import json
from pathlib import Path

import pytest

from controller.core import cursor
from controller.core.agents import chats
from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE
from controller.core.transcript import AttemptLog, LogState, Place

RECORDED = sorted((Path(__file__).parents[2] / "data" / "claude").glob("*.jsonl"))


def event(kind, parent=None, **more):
    return {"type": kind, "session_id": "s", "parent_tool_use_id": parent, **more}


def init():
    return event("system", subtype="init", model="claude-x")


def said(message, *blocks, parent=None, **more):
    usage = {"input_tokens": 1, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 100}
    usage["output_tokens"] = 1
    content = list(blocks) or [{"type": "text", "text": "x"}]
    about = {"id": message, "model": "claude-x", "content": content, "usage": usage}
    return event("assistant", parent, message=about, **more)


def use(call, name="Bash"):
    return {"type": "tool_use", "id": call, "name": name, "input": {}}


def returned(call, parent=None):
    return event("user", parent, message={"content": [{"type": "tool_result", "tool_use_id": call}]})


def folded(*lines, begun=None):
    fold = fold_for(OUTPUT_CLAUDE, begun)
    for number, line in enumerate(lines):
        fold.feed(number, json.dumps(line).encode())
    return fold.seen()


def times(seen):
    return [(chat.id, chat.started_at, chat.ended_at) for chat in seen.chats]


def test_a_request_is_made_once_the_last_tool_has_returned():
    seen = folded(init(), said("m1"), said("m1", use("t")), returned("t"), said("m2"), said("m2"))
    assert times(seen) == [("m1", 0, 2), ("m2", 3, 5)]
    assert [chat.under_way for chat in seen.chats] == [False, True]


def test_what_it_reads_is_told_and_what_it_writes_is_a_placeholder():
    (chat,) = folded(init(), said("m1", request_id="req_1"), said("m1")).chats
    assert (chat.input_tokens, chat.cache_read_tokens, chat.cache_write_tokens) == (111, 10, 100)
    assert (chat.output_tokens, chat.response_id, chat.request_id) == (None, "m1", "req_1")


def test_partial_messages_tell_output_and_why_it_stopped():
    delta = {"type": "message_delta", "usage": {"output_tokens": 42}, "delta": {"stop_reason": "tool_use"}}
    seen = folded(
        init(),
        event("system", subtype="status", status="requesting"),
        event("stream_event", event={"type": "message_start"}),
        said("m1"),
        event("stream_event", event=delta),
    )
    (chat,) = seen.chats
    assert (chat.output_tokens, chat.finish, chat.started_at, chat.ended_at) == (42, "tool_use", 1, 4)


def test_subagents_have_their_own_requests_beside_those_of_the_agent():
    seen = folded(
        init(),
        said("m1", use("a", "Agent")),
        said("s1", use("t"), parent="a"),
        said("m2"),
        returned("t", parent="a"),
        said("s2", parent="a"),
        returned("a"),
    )
    assert [(chat.id, chat.parent, chat.started_at) for chat in seen.chats] == [
        ("m1", "", 0),
        ("s1", "a", 1),
        ("m2", "", 1),
        ("s2", "a", 4),
    ]
    assert [chat.calls_before for chat in seen.chats] == [0, 1, 2, 2]
    assert [chat.under_way for chat in seen.chats] == [False, False, True, False]


def test_what_the_client_made_up_itself_is_no_request():
    line = said("m1")
    line["message"]["model"] = "<synthetic>"
    assert folded(init(), line).chats == ()


def test_a_message_with_an_error_has_its_category():
    (chat,) = folded(init(), said("m1"), said("m1", error="max_output_tokens")).chats
    assert chat.error == "max_output_tokens"


def test_a_part_that_comes_late_changes_nothing():
    seen = folded(init(), said("m1"), said("m2"), said("m1"), said("m2"))
    assert [chat.id for chat in seen.chats] == ["m1", "m2"]
    assert seen.chats[0].ended_at == 1


def test_requests_beyond_the_limit_are_counted(monkeypatch):
    monkeypatch.setattr(chats, "CHATS_MAX", 2)
    monkeypatch.setattr(chats, "VOICES_MAX", 2)
    seen = folded(init(), *(said(f"m{n}", parent=f"a{n}") for n in range(5)))
    assert (len(seen.chats), seen.chat_count) == (2, 5)


def test_a_checkpoint_knows_how_many_there_were():
    seen = folded(init(), said("m1"), said("m2"))
    log = AttemptLog("pod", LogState.READING, seen, place=Place(0, 2, 1, 0, 2, ""))
    begun = cursor.decode(cursor.encode(log)).seen
    assert (begun.chats, begun.chat_count) == ((), 2)
    more = folded(said("m2"), said("m3"), begun=begun)
    assert ([chat.id for chat in more.chats], more.chat_count) == (["m3"], 3)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recording_has_a_request_for_each_message_of_a_model(path):
    lines = path.read_bytes().splitlines()
    told = {}
    for number, line in enumerate(lines):
        spoken = json.loads(line)
        if spoken["type"] == "assistant" and spoken["message"]["model"] != "<synthetic>":
            first, _ = told.get(spoken["message"]["id"], (number, number))
            told[spoken["message"]["id"]] = (first, number)
    fold = fold_for(OUTPUT_CLAUDE)
    for number, line in enumerate(lines):
        fold.feed(number, line)
    found = fold.seen().chats
    assert {chat.id: chat.ended_at for chat in found} == {name: last for name, (_, last) in told.items()}
    assert all(chat.started_at <= told[chat.id][0] for chat in found)
