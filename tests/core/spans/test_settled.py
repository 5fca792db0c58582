"""Which spans of a live run are final: told early, they are those of the whole trace."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, Phase, Reason, Status
from controller.core.model import RunState, Wishes
from controller.core.snapshot import Attempt, Facts, Policy, Pull, Run
from controller.core.spans import telling
from controller.core.spans import tree as trees
from controller.core.transcript import AttemptLog, LogState
from tests.core.spans.test_tree import OUTPUTS, POD, RECORDED, at, make_attempt, make_container, make_job

LIVE = make_container(state=RunState.RUNNING, exit_code=None, finished_at=None)
ENDS = [
    make_container(finished_at=at(90)),
    make_container(finished_at=at(45), exit_code=137, reason="OOMKilled"),
    make_container(finished_at=None, exit_code=None),
]


def speech(kind, **more):
    return {"type": kind, "session_id": "s", **more}


def said(parent, *blocks, message="m"):
    return speech(
        "assistant",
        parent_tool_use_id=parent,
        message={"id": message, "model": "claude-x", "content": list(blocks), "usage": {"input_tokens": 3}},
    )


def use(call, name):
    return {"type": "tool_use", "id": call, "name": name, "input": {"subagent_type": "explorer"}}


def returned(parent, call, *, failed, told):
    block = {"type": "tool_result", "tool_use_id": call, "is_error": failed}
    return speech("user", parent_tool_use_id=parent, message={"content": [block]}, tool_use_result=told)


CALLS = st.sampled_from(["t1", "t2", "t3", "t4"])
PARENTS = st.none() | CALLS
MESSAGES = st.sampled_from(["m1", "m2", "m3"])
EVENTS = st.one_of(
    st.just(speech("system", subtype="init", model="claude-x")),
    st.builds(
        lambda parent, call, name, message: said(parent, use(call, name), message=message),
        PARENTS,
        CALLS,
        st.sampled_from(["Bash", "Agent", "Skill"]),
        MESSAGES,
    ),
    st.builds(
        lambda parent, message: said(parent, {"type": "text", "text": "x"}, message=message),
        PARENTS,
        MESSAGES,
    ),
    st.builds(
        lambda parent, call, failed, told: returned(parent, call, failed=failed, told=told),
        PARENTS,
        CALLS,
        st.booleans(),
        st.sampled_from([None, {"status": "async_launched"}, {"status": "completed"}]),
    ),
    st.builds(
        lambda call, back: speech(
            "system",
            subtype="task_started",
            task_id=f"task-{call}",
            tool_use_id=call,
            task_type="local_agent",
            is_backgrounded=back,
        ),
        CALLS,
        st.booleans(),
    ),
    st.builds(
        lambda call, status: speech(
            "system", subtype="task_notification", task_id=f"task-{call}", tool_use_id=call, status=status
        ),
        CALLS,
        st.sampled_from(["completed", "failed", "running"]),
    ),
    st.just(speech("system", subtype="status", status="requesting")),
    st.just(speech("result", subtype="success", is_error=False, num_turns=1)),
    st.just({"not": "an event"}),
)
SECONDS = st.floats(min_value=30, max_value=120)
LINES = st.lists(st.tuples(SECONDS, EVENTS), max_size=25)


def log_of(lines, state, output=OUTPUT_CLAUDE):
    fold = fold_for(output)
    for seconds, line in lines:
        fold.feed(at(float(seconds)), line if isinstance(line, bytes) else json.dumps(line).encode())
    return AttemptLog(POD, state, fold.seen())


def live(lines, output=OUTPUT_CLAUDE, pulls=()):
    job = make_job(Phase.RUNNING, Reason.AGENT_WORKING, completed_at=None, wishes=Wishes(output=output))
    return Run(job, logs=(log_of(lines, LogState.READING, output),)), Facts(
        (make_attempt(LIVE, pulls=pulls),)
    )


def over(lines, end=ENDS[0], phase=Phase.SUCCEEDED, output=OUTPUT_CLAUDE, later=()):
    job = make_job(phase, wishes=Wishes(output=output))
    run = Run(job, logs=(log_of(lines, LogState.COMPLETE, output),))
    return run, Facts((make_attempt(end, pulls=PULLS), *later))


PULLS = (
    Pull("setup", init=True, finished_at=at(33)),
    Pull("claude", started_at=at(34), finished_at=at(39), millis=4800, size=77),
)
LATER = Attempt("run-1-y", "b" * 32, at(50), "node-1", at(51), containers=(make_container(),))


@settings(max_examples=200, deadline=None)
@given(
    LINES,
    st.integers(0, 25),
    st.tuples(st.sampled_from(ENDS), st.sampled_from([Phase.SUCCEEDED, Phase.FAILED])),
    st.sampled_from([(), (LATER,)]),
    st.sampled_from([(), PULLS[:1], PULLS]),
)
def test_what_is_told_early_is_in_the_whole_trace_as_it_was_told(lines, cut, end, later, pulls):
    early = trees.settled(*live(lines[:cut], pulls=pulls), Policy())
    later_on = trees.settled(*live(lines, pulls=PULLS), Policy())
    whole = trees.build(*over(lines, *end, later=later), Policy()).spans
    assert set(early) <= set(later_on) <= set(whole)
    assert whole[0] not in later_on
    assert len({span.id for span in early}) == len(early)


@settings(max_examples=200, deadline=None)
@given(
    LINES,
    st.tuples(st.integers(0, 25), st.integers(0, 25)),
    st.sampled_from([LogState.COMPLETE, LogState.TRUNCATED, LogState.MISSING]),
    st.tuples(st.sampled_from(ENDS), st.sampled_from([Phase.SUCCEEDED, Phase.FAILED])),
    st.booleans(),
)
def test_whatever_a_later_process_can_read_it_tells_no_span_otherwise(lines, cuts, state, end, resumed):
    told, read = cuts
    early = trees.settled(*live(lines[:told], pulls=PULLS), Policy())
    run, known = over(lines if state is LogState.COMPLETE else lines[:read], *end)
    log = replace(run.logs[0], state=state, resumed=resumed)
    job = replace(
        run.job, status={**run.job.status, Status.TRACE_LIVE: telling.note(at(50), run.job, Policy())}
    )
    whole = trees.build(replace(run, job=job, logs=(log,)), known, Policy()).spans
    by_id = {span.id: span for span in early}
    assert [span for span in whole if by_id.get(span.id, span) != span] == []


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_most_of_a_recorded_run_is_told_while_it_runs(path):
    output = OUTPUTS[path.parent.name]
    lines = [(42 + n / 100, line) for n, line in enumerate(path.read_bytes().splitlines())]
    whole = trees.build(*over(lines, output=output), Policy()).spans
    told = set()
    for count in range(len(lines) + 1):
        now = set(trees.settled(*live(lines[:count], output), Policy()))
        assert told <= now <= set(whole)
        told = now
    ended = [
        call for call in log_of(lines, LogState.COMPLETE, output).seen.tools if call.ended_at is not None
    ]
    assert sum(span.name.startswith("execute_tool") for span in told) == len(ended)


def test_nothing_is_told_of_a_container_that_is_not_known_to_have_started():
    run, _ = live([(42, speech("system", subtype="init")), (43, said(None, use("t1", "Bash")))])
    unknown = replace(LIVE, started_at=None)
    told = trees.settled(run, Facts((make_attempt(unknown),)), Policy())
    assert [span.name for span in told] == ["scheduling"]
    assert trees.settled(run, Facts(), Policy()) == ()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_run_has_a_span_for_all_that_it_tells(path):
    output = OUTPUTS[path.parent.name]
    lines = path.read_bytes().splitlines()
    events = [json.loads(line) for line in lines if line.startswith(b"{")]
    spans = trees.build(
        *over([(42 + n / 100, line) for n, line in enumerate(lines)], output=output), Policy()
    ).spans
    heads = Counter(span.name.partition(" ")[0] for span in spans)
    requests, calls = (claude if output == OUTPUT_CLAUDE else opencode)(events)
    assert (heads["chat"], heads["execute_tool"]) == (len(requests), len(calls))
    subagents = [call for call in calls.values() if call in ("Agent", "Task", "task")]
    assert heads["invoke_agent"] == len(subagents) + 1


def claude(events):
    """Models by message, tools by call, as the recording has them."""
    spoken = [event["message"] for event in events if event["type"] == "assistant"]
    blocks = [block for message in spoken for block in message["content"] if block["type"] == "tool_use"]
    models = {message["id"]: message["model"] for message in spoken if message["model"] != "<synthetic>"}
    return models, {block["id"]: block["name"] for block in blocks}


def opencode(events):
    """Steps that ended, tools by call, as the recording has them."""
    parts = [(event["type"], event.get("part", {})) for event in events]
    return (
        {part["id"]: "" for kind, part in parts if kind == "step_finish"},
        {part["callID"]: part["tool"] for kind, part in parts if kind == "tool_use"},
    )
