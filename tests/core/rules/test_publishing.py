import json
from dataclasses import replace

import pytest

from controller.core.contract import Phase, Reason, Status
from controller.core.result import Result
from controller.core.rules import publishing
from controller.core.snapshot import Standing
from controller.core.transcript import AgentLog
from tests.core.builders import (
    KEYS,
    POLICY,
    make_job,
    make_log,
    make_open_log,
    make_pod,
    make_run,
    now,
    stamp,
    uid_of,
)

WORKING = Standing(Phase.RUNNING, Reason.AGENT_WORKING, "At work.")
COMPLETED = Standing(Phase.SUCCEEDED, Reason.COMPLETED, "Done.")


def written(run, standing=WORKING, **more):
    patch = publishing.patch(run, standing, now(), POLICY, why="test", **more)
    return {key.removeprefix(KEYS.status_prefix): value for key, value in patch.annotations.items()}


def noted(run):
    """The run with everything written that a patch of now would write."""
    return make_run(make_job(notes=written(run)), *run.pods, logs=run.logs)


def test_the_first_patch_says_everything():
    found = written(make_run(make_job(), make_pod(), logs=[make_open_log()]))
    assert found == {
        "schema": "1",
        "phase": "Running",
        "reason": "AgentWorking",
        "message": "At work.",
        "since": stamp(100),
        "trace-id": uid_of("run-1").replace("-", ""),
        "observed-at": stamp(100),
        "heartbeat-seconds": "60",
        "pod": f"run-1-x/{uid_of('run-1-x')}",
        "session-id": "5e55",
        "model": "claude-opus-5-5",
        "last-output-at": stamp(88),
        "progress": found["progress"],
        "facts": found["facts"],
    }
    assert json.loads(found["progress"]) == {"turns": 2, "toolCalls": 4, "lines": 12}
    assert [attempt["pod"] for attempt in json.loads(found["facts"])["attempts"]] == ["run-1-x"]


def test_nothing_is_written_that_would_change_nothing():
    run = make_run(make_job(), make_pod(), logs=[make_open_log()])
    assert written(noted(run)) == {}


@pytest.mark.parametrize(
    ("standing", "moved"),
    [
        pytest.param(Standing(Phase.RUNNING, Reason.AGENT_WORKING, "Other words."), False, id="words"),
        pytest.param(Standing(Phase.RUNNING, Reason.AGENT_RETRYING), True, id="reason"),
        pytest.param(Standing(Phase.FINISHING, Reason.AGENT_WORKING), True, id="phase"),
    ],
)
def test_since_changes_with_phase_and_reason_only(standing, moved):
    job = make_job(phase="Running", reason="AgentWorking", notes={Status.SINCE: stamp(5)})
    assert (Status.SINCE in written(make_run(job), standing)) is moved


def test_the_terminal_patch_takes_the_heartbeat_away():
    job = make_job(phase="Running", notes={"observed-at": stamp(90), "heartbeat-seconds": "60"})
    found = written(make_run(job), COMPLETED)
    assert (found["observed-at"], found["heartbeat-seconds"]) == (None, None)


def test_a_terminal_patch_has_no_heartbeat_to_take_away_if_there_was_none():
    assert written(make_run(), COMPLETED).keys().isdisjoint({"observed-at", "heartbeat-seconds"})


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.ATTACHED])
def test_who_waits_has_no_heartbeat(phase):
    assert "observed-at" not in written(make_run(), Standing(phase, Reason.AGENT_BUSY))


def test_a_written_result_is_never_replaced():
    run = make_run(make_job(result=True))
    assert Status.RESULT not in written(run, COMPLETED, ended=Result(phase="Succeeded", reason="Completed"))


def test_a_message_is_one_line_of_a_kilobyte():
    found = written(make_run(), Standing(Phase.RUNNING, Reason.AGENT_WORKING, "☃\n" * 9000))
    assert len(found["message"].encode()) <= 1024
    assert "\n" not in found["message"]


def test_an_agent_that_has_said_nothing_has_neither_session_nor_progress():
    silent = make_log(seen=AgentLog())
    found = written(make_run(make_job(), make_pod(), logs=[silent]))
    assert found.keys().isdisjoint({"session-id", "model", "progress", "last-output-at"})


def test_every_patch_is_guarded_by_uid_and_version():
    patch = publishing.patch(make_run(), WORKING, now(), POLICY, why="test")
    assert (patch.namespace, patch.name, patch.job_uid, patch.version) == (
        "agents",
        "run-1",
        uid_of("run-1"),
        "7",
    )


def test_what_came_from_another_job_is_removed_with_the_first_write():
    run = make_run(replace(make_job(), status={}, leftovers=("phase", "result", "trace-exported")))
    patch = publishing.patch(run, WORKING, now(), POLICY, why="report")
    removed = {key for key, value in patch.annotations.items() if value is None}
    assert removed == {KEYS.status("result"), KEYS.status("trace-exported")}
    assert patch.annotations[KEYS.status("phase")] == WORKING.phase
