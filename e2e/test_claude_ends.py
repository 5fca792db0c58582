"""The real Claude Code that does not come to its own end: killed, stopped, starved, or never begun."""

import pytest

from controller.core.contract import Phase, Status
from e2e.agent_runs import make_agent_run
from e2e.agent_said import said
from tests.program.runs import KEYS

UNKNOWN_SESSION = "11111111-1111-4111-8111-111111111111"
BROKEN = {
    "no-session": ("Failed/SessionUnavailable", "session_unavailable", 1),
    "no-session-id": ("Failed/SessionUnavailable", "session_unavailable", 1),
    "terminated": ("Failed/TruncatedOutput", "claude_truncated", 143),
    "starved": ("Failed/OOMKilled", "adapter_failed", 137),
}
"""Run -> what it stands at in the end, its error code and its exit code."""


@pytest.fixture(scope="module")
def runs(stage, messages_url):
    """All of them, published."""
    stage.submit(
        make_agent_run("no-session", "success", messages_url, arguments=("--resume", UNKNOWN_SESSION)),
        make_agent_run("no-session-id", "success", messages_url, arguments=("--resume", "nonsense")),
        make_agent_run("terminated", "terminated", messages_url),
        make_agent_run("starved", "success", messages_url, memory="64Mi"),
        make_agent_run("hungry", "hungry", messages_url, memory="640Mi"),
    )
    stage.published(*BROKEN, "hungry", seconds=180)
    return stage


def log_of(stage, api, name):
    (pod,) = stage.pods(name)
    return api.log(stage.namespace, pod["metadata"]["name"])


@pytest.mark.parametrize("name", BROKEN)
def test_an_agent_that_breaks_off_is_told_by_name(runs, name):
    result = runs.result(name)
    assert (runs.standing(name), result["errorCode"], result["exitCode"]) == BROKEN[name]


def test_a_session_that_is_not_there_is_to_be_cleared(runs):
    assert all(runs.result(name)["clearSession"] for name in ("no-session", "no-session-id"))
    assert UNKNOWN_SESSION in runs.result("no-session")["errorMessage"]


def test_an_agent_that_is_terminated_in_a_tool_leaves_its_session(runs):
    result = runs.result("terminated")
    assert result["signal"] == "SIGTERM"
    assert result["sessionId"] == runs.said("terminated", Status.SESSION_ID)
    assert "143 (SIGTERM) in the middle of its work" in result["errorMessage"]
    assert result.keys().isdisjoint({"costUsd", "usage", "resultJson"})


def test_a_tool_that_takes_all_memory_ends_its_agent_or_only_itself(runs):
    """By the kernel's choice: version 1 of cgroups kills one process, version 2 the whole container."""
    result = runs.result("hungry")
    if result["exitCode"] == 0:
        assert (runs.standing("hungry"), result["pod"]["reason"]) == ("Succeeded/Completed", "OOMKilled")
    else:
        assert (runs.standing("hungry"), result["exitCode"]) == ("Failed/OOMKilled", 137)


STOPS = {
    "asleep-cancelled": (
        {"metadata": {"annotations": {KEYS.cancel_requested: "enough"}}},
        ("Cancelled/CancelledByHost", "cancelled"),
    ),
    "asleep-late": ({"spec": {"activeDeadlineSeconds": 1}}, ("TimedOut/DeadlineExceeded", "timeout")),
}
"""Run -> how it is stopped, what it stands at in the end and its error code."""


@pytest.mark.parametrize("name", STOPS)
def test_an_agent_that_is_stopped_in_a_tool_has_the_stops_own_reason(stage, api, messages_url, name):
    change, ends = STOPS[name]
    stage.submit(make_agent_run(name, "asleep", messages_url))
    stage.until(lambda: stage.said(name, Status.SESSION_ID), 90)
    stage.until(lambda: said(log_of(stage, api, name)).calls, 90)
    assert stage.said(name) == Phase.RUNNING
    stage.api.patch("jobs", stage.namespace, name, change)
    stage.published(name)
    result = stage.result(name)
    assert (stage.standing(name), result["errorCode"]) == ends
    assert result["sessionId"] == stage.said(name, Status.SESSION_ID)
    assert result.get("exitCode") in (143, 137, None), "its pod may go before its end is seen"
    assert "costUsd" not in result


def test_an_agent_whose_container_lives_on_after_its_result_is_stopped_as_hung(stage, messages_url):
    """By a shell around it here; the program itself is known to hang after its result too."""
    stage.submit(make_agent_run("hangs", "success", messages_url, then="sleep 600"))
    stage.published("hangs", seconds=120)
    result = stage.result("hangs")
    assert stage.standing("hangs") == "Succeeded/CompletedHung"
    assert result["summary"] == "Nothing had to be done."
    assert "costUsd" in result
