"""When Events are listed: seldom, for each list reads all that a namespace has."""

from dataclasses import replace

import pytest

from controller.core.actions import ReadEvents
from controller.core.rules import diagnosing
from tests.core.builders import (
    NAMESPACE,
    POLICY,
    TRACED,
    at,
    make_event,
    make_heard,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_unscheduled_pod,
    make_waiting,
    now,
    running,
    uid_of,
    waiting,
)
from tests.core.world import after

STARTING = make_job(phase="Starting", reason="Admitted")
CREATING = make_pod(waiting())
JUST_STARTED = make_pod(running(started_at=at(95)))
OF_POD = ReadEvents(NAMESPACE, uid_of("run-1-x"), uid_of("run-1"))
OF_JOB = ReadEvents(NAMESPACE, uid_of("run-1"), uid_of("run-1"))


def lists(seen, *moments, policy=POLICY):
    """What is listed at these moments, each carried out before the next."""
    found = []
    for moment in moments:
        plan = diagnosing.read_events(seen, moment, policy)
        found.append(plan.actions)
        seen = after(seen, plan, moment)
    return found


@pytest.mark.parametrize(
    ("pods", "listed"), [((CREATING,), OF_POD), ((), OF_JOB)], ids=["that does not start", "that is not made"]
)
def test_a_pod_is_asked_about_once_after_ten_seconds(pods, listed):
    seen = make_snapshot(make_run(STARTING, *pods))
    assert lists(seen, now(100), now(109.9), now(110), now(111), now(900)) == [(), (), (listed,), (), ()]


def test_a_wall_clock_that_jumps_asks_for_nothing():
    seen = make_snapshot(make_run(STARTING, CREATING))
    assert lists(seen, now(100), now(9000, mono=101)) == [(), ()]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(make_run(STARTING, make_pod(running(started_at=at(0)))), id="that runs"),
        pytest.param(
            make_run(STARTING, make_unscheduled_pod()), id="whose condition says why it has no node"
        ),
        pytest.param(make_run(STARTING, replace(CREATING, phase="Failed")), id="that has ended"),
        pytest.param(make_run(make_waiting()), id="of a Job that waits"),
        pytest.param(make_run(replace(STARTING, active=1)), id="that the watch has not shown yet"),
        pytest.param(make_run(make_job(over="BackoffLimitExceeded"), CREATING), id="of a Job that is over"),
        pytest.param(
            make_run(make_job(phase="Starting", notes={"stop": "{}"}), CREATING), id="being stopped"
        ),
        pytest.param(make_run(make_job(run=""), CREATING), id="of no run"),
    ],
)
def test_there_is_nothing_to_ask_about_a_pod(run):
    assert lists(make_snapshot(run), now(100), now(200)) == [(), ()]


def test_a_start_that_is_not_slow_costs_no_list_without_tracing():
    seen = make_snapshot(make_run(STARTING, JUST_STARTED))
    assert lists(seen, now(100), now(120)) == [(), ()]


def test_with_tracing_the_pulls_of_an_agent_that_has_just_started_are_asked_for_once():
    seen = make_snapshot(make_run(STARTING, JUST_STARTED))
    listed = replace(OF_POD, started=True)
    assert lists(seen, now(100), now(101), now(120), policy=TRACED) == [(listed,), (), ()]


@pytest.mark.parametrize(
    ("heard", "asked"),
    [
        pytest.param(make_heard(make_event("Pulling", "", "claude")), 1, id="the first list came too early"),
        pytest.param(make_heard(make_event("Pulled", "", "claude")), 0, id="the first list told of them"),
        pytest.param(make_heard(tries=2), 0, id="there were two lists"),
        pytest.param(make_heard(refused=True), 0, id="the role does not allow it"),
        pytest.param(make_heard(started=True), 0, id="nobody tells of pulls"),
    ],
)
def test_what_is_known_of_pulls_is_not_asked_for_again(heard, asked):
    seen = make_snapshot(make_run(STARTING, JUST_STARTED, heard=heard))
    assert len(diagnosing.read_events(seen, now(100), TRACED).actions) == asked


def test_agents_that_have_run_for_long_are_not_asked_about_after_a_restart():
    seen = make_snapshot(make_run(STARTING, make_pod(running(started_at=at(0)))))
    assert diagnosing.read_events(seen, now(100), TRACED).actions == ()


@pytest.mark.parametrize(
    ("heard", "asked"),
    [
        pytest.param(None, (OF_POD,), id="nobody has asked yet"),
        pytest.param(make_heard(mono=110), (OF_POD,), id="it is long ago"),
        pytest.param(make_heard(mono=700), (), id="they are as fresh as can be"),
        pytest.param(make_heard(mono=110, tries=2), (), id="there were two lists"),
        pytest.param(make_heard(mono=110, refused=True), (), id="the role does not allow it"),
    ],
)
def test_before_a_stop_events_are_read_once_more(heard, asked):
    run = make_run(STARTING, CREATING, heard=heard)
    assert diagnosing.before_stop(run, uid_of("run-1-x"), 700) == asked


def test_a_job_without_a_pod_is_asked_about_once_and_no_more():
    run = make_run(STARTING, heard=make_heard(about="run-1", mono=110))
    assert diagnosing.before_stop(run, uid_of("run-1"), 700) == ()
    assert diagnosing.before_stop(make_run(STARTING), uid_of("run-1"), 700) == (OF_JOB,)
