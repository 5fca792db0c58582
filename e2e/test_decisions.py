"""Every row of the contract's decision table on a real cluster: who waits, is turned away, or continues."""

import json

import pytest

from controller.core import orphans
from controller.core.contract import Phase, Status
from e2e.runs import HOOKS, SUBAGENT, make_run, replay
from tests.program.decision_rows import (
    ALL,
    ATTACHED,
    BLOCKED,
    REATTACH,
    REFUSED,
    SAME_RUN,
    TASK,
    Cast,
    names_of,
)
from tests.program.runs import KEYS, used

LIVE = replay(SUBAGENT, 0.5)
"""About 20 s: long enough for all that is decided meanwhile."""
SLOW = 150
CAST = Cast(make_run, LIVE, replay(HOOKS))


@pytest.fixture(scope="module")
def decided(stage):
    """Where each run stood once all had been decided."""
    stage.submit(*map(CAST.live, ALL))
    started = [f"{row}-live" for row in ALL]
    stage.starts(*started, seconds=SLOW)
    stage.later_than_start_of(*started)
    jobs = [job for row in ALL for job in CAST.others(row)]
    stage.submit(*jobs)
    names = names_of(jobs)
    stage.until(lambda: all(stage.said(name) for name in names))
    return {name: stage.standing(name) for name in names}


@pytest.fixture(scope="module")
def ended(stage, decided):
    """The same once all is over."""
    names = [f"{row}-live" for row in ALL] + list(decided)
    stage.published(*names, seconds=SLOW)
    return {name: stage.standing(name) for name in names}


def never_ran(stage, name):
    return stage.pods(name) == [] and stage.job(name)["spec"]["parallelism"] == 0


@pytest.mark.parametrize("row", BLOCKED)
def test_a_run_that_is_blocked_waits_and_says_why(decided, row):
    assert decided[f"{row}-queue"] == f"Queued/{BLOCKED[row][2]}"


@pytest.mark.parametrize("row", BLOCKED)
def test_a_run_that_is_blocked_and_may_not_wait_is_rejected(stage, decided, row):
    name, (_, _, reason, code) = f"{row}-fail", BLOCKED[row]
    assert decided[name] == f"Rejected/{reason}"
    assert (stage.result(name)["errorCode"], never_ran(stage, name)) == (code, True)
    assert stage.result(name)["errorMessage"]


@pytest.mark.parametrize("row", REFUSED)
def test_a_continuation_of_something_else_waits(decided, row):
    assert decided[f"{row}-next"] == f"Queued/{REFUSED[row][2]}"


@pytest.mark.parametrize("row", ATTACHED)
def test_a_run_that_works_already_is_continued(stage, decided, row):
    assert decided[f"{row}-next"] == f"Attached/{ATTACHED[row][3]}"
    assert stage.said(f"{row}-next", Status.ATTACHED_TO) == f"{row}-live/{stage.uid(f'{row}-live')}"


@pytest.mark.parametrize("row", [*BLOCKED, *REFUSED])
def test_who_waited_is_started_when_the_place_is_free(ended, row):
    name = f"{row}-queue" if row in BLOCKED else f"{row}-next"
    assert (ended[name], ended[f"{row}-live"]) == ("Succeeded/Completed", "Succeeded/Completed")


@pytest.mark.parametrize("row", ATTACHED)
def test_who_was_attached_ends_with_the_result_of_its_job(stage, ended, row):
    mine, theirs = stage.result(f"{row}-next"), stage.result(f"{row}-live")
    assert ended[f"{row}-next"] == "Succeeded/Completed"
    assert never_ran(stage, f"{row}-next")
    assert (mine["jobUid"], mine["usageBasis"]) == (stage.uid(f"{row}-next"), "attached")
    assert mine["usage"] == theirs["usage"] == used(SUBAGENT)


def test_the_job_that_is_continued_on_says_whose_it_is_as_do_its_pods(stage, ended):
    name = "reattach-row-4-live"
    assert stage.job(name)["metadata"]["labels"][KEYS.run_id] == "r-reattach-row-4-next"
    assert [pod["metadata"]["labels"][KEYS.run_id] for pod in stage.pods(name)] == ["r-reattach-row-4-next"]
    served = [entry["runId"] for entry in json.loads(stage.said(name, Status.RUN_HISTORY))]
    assert served == ["r-reattach-row-4-live", "r-reattach-row-4-next"]


def test_every_verdict_can_be_replayed_from_what_is_written(stage, ended):
    for name in ended:
        if said := stage.said(name, Status.DECISION):
            found = orphans.read(said)
            assert orphans.replay(found) == found.decision, name


def test_a_run_that_has_ended_is_not_run_again(stage, ended):
    stage.submit(CAST.run("late", replay(HOOKS), SAME_RUN, agent="row-0-same-run"))
    stage.published("late")
    assert stage.standing("late") == "Succeeded/Completed"
    assert never_ran(stage, "late")
    assert stage.result("late")["usage"] == used(SUBAGENT)


def test_a_job_that_was_submitted_running_holds_its_agents_place(stage):
    stage.submit(make_run("running", replay(SUBAGENT, 0.2), suspend=False, agent="a-running"))
    stage.starts("running")
    stage.submit(make_run("behind", replay(HOOKS), agent="a-running"))
    stage.stands("behind", "Queued/AgentBusy")
    stage.published("running", "behind")
    assert stage.standing("behind") == "Succeeded/Completed"


def test_one_agent_has_a_place_in_each_namespace(stage, another_stage):
    for place in (stage, another_stage):
        place.submit(make_run("twice", replay(SUBAGENT, 0.3), agent="a-twice"))
    for place in (stage, another_stage):
        place.starts("twice")
    at_once = [place.said("twice") for place in (stage, another_stage)]
    assert at_once == [Phase.RUNNING, Phase.RUNNING]

    for place in (stage, another_stage):
        place.published("twice")


def test_a_host_that_is_restarted_while_there_is_no_controller_finds_its_run(stage, installation):
    stage.submit(CAST.run("lost", replay(SUBAGENT, 0.4), TASK, agent="a-lost"))
    stage.starts("lost")
    stage.later_than_start_of("lost")
    installation.kill(stage.until(installation.leader), grace=0)
    stage.submit(CAST.run("found", replay(HOOKS), TASK, agent="a-lost", notes=REATTACH))
    stage.published("lost", "found", seconds=SLOW)
    assert stage.standing("found") == "Succeeded/Completed"
    assert never_ran(stage, "found")
