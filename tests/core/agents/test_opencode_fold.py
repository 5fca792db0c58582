"""The fold for OpenCode's JSON events: recorded runs, and what they don't show."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import cursor
from controller.core.agents.fold import fold_for
from controller.core.agents.opencode import RECENT, TEXT_MAX
from controller.core.agents.outcomes import classify
from controller.core.contract import OUTPUT_OPENCODE, SECOND, ErrorFamily, Reason
from controller.core.transcript import AttemptLog, LogState, ModelUsage, Moment, ToolCall
from tests.core.agents.agent_transcript import DATA, OPENCODE, Transcript, opencode_lines
from tests.core.builders import PLACE

SESSION = "ses_1"
RECORDED = sorted(path.stem.removeprefix(f"{OPENCODE}-") for path in (DATA / "opencode").glob("*.jsonl"))


@pytest.fixture
def opencode():
    return Transcript(OUTPUT_OPENCODE)


def event(kind, message="msg_1", *, session=SESSION, timestamp=10_000, error=None, **part):
    about = {"error": error} if error else {"part": {"messageID": message, **part}}
    return {"type": kind, "timestamp": timestamp, "sessionID": session} | about


def step(message="msg_1", reason="stop", text="", **part):
    said = [event("text", message, text=text)] if text else []
    return [event("step_start", message), *said, event("step_finish", message, reason=reason, **part)]


def tool(call="call_1", name="bash", status="completed", start=8_000, end=9_000, **state):
    state |= {"status": status, "time": {"start": start, "end": end}}
    return event("tool_use", callID=call, tool=name, state=state)


def failed(name, **details):
    return event("error", error={"name": name, "data": details})


def test_a_run_tells_its_session_its_last_words_and_what_it_used(opencode):
    seen = opencode.say(*opencode_lines("success"))
    assert (seen.session_id, seen.model) == ("ses_de98b5a67ffe0cC7XTOqKns47B", "")
    assert (seen.lines, seen.odd_lines, seen.turns, seen.tool_calls) == (3, 0, 1, 0)
    claim = seen.claim
    assert (claim.at, claim.raw, claim.is_error) == (3, opencode_lines("success")[-1], False)
    assert (claim.text, claim.stop_reason, claim.turns) == ("Nothing had to be done.", "stop", 1)
    assert (claim.models, claim.cost_usd) == ((ModelUsage("", 10, 25, 1000, 100, None),), 0.00108)
    assert seen.input_tokens == 1110
    assert classify(seen) is None


def test_tools_that_fail_are_told_and_a_command_that_exits_with_three_is_one(opencode):
    seen = opencode.say(*opencode_lines("tools"))
    assert [(call.name, call.failed, call.parent) for call in seen.tools] == [
        ("bash", False, ""),
        ("bash", True, ""),
        ("read", True, ""),
    ]
    assert (seen.tool_calls, seen.tool_errors, seen.turns, seen.odd_lines) == (3, 2, 4, 0)
    assert seen.claim.text == "One command said hello, the other one failed."
    (used,) = seen.claim.models
    assert (used.input_tokens, used.output_tokens) == (10 + 11 + 12 + 13, 36 + 33 + 28 + 31)
    assert seen.claim.cost_usd == pytest.approx(0.001245 + 0.001803 + 0.002331 + 0.002979)


def test_a_tool_began_as_long_before_its_line_as_the_agent_says(opencode):
    fold = opencode.fold
    for at, line in enumerate(opencode_lines("parallel")):
        fold.feed(at * 60 * SECOND, line)
    one, two = fold.seen().tools
    assert (one.ended_at, two.ended_at) == (60 * SECOND - 505_000_000, 120 * SECOND - 477_000_000)
    assert (one.ended_at - one.started_at, two.ended_at - two.started_at) == (1_516_000_000, 1_491_000_000)


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        pytest.param(8_000, 9_000, (8, 9), id="as it says"),
        pytest.param(0, 9_000, (5, 9), id="never before the log began"),
        pytest.param(99_000, 99_000, (10, 10), id="never after its line"),
        pytest.param(9_500, 9_000, (9, 9), id="never after its end"),
        pytest.param(8_000, None, (8, 10), id="the line is the end if none is told"),
        pytest.param(None, 9_000, (10, 10), id="nothing is known without a start"),
        pytest.param("soon", -7, (10, 10), id="nor if they are no times"),
    ],
)
def test_the_agents_clock_cannot_move_a_tool_out_of_the_log(opencode, start, end, times):
    opencode.fold.feed(5 * SECOND, json.dumps(event("step_start")).encode())
    opencode.fold.feed(10 * SECOND, json.dumps(tool(start=start, end=end)).encode())
    (call,) = opencode.fold.seen().tools
    assert (call.started_at // SECOND, call.ended_at // SECOND) == times


def test_a_step_is_a_request_that_was_answered_when_its_tools_began(opencode):
    tokens = {"input": 1, "output": 7, "cache": {"read": 10, "write": 100}}
    lines = [
        event("step_start", id="p1"),
        tool(start=9_000, end=10_000),
        event("step_finish", id="p2", reason="tool-calls", tokens=tokens),
        event("step_start", "msg_2"),
        event("step_finish", "msg_2", id="p3", reason="stop"),
    ]
    for number, line in enumerate(lines):
        opencode.fold.feed(number * SECOND, json.dumps(line).encode())
    first, second = opencode.fold.seen().chats
    assert (first.input_tokens, first.output_tokens, first.finish) == (111, 7, "tool-calls")
    assert (first.started_at, first.ended_at) == (0, 0)
    assert (second.started_at, second.ended_at) == (2 * SECOND, 4 * SECOND)


def test_a_subagent_is_counted_and_hides_what_the_whole_run_used(opencode):
    seen = opencode.say(*opencode_lines("subagent"))
    (call,) = seen.tools
    assert (call.name, call.subagent, call.failed) == ("task", "general", False)
    assert (seen.subagents, seen.turns, seen.claim.is_error) == (1, 2, False)
    assert (seen.claim.models, seen.claim.cost_usd) == ((), None), "a part is not the whole"


def test_a_retry_is_not_told_and_a_resumed_run_counts_only_itself(opencode):
    assert Transcript(OUTPUT_OPENCODE).say(*opencode_lines("overloaded")).retries == 0
    opencode.say(*opencode_lines("success"))
    resumed = Transcript(OUTPUT_OPENCODE).say(*opencode_lines("resumed"))
    assert resumed.session_id == opencode.fold.seen().session_id
    assert (resumed.turns, resumed.claim.models[0].input_tokens) == (3, 11 + 12 + 13)


def test_a_run_that_is_refused_a_permission_claims_no_success_though_it_exits_with_zero(opencode):
    seen = opencode.say(*opencode_lines("denied"))
    assert (seen.claim.is_error, seen.claim.permission_denials) == (True, 1)
    assert seen.moments == (Moment(3, "permission_denied", (("tool", "read"),)),)
    assert (classify(seen).reason, seen.claim.text) == (Reason.AGENT_ERROR, "read was not allowed")


def test_a_run_that_goes_on_after_a_refusal_may_succeed(opencode):
    refused = tool(status="error", error="The user has specified a rule which prevents that")
    opencode.say(event("step_start"), refused, event("step_finish", reason="tool-calls"))
    seen = opencode.say(*step("msg_2", text="Done without."))
    assert (seen.claim.is_error, seen.claim.permission_denials) == (False, 1)


@pytest.mark.parametrize(
    ("name", "reason", "family"),
    [
        pytest.param("auth", Reason.AUTH_REQUIRED, None, id="401"),
        pytest.param("api-error", Reason.UPSTREAM_TRANSIENT, ErrorFamily.TRANSIENT_UPSTREAM, id="500"),
        pytest.param("credit", Reason.QUOTA_EXCEEDED, ErrorFamily.PROVIDER_QUOTA, id="no money left"),
        pytest.param("model-not-found", Reason.MODEL_NOT_FOUND, None, id="404 of a model"),
        pytest.param("unknown-model", Reason.AGENT_ERROR, None, id="what OpenCode itself does not explain"),
        pytest.param("unknown-session", Reason.SESSION_UNAVAILABLE, None, id="a session that is not there"),
    ],
)
def test_a_recorded_failure_has_its_reason(opencode, name, reason, family):
    seen = opencode.say(*opencode_lines(name))
    outcome = classify(seen)
    assert (outcome.reason, outcome.family, seen.claim.is_error) == (reason, family, True)
    assert outcome.clear_session is (reason is Reason.SESSION_UNAVAILABLE)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(failed("ProviderAuthError", message="no key"), Reason.AUTH_REQUIRED, id="no key"),
        pytest.param(failed("ContentFilterError", message="x"), Reason.REFUSED, id="a filter"),
        pytest.param(
            failed("ProviderModelNotFoundError", message="x"), Reason.MODEL_NOT_FOUND, id="an unknown model"
        ),
        pytest.param(failed("APIError", statusCode=429), Reason.UPSTREAM_TRANSIENT, id="too many requests"),
        pytest.param(failed("MessageAbortedError"), Reason.AGENT_ERROR, id="an abort"),
        pytest.param(event("error", error={"name": 7, "data": []}), Reason.AGENT_ERROR, id="nonsense"),
    ],
)
def test_an_error_is_named_by_what_opencode_calls_it(opencode, error, reason):
    assert classify(opencode.say(error)).reason is reason


def test_an_error_stays_one_whatever_follows(opencode):
    opencode.say(failed("ContextOverflowError", message="too long"), *step("msg_2", text="Done."))
    assert opencode.fold.seen().claim.text == "too long"


def test_words_like_those_of_an_unknown_session_mean_nothing_in_mid_run(opencode):
    seen = opencode.say(*step(text="Done."), b"Error: Session not found")
    assert (seen.claim.is_error, seen.odd_lines) == (False, 1)


def test_a_run_that_was_terminated_has_no_claim(opencode):
    seen = opencode.say(*opencode_lines("sigterm"))
    assert (seen.claim, seen.turn_open, seen.assistant_lines, seen.tail) == (None, True, 1, "I wait.")


@pytest.mark.parametrize(
    ("reason", "claims"),
    [
        pytest.param("stop", "success", id="stop is the end"),
        pytest.param("tool-calls", None, id="tools are to be called"),
        pytest.param("unknown", None, id="an unknown end is none"),
        pytest.param("length", Reason.AGENT_ERROR, id="an answer that was too long is cut"),
        pytest.param("error", Reason.AGENT_ERROR, id="an error is one"),
        pytest.param("content-filter", Reason.REFUSED, id="a filter is a refusal"),
        pytest.param(None, None, id="no reason is no end"),
    ],
)
def test_only_a_step_after_which_nothing_is_to_come_is_a_claim(opencode, reason, claims):
    seen = opencode.say(*step(reason=reason))
    outcome = classify(seen)
    if claims is None:
        assert seen.claim is None
    else:
        assert (outcome.reason if outcome else seen.claim.subtype) == claims


def test_a_further_step_takes_the_claim_back_until_it_ends_too(opencode):
    assert opencode.say(*step(text="One.")).claim.text == "One."
    assert opencode.say(event("step_start", "msg_2")).claim is None
    assert opencode.say(*step("msg_2", text="Two.")[1:]).claim.text == "Two."


def test_no_step_closes_the_turn_but_done_does(opencode):
    assert opencode.say(*step()).turn_open
    assert not opencode.say({"type": "done", "sessionID": SESSION, "reason": "idle"}).turn_open
    assert opencode.say(event("step_start", "msg_2")).turn_open


def test_only_its_own_session_counts(opencode):
    opencode.say(*step(text="Mine."))
    seen = opencode.say(failed("APIError") | {"sessionID": "ses_2"}, event("step_start", session="ses_2"))
    assert (seen.claim.text, seen.session_id, seen.odd_lines) == ("Mine.", SESSION, 2)


def test_a_log_whose_beginning_is_gone_still_tells_how_it_ended(opencode):
    seen = opencode.say(*opencode_lines("tools")[-1:])
    assert (seen.claim.subtype, seen.turns, seen.session_id != "") == ("success", 1, True)


def test_a_model_without_a_price_has_no_cost(opencode):
    spent = {"input": 1, "output": 2, "reasoning": 3, "cache": {"read": 4, "write": 5}}
    claim = opencode.say(*step(tokens=spent, cost=0)).claim
    assert (claim.cost_usd, claim.models) == (None, (ModelUsage("", 1, 5, 4, 5, None),))


def test_what_is_kept_of_a_message_is_bounded(opencode):
    texts = [event("text", text="x" * (TEXT_MAX // 3)) | {"timestamp": at} for at in range(9)]
    seen = opencode.say(event("step_start"), *texts, event("step_finish", reason="stop"))
    assert len(seen.claim.text) <= TEXT_MAX + 9
    assert len(opencode.fold._spoken) <= 4


def test_a_cut_line_is_counted_and_moves_nothing(opencode):
    before = opencode.say(*step())
    seen = opencode.say(b'{"type":"tool_use"', cut=True)
    assert (seen.cut_lines, seen.claim, seen.odd_lines) == (1, before.claim, 0)


@pytest.mark.parametrize(
    "line",
    [b"", b"\r", b"npm warn", b"[1]", b'{"type":"text"', b"{}", b'{"type":"text","sessionID":7}'],
)
def test_a_line_that_is_none_of_its_events_is_odd_and_no_more(opencode, line):
    assert opencode.say(line).odd_lines == 1
    assert opencode.say(*step(text="Done.")).claim.text == "Done."


@pytest.mark.parametrize("kind", ["step_start", "text", "tool_use", "step_finish", "error"])
def test_an_event_without_what_it_is_about_is_odd(opencode, kind):
    assert opencode.say({"type": kind, "sessionID": SESSION}).odd_lines == 1


def test_a_call_that_is_named_twice_is_counted_once(opencode):
    seen = opencode.say(tool("call_0"), tool("call_0", start=1) | {"timestamp": 11_000})
    assert seen.tools == (ToolCall("call_0", "bash", "", 1, 1),)


def folded(lines):
    fold = fold_for(OUTPUT_OPENCODE)
    for at, line in lines:
        fold.feed(at, line)
    return fold.seen()


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_run_cut_at_any_byte_is_no_success_before_its_last_line_is_whole(name):
    lines = opencode_lines(name)
    for number, line in enumerate(lines):
        before = fold_for(OUTPUT_OPENCODE)
        for at, whole in enumerate(lines[:number]):
            before.feed(at, whole)
        for end in range(len(line)):
            fold = deepcopy(before)
            fold.feed(number, line[:end])
            seen = fold.seen()
            assert seen.lines == number + 1
            assert seen.claim is None or seen.claim.is_error


@pytest.mark.parametrize("name", RECORDED)
def test_from_a_checkpoint_everything_goes_on_but_what_was_spent_on_what(name):
    lines = list(enumerate(opencode_lines(name), start=1))
    whole = folded(lines)
    for read in range(1, len(lines) + 1):
        begun = cursor.decode(
            cursor.encode(AttemptLog("p", LogState.READING, folded(lines[:read]), place=PLACE))
        )
        fold = fold_for(OUTPUT_OPENCODE, begun.seen)
        for at, line in lines[read:]:
            fold.feed(at, line)
        seen = fold.seen()
        if (name, read) == ("denied", 3):
            # What was refused in the step that goes on is in no checkpoint: its end is then none.
            assert seen.claim is None
            continue
        assert totals(seen) == totals(whole)
        if read < len(lines) and seen.claim:
            assert (seen.claim.models, seen.claim.cost_usd) == ((), None)


def totals(seen):
    claim = seen.claim and replace(seen.claim, raw=b"", models=(), cost_usd=None, text="")
    claim = claim and replace(claim, permission_denials=None)
    return replace(seen, claim=claim, tools=(), chats=(), moments=(), tail="")


@given(st.sampled_from(RECORDED), st.data())
def test_lines_that_are_read_again_change_nothing(name, data):
    lines = [(at, line) for at, line in enumerate(opencode_lines(name)) if line.startswith(b"{")]
    read = []
    for end in range(1, len(lines) + 1):
        read.append(lines[end - 1])
        if data.draw(st.booleans(), label=f"lost after {end}"):
            read += lines[data.draw(st.integers(0, end - 1), label="read again from") : end]
    assert len(read) < RECENT
    assert folded(read) == folded(lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["step_start", "text", "tool_use", "step_finish", "error", "done", "reasoning"])
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "messageID": st.sampled_from(["a", "b"]) | JSON,
        "text": JSON,
        "tool": st.sampled_from(["task", "bash"]) | JSON,
        "callID": st.sampled_from(["c", "d"]) | JSON,
        "reason": st.sampled_from(["stop", "tool-calls", "length"]) | JSON,
        "tokens": JSON | st.fixed_dictionaries({"input": JSON, "cache": JSON}),
        "cost": JSON,
        "state": JSON
        | st.fixed_dictionaries({"status": JSON, "time": st.fixed_dictionaries({"start": JSON})}),
    },
)
EVENTS = st.builds(
    lambda kind, part, error: json.dumps(
        {"type": kind, "sessionID": "s", "timestamp": 5, "part": part, "error": error}
    ).encode("utf-8", "surrogatepass"),
    KINDS,
    JSON | PARTS,
    JSON | st.fixed_dictionaries({"name": JSON, "data": JSON}),
)


@given(st.lists(st.binary() | EVENTS, max_size=8), st.booleans())
def test_no_bytes_make_the_fold_raise(lines, cut):
    fold = fold_for(OUTPUT_OPENCODE)
    for at, line in enumerate(lines):
        fold.feed(at, line, cut)
        seen = fold.seen()
        classify(seen)
        assert all(call.started_at <= call.ended_at <= at for call in seen.tools)
    assert fold.seen().lines <= len(lines)


@given(st.sampled_from(RECORDED))
def test_looking_in_between_changes_nothing(name):
    fold = fold_for(OUTPUT_OPENCODE)
    for at, line in enumerate(opencode_lines(name)):
        fold.feed(at, line)
        fold.seen()
    assert fold.seen() == folded(enumerate(opencode_lines(name)))
