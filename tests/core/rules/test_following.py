from dataclasses import replace

import pytest

from controller.core.contract import Status
from controller.core.model import Condition, ContainerSpec, Wishes
from controller.core.rules import following
from controller.core.snapshot import Export
from controller.core.transcript import LogState
from tests.core.builders import (
    POLICY,
    TRACED,
    exited,
    make_ended_pod,
    make_ids,
    make_job,
    make_log,
    make_open_log,
    make_pod,
    make_run,
    make_snapshot,
    now,
    running,
    uid_of,
    waiting,
)


def follows(run, policy=POLICY):
    return following.follow_logs(make_snapshot(run), now(), policy).actions


def test_a_follower_is_told_all_that_it_needs():
    (follow,) = follows(make_run(make_job(), make_pod()))
    assert (follow.namespace, follow.pod, follow.pod_uid) == ("agents", "run-1-x", uid_of("run-1-x"))
    assert (follow.job_uid, follow.container, follow.output) == (
        uid_of("run-1"),
        "claude",
        "claude-stream-json",
    )
    assert not follow.ended


def test_the_followed_container_is_the_agents():
    job = make_job(specs=(ContainerSpec("main", "i"), ContainerSpec("log", "i")))
    (follow,) = follows(make_run(job, make_pod(running("log"), exited(0, "main"))))
    assert (follow.container, follow.ended) == ("main", True)


@pytest.mark.parametrize(
    ("pod", "log", "ended"),
    [
        pytest.param(make_pod(), None, [False], id="a new log"),
        pytest.param(make_ended_pod(0), None, [True], id="a new log that has ended"),
        pytest.param(make_pod(), make_open_log(), [], id="one that is being read"),
        pytest.param(make_ended_pod(0), make_open_log(), [True], id="its reader learns of the end"),
        pytest.param(make_pod(phase="Failed"), make_open_log(), [True], id="the pod's end is its end"),
        pytest.param(
            make_ended_pod(0),
            make_log(state=LogState.READING, final=True),
            [],
            id="its reader knows of the end",
        ),
        pytest.param(make_ended_pod(0), make_log(), [], id="one that has been read"),
        pytest.param(make_pod(waiting()), None, [], id="nothing has started"),
        pytest.param(make_pod(exited(128, reason="StartError")), None, [], id="nothing ever ran"),
        pytest.param(make_pod(running("other")), None, [], id="the agent has not been reported"),
    ],
)
def test_what_readers_are_told(pod, log, ended):
    run = make_run(make_job(), pod, logs=[log] if log else [])
    assert [follow.ended for follow in follows(run)] == ended


@pytest.mark.parametrize(
    ("job", "policy", "export", "want"),
    [
        pytest.param(make_job(), POLICY, Export.NONE, True, id="a live run"),
        pytest.param(make_job(ids=make_ids(run="")), POLICY, Export.NONE, False, id="what is no run"),
        pytest.param(make_job(phase="Failed"), POLICY, Export.NONE, False, id="a concluded one"),
        pytest.param(make_job(phase="Failed"), TRACED, Export.NONE, True, id="a concluded one to be traced"),
        pytest.param(
            make_job(phase="Failed", notes={Status.TRACE_EXPORTED: "x"}),
            TRACED,
            Export.NONE,
            False,
            id="traced",
        ),
        pytest.param(make_job(phase="Failed"), TRACED, Export.PENDING, False, id="its trace is on its way"),
        pytest.param(make_job(phase="Failed"), TRACED, Export.GIVEN_UP, False, id="its trace was given up"),
    ],
)
def test_which_runs_need_their_logs(job, policy, export, want):
    assert bool(follows(make_run(job, make_pod(), export=export), policy)) is want


STARTED = now(0).wall


def urgent(run, *, at=100, others=()):
    """What its reader is told of how urgent it is; None: nothing."""
    plan = following.follow_logs(make_snapshot(run, *others), now(at), POLICY)
    return [follow.urgent for follow in plan.actions], plan.look_again


CANCELLED = Wishes(output="claude-stream-json", cancel_requested="enough")
FAILING = Condition("FailureTarget", "True", "DeadlineExceeded", "", 0)


@pytest.mark.parametrize(
    ("job", "pod"),
    [
        pytest.param(make_job(), make_pod(deleted_at=STARTED), id="its pod is being deleted"),
        pytest.param(make_job(conditions=(FAILING,)), make_pod(), id="its Job is to fail"),
        pytest.param(make_job(notes={Status.STOP: "{}"}), make_pod(), id="it is being stopped"),
        pytest.param(make_job(wishes=CANCELLED), make_pod(), id="its host wants it to end"),
        pytest.param(
            make_job(deadline_seconds=150, started_at=STARTED), make_pod(), id="its time is nearly up"
        ),
    ],
)
def test_a_log_whose_container_is_about_to_end_is_urgent_and_its_reader_told_once(job, pod):
    assert urgent(make_run(job, pod)) == ([True], None)
    assert urgent(make_run(job, pod, logs=[make_open_log()])) == ([True], None)
    knows = make_log(state=LogState.READING, urgent=True)
    assert urgent(make_run(job, pod, logs=[knows])) == ([], None)


def test_a_deadline_is_looked_for_when_it_comes_near():
    run = make_run(make_job(deadline_seconds=1000, started_at=STARTED), make_pod(), logs=[make_open_log()])
    assert urgent(run, at=100) == ([], 840.0)
    assert urgent(run, at=940) == ([True], None)


def test_what_is_urgent_no_more_is_told_too():
    log = make_log(state=LogState.READING, urgent=True)
    assert urgent(make_run(make_job(), make_pod(), logs=[log])) == ([False], None)


def test_a_log_that_has_ended_is_in_no_hurry():
    run = make_run(make_job(notes={Status.STOP: "{}"}), make_ended_pod(0), logs=[make_open_log()])
    assert urgent(run) == ([False], None)


def test_a_cancel_of_the_newest_attached_run_makes_the_log_urgent():
    on = make_run(make_job(), make_pod(), logs=[make_open_log()])
    attached = make_job(name="run-2", phase="Attached", wishes=CANCELLED)
    attached = replace(attached, status={**attached.status, Status.ATTACHED_TO: f"run-1/{uid_of('run-1')}"})
    assert urgent(on, others=(make_run(attached),)) == ([True], None)


def test_logs_that_only_a_trace_waits_for_are_patient():
    (follow,) = follows(make_run(make_job(phase="Failed"), make_ended_pod(1)), TRACED)
    assert follow.patient
    (follow,) = follows(make_run(make_job(), make_ended_pod(1)), TRACED)
    assert not follow.patient


def test_a_check_asks_for_all_that_there_is_whatever_is_known():
    run = make_run(make_job(), make_pod(), logs=[make_open_log()])
    (follow,) = following.check(make_snapshot(run), run, run.pods[0], now()).actions
    assert (follow.check, follow.urgent, follow.ended) == (True, False, False)


def test_every_attempt_has_its_own_log():
    pods = (make_ended_pod(1), make_pod(name="run-1-y", created=50))
    assert [follow.pod for follow in follows(make_run(make_job(), *pods))] == ["run-1-x", "run-1-y"]


def test_the_log_of_a_container_that_was_started_again_is_another_log():
    again = make_pod(replace(running(), restarts=1))
    for log in (make_log(), make_log(final=True, state=LogState.READING), make_open_log()):
        (follow,) = follows(make_run(make_job(), again, logs=[log]))
        assert (follow.restarts, follow.ended) == (1, False)
    assert follows(make_run(make_job(), again, logs=[replace(make_open_log(), restarts=1)])) == ()
