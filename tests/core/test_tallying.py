from dataclasses import replace

import pytest

from controller.core import facts, tallying
from controller.core.model import Wishes
from controller.core.snapshot import Pull
from controller.core.tally import Stage, ToolUse
from controller.core.transcript import ModelUsage, ToolCall
from tests.core.builders import (
    at,
    exited,
    make_attempt,
    make_claim,
    make_finished_seen,
    make_ids,
    make_job,
    make_log,
    make_over,
    make_seen,
)

USED = ModelUsage("claude-opus-5-5", 10, 20, 300, 40, 0.5)


def tally(run=None, log=None, known=None):
    run = run or make_over()
    return tallying.of(run, known or facts.gather(run), log or run.logs[0])


def test_times_of_a_healthy_run():
    found = tally()
    assert (found.queued, found.started, found.ran, found.attempts) == (1.0, 39.0, 50.0, 1)


def test_the_start_is_told_in_its_parts():
    pulls = (
        Pull("claude", started_at=at(33), finished_at=at(37)),
        Pull("side", started_at=at(36), finished_at=at(39)),
    )
    run = make_over(log=make_log(seen=make_finished_seen(init_at=at(43))))
    known = replace(facts.gather(run), attempts=(make_attempt(pulls=pulls),))
    assert tally(run, known=known).stages == (
        (Stage.SCHEDULING, 1.0),
        (Stage.PULLING, 6.0),
        (Stage.CONTAINER, 8.0),
        (Stage.AGENT, 3.0),
    )


def test_what_was_not_seen_of_a_start_is_left_out():
    pulled = (Pull("claude"),)  # it was there already
    known = replace(facts.gather(make_over()), attempts=(make_attempt(pulls=pulled, scheduled_at=None),))
    assert tally(known=known).stages == ()


def test_several_attempts_are_one_run_from_the_first_start_to_the_last_end():
    attempts = (
        make_attempt(exited(1), pod="one"),
        make_attempt(exited(0, started_at=at(100), finished_at=at(130)), pod="two"),
    )
    found = tally(known=replace(facts.gather(make_over()), attempts=attempts, left_out=1))
    assert (found.started, found.ran, found.attempts) == (39.0, 90.0, 3)
    assert found.stages == ()


def test_clocks_that_disagree_give_no_negative_time():
    assert tally(make_over(job=make_job(created=20))).queued == 0.0


def test_a_run_that_was_never_started_has_no_times():
    run = make_over(job=make_job(started_at=None))
    found = tally(run, known=replace(facts.gather(run), attempts=()))
    assert (found.queued, found.started, found.ran, found.attempts) == (None, None, None, 0)


def test_usage_and_cost_are_what_the_agent_claims():
    seen = make_finished_seen(claim=make_claim(cost_usd=0.5, models=(USED,), turns=7))
    found = tally(log=make_log(seen=seen))
    assert (found.claimed, found.usage, found.cost_usd, found.turns) == (True, (USED,), 0.5, 7)
    assert (found.session, found.model) == ("5e55", "claude-opus-5-5")


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, None])
def test_money_and_tokens_that_nobody_can_mean_count_for_nothing(cost):
    used = replace(USED, input_tokens=-5, output_tokens=2**60, cost_usd=cost)
    found = tally(log=make_log(seen=make_finished_seen(claim=make_claim(cost_usd=cost, models=(used,)))))
    assert found.cost_usd is None
    assert found.usage == (replace(USED, input_tokens=0, output_tokens=0, cost_usd=None),)


def test_an_agent_that_was_cut_off_has_claimed_nothing():
    found = tally(log=make_log(seen=make_seen(retries=2, odd_lines=1)))
    assert (found.claimed, found.usage, found.turns, found.retries, found.odd_lines) == (False, (), 2, 2, 1)


def test_only_a_run_that_resumed_a_session_goes_on_from_earlier_totals():
    resumed = make_job(ids=make_ids(session="5e55"))
    assert tally(make_over(job=resumed)).resumed == "5e55"
    assert tally().resumed == ""
    text = replace(resumed, wishes=Wishes(output="text"))
    assert tally(make_over(job=text)).resumed == ""


def test_lines_of_plain_text_are_not_odd():
    run = make_over(job=make_job(wishes=Wishes(output="text")))
    assert tally(run, log=make_log(seen=make_seen(odd_lines=4))).odd_lines == 0


def test_tools_are_counted_by_name_and_the_rest_without():
    calls = (
        ToolCall("1", "Bash", "", at(50), at(51)),
        ToolCall("2", "Bash", "", at(52), at(53), failed=True),
        ToolCall("3", "Read", "", at(54)),
    )
    found = tally(log=make_log(seen=make_finished_seen(tools=calls, tool_calls=10, tool_errors=3)))
    assert found.tools == (ToolUse("Bash", 2, 1), ToolUse("Read", 1, 0), ToolUse("", 7, 2))
    assert sum(tool.calls for tool in found.tools) == 10
