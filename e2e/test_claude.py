"""The real Claude Code against our stand-in of the Messages API: what it prints, host and trace get."""

from datetime import datetime, timedelta

import pytest

from controller.core.contract import Phase, Status
from e2e.agent_differences import differences_of_result, differences_of_spans
from e2e.agent_runs import MESSAGES, MESSAGES_PORT, RETRIES, make_agent_run
from e2e.agent_said import said

UPSTREAM = ("Failed/UpstreamTransient", "claude_transient_upstream")
OUTCOMES = {
    "success": ("Succeeded/Completed", None),
    "tools": ("Succeeded/Completed", None),
    "subagent": ("Succeeded/Completed", None),
    "background": ("Succeeded/Completed", None),
    "overloaded": ("Succeeded/Completed", None),
    "api-error": UPSTREAM,
    "storm": UPSTREAM,
    "max-turns": ("Failed/MaxTurns", "max_turns_exhausted"),
    "quota": ("Failed/QuotaExceeded", "provider_quota"),
    "credit": ("Failed/QuotaExceeded", "provider_quota"),
    "auth": ("Failed/AuthRequired", "claude_auth_required"),
    "no-model": ("Failed/ModelNotFound", "model_not_found"),
    "refusal": ("Failed/Refused", "claude_refusal"),
}
"""Scenario -> what the run stands at in the end, and its error code."""
AGENTS = 5
SPECIAL = {"max-turns": {"arguments": ("--max-turns", "2")}, "quota": {"subscription": True}}


@pytest.fixture(scope="module")
def asked(stage, api, messages_url):
    """What the stand-in was asked so far."""
    where = f"/api/v1/namespaces/{stage.namespace}/pods/{MESSAGES}:{MESSAGES_PORT}/proxy/requests"
    return lambda: api.call("GET", where)


@pytest.fixture(scope="module")
def runs(stage, messages_url):
    """One run of each scenario, published. A few agents have them all: a small node has not room for all."""
    made = [
        make_agent_run(name, name, messages_url, agent=f"a-{number % AGENTS}", **SPECIAL.get(name, {}))
        for number, name in enumerate(OUTCOMES)
    ]
    stage.submit(*made)
    stage.published(*OUTCOMES, seconds=240)
    return stage


def log_of(stage, api, name):
    """What the agent printed."""
    (pod,) = stage.pods(name)
    return said(api.log(stage.namespace, pod["metadata"]["name"]))


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_real_agents_run_ends_as_its_scenario_does(runs, name):
    assert (runs.standing(name), runs.result(name).get("errorCode")) == OUTCOMES[name]


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_result_says_what_the_agent_printed(runs, api, name):
    assert differences_of_result(log_of(runs, api, name), runs.result(name)) == []


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_trace_says_what_the_agent_printed(runs, api, name):
    assert differences_of_spans(log_of(runs, api, name), runs.spans(name)) == []


def test_each_scenario_was_really_played(runs, api):
    """An agent that does nothing would agree with itself too."""
    logs = {name: log_of(runs, api, name) for name in OUTCOMES}
    calls = {name: [call.name for call in log.calls] for name, log in logs.items()}
    assert {name: found for name, found in calls.items() if found} == {
        "tools": ["Bash", "Bash"],
        "subagent": ["Agent", "Bash"],
        "background": ["Agent", "Bash"],
        "max-turns": ["Bash", "Bash"],
    }
    assert [call.failed for call in logs["tools"].calls] == [False, True]
    assert all(logs[name].calls[1].parent == logs[name].calls[0].id for name in ("subagent", "background"))
    assert len(logs["background"].results) == 2
    assert logs["overloaded"].retries == [("overloaded", 529)]
    assert set(logs["api-error"].retries) == {("server_error", 500)}
    assert set(logs["storm"].retries) == {("overloaded", 529)}
    assert 1 < len(logs["storm"].retries) <= RETRIES


def test_a_used_up_quota_says_when_it_is_given_back(runs):
    """The stand-in gives it back in an hour; the agent tells so by an event."""
    result = runs.result("quota")
    ended, again = (
        datetime.fromisoformat(at) for at in (result["pod"]["finishedAt"], result["retryNotBefore"])
    )
    assert timedelta(minutes=55) < again - ended < timedelta(minutes=65)
    assert "retryNotBefore" not in runs.result("credit")


def test_the_agents_asked_for_messages_and_nothing_else(runs, asked):
    found = asked()
    assert {record["scenario"] for record in found["messages"]} >= set(OUTCOMES)
    assert {(other["method"], other["path"]) for other in found["others"]} == {("HEAD", "/")}


def test_a_session_is_on_the_job_while_its_agent_still_works(stage, messages_url):
    """So that a host can resume a run that is lost; here a deadline ends it."""
    stage.submit(make_agent_run("slow", "slow-120", messages_url))
    stage.until(lambda: stage.said("slow", Status.SESSION_ID), 60)
    assert stage.said("slow") == Phase.RUNNING
    stage.api.patch("jobs", stage.namespace, "slow", {"spec": {"activeDeadlineSeconds": 1}})
    stage.published("slow")
    result = stage.result("slow")
    assert (stage.standing("slow"), result["errorCode"]) == ("TimedOut/DeadlineExceeded", "timeout")
    assert result["sessionId"] == stage.said("slow", Status.SESSION_ID)
    assert "costUsd" not in result, "an agent that was ended tells no cost"
    agent = next(span for span in stage.spans("slow") if "agent.version" in span.attributes)
    assert (agent.status_code, agent.attributes["error.type"]) == ("ERROR", "deadline_exceeded")
