"""Every row of the contract's decision table on a real cluster: who waits, is turned away, or continues."""

import json

import pytest

from controller.core import orphans
from controller.core.contract import Phase, Status
from e2e.runs import HOOKS, SUBAGENT, make_run, replay
from tests.program.runs import KEYS, used

LIVE = replay(SUBAGENT, 0.5)
"""About 20 s: long enough for all that is decided meanwhile."""
SLOW = 150
REATTACH = {KEYS.reattach: "true"}
FAIL = {KEYS.on_conflict: "fail"}
TASK = {"task": "t-1"}
SESSION = {"task": "t-1", "session": "s-1"}
OTHER_SESSION = {"task": "t-1", "session": "s-2"}

# The ids of the live Job, those of the run that waits; where that stands if it waits, its code if it may not.
BLOCKED = {
    "row-1-live-has-no-task": ({}, TASK, "TaskUnknown", "k8s_orphan_task_unknown"),
    "row-1-waiting-has-no-task": (TASK, {}, "TaskUnknown", "k8s_orphan_task_unknown"),
    "row-2-other-task": (TASK, {"task": "t-2"}, "TaskMismatch", "k8s_concurrent_run_blocked"),
    "row-3-other-session": (
        SESSION,
        OTHER_SESSION,
        "SessionMismatch",
        "k8s_orphan_session_mismatch",
    ),
    "row-4-same-task": (TASK, TASK, "AgentBusy", "k8s_concurrent_run_blocked"),
    "row-4-session-on-one-side": (SESSION, TASK, "AgentBusy", "k8s_concurrent_run_blocked"),
}
# With `reattach: true`: the blocks of rows 1 to 3 stay.
REFUSED = {
    "reattach-row-1": ({}, TASK, "TaskUnknown"),
    "reattach-row-2": (TASK, {"task": "t-2"}, "TaskMismatch"),
    "reattach-row-3": (SESSION, OTHER_SESSION, "SessionMismatch"),
}
ATTACHED = {
    "reattach-row-4": (TASK, TASK, REATTACH, "Reattached"),
    "reattach-row-4-session-on-one-side": (SESSION, TASK, REATTACH, "Reattached"),
    "row-0-same-run": (TASK, TASK | {"run": "r-same"}, {}, "DuplicateRun"),
}
ALL = [*BLOCKED, *REFUSED, *ATTACHED]


def run(name, script, ids, **changes):
    named = {"task": KEYS.task_id, "session": KEYS.session_id, "run": KEYS.run_id}
    labels = {KEYS.task_id: None} | {named[kind]: value for kind, value in ids.items()}
    return make_run(name, script, labels=labels, **changes)


def live(case):
    """The Job that runs; each case has an agent of its own."""
    first, second = ({**BLOCKED, **REFUSED, **ATTACHED})[case][:2]
    same = {"run": "r-same"} if second.get("run") else {}
    return run(f"{case}-live", LIVE, first | same, agent=case)


def others(case):
    if case in BLOCKED:
        _, ids, _, _ = BLOCKED[case]
        yield run(f"{case}-queue", replay(HOOKS), ids, agent=case)
        yield run(f"{case}-fail", replay(HOOKS), ids, agent=case, notes=FAIL)
    elif case in REFUSED:
        _, ids, _ = REFUSED[case]
        yield run(f"{case}-next", replay(HOOKS), ids, agent=case, notes=REATTACH)
    else:
        _, ids, notes, _ = ATTACHED[case]
        yield run(f"{case}-next", replay(HOOKS), ids, agent=case, notes=notes)


def names_of(jobs):
    return [job["metadata"]["name"] for job in jobs]


@pytest.fixture(scope="module")
def decided(stage):
    """Where each run stood once all had been decided."""
    stage.submit(*map(live, ALL))
    started = [f"{case}-live" for case in ALL]
    stage.starts(*started, seconds=SLOW)
    stage.later_than_start_of(*started)
    jobs = [job for case in ALL for job in others(case)]
    stage.submit(*jobs)
    names = names_of(jobs)
    stage.until(lambda: all(stage.said(name) for name in names))
    return {name: stage.standing(name) for name in names}


@pytest.fixture(scope="module")
def ended(stage, decided):
    """The same once all is over."""
    names = [f"{case}-live" for case in ALL] + list(decided)
    stage.published(*names, seconds=SLOW)
    return {name: stage.standing(name) for name in names}


def never_ran(stage, name):
    return stage.pods(name) == [] and stage.job(name)["spec"]["parallelism"] == 0


@pytest.mark.parametrize("case", BLOCKED)
def test_a_run_that_is_blocked_waits_and_says_why(decided, case):
    assert decided[f"{case}-queue"] == f"Queued/{BLOCKED[case][2]}"


@pytest.mark.parametrize("case", BLOCKED)
def test_a_run_that_is_blocked_and_may_not_wait_is_rejected(stage, decided, case):
    name, (_, _, reason, code) = f"{case}-fail", BLOCKED[case]
    assert decided[name] == f"Rejected/{reason}"
    assert (stage.result(name)["errorCode"], never_ran(stage, name)) == (code, True)
    assert stage.result(name)["errorMessage"]


@pytest.mark.parametrize("case", REFUSED)
def test_a_continuation_of_something_else_waits(decided, case):
    assert decided[f"{case}-next"] == f"Queued/{REFUSED[case][2]}"


@pytest.mark.parametrize("case", ATTACHED)
def test_a_run_that_works_already_is_continued(stage, decided, case):
    assert decided[f"{case}-next"] == f"Attached/{ATTACHED[case][3]}"
    assert stage.said(f"{case}-next", Status.ATTACHED_TO) == f"{case}-live/{stage.uid(f'{case}-live')}"


@pytest.mark.parametrize("case", [*BLOCKED, *REFUSED])
def test_who_waited_is_started_when_the_place_is_free(ended, case):
    name = f"{case}-queue" if case in BLOCKED else f"{case}-next"
    assert (ended[name], ended[f"{case}-live"]) == ("Succeeded/Completed", "Succeeded/Completed")


@pytest.mark.parametrize("case", ATTACHED)
def test_who_was_attached_ends_with_the_result_of_its_job(stage, ended, case):
    mine, theirs = stage.result(f"{case}-next"), stage.result(f"{case}-live")
    assert ended[f"{case}-next"] == "Succeeded/Completed"
    assert never_ran(stage, f"{case}-next")
    assert (mine["jobUid"], mine["usageBasis"]) == (stage.uid(f"{case}-next"), "attached")
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
    stage.submit(run("late", replay(HOOKS), TASK | {"run": "r-same"}, agent="row-0-same-run"))
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
    stage.submit(run("lost", replay(SUBAGENT, 0.4), TASK, agent="a-lost"))
    stage.starts("lost")
    stage.later_than_start_of("lost")
    installation.kill(stage.until(installation.leader), grace=0)
    stage.submit(run("found", replay(HOOKS), TASK, agent="a-lost", notes=REATTACH))
    stage.published("lost", "found", seconds=SLOW)
    assert stage.standing("found") == "Succeeded/Completed"
    assert never_ran(stage, "found")
