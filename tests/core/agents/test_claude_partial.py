"""Partial messages tell what a message costs in output; without them nobody knows, and nothing is made up."""

import json

import pytest

from controller.core.transcript import Moment


def stream(kind, parent=None, tokens=None, **fields):
    usage = {} if tokens is None else {"usage": {"output_tokens": tokens}}
    return {"type": "stream_event", "parent_tool_use_id": parent, "event": {"type": kind, **usage, **fields}}


def block(id="m", **fields):  # noqa: A002 — the stream's own word
    message = {"id": id, "content": [{"type": "text", "text": "x"}], "usage": {"output_tokens": 8}}
    return {"type": "assistant", "message": message, **fields}


def test_output_is_what_the_deltas_tell_once_for_each_message(transcript):
    seen = transcript.say(
        stream("message_start", message={"id": "m", "usage": {"output_tokens": 2}}),
        stream("content_block_delta", delta={"type": "text_delta", "text": "x"}),
        block(),
        stream("message_delta", tokens=10, delta={"stop_reason": None}),
        block(),
        stream("message_delta", tokens=25, delta={"stop_reason": "end_turn"}),
        stream("message_stop"),
        stream("message_start"),
        stream("message_delta", tokens=5),
    )
    assert (seen.output_tokens, seen.turns, seen.odd_lines) == (30, 1, 0)


def test_messages_of_subagents_that_are_written_at_once_are_kept_apart(transcript):
    seen = transcript.say(
        *(stream("message_start", parent) for parent in (None, "a", "b")),
        *(stream("message_delta", parent, tokens) for parent, tokens in ((None, 1), ("a", 10), ("b", 100))),
        *(stream("message_delta", parent, tokens) for parent, tokens in ((None, 2), ("a", 20), ("b", 200))),
    )
    assert seen.output_tokens == 222


def test_without_partial_messages_no_output_is_told(transcript, recorded):
    assert transcript.say(block(), *recorded("success-subagent-two-results")).output_tokens == 0


@pytest.mark.parametrize(
    "event", [None, {}, {"type": "message_delta"}, {"type": "message_delta", "usage": {}}]
)
def test_a_part_that_tells_nothing_changes_nothing(transcript, event):
    seen = transcript.say({"type": "stream_event", "event": event})
    assert (seen.output_tokens, seen.turn_open, seen.odd_lines) == (0, False, 0)


def test_a_delta_that_tells_nonsense_costs_itself(transcript):
    seen = transcript.say(stream("message_delta", tokens=-5), stream("message_delta", tokens=10**400))
    assert (seen.output_tokens, seen.odd_lines) == (0, 2)


def test_a_message_that_stands_for_another_is_the_same_turn_again(transcript):
    usage = {"input_tokens": 7}
    lines = [block("m"), block("n", supersedes=["uuid-of-m"])]
    for line in lines:
        line["message"]["usage"] = usage
    seen = transcript.say(*lines)
    assert (seen.turns, seen.input_tokens) == (1, 14)


def test_what_a_message_asked_for_that_broke_off_is_not_done(transcript):
    broken = block(aborted=True)
    broken["message"]["content"] = [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]
    seen = transcript.say(broken)
    assert (seen.turns, seen.tool_calls, seen.turn_open) == (1, 0, True)


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (
            {"type": "worker_shutting_down", "reason": "idle"},
            Moment(1, "worker_shutting_down", (("reason", "idle"),)),
        ),
        ({"type": "system", "subtype": "session_writes_lost"}, Moment(1, "session_writes_lost")),
        (
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "allowed_warning", "utilization": 0.915},
            },
            Moment(1, "rate_limit", (("status", "allowed_warning"), ("used_percent", 92))),
        ),
    ],
)
def test_warnings_are_moments(transcript, line, moment):
    assert transcript.say(line).moments == (moment,)


QUIET = [
    *("tool_progress", "tool_use_summary", "auth_status", "keep_alive", "informational", "notification"),
    *("local_command_output", "session_state_changed", "files_persisted", "mirror_error", "thinking_tokens"),
    *("prompt_suggestion", "plugin_install", "hook_started", "hook_progress", "task_progress", "status"),
]


@pytest.mark.parametrize("kind", QUIET)
def test_what_only_says_that_the_agent_lives_changes_nothing_but_the_time(transcript, kind):
    transcript.say({"type": "result", "subtype": "success"})
    before = transcript.fold.seen()
    for line in (
        {"type": kind, "elapsed_time_seconds": 3},
        {"type": "system", "subtype": kind, "status": "x"},
    ):
        seen = transcript.say(json.dumps(line).encode())
        assert (seen.turn_open, seen.claim, seen.odd_lines) == (False, before.claim, 0)
    assert (seen.last_at, seen.lines) == (3, 3)
