from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from controller.core import facts
from controller.core.contract import FACTS_MAX, Status
from controller.core.model import Container, RunState
from controller.core.snapshot import Facts, Pull, Run
from tests.core.builders import (
    at,
    exited,
    make_attempt,
    make_ended_pod,
    make_event,
    make_heard,
    make_job,
    make_pod,
    make_run,
    running,
)
from tests.core.strategies import runs


def noted(run, text):
    """The run with these facts written on its Job."""
    return replace(run, job=replace(run.job, status={**run.job.status, Status.FACTS: text}))


def many_pods(count, **changes):
    return tuple(make_ended_pod(1, name=f"run-1-{n:02}", created=n, **changes) for n in range(count))


def test_facts_read_back_are_the_facts_that_were_written():
    pod = make_pod(running("setup", init=True), exited(143, reason="Error", signal=15, restarts=2))
    known = facts.gather(make_run(None, pod))
    assert facts.decode(facts.encode(known)) == known


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs("run-1"))
def test_writing_down_what_is_known_adds_nothing(run):
    text = facts.encode(facts.gather(run))
    for _ in range(3):
        run = noted(run, text)
        assert facts.encode(facts.gather(run)) == text
    assert len(text.encode()) <= FACTS_MAX


def test_an_attempt_is_not_forgotten_when_its_pod_goes():
    run = make_run(None, make_ended_pod(1))
    text = facts.encode(facts.gather(run))
    gone = facts.gather(noted(Run(run.job), text))
    assert gone == facts.gather(run)


def test_a_container_that_is_seen_no_more_is_remembered():
    run = noted(make_run(None, make_pod(waiting_again())), facts.encode(Facts((make_attempt(),))))
    (attempt,) = facts.gather(run).attempts
    assert [c.exit_code for c in attempt.containers] == [0]


def waiting_again():
    return Container("claude", state=RunState.WAITING, reason="CrashLoopBackOff", restarts=1)


def test_an_older_view_of_a_pod_does_not_undo_a_newer_one():
    run = noted(make_run(None, make_pod(running())), facts.encode(Facts((make_attempt(exited(1)),))))
    (attempt,) = facts.gather(run).attempts
    assert [c.exit_code for c in attempt.containers] == [1]


def test_an_end_whose_times_the_kubelet_lost_is_an_end():
    lost = Container("claude", state=RunState.TERMINATED, reason="ContainerStatusUnknown", exit_code=137)
    known = facts.decode(facts.encode(facts.gather(make_run(None, make_pod(lost)))))
    (container,) = known.attempts[0].containers
    assert (container.state, container.exit_code) == (RunState.TERMINATED, 137)


def test_middle_attempts_leave_first_and_are_counted_once():
    run = make_run(None, *many_pods(30))
    for _ in range(3):
        run = noted(run, facts.encode(facts.gather(run)))
    kept = facts.gather(run)
    assert (kept.attempts[0].pod, kept.attempts[-1].pod) == ("run-1-00", "run-1-29")
    assert len(kept.attempts) + kept.left_out == 30


def test_a_new_attempt_after_some_have_left_is_counted_too():
    run = make_run(None, *many_pods(30))
    run = noted(run, facts.encode(facts.gather(run)))
    run = replace(run, pods=many_pods(31))
    kept = facts.decode(facts.encode(facts.gather(run)))
    assert kept.attempts[-1].pod == "run-1-30"
    assert len(kept.attempts) + kept.left_out == 31


def test_of_two_attempts_that_do_not_fit_the_last_one_stays():
    heavy = [running(f"{'x' * 50}-{n}") for n in range(10)]
    pods = (make_pod(*heavy, name="a", created=1), make_pod(*heavy, name="b", created=2))
    kept = facts.decode(facts.encode(facts.gather(make_run(None, *pods))))
    assert ([attempt.pod for attempt in kept.attempts], kept.left_out) == (["b"], 1)


def test_the_only_attempt_stays_however_many_containers_its_pod_has():
    crowd = [exited(0, f"{'x' * 50}-{n}", init=True) for n in range(40)]
    run = make_run(None, make_pod(*crowd, exited(1)))
    for _ in range(3):
        run = noted(run, facts.encode(facts.gather(run)))
    kept = facts.decode(run.job.status[Status.FACTS])
    assert kept.left_out == 0
    assert "claude" in [container.name for container in kept.attempts[0].containers]


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "nonsense", '{"attempts":[7]}', '{"x":' + "[" * 100_000, '"\\ud800"'],
    ids=lambda text: text[:12] or "empty",
)
def test_what_is_not_in_its_shape_is_no_facts(text):
    assert facts.decode(text) == Facts()


def test_an_attempt_knows_when_and_why_its_pod_was_taken():
    pod = make_pod(phase="Failed", reason="Evicted")
    (attempt,) = facts.gather(make_run(make_job(), pod)).attempts
    assert (attempt.scheduled_at, attempt.phase, attempt.reason) == (at(32), "Failed", "Evicted")


# ── Pulls ────────────────────────────────────────────────────────────────────────────────────────

PULLED = (
    make_event("Pulling", 'Pulling image "i:1"', "claude", seconds=35),
    make_event(
        "Pulled",
        'Successfully pulled image "i:1" in 3.21s (3.21s including waiting). Image size: 77 bytes.',
        "claude",
        seconds=39,
    ),
)


def test_pulls_are_kept_when_their_events_are_not_known_any_more():
    text = facts.encode(facts.gather(make_run(None, make_pod(), heard=make_heard(*PULLED))))
    (attempt,) = facts.gather(noted(make_run(None, make_pod()), text)).attempts
    assert attempt.pulls == (Pull("claude", started_at=at(35), finished_at=at(39), millis=3210, size=77),)


def test_what_was_told_of_a_pull_first_stands():
    text = facts.encode(facts.gather(make_run(None, make_pod(), heard=make_heard(*PULLED))))
    again = make_event("Pulled", 'Container image "i:1" already present on machine', "claude", seconds=80)
    restarted = make_run(None, make_pod(), heard=make_heard(again))
    assert facts.encode(facts.gather(noted(restarted, text))) == text


def test_pulls_leave_before_a_container_does():
    crowd = [exited(0, f"{'x' * 40}-{n}", init=True) for n in range(8)]
    told = [make_event("Pulled", "", container.name, init=True) for container in crowd]
    run = make_run(None, make_pod(*crowd, exited(1)), heard=make_heard(*told))
    for _ in range(3):
        run = noted(run, facts.encode(facts.gather(run)))
    (attempt,) = facts.decode(run.job.status[Status.FACTS]).attempts
    assert (len(attempt.containers), attempt.pulls) == (9, ())


def test_no_pull_comes_back_into_the_room_of_an_attempt_that_left():
    attempts = tuple(
        replace(make_attempt(), uid=f"{n:032}", pulls=(Pull("claude", millis=3210),)) for n in range(30)
    )
    text = facts.encode(Facts(attempts))
    known = facts.decode(text)
    told = tuple(replace(attempt, pulls=attempts[0].pulls) for attempt in known.attempts)
    assert known.left_out > 0
    assert facts.encode(replace(known, attempts=told)) == text
