import json
from dataclasses import replace
from itertools import count

import pytest

from controller.core.contract import Keys, Phase, Reason
from examples.demo import outcome, seen
from examples.demo.board import Board
from examples.demo.outcome import Expected

KEYS = Keys()
UIDS = {"first": "10000000-0000-4000-8000-000000000001", "second": "20000000-0000-4000-8000-000000000002"}
EXPECTED = {
    "first": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "second": Expected(Phase.FAILED, Reason.OOM_KILLED, 137, after="first"),
}
ENDS = {
    "first": ("Succeeded", "Completed", 0, "05", "09"),
    "second": ("Failed", "OOMKilled", 137, "10", "15"),
}


def instant(second):
    return f"2026-01-01T00:00:{second}Z"


def result(name):
    phase, reason, code, _, finished = ENDS[name]
    found = {
        "runId": f"run-{name}",
        "jobUid": UIDS[name],
        "phase": phase,
        "reason": reason,
        "exitCode": code,
        "pod": {"finishedAt": instant(finished)},
    }
    return found | ({} if phase == "Succeeded" else {"errorMessage": "It was killed."})


def job(name, *, said=None, started=None, phase=None, never_started=False):
    """A run that has ended well, but for what is given."""
    ended_phase, reason, _, began, over = ENDS[name]
    notes = {
        "phase": ended_phase,
        "reason": reason,
        "trace-id": UIDS[name].replace("-", ""),
        "trace-exported": instant("59"),
        "result": json.dumps(result(name)),
    } | (said or {})
    if phase is not None:
        notes = dict(zip(("phase", "reason"), phase, strict=True))
    return {
        "metadata": {
            "name": name,
            "uid": UIDS[name],
            "labels": {KEYS.run_id: f"run-{name}", KEYS.agent_id: "writer"},
            "annotations": {KEYS.status(key): value for key, value in notes.items() if value is not None},
        },
        "status": {}
        if never_started
        else {
            "startTime": instant(started or began),
            "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": instant(over)}],
        },
    }


WAITING = job("second", phase=("Queued", "AgentBusy"))


def wrong(*jobs, expected=EXPECTED):
    ticks = count()
    board = Board(UIDS, lambda: next(ticks))
    for found in jobs:
        board.take(seen.of(found))
    return outcome.problems(board, None, expected)


def test_nothing_is_wrong_with_runs_that_end_as_expected():
    assert wrong(WAITING, job("first"), job("second")) == {"first": [], "second": []}


def of_result(**changed):
    return {"result": json.dumps(result("first") | changed)}


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"phase": "Failed", "reason": "AgentError"}, id="another phase"),
        pytest.param({"reason": "CompletedHung"}, id="another reason"),
        pytest.param({"result": None}, id="no result"),
        pytest.param({"result": "{"}, id="a result that is no JSON"),
        pytest.param({"result": "[]"}, id="a result that is no object"),
        pytest.param(of_result(phase="Failed"), id="a result that contradicts the phase"),
        pytest.param(of_result(jobUid="another"), id="the result of another Job"),
        pytest.param(of_result(runId="another"), id="the result of another run"),
        pytest.param(of_result(exitCode=1), id="another exit code"),
        pytest.param({"trace-id": "f" * 32}, id="another trace id"),
        pytest.param({"trace-id": None}, id="no trace id"),
        pytest.param({"trace-exported": None}, id="a trace that was not exported"),
        pytest.param({"trace-exported": "yes"}, id="an export at no time"),
        pytest.param({"phase": "Running", "reason": "AgentWorking"}, id="a run that has not ended"),
    ],
)
def test_a_wrong_end_is_told_of_that_run(said):
    found = wrong(WAITING, job("first", said=said), job("second"))
    assert found["first"]
    assert not found["second"]


def test_a_failure_without_a_message_is_wrong():
    silent = {key: value for key, value in result("second").items() if key != "errorMessage"}
    assert wrong(WAITING, job("first"), job("second", said={"result": json.dumps(silent)}))["second"]


def test_a_run_that_was_never_seen_is_wrong():
    assert wrong(WAITING, job("second"))["first"]


def test_a_run_that_was_not_seen_waiting_is_wrong():
    assert wrong(job("first"), job("second"))["second"]


@pytest.mark.parametrize(("started", "fine"), [("08", False), ("09", True), ("30", True)], ids=str)
def test_the_second_may_start_when_the_pod_of_the_first_has_ended(started, fine):
    found = wrong(WAITING, job("first"), job("second", started=started))
    assert (found["second"] == []) is fine


@pytest.mark.parametrize(("code", "fine"), [(137, True), (None, True), (0, False)], ids=str)
def test_the_exit_code_of_a_run_that_was_stopped_may_be_unknown(code, fine):
    stopped = replace(EXPECTED["second"], stopped=True)
    said = {"result": json.dumps(result("second") | {"exitCode": code})}
    found = wrong(WAITING, job("first"), job("second", said=said), expected=EXPECTED | {"second": stopped})
    assert (found["second"] == []) is fine


CONTINUES = {
    "first": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "second": Expected(Phase.SUCCEEDED, Reason.COMPLETED, continues="first"),
}
ATTACHED = job("second", phase=("Attached", "Reattached"), never_started=True)


def continued(**said):
    """The second run at its end, which is that of the first."""
    same = result("first") | {"runId": "run-second", "jobUid": UIDS["second"]}
    notes = {
        "phase": "Succeeded",
        "reason": "Completed",
        "attached-to": f"first/{UIDS['first']}",
        "result": json.dumps(same),
    }
    return job("second", said=notes | said, never_started=True)


def test_a_run_that_continued_on_the_job_of_another_is_fine():
    assert wrong(ATTACHED, job("first"), continued(), expected=CONTINUES) == {"first": [], "second": []}


@pytest.mark.parametrize(
    "jobs",
    [
        pytest.param([continued()], id="it was never seen attached"),
        pytest.param([ATTACHED, continued(**{"attached-to": None})], id="to nothing"),
        pytest.param([ATTACHED, continued(**{"attached-to": "first/another"})], id="to another Job"),
        pytest.param(
            [ATTACHED, continued(result=json.dumps(result("second") | {"summary": "mine"}))],
            id="with a result of its own",
        ),
        pytest.param(
            [ATTACHED, continued() | {"status": {"startTime": instant("10")}}], id="and it was started"
        ),
    ],
)
def test_a_run_that_did_not_is_told(jobs):
    found = wrong(job("first"), *jobs, expected=CONTINUES)
    assert found["second"]
    assert not found["first"]


def test_a_job_that_served_several_runs_is_that_of_the_first():
    history = json.dumps([{"runId": "run-first", "from": instant("05")}, {"runId": "run-second"}])
    labelled = job("first", said={"run-history": history})
    labelled["metadata"]["labels"][KEYS.run_id] = "run-second"
    assert wrong(WAITING, labelled, job("second"))["first"] == []


@pytest.mark.parametrize("history", ["", "[]", "{}", "7", '[{"from": 1}]', "?"])
def test_a_history_that_cannot_be_read_leaves_the_label(history):
    assert seen.of(job("first", said={"run-history": history})).run_id == "run-first"


def test_everything_that_is_wrong_with_a_run_is_told():
    said = {"result": None, "trace-id": None, "trace-exported": None}
    assert len(wrong(WAITING, job("first", said=said), job("second"))["first"]) == 3


def test_odd_annotations_are_unknown_and_no_error():
    found = seen.of(job("first", said={"result": '"text"', "progress": "?", "since": "soon", "pod": ""}))
    assert (found.result, found.progress, found.since, found.pod) == ({}, {}, None, "")
