"""What is known of each output, in one place, and what follows from it."""

import json

import pytest

from controller.core import facts, fitting, result, verdict
from controller.core.agents.fold import FORMATS, format_of
from controller.core.contract import (
    OUTPUT_BY_ADAPTER,
    OUTPUT_CLAUDE,
    OUTPUT_OPENCODE,
    OUTPUT_TEXT,
    OUTPUTS,
    Phase,
    Reason,
)
from controller.core.model import Wishes
from controller.core.transcript import LogState
from tests.core.agents.agent_transcript import Transcript, lines_of, opencode_lines
from tests.core.builders import make_ids, make_job, make_log, make_over


def found(output, lines, exit_code=0, *, state=LogState.COMPLETE, **job):
    """The result of a run whose agent has said `lines` and exited with `exit_code`."""
    job = make_job(phase="Running", reason="AgentWorking", wishes=Wishes(output=output), **job)
    log = make_log(state=state, seen=Transcript(output).say(*lines))
    run = make_over(exit_code, log=log, job=job)
    return result.document(run, facts.gather(run), log, verdict.conclude(run, log))


def judged(name, exit_code):
    said = found(OUTPUT_OPENCODE, opencode_lines(name), exit_code)
    return said.phase, said.reason


def test_every_output_of_the_contract_has_its_format_and_every_adapter_an_output():
    assert set(FORMATS) == OUTPUTS
    assert set(OUTPUT_BY_ADAPTER.values()) <= OUTPUTS


def test_an_output_that_nobody_knows_is_text():
    assert format_of("something-new") is FORMATS[OUTPUT_TEXT]


@pytest.mark.parametrize(
    ("name", "exit_code", "phase", "reason"),
    [
        pytest.param("success", 0, Phase.SUCCEEDED, Reason.COMPLETED, id="its last step and exit 0"),
        pytest.param("tools", 0, Phase.SUCCEEDED, Reason.COMPLETED, id="failed tools are the agent's"),
        pytest.param("success", 1, Phase.FAILED, Reason.CONTAINER_ERROR, id="exit 1 is never a success"),
        pytest.param("denied", 0, Phase.FAILED, Reason.AGENT_ERROR, id="a refused permission with exit 0"),
        pytest.param("auth", 1, Phase.FAILED, Reason.AUTH_REQUIRED, id="401"),
        pytest.param("auth", 0, Phase.FAILED, Reason.AUTH_REQUIRED, id="an error with exit 0"),
        pytest.param("api-error", 1, Phase.FAILED, Reason.UPSTREAM_TRANSIENT, id="500"),
        pytest.param("credit", 1, Phase.FAILED, Reason.QUOTA_EXCEEDED, id="no money left"),
        pytest.param("unknown-session", 1, Phase.FAILED, Reason.SESSION_UNAVAILABLE, id="no such session"),
        pytest.param("sigterm", 143, Phase.FAILED, Reason.TRUNCATED_OUTPUT, id="SIGTERM"),
        pytest.param("sigterm", 0, Phase.FAILED, Reason.TRUNCATED_OUTPUT, id="half a run with exit 0"),
    ],
)
def test_a_recorded_run_of_opencode_ends_as_what_it_was(name, exit_code, phase, reason):
    assert judged(name, exit_code) == (phase, reason)


def test_nothing_that_was_said_is_no_success_where_a_word_is_promised():
    for output, reason in ((OUTPUT_OPENCODE, Reason.NO_RESULT), (OUTPUT_TEXT, Reason.COMPLETED)):
        assert found(output, ()).reason == reason
        missing = found(output, (), state=LogState.MISSING)
        assert missing.reason == reason


def test_a_result_of_opencode_says_what_it_told_and_nothing_else():
    said = json.loads(fitting.fit(found(OUTPUT_OPENCODE, opencode_lines("tools"))))
    assert said["sessionId"] == json.loads(opencode_lines("tools")[0])["sessionID"]
    assert said["summary"] == "One command said hello, the other one failed."
    assert (said["numTurns"], said["toolCalls"], said["stopReason"]) == (4, 3, "stop")
    assert said["usage"] == {
        "inputTokens": 46,
        "cachedInputTokens": 16000,
        "cacheCreationInputTokens": 400,
        "outputTokens": 128,
    }
    assert said["costUsd"] == pytest.approx(0.008358)
    assert said["resultJson"]["part"]["reason"] == "stop"
    assert not {"model", "provider", "modelUsage"} & set(said), "none of them is told"


@pytest.mark.parametrize(
    ("output", "lines", "basis"),
    [
        pytest.param(OUTPUT_CLAUDE, lines_of("api-retry"), "session", id="Claude Code goes on counting"),
        pytest.param(OUTPUT_OPENCODE, opencode_lines("resumed"), "per_run", id="OpenCode tells each step"),
    ],
)
def test_what_a_resumed_run_used_is_the_runs_or_the_sessions(output, lines, basis):
    assert found(output, lines, ids=make_ids(session="ses-1")).usage_basis == basis


@pytest.mark.parametrize("exit_code", [0, 3])
def test_of_any_program_the_exit_code_decides_and_its_last_lines_are_the_summary(exit_code):
    lines = [b"x" * 40 for _ in range(90)] + [b"10%\r90%\rfailed: \x1b[31mpassword=hunter2\x1b[0m", b"bye"]
    said = json.loads(fitting.fit(found(OUTPUT_TEXT, lines, exit_code)))
    assert said["summary"].split("\n")[-3:] == ["x" * 40, "failed: password=[redacted]", "bye"]
    assert len(said["summary"].split("\n")) == 20
    assert (said["exitCode"], said["log"]["lines"]) == (exit_code, 92)
    if exit_code:
        assert (said["reason"], said["errorCode"]) == (Reason.CONTAINER_ERROR, "adapter_failed")
        assert "3" in said["errorMessage"]
    else:
        assert (said["reason"], "errorMessage" in said) == (Reason.COMPLETED, False)
    assert not {"sessionId", "model", "usage", "toolCalls", "numTurns", "provider"} & set(said)
