from dataclasses import replace

import pytest

from controller.core import facts, lifecycle
from controller.core.contract import Phase, Reason, Status
from controller.core.model import ContainerSpec, Wishes
from controller.core.snapshot import Facts
from controller.core.transcript import AgentLog, LogState
from tests.core.builders import (
    exited,
    make_attempt,
    make_claim,
    make_condition,
    make_ended_pod,
    make_finished_seen,
    make_job,
    make_log,
    make_open_log,
    make_pod,
    make_run,
    make_unscheduled_pod,
    running,
    waiting,
)

RETRYING_JOB = make_job(backoff_limit=2)
REMEMBERED = {Status.FACTS: facts.encode(Facts((make_attempt(),)))}
NEVER_STARTED = {Status.FACTS: facts.encode(Facts((replace(make_attempt(), containers=()),)))}
STOPPED = {Status.STOP: '{"reason":"StartTimeout","at":"2026-11-22T12:00:00Z"}'}


@pytest.mark.parametrize(
    ("run", "phase", "reason"),
    [
        pytest.param(make_run(), Phase.STARTING, Reason.ADMITTED, id="no pod yet"),
        pytest.param(
            make_run(make_job(), make_unscheduled_pod()),
            Phase.STARTING,
            Reason.UNSCHEDULED,
            id="no node yet",
        ),
        pytest.param(
            make_run(make_job(), make_pod(waiting())),
            Phase.STARTING,
            Reason.CONTAINER_CREATING,
            id="creating",
        ),
        pytest.param(
            make_run(make_job(), make_pod()), Phase.RUNNING, Reason.AGENT_STARTING, id="runs without a word"
        ),
        pytest.param(
            make_run(make_job(), make_pod(), logs=[make_open_log()]),
            Phase.RUNNING,
            Reason.AGENT_WORKING,
            id="runs and speaks",
        ),
        pytest.param(
            make_run(make_job(), make_pod(), logs=[make_open_log(retrying="overloaded")]),
            Phase.RUNNING,
            Reason.AGENT_RETRYING,
            id="retries its API",
        ),
        pytest.param(
            make_run(make_job(), make_pod(), logs=[make_log(state=LogState.READING)]),
            Phase.FINISHING,
            Reason.AGENT_FINISHED,
            id="gave its result and has not exited",
        ),
        pytest.param(
            make_run(RETRYING_JOB, make_pod(), logs=[make_log(state=LogState.READING)]),
            Phase.RUNNING,
            Reason.AGENT_FINISHED,
            id="gave its result while a further pod may come",
        ),
        pytest.param(
            make_run(make_job(), make_pod(), logs=[make_open_log(claim=make_claim(), turn_open=True)]),
            Phase.RUNNING,
            Reason.AGENT_WORKING,
            id="spoke again after a result",
        ),
        pytest.param(
            make_run(
                make_job(),
                make_pod(),
                logs=[make_log(state=LogState.READING, seen=make_finished_seen(tasks_live=1))],
            ),
            Phase.RUNNING,
            Reason.AGENT_WORKING,
            id="a background task lives on after a result",
        ),
        pytest.param(
            make_run(make_job(), make_ended_pod(0)), Phase.FINISHING, Reason.DRAINING_LOG, id="ended, unread"
        ),
        pytest.param(
            make_run(make_job(), make_ended_pod(1), logs=[make_open_log()]),
            Phase.FINISHING,
            Reason.DRAINING_LOG,
            id="ended, being read",
        ),
        pytest.param(
            make_run(make_job(), make_ended_pod(0), logs=[make_log()]),
            Phase.FINISHING,
            Reason.AGENT_FINISHED,
            id="ended and read while the Job is still open",
        ),
        pytest.param(
            make_run(make_job(), make_pod(exited(0), running("mesh")), logs=[make_log()]),
            Phase.FINISHING,
            Reason.AGENT_FINISHED,
            id="the agent ended beside a sidecar that runs",
        ),
        pytest.param(
            make_run(make_job(), make_pod(running("mesh", init=True), waiting("PodInitializing"))),
            Phase.STARTING,
            Reason.INIT_RUNNING,
            id="a native sidecar runs but the agent does not",
        ),
        pytest.param(
            make_run(RETRYING_JOB, make_ended_pod(1)),
            Phase.RUNNING,
            Reason.NEW_ATTEMPT,
            id="failed and a further pod may come",
        ),
        pytest.param(
            make_run(RETRYING_JOB, make_ended_pod(0), logs=[make_log()]),
            Phase.FINISHING,
            Reason.AGENT_FINISHED,
            id="an exit of 0 needs no further pod",
        ),
        pytest.param(
            make_run(RETRYING_JOB, make_ended_pod(1), make_pod(waiting(), name="run-1-y", created=50)),
            Phase.RUNNING,
            Reason.NEW_ATTEMPT,
            id="a second pod starts",
        ),
        pytest.param(
            make_run(RETRYING_JOB, make_ended_pod(1), make_pod(name="run-1-y", created=50)),
            Phase.RUNNING,
            Reason.AGENT_STARTING,
            id="a second pod runs",
        ),
        pytest.param(
            make_run(make_job(notes=REMEMBERED)), Phase.RUNNING, Reason.NEW_ATTEMPT, id="the pod vanished"
        ),
        pytest.param(
            make_run(make_job(notes=NEVER_STARTED)),
            Phase.STARTING,
            Reason.ADMITTED,
            id="the pod vanished before the agent started, and no other can come",
        ),
        pytest.param(
            make_run(make_job(backoff_limit=2, notes=NEVER_STARTED)),
            Phase.RUNNING,
            Reason.NEW_ATTEMPT,
            id="the pod vanished before the agent started, and another may come",
        ),
        pytest.param(
            make_run(make_job(backoff_limit=2, notes=NEVER_STARTED | STOPPED)),
            Phase.STARTING,
            Reason.STOPPING,
            id="a start was stopped, and its pod is gone",
        ),
        pytest.param(
            make_run(make_job(over="Complete"), make_ended_pod(0)),
            Phase.FINISHING,
            Reason.DRAINING_LOG,
            id="the Job is over",
        ),
        pytest.param(
            make_run(make_job(notes=STOPPED), make_pod(waiting())),
            Phase.STARTING,
            Reason.STOPPING,
            id="stopped while starting",
        ),
        pytest.param(
            make_run(make_job(notes=STOPPED), make_pod(), logs=[make_open_log()]),
            Phase.RUNNING,
            Reason.STOPPING,
            id="stopped while running",
        ),
        pytest.param(
            make_run(make_job(notes=STOPPED, over="DeadlineExceeded"), make_pod()),
            Phase.FINISHING,
            Reason.DRAINING_LOG,
            id="stopped and over",
        ),
    ],
)
def test_where_a_run_stands(run, phase, reason):
    standing = lifecycle.standing(run)
    assert (standing.phase, standing.reason) == (phase, reason)
    assert standing.message


@pytest.mark.parametrize(
    ("specs", "wish", "want"),
    [
        pytest.param(("helper", "claude"), "", "claude", id="claude by name"),
        pytest.param(("helper", "claude"), "helper", "helper", id="the one the host names"),
        pytest.param(("helper", "claude"), "nobody", "claude", id="not one that does not exist"),
        pytest.param(("main",), "", "main", id="the only one"),
        pytest.param(("main", "log"), "", "main", id="the first"),
        pytest.param((), "", "claude", id="nothing known"),
    ],
)
def test_whose_log_is_the_agents(specs, wish, want):
    sidecar = ContainerSpec("mesh", "i", init=True, sidecar=True)
    job = make_job(
        specs=(sidecar, *(ContainerSpec(name, "i") for name in specs)), wishes=Wishes(agent_container=wish)
    )
    assert lifecycle.agent_container(job) == want


@pytest.mark.parametrize(
    ("container", "want"),
    [
        pytest.param(None, False, id="not reported"),
        pytest.param(waiting(), False, id="waiting"),
        pytest.param(running(), True, id="running"),
        pytest.param(exited(1), True, id="ended"),
        pytest.param(waiting("CrashLoopBackOff", restarts=1), True, id="waiting to start again"),
        pytest.param(exited(128, reason="StartError"), False, id="its process never ran"),
        pytest.param(exited(127, reason="ContainerCannotRun"), False, id="its process could not run"),
    ],
)
def test_whether_a_container_has_started(container, want):
    assert lifecycle.has_started(container) is want


@pytest.mark.parametrize(
    ("run", "want"),
    [
        pytest.param(make_run(make_job(), make_ended_pod(1)), False, id="backoffLimit 0"),
        pytest.param(make_run(RETRYING_JOB, make_pod()), True, id="backoffLimit 2, none failed"),
        pytest.param(
            make_run(make_job(backoff_limit=1, failed=1), make_pod()), False, id="all failures used up"
        ),
        pytest.param(
            make_run(make_job(backoff_limit=1, failed=1), make_ended_pod(1)),
            True,
            id="the newest failure itself does not count",
        ),
        pytest.param(
            make_run(make_job(backoff_limit=6, over="Complete"), make_pod()), False, id="the Job is over"
        ),
        pytest.param(
            make_run(make_job(backoff_limit=6, conditions=(make_condition("FailureTarget"),)), make_pod()),
            False,
            id="the Job is about to fail",
        ),
        pytest.param(
            make_run(make_job(backoff_limit=6, conditions=(make_condition("SuccessCriteriaMet"),))),
            False,
            id="the Job is about to succeed",
        ),
    ],
)
def test_whether_a_further_pod_may_come(run, want):
    assert lifecycle.further_pod_possible(run) is want


def test_the_decisive_attempt_is_the_last_that_started():
    first, second = make_attempt(exited(1)), make_attempt(waiting(), pod="run-1-y")
    assert lifecycle.decisive(Facts((first, second)), "claude") == first
    assert lifecycle.decisive(Facts((second,)), "claude") is None


@pytest.mark.parametrize(
    ("run", "log", "want"),
    [
        pytest.param(make_run(make_job(), make_ended_pod(0)), None, True, id="never asked for, still there"),
        pytest.param(make_run(make_job(notes=REMEMBERED)), None, False, id="its pod has gone"),
        pytest.param(make_run(make_job(), make_pod(waiting())), None, False, id="never started"),
        pytest.param(make_run(), make_open_log(), True, id="being read"),
        pytest.param(make_run(), make_log(), False, id="read"),
        pytest.param(make_run(), make_log(state=LogState.MISSING, seen=AgentLog()), False, id="missing"),
    ],
)
def test_whether_more_of_the_log_may_come(run, log, want):
    assert lifecycle.unread(run, log) is want


def test_the_newest_pod_is_the_current_attempt():
    old, new = make_ended_pod(1, name="z", created=1), make_pod(name="a", created=2)
    assert lifecycle.newest_pod(make_run(make_job(), new, old)) == new


def test_an_agent_whose_pod_is_being_taken_away_is_said_to_be():
    lost = make_condition("DisruptionTarget", "DeletionByTaintManager", message="Taint manager: deleting")
    run = make_run(make_job(), make_pod(conditions=(lost,)), logs=[make_open_log()])
    found = lifecycle.standing(run)
    assert (found.phase, found.reason) == (Phase.RUNNING, Reason.AGENT_WORKING)
    assert found.message.startswith(
        "The cluster takes the pod away from node node-1: Taint manager: deleting. "
    )
