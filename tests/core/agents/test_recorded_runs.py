"""The four recorded runs, folded, against what their files say."""

import pytest

from controller.core.transcript import Moment, ToolCall


def test_a_run_with_a_retry_tells_the_retry_and_its_result(transcript, recorded):
    seen = transcript.say(*recorded("api-retry"))
    assert (seen.retries, seen.retrying) == (1, "")
    details = (
        ("error", "overloaded"),
        ("status", 529),
        ("attempt", 1),
        ("max_retries", 10),
        ("delay_ms", 601),
    )
    assert seen.moments == (Moment(2, "api_retry", details),)
    assert (seen.claim.text, seen.claim.turns, seen.claim.cost_usd) == ("title", 1, 0.002288)
    assert (seen.claim.duration_ms, seen.claim.duration_api_ms) == (1050, 864)


def test_a_retry_is_told_as_long_as_nothing_follows_it(transcript, recorded):
    seen = transcript.say(*recorded("api-retry")[:2])
    assert (seen.retrying, seen.turn_open, seen.claim) == ("overloaded", True, None)


def test_hooks_before_the_first_turn_do_not_count_as_readiness(transcript, recorded):
    lines = recorded("hook-events")
    before = transcript.say(*lines[:2])
    assert (before.init_at, before.session_id, before.turn_open) == (None, "", False)
    after = transcript.say(*lines[2:])
    assert (after.init_at, after.model, after.agent_version) == (3, "claude-opus-5-5", "2.1.330")
    assert after.session_id == "bb24b5a6-848f-446b-a815-7508c019fdd1"
    assert after.moments == ()


def test_every_block_of_a_message_counts_but_its_usage_only_once(transcript, recorded):
    seen = transcript.say(*recorded("hook-events"))
    assert (seen.assistant_lines, seen.turns, seen.input_tokens) == (4, 2, 1111 + 1112)
    assert seen.tools == (
        ToolCall("toolu_00011", "Bash", "", 5, 10),
        ToolCall("toolu_00012", "Read", "", 6, 7, failed=True),
    )
    assert (seen.tool_calls, seen.tool_errors) == (2, 1)
    assert seen.tail == "Let me look.\nAll done."


def test_a_run_that_was_terminated_has_no_claim_and_an_open_turn(transcript, recorded):
    seen = transcript.say(*recorded("sigterm-truncated"))
    assert (seen.claim, seen.turn_open, seen.turns) == (None, True, 2)
    assert seen.tail.endswith("Delegating.")


def test_a_background_subagent_ends_with_its_task_and_not_when_it_is_launched(transcript, recorded):
    seen = transcript.say(*recorded("success-subagent-two-results"))
    agent = next(call for call in seen.tools if call.name == "Agent")
    assert agent == ToolCall("toolu_00021", "Agent", "", 8, 20, subagent="general-purpose")
    assert [call.id for call in seen.tools if call.parent == agent.id] == ["toolu_00041"]
    assert (seen.subagents, seen.tool_calls, seen.tool_errors) == (1, 5, 2)


@pytest.mark.parametrize(
    ("lines", "live"),
    [
        pytest.param(8, 0, id="before it is launched"),
        pytest.param(9, 1, id="told by the agent's own list"),
        pytest.param(10, 1, id="not counted twice when it starts"),
        pytest.param(20, 0, id="gone when it is updated as completed"),
        pytest.param(26, 0, id="gone at the end"),
    ],
)
def test_a_background_task_is_live_from_start_to_end(transcript, recorded, lines, live):
    assert transcript.say(*recorded("success-subagent-two-results")[:lines]).tasks_live == live


def test_the_last_of_two_results_is_the_claim_and_covers_the_subagent(transcript, recorded):
    lines = recorded("success-subagent-two-results")
    seen = transcript.say(*lines)
    assert (seen.claim.at, seen.claim.raw, seen.claim.turns) == (26, lines[-1], 1)
    (model,) = seen.claim.models
    assert (model.input_tokens, model.output_tokens, model.cache_read_tokens) == (98, 539, 7000)
    assert (model.cache_creation_tokens, model.cost_usd) == (700, 0.016072000000000003)
    # What the stream tells line by line agrees with what the agent sums up.
    assert seen.input_tokens == 98 + 7000 + 700
    assert (seen.turn_open, seen.turns, seen.claim.permission_denials) == (False, 5, 0)


@pytest.mark.parametrize(
    "name", ["api-retry", "hook-events", "sigterm-truncated", "success-subagent-two-results"]
)
def test_no_line_of_a_recorded_run_is_odd(transcript, recorded, name):
    lines = recorded(name)
    seen = transcript.say(*lines)
    assert (seen.odd_lines, seen.cut_lines, seen.dropped) == (0, 0, 0)
    assert (seen.lines, seen.bytes) == (len(lines), sum(map(len, lines)))
    assert (seen.first_at, seen.last_at) == (1, len(lines))
