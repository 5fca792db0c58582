import hashlib
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core import facts, fitting, result, verdict
from controller.core.contract import RESULT_INLINE_MAX, ErrorCode, Phase, Reason, Status
from controller.core.model import Wishes
from controller.core.transcript import AgentLog, LogState, ModelUsage
from tests.core.builders import (
    exited,
    make_claim,
    make_condition,
    make_finished_seen,
    make_ids,
    make_job,
    make_log,
    make_over,
    make_pod,
    make_run,
    make_seen,
    make_waiting,
    stamp,
    uid_of,
    waiting,
)

USAGE = (ModelUsage("opus", 10, 20, 30, 40, 0.5), ModelUsage("haiku", 1, 2, 3, 4, None))


def whole(run):
    """The document about a run, its log being that of its first attempt."""
    log = next(iter(run.logs), None)
    return result.document(run, facts.gather(run), log, verdict.conclude(run, log))


def read(run):
    return json.loads(fitting.fit(whole(run)))


def strict(text):
    """As a reader does that takes JSON and nothing but JSON, each key once."""

    def refuse(word):
        raise AssertionError(word)

    def once(pairs):
        assert len(dict(pairs)) == len(pairs), "a key comes twice"
        return dict(pairs)

    msgspec.json.decode(text)
    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def said(**claim):
    return make_log(seen=make_finished_seen(claim=make_claim(**claim)))


def test_a_success_says_what_the_agent_claims():
    found = read(make_over(log=said(models=USAGE, cost_usd=0.5, duration_ms=7, stop_reason="end_turn")))
    assert (found["runId"], found["jobUid"]) == ("r-run-1", uid_of("run-1"))
    assert (found["phase"], found["reason"], found["exitCode"]) == (Phase.SUCCEEDED, Reason.COMPLETED, 0)
    assert found["usage"] == {
        "inputTokens": 11,
        "outputTokens": 22,
        "cachedInputTokens": 33,
        "cacheCreationInputTokens": 44,
    }
    assert (found["usageBasis"], found["costUsd"], found["modelUsage"]["opus"]["costUsd"]) == (
        "per_run",
        0.5,
        0.5,
    )
    assert (found["summary"], found["numTurns"], found["durationMs"]) == ("Done.", 3, 7)
    assert (found["sessionId"], found["sessionDisplayId"]) == ("5e55", "5e55")
    assert (found["toolCalls"], found["timedOut"]) == (4, False)
    assert found["log"] == {"state": "complete", "lines": 12, "bytes": 3400}
    assert found["resultJson"]["subtype"] == "success"
    assert found["pod"]["node"] == "node-1"
    assert (found["pod"]["startedAt"], found["pod"]["finishedAt"]) == (stamp(40), stamp(90))
    assert found.keys().isdisjoint({"errorCode", "errorMessage", "truncated", "sha256"})


def test_the_session_of_a_run_that_continues_on_a_job_is_not_what_the_job_resumed():
    notes = {"run-history": '[{"runId":"r-run-1"},{"runId":"r-2"}]'}
    job = make_job(
        ids=make_ids(run="r-2", session="5e55"), phase="Running", reason="AgentWorking", notes=notes
    )
    assert read(make_over(job=job))["usageBasis"] == "per_run"


def test_usage_of_a_resumed_session_says_so():
    job = make_job(ids=make_ids(session="s-1"))
    assert read(make_over(job=job))["usageBasis"] == "session"


def test_a_raw_run_id_is_told_raw():
    job = make_job(ids=make_ids(run="r1", raw=(("run", "r/1"),)))
    assert read(make_over(job=job))["runId"] == "r/1"


@pytest.mark.parametrize(
    ("run", "absent"),
    [
        pytest.param(
            make_over(log=said(turns=None)),
            {"usage", "modelUsage", "costUsd", "numTurns", "durationMs", "permissionDenials"},
            id="what the agent does not claim",
        ),
        pytest.param(
            make_over(143, log=make_log(seen=make_seen())),
            {"usage", "usageBasis", "costUsd", "resultJson", "numTurns", "stopReason"},
            id="what an agent without a result never said",
        ),
        pytest.param(
            make_over(log=make_log(state=LogState.MISSING, seen=AgentLog())),
            {"toolCalls", "subagents", "sessionId", "model", "summary", "usage", "usageBasis"},
            id="what a missing log would have told",
        ),
        pytest.param(
            make_run(make_job(over="x"), make_pod(waiting("ImagePullBackOff"))),
            {"exitCode", "signal", "toolCalls", "usage"},
            id="the exit of what never started",
        ),
        pytest.param(make_run(make_job(over="x")), {"exitCode", "pod", "signal"}, id="a pod that nobody saw"),
        pytest.param(
            make_over(
                0,
                log=make_log(seen=AgentLog(lines=2, tail="bye")),
                job=make_job(wishes=Wishes(output="text")),
            ),
            {"toolCalls", "subagents", "provider", "model", "usage"},
            id="what text does not tell",
        ),
    ],
)
def test_absent_means_unknown_and_is_never_0(run, absent):
    found = read(run)
    assert found.keys().isdisjoint(absent)
    assert None not in found.values()


def test_of_a_log_that_is_missing_nothing_is_counted():
    found = read(make_over(log=make_log(state=LogState.MISSING, seen=AgentLog())))
    assert found["log"] == {"state": "missing"}


def test_of_a_log_that_is_lost_the_session_is_known_that_was_written_while_it_was_read():
    job = make_job(phase="Running", notes={Status.SESSION_ID: "5e55", Status.MODEL: "opus"})
    found = read(make_over(job=job, log=make_log(state=LogState.MISSING, seen=AgentLog())))
    assert (found["sessionId"], found["sessionDisplayId"], found["model"]) == ("5e55", "5e55", "opus")
    newer = read(make_over(job=job, log=make_log(seen=make_finished_seen(session_id="n3w"))))
    assert newer["sessionId"] == "n3w"


def test_a_start_at_the_epoch_is_the_kubelets_word_for_unknown():
    run = make_run(make_job(over="x"), make_pod(phase="Failed"))
    attempt = facts.gather(run)
    assert "finishedAt" not in read(run)["pod"]
    assert attempt.attempts


def test_a_failure_always_says_why():
    found = read(make_over(137, log=make_log(seen=make_seen())))
    assert (found["errorCode"], found["signal"]) == (ErrorCode.CLAUDE_TRUNCATED, "SIGKILL")
    assert found["errorMessage"]


def test_a_quota_says_when_to_come_back_even_if_the_agent_names_no_real_time():
    seen = make_finished_seen(claim=make_claim("x", api_error_status=429), limited_until=10**40)
    found = read(make_over(1, log=make_log(seen=seen)))
    assert (found["errorFamily"], found["reason"]) == ("provider_quota", Reason.QUOTA_EXCEEDED)


def test_a_stop_whose_message_is_blank_still_has_an_error_message():
    stop = {"stop": f'{{"reason":"StartTimeout","at":"{stamp(5)}"}}', "message": " \n"}
    assert read(make_run(make_job(over="DeadlineExceeded", notes=stop), make_pod(waiting())))["errorMessage"]


def test_a_rejection_says_what_is_wrong():
    found = json.loads(
        fitting.fit(result.rejected(make_waiting(), Reason.INVALID_RUN, "no", ErrorCode.ADAPTER_FAILED))
    )
    assert (found["phase"], found["errorCode"], found["errorMessage"]) == ("Rejected", "adapter_failed", "no")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="longer than anything is kept"),
        pytest.param(b'{"a":', id="no JSON"),
        pytest.param(b'{"a":NaN}', id="no number"),
        pytest.param(b'{"a":1e999}', id="a number that none can hold"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="a number on which Python refuses to work"),
        pytest.param(b'{"a":' * 3000 + b"1" + b"}" * 3000, id="deeper than any reader goes"),
        pytest.param(b'{"a":' * 70 + b"1" + b"}" * 70, id="deeper than is meant"),
    ],
)
def test_a_result_event_that_no_reader_can_take_is_left_out_and_said_to_be(raw):
    found = read(make_over(log=said(raw=raw)))
    assert "resultJson" not in found
    assert found["truncated"] == ["resultJson"]
    assert "sha256" not in found, "there is no whole of which it could be"


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        pytest.param(b'{"a":"\xff"}', {"a": "\ufffd"}, id="what is no UTF-8"),
        pytest.param(rb'{"a":"\ud83d!"}', {"a": "\ufffd!"}, id="half an emoji"),
        pytest.param(rb'{"a":"\u0000\u001b[31m"}', {"a": "\x00\x1b[31m"}, id="escaped controls"),
        pytest.param(b'{"a":1,"a":2}', {"a": 2}, id="a key that comes twice"),
        pytest.param(b'{"a":18446744073709551615}', {"a": 2**64 - 1}, id="64 bits"),
    ],
)
def test_a_result_event_is_kept_as_far_as_it_can_be_read(raw, want):
    text = fitting.fit(whole(make_over(log=said(raw=raw))))
    assert strict(text)["resultJson"] == want
    assert "truncated" not in strict(text)


def test_a_result_event_is_read_once_for_all_plans():
    run = make_over(log=said(raw=b'{"a":"password=hunter2"}'))
    assert whole(run).result_json is whole(run).result_json


def test_numbers_that_nobody_can_mean_are_unknown():
    usage = (ModelUsage("opus", 10, -1, 2**60, 4, float("nan")), ModelUsage("haiku", 1, 2, 3, 4, 0.5))
    found = read(make_over(log=said(models=usage, cost_usd=float("inf"), duration_ms=-5, turns=10**30)))
    assert found["usage"] == {"inputTokens": 11, "cacheCreationInputTokens": 8}
    assert found["modelUsage"]["opus"] == {"inputTokens": 10, "cacheCreationInputTokens": 4}
    assert found.keys().isdisjoint({"costUsd", "numTurns"})


def test_a_summary_obeys_no_terminal():
    found = read(make_over(log=said(text="\x1b[31mred\x00\x07\n\tdone \ud800")))
    assert found["summary"] == "red\n\tdone "


SIZES = st.sampled_from([0, 1, 300, 9_000, 40_000])
LETTERS = st.sampled_from(["x", "ü", "☃", "🤖", "\x00", '"'])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LETTERS, SIZES, SIZES, st.integers(0, 100))
def test_a_result_fits_whatever_the_agent_says(letter, words, raw, models):
    usage = tuple(ModelUsage(f"{letter}{n}" * 60, n, n, n, n, 0.1) for n in range(models))
    event = json.dumps({"result": letter * raw}).encode()
    run = make_over(log=said(text=letter * words, raw=event, models=usage))
    unfitted = msgspec.json.encode(whole(run))
    text = fitting.fit(whole(run))
    found = json.loads(text)
    assert len(text.encode()) <= RESULT_INLINE_MAX
    assert found["phase"] == Phase.SUCCEEDED
    if len(unfitted) <= RESULT_INLINE_MAX:
        assert text.encode() == unfitted
    else:
        assert found["sha256"] == hashlib.sha256(unfitted).hexdigest()
        assert fitting.whole(whole(run)).encode() == unfitted
        assert found["truncated"]


@pytest.mark.parametrize(
    ("claim", "want"),
    [
        pytest.param({"raw": b'"' + b"x" * 20_000 + b'"'}, ["resultJson"], id="the agent's event first"),
        pytest.param(
            {"raw": b'"' + b"x" * 20_000 + b'"', "text": "y" * 20_000},
            ["resultJson", "summary"],
            id="then the tail of the summary",
        ),
        pytest.param(
            {
                "raw": b"{}",
                "models": tuple(ModelUsage(f"{n:0200}", n, n, n, n, None) for n in range(100)),
            },
            ["resultJson", "modelUsage"],
            id="usage by model in between",
        ),
    ],
)
def test_what_leaves_a_result_is_named_in_order(claim, want):
    found = read(make_over(log=said(**claim)))
    assert found["truncated"] == want
    assert set(want).isdisjoint(found.keys() - {"summary"})


def test_the_way_to_log_in_stays_however_much_the_agent_said():
    text = "Please run /login at https://claude.ai/login?x=1 " + "y" * 40_000
    found = read(make_over(1, log=said(subtype="error_during_execution", text=text)))
    assert found["errorMeta"] == {"loginUrl": "https://claude.ai/login?x=1"}
    assert found["truncated"] == ["resultJson", "summary"]


def test_a_cut_summary_keeps_its_beginning():
    found = read(make_over(log=said(text="".join(f"{n} " for n in range(9000)))))
    assert found["summary"].startswith("0 1 2 3")
    assert len(found["summary"]) > 15_000, "as much of it as there is room for"


def test_a_job_that_is_over_knows_its_deadline():
    job = make_job(conditions=(make_condition("Failed", "DeadlineExceeded"),), deadline_seconds=9)
    assert read(make_over(143, over="DeadlineExceeded", job=job))["timedOut"] is True


KEY = "sk-ant-api03-Zq7Lm2Xk9Rt4Vb8Nc3Hd6Wf1"


def test_credentials_are_hidden_wherever_the_agent_may_have_put_them():
    raw = json.dumps({"result": f"use {KEY}", "modelUsage": {KEY: {}}, "api_key": "short", "n": 1.5})
    models = (ModelUsage(KEY, 10, 20, 30, 40, 0.5),)
    claim = make_claim(raw=raw.encode(), text=f"use {KEY}", stop_reason=KEY, models=models)
    seen = make_finished_seen(claim=claim, session_id=KEY, model=KEY)
    ended = exited(message=f"my last words are {KEY}\n")
    text = fitting.fit(whole(make_over(log=make_log(seen=seen), containers=(ended,))))
    found = json.loads(text)
    assert "Zq7Lm2" not in text
    assert '"short"' not in text
    assert found["summary"] == found["resultJson"]["result"] == "use [redacted]"
    assert found["pod"]["message"] == "my last words are [redacted]"
    assert '"n":1.5' in text, "numbers stay as they came"


def test_a_failure_hides_credentials_in_its_message():
    found = read(make_over(1, log=said(subtype="error_during_execution", text=f"can't use {KEY} there")))
    assert found["errorMessage"] == "The agent reported AgentError: can't use [redacted] there"


def test_the_runtimes_words_about_a_container_that_never_ran_are_not_its_own():
    broken = exited(128, reason="StartError", message='exec: "do this and that": not found')
    assert "message" not in read(make_over(1, containers=(broken,)))["pod"]
