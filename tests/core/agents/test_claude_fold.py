"""What the fold concludes from lines of Claude Code, one rule a test."""

import json

import pytest

from controller.core.agents.calls import CALLS_MAX
from controller.core.agents.claims import RAW_MAX
from controller.core.agents.claude import MOMENTS_MAX, TAIL_BYTES
from controller.core.contract import SECOND
from controller.core.transcript import Moment


def system(subtype, **fields):
    return {"type": "system", "subtype": subtype, **fields}


def init(session="s", **fields):
    return system("init", session_id=session, **{"model": "opus", "claude_code_version": "2.1.330", **fields})


def assistant(*blocks, id="m", usage=None, parent=None, **fields):  # noqa: A002 — the stream's own word
    message = {"id": id, "model": "opus", "content": list(blocks), "usage": usage}
    return {
        "type": "assistant",
        "message": message,
        "parent_tool_use_id": parent,
        "session_id": "s",
        **fields,
    }


def words(text):
    return {"type": "text", "text": text}


def use(id, name="Bash", **given):  # noqa: A002 — the stream's own word
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def returned(id, failed=False, **fields):  # noqa: A002, FBT002 — the stream's own words
    block = {"type": "tool_result", "tool_use_id": id, "content": "x", "is_error": failed}
    return {"type": "user", "message": {"role": "user", "content": [block]}, **fields}


def result(session="s", **fields):
    told = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "done",
        "session_id": session,
    }
    return told | fields


LAUNCHED = {"status": "async_launched", "isAsync": True}


def test_nothing_is_concluded_from_nothing(transcript):
    seen = transcript.fold.seen()
    assert (seen.lines, seen.turn_open, seen.claim, seen.first_at) == (0, False, None, None)


def test_the_same_value_is_seen_until_a_line_comes(transcript):
    seen = transcript.say(init())
    assert transcript.fold.seen() is seen
    assert transcript.say(b"noise") is not seen


@pytest.mark.parametrize(
    ("line", "is_open"),
    [
        pytest.param(init(), True, id="an init opens a turn"),
        pytest.param(assistant(words("x")), True, id="a word of the model opens a turn"),
        pytest.param(returned("t"), True, id="a tool's result opens a turn"),
        pytest.param(system("status", status="requesting"), False, id="a status opens nothing"),
        pytest.param(system("task_progress", task_id="x"), False, id="a subagent's progress opens nothing"),
        pytest.param(b"some stderr", False, id="stderr opens nothing"),
        pytest.param(result(), False, id="another result opens nothing"),
    ],
)
def test_what_opens_a_turn_after_a_result(transcript, line, is_open):
    assert transcript.say(init(), result(), line).turn_open is is_open


def test_a_cut_line_after_a_result_opens_the_turn_for_it_may_have_been_anything(transcript):
    transcript.say(init(), result())
    seen = transcript.say(b'{"type":"result","result":"very long', cut=True)
    assert (seen.turn_open, seen.cut_lines, seen.odd_lines) == (True, 1, 0)


def test_a_success_that_is_an_error_is_claimed_as_an_error(transcript):
    claim = transcript.say(result(is_error=True, api_error_status=529)).claim
    assert (claim.subtype, claim.is_error, claim.api_error_status) == ("success", True, 529)


def test_a_result_without_text_tells_its_errors(transcript):
    errors = ["first", {"message": "second"}, {"error": "third"}, {"code": 4}, {}]
    claim = transcript.say(result(subtype="error_during_execution", result=None, errors=errors)).claim
    assert claim.text == "first\nsecond\nthird\n4"


def test_a_result_of_another_session_is_not_the_agents(transcript):
    seen = transcript.say(init("mine"), result("foreign"))
    assert (seen.claim, seen.odd_lines, seen.turn_open) == (None, 1, True)


def test_a_result_inside_a_subagent_is_not_the_agents(transcript):
    assert transcript.say(init(), result(parent_tool_use_id="t")).claim is None


def test_a_result_before_any_init_is_accepted_and_tells_the_session(transcript):
    seen = transcript.say(result("early"))
    assert (seen.claim.text, seen.session_id) == ("done", "early")


def test_the_newest_init_tells_session_and_model(transcript):
    seen = transcript.say(init("a"), result("a"), init("b", model="haiku"), result("b", result="second"))
    assert (seen.session_id, seen.model, seen.init_at, seen.claim.text) == ("b", "haiku", 1, "second")


def test_a_result_line_beyond_the_limit_is_not_kept_whole(transcript):
    claim = transcript.say(result(result="x" * RAW_MAX)).claim
    assert (claim.raw, claim.subtype) == (b"", "success")


def test_usage_by_model_does_not_depend_on_the_order_of_models(transcript):
    models = {"b": {"inputTokens": 1}, "a": {"outputTokens": 2, "costUSD": 0.5}}
    claim = transcript.say(result(modelUsage=models)).claim
    assert [(m.model, m.input_tokens, m.output_tokens, m.cost_usd) for m in claim.models] == [
        ("a", 0, 2, 0.5),
        ("b", 1, 0, None),
    ]


def test_usage_counts_once_for_a_message_and_also_for_subagents(transcript):
    usage = {
        "input_tokens": 1,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 100,
        "output_tokens": 9,
    }
    seen = transcript.say(
        assistant(words("a"), usage=usage),
        assistant(use("t"), usage=usage),
        assistant(words("b"), id="n", usage=usage, parent="t"),
    )
    assert (seen.input_tokens, seen.turns, seen.assistant_lines) == (222, 1, 3)


def test_only_the_very_same_line_is_a_repeat(transcript):
    once = assistant(use("t"), uuid="u")
    seen = transcript.say(once, once, assistant(use("other"), uuid="u"))
    assert (seen.lines, seen.assistant_lines, seen.tool_calls) == (2, 2, 2)


def test_lines_without_identity_are_never_repeats(transcript):
    assert transcript.say(b"noise", b"noise").odd_lines == 2


def test_an_agent_tool_that_was_launched_runs_until_its_task_is_told_as_ended(transcript):
    transcript.say(assistant(use("t", "Agent", subagent_type="Explore")))
    transcript.say(system("task_started", task_id="k", tool_use_id="t", subagent_type="Explore"))
    seen = transcript.say(returned("t", tool_use_result=LAUNCHED))
    assert (seen.tools[0].ended_at, seen.tools[0].subagent, seen.tasks_live) == (None, "Explore", 1)
    seen = transcript.say(system("task_updated", task_id="k", patch={"status": "failed", "end_time": 5}))
    assert (seen.tools[0].ended_at, seen.tools[0].failed, seen.tasks_live) == (4, True, 0)
    later = transcript.say(system("task_notification", task_id="k", tool_use_id="t", status="failed"))
    assert later.tools == seen.tools


def test_a_task_notification_alone_ends_a_launched_subagent(transcript):
    transcript.say(assistant(use("t", "Agent")), returned("t", tool_use_result=LAUNCHED))
    seen = transcript.say(system("task_notification", task_id="k", tool_use_id="t", status="stopped"))
    assert (seen.tools[0].ended_at, seen.tools[0].failed) == (3, False)


def test_an_update_that_is_no_end_ends_nothing(transcript):
    transcript.say(assistant(use("t", "Agent")), system("task_started", task_id="k", tool_use_id="t"))
    seen = transcript.say(system("task_updated", task_id="k", patch={"status": "running"}))
    assert (seen.tools[0].ended_at, seen.tasks_live) == (None, 1)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no task is told"),
        pytest.param(
            [system("task_started", task_id="k", tool_use_id="t", is_backgrounded=False)],
            id="its task is told as one in the foreground",
        ),
    ],
)
def test_a_synchronous_subagent_ends_with_its_tool_result(transcript, lines):
    transcript.say(assistant(use("t", "Task", subagent_type="Plan")), *lines)
    seen = transcript.say(returned("t", tool_use_result={"status": "completed"}))
    assert (seen.tools[0].ended_at, seen.subagents, seen.tasks_live) == (transcript.at, 1, 0)


def test_a_subagent_that_could_not_be_launched_ends_at_once(transcript):
    seen = transcript.say(assistant(use("t", "Agent")), returned("t", failed=True))
    assert (seen.tools[0].ended_at, seen.tools[0].failed, seen.tool_errors) == (2, True, 1)


def test_a_shell_in_the_background_is_live_while_its_tool_has_returned(transcript):
    transcript.say(
        assistant(use("t")), system("task_started", task_id="k", tool_use_id="t", task_type="local_bash")
    )
    seen = transcript.say(returned("t"))
    assert (seen.tools[0].ended_at, seen.tasks_live, seen.subagents) == (3, 1, 0)


def test_the_agents_own_list_of_live_tasks_outweighs_starts_and_ends(transcript):
    transcript.say(system("task_started", task_id="lost"))
    tasks = [{"task_id": "a"}, {"task_id": "b"}]
    assert transcript.say(system("background_tasks_changed", tasks=tasks)).tasks_live == 2
    assert transcript.say(system("task_started", task_id="a")).tasks_live == 2
    assert transcript.say(system("background_tasks_changed", tasks=[])).tasks_live == 0


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        pytest.param(
            system("compact_boundary", trigger="auto", pre_tokens=9, post_tokens=2),
            Moment(1, "compaction", (("trigger", "auto"), ("pre_tokens", 9), ("post_tokens", 2))),
            id="a compaction",
        ),
        pytest.param(
            system("compact_boundary", compact_metadata={"trigger": "manual", "pre_tokens": 7}),
            Moment(1, "compaction", (("trigger", "manual"), ("pre_tokens", 7))),
            id="a compaction whose numbers are nested",
        ),
        pytest.param(
            system("permission_denied", tool_name="Bash"),
            Moment(1, "permission_denied", (("tool", "Bash"),)),
            id="a denied permission",
        ),
        pytest.param(
            {"type": "model_refusal_fallback", "original_model": "a", "fallback_model": "b"},
            Moment(1, "model_fallback", (("original_model", "a"), ("fallback_model", "b"))),
            id="another model that takes over, as a type of its own",
        ),
        pytest.param(
            system("hook_response", hook_name="Stop", exit_code=2),
            Moment(1, "hook_failure", (("hook", "Stop"), ("exit_code", 2))),
            id="a hook that failed",
        ),
        pytest.param(
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "allowed", "rateLimitType": "five_hour"},
            },
            Moment(1, "rate_limit", (("status", "allowed"), ("type", "five_hour"))),
            id="a word on the quota",
        ),
    ],
)
def test_what_happens_at_one_instant_is_a_moment(transcript, line, moment):
    assert transcript.say(line).moments == (moment,)


def test_a_rejected_quota_says_when_it_resets_until_it_is_allowed_again(transcript):
    limit = {"status": "rejected", "resetsAt": 1_795_000_000}
    seen = transcript.say({"type": "rate_limit_event", "rate_limit_info": limit})
    assert seen.limited_until == 1_795_000_000 * SECOND
    allowed = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}
    assert transcript.say(allowed).limited_until is None


def test_a_retry_without_a_category_is_still_a_retry(transcript):
    assert transcript.say(system("api_retry")).retrying == "unknown"


def test_the_error_of_a_message_is_kept_and_its_made_up_message_is_no_turn(transcript):
    line = assistant(words("API Error: 529"), error="overloaded")
    line["message"]["model"] = "<synthetic>"
    seen = transcript.say(init(), line)
    assert (seen.assistant_error, seen.turns, seen.tail) == ("overloaded", 0, "API Error: 529")


def test_the_tail_is_the_end_of_what_the_main_agent_said(transcript):
    seen = transcript.say(
        b"stderr",
        assistant(words("é" * TAIL_BYTES)),
        assistant(words("end")),
        assistant(words("sub"), parent="t"),
    )
    assert seen.tail.endswith("é\nend")
    assert TAIL_BYTES - 1 <= len(seen.tail.encode()) <= TAIL_BYTES


def test_stderr_is_the_tail_only_while_the_agent_has_said_nothing(transcript):
    assert transcript.say(b"cannot find node\x1b[0m", b"ANTHROPIC_API_KEY=abcdef").tail == (
        "cannot find node\nANTHROPIC_API_KEY=[redacted]"
    )
    assert transcript.say(assistant(words("hello")), b"more").tail == "hello"


def test_tool_calls_and_moments_beyond_the_caps_are_counted(transcript):
    transcript.say(*(assistant(use(f"t{i}")) for i in range(CALLS_MAX + 3)))
    seen = transcript.say(*(system("api_retry") for _ in range(MOMENTS_MAX + 4)))
    assert (len(seen.tools), seen.tool_calls, len(seen.moments)) == (CALLS_MAX, CALLS_MAX + 3, MOMENTS_MAX)
    assert (seen.dropped, seen.retries) == (7, MOMENTS_MAX + 4)


def test_words_of_the_agent_are_short_and_printable(transcript):
    seen = transcript.say(
        init("s\x00\n" + "x" * 999, model="\x1bm"), assistant(use("t", "Ba\nsh"), session_id=None)
    )
    assert (len(seen.session_id), seen.model, seen.tools[0].name) == (254, "m", "Bash")


def test_lone_surrogates_which_javascript_writes_are_not_odd(transcript):
    line = json.dumps(result(result="cut emoji \ud83d and a whole one \U0001f600, not \\ud83d")).encode()
    seen = transcript.say(line)
    assert seen.claim.text == "cut emoji � and a whole one \U0001f600, not \\ud83d"
    assert seen.odd_lines == 0
