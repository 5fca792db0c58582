from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, OUTPUT_OPENCODE, SECOND, Phase, Reason, rfc3339
from controller.core.model import Condition, Container, ContainerSpec, Ids, Job, RunState, Slot, Wishes
from controller.core.snapshot import Attempt, Facts, Policy, Pull, Run
from controller.core.spans import conventions as names
from controller.core.spans import tree as trees
from controller.core.spans.shape import MAX_EVENTS, MAX_SPANS
from controller.core.spans.tree import MAX_STEPS
from controller.core.spantree import Span, SpanKind, SpanTree
from controller.core.transcript import (
    AgentLog,
    AttemptLog,
    Chat,
    Claim,
    LogState,
    ModelUsage,
    Moment,
    ToolCall,
)

NOON = 1_795_348_800
JOB = "0b8e4bd2-7f53-4c4a-9d4b-8f6a2f1c3d5e"
POD = "9f1c2a3b-4d5e-4f60-8a7b-0123456789ab"
OTHER = "1b8e4bd2-7f53-4c4a-9d4b-8f6a2f1c3d5e"
SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RECORDED = sorted((Path(__file__).parents[2] / "data").glob("*/*.jsonl"))
OUTPUTS = {"claude": OUTPUT_CLAUDE, "opencode": OUTPUT_OPENCODE}


def at(seconds):
    """So many seconds after noon."""
    return (
        int((NOON + seconds) * SECOND) if isinstance(seconds, int) else NOON * SECOND + int(seconds * SECOND)
    )


def after(seconds):
    """Where a span ends whose last sign of life was then: no span is of no length."""
    return at(seconds) + 1


def make_job(phase=Phase.SUCCEEDED, reason=Reason.COMPLETED, **changes):
    job = Job(
        namespace="agents",
        name="run-1",
        uid=JOB,
        version="7",
        created_at=at(0),
        slot=Slot("agents", "a-1", "claude_k8s"),
        ids=Ids(agent="a-1", run="r-1", adapter="claude_k8s", task="t-1"),
        wishes=Wishes(agent_name="Reviewer"),
        status={"phase": phase, "reason": reason},
        specs=(ContainerSpec("setup", "busybox:1", init=True), ContainerSpec("claude", "ghcr.io/x/claude:2")),
        started_at=at(30),
        completed_at=at(100),
    )
    return replace(job, **changes)


def make_container(**changes):
    container = Container(
        "claude", state=RunState.TERMINATED, exit_code=0, started_at=at(40), finished_at=at(90)
    )
    return replace(container, **changes)


SETUP = Container(
    "setup", init=True, state=RunState.TERMINATED, exit_code=0, started_at=at(33), finished_at=at(35)
)


def make_attempt(*containers, **changes):
    attempt = Attempt(
        "run-1-x", POD, at(31), "node-1", at(32), "Succeeded", "", containers or (make_container(),)
    )
    return replace(attempt, **changes)


def make_log(**changes):
    seen = AgentLog(
        lines=12,
        first_at=at(42.5),
        last_at=at(80.25),
        init_at=at(42.5),
        claim=Claim(at(80.25), b"{}", "success", turns=3, cost_usd=0.5),
        session_id="5e55",
        model="claude-opus-5-5",
    )
    return replace(seen, **changes)


def make_run(log=None, job=None, state=LogState.COMPLETE, pod=POD):
    logs = () if log is None else (AttemptLog(pod, state, log),)
    return Run(job or make_job(), logs=logs)


def build(log=None, *attempts, job=None, state=LogState.COMPLETE, policy=None):
    return trees.build(make_run(log, job, state), Facts(attempts or (make_attempt(),)), policy or Policy())


def call(call_id, start, end=None, *, name="Bash", **more):
    return ToolCall(
        call_id, name, more.pop("parent", ""), at(start), None if end is None else at(end), **more
    )


def drawn(tree):
    depth = {}
    for span in tree.spans:
        depth[span.id] = depth.get(span.parent, -1) + 1
    children = {}
    for span in tree.spans[1:]:
        children.setdefault(span.parent, []).append(span)

    def lines(span):
        yield "  " * depth[span.id] + span.name
        for child in children.get(span.id, []):
            yield from lines(child)

    return list(lines(tree.spans[0]))


def named(tree, name):
    (span,) = [span for span in tree.spans if span.name == name]
    return span


def about(span):
    return dict(span.attributes)


def test_a_finished_run_is_one_tree_from_queue_to_tools():
    log = make_log(tools=(call("t1", 50, 51), call("t2", 52, 53, name="Read")))
    tree = build(log, make_attempt(SETUP, make_container()))
    assert drawn(tree) == [
        "RUN Reviewer",
        "  queued",
        "  attempt 1",
        "    scheduling",
        "    init setup",
        "    container claude #0",
        "      invoke_agent Reviewer",
        "        execute_tool Bash",
        "        execute_tool Read",
        "      agent startup",
        "      agent shutdown",
        "  finalizing",
    ]
    assert tree.spans[0].kind is SpanKind.SERVER
    assert {span.kind for span in tree.spans[1:]} == {SpanKind.INTERNAL}
    assert [span.name for span in tree.spans if span.error is not None] == []


def test_subagents_nest_to_any_depth():
    log = make_log(
        tools=(
            call("a", 50, 70, name="Agent", subagent="explorer"),
            call("b", 51, 60, name="Agent", subagent="reader", parent="a"),
            call("c", 52, 53, parent="b"),
            call("d", 54, 55, parent="unheard-of"),
        )
    )
    assert drawn(build(log))[5:12] == [
        "      invoke_agent Reviewer",
        "        execute_tool Agent",
        "          invoke_agent explorer",
        "            execute_tool Agent",
        "              invoke_agent reader",
        "                execute_tool Bash",
        "        execute_tool Bash",
    ]


def test_ids_are_made_of_uids_alone():
    tree = build(make_log())
    assert tree.trace_id == JOB.replace("-", "")
    assert named(tree, "attempt 1").id == POD.replace("-", "")[16:]
    assert tree.spans[0].id == build(None, make_attempt(node="other")).spans[0].id
    assert named(build(None, make_attempt(uid="f" * 16 + "0" * 16)), "attempt 1").id == f"{1:016x}"


def test_a_uid_that_is_no_uuid_still_gives_valid_ids():
    tree = build(None, make_attempt(uid="pod"), job=make_job(uid="job"))
    assert int(tree.trace_id, 16) > 0
    assert len(tree.trace_id) == 32
    assert all(len(span.id) == 16 for span in tree.spans)


@pytest.mark.parametrize(
    ("phase", "reason", "result", "is_error"),
    [
        pytest.param(
            Phase.SUCCEEDED, Reason.COMPLETED, "success", False, id="success leaves the status unset"
        ),
        pytest.param(Phase.FAILED, Reason.AGENT_ERROR, "failure", True, id="the agent's own failure"),
        pytest.param(Phase.FAILED, Reason.MAX_TURNS, "failure", True, id="max turns is the work's failure"),
        pytest.param(Phase.FAILED, Reason.OOM_KILLED, "error", True, id="OOM is the system's error"),
        pytest.param(Phase.FAILED, Reason.UPSTREAM_TRANSIENT, "error", True, id="API failure is an error"),
        pytest.param(Phase.TIMED_OUT, Reason.DEADLINE_EXCEEDED, "timeout", True, id="deadline is a timeout"),
        pytest.param(
            Phase.CANCELLED, Reason.CANCELLED_BY_HOST, "cancellation", False, id="cancel is no error"
        ),
        pytest.param(Phase.REJECTED, Reason.INVALID_RUN, "skip", False, id="a rejected run was skipped"),
        pytest.param("Nonsense", "Whatever", "error", True, id="the unknown is never a success"),
    ],
)
def test_result_of_the_run(phase, reason, result, is_error):
    root = build(make_log(), job=make_job(phase, reason)).spans[0]
    assert about(root)[names.PIPELINE_RESULT] == result
    assert (root.error is not None) == is_error
    assert (names.ERROR_TYPE in about(root)) == is_error


def test_the_root_says_what_the_agent_claims_and_counts_all_input():
    usage = (ModelUsage("m", 10, 5, 100, 1000, 0.25), ModelUsage("n", 1, 2, 3, 4, None))
    claim = Claim(at(80), b"", "success", turns=7, cost_usd=0.75, models=usage)
    root = about(build(make_log(claim=claim, tool_calls=9)).spans[0])
    assert (root[names.USAGE_INPUT], root[names.USAGE_OUTPUT]) == (1118, 7)
    assert (root[names.USAGE_CACHE_READ], root[names.USAGE_CACHE_WRITE]) == (103, 1004)
    assert (root[names.COST_USD], root[names.TURNS], root[names.TOOL_CALLS]) == (0.75, 7, 9)


def test_cost_of_attempts_is_not_summed():
    first, second = (make_log(claim=Claim(at(80), b"", cost_usd=cost)) for cost in (0.5, 0.75))
    run = Run(
        make_job(),
        logs=(AttemptLog("p1", LogState.COMPLETE, first), AttemptLog("p2", LogState.COMPLETE, second)),
    )
    tree = trees.build(run, Facts((make_attempt(uid="p1"), make_attempt(uid="p2"))), Policy())
    assert about(tree.spans[0])[names.COST_USD] == 0.75


def test_unknown_tokens_are_absent_not_zero():
    root = about(build(None).spans[0])
    assert not {names.USAGE_INPUT, names.COST_USD, names.TURNS, names.TOOL_CALLS} & set(root)


def test_a_failed_tool_marks_only_its_own_span():
    tree = build(make_log(tools=(call("t", 50, 51, failed=True),)))
    assert [span.name for span in tree.spans if span.error is not None] == ["execute_tool Bash"]
    assert about(named(tree, "execute_tool Bash"))[names.ERROR_TYPE] == "tool_error"


@pytest.mark.parametrize(
    ("container", "reason", "want"),
    [
        pytest.param({"exit_code": 137, "reason": "OOMKilled"}, Reason.OOM_KILLED, "oom_killed", id="OOM"),
        pytest.param({"exit_code": None, "finished_at": None}, Reason.EVICTED, "evicted", id="eviction"),
        pytest.param({"exit_code": 143}, Reason.DEADLINE_EXCEEDED, "deadline_exceeded", id="deadline"),
        pytest.param({"exit_code": 143}, Reason.NO_RESULT, "aborted", id="any other signal"),
        pytest.param({"exit_code": 1}, Reason.NO_RESULT, "nonzero_exit", id="exit by itself"),
    ],
)
def test_what_was_unfinished_at_death_ends_with_its_container(container, reason, want):
    phase = Phase.TIMED_OUT if reason is Reason.DEADLINE_EXCEEDED else Phase.FAILED
    log = make_log(claim=None, tools=(call("t", 50, name="Agent", subagent="explorer"),))
    tree = build(log, make_attempt(make_container(**container)), job=make_job(phase, reason))
    died = named(tree, "container claude #0").end
    for name in ("invoke_agent Reviewer", "execute_tool Agent", "invoke_agent explorer"):
        span = named(tree, name)
        assert (span.end, span.error, about(span)[names.ERROR_TYPE]) == (died, "", want)


def test_an_agent_that_reports_an_error_says_which():
    claim = Claim(at(80), b"", "error_max_turns", is_error=True, terminal_reason="max_turns")
    tree = build(make_log(claim=claim), job=make_job(Phase.FAILED, Reason.MAX_TURNS))
    assert about(named(tree, "invoke_agent Reviewer"))[names.ERROR_TYPE] == "max_turns"


def test_text_output_that_exits_with_0_is_no_error():
    tree = build(AgentLog(lines=1, first_at=at(41), last_at=at(42)))
    invoked = named(tree, "invoke_agent Reviewer")
    assert (invoked.start, invoked.end, invoked.error) == (at(41), at(90), None)


def test_a_log_that_breaks_off_invents_no_death():
    log = make_log(tools=(call("t", 50),))
    tool = named(build(log, state=LogState.TRUNCATED), "execute_tool Bash")
    assert (tool.end, tool.error, about(tool)[names.TIMING]) == (after(80.25), None, "end_unknown")


def test_whole_seconds_stand_for_all_of_their_second():
    log = make_log(claim=Claim(at(90.5), b"", "success"), last_at=at(90.5))
    tree = build(log, job=make_job(completed_at=at(90)))
    assert [named(tree, name).end for name in ("invoke_agent Reviewer", "container claude #0")] == [
        after(90.5)
    ] * 2
    assert tree.spans[0].end == after(90.5)


def test_children_keep_within_their_parents_whatever_the_clocks_say():
    log = make_log(tools=(call("early", -5000, -4000), call("late", 5000, 6000), call("back", 60, 50)))
    early, late, back = (span for span in build(log).spans if span.name == "execute_tool Bash")
    invoked = named(build(log), "invoke_agent Reviewer")
    assert (early.start, early.end) == (invoked.start, invoked.start + 1)
    assert late.start + 1 == late.end == invoked.end
    assert back.start + 1 == back.end == after(60)


@pytest.mark.parametrize(
    ("state", "want"),
    [
        pytest.param(LogState.COMPLETE, "complete", id="complete"),
        pytest.param(LogState.TRUNCATED, "truncated", id="truncated"),
        pytest.param(LogState.READING, "truncated", id="a read that never ended is a truncated log"),
        pytest.param(LogState.MISSING, "missing", id="missing"),
    ],
)
def test_the_root_says_how_much_of_the_log_is_known(state, want):
    assert about(build(make_log(), state=state).spans[0])[names.LOG_STATE] == want


def test_a_run_whose_pods_were_never_seen_has_a_missing_log():
    tree = trees.build(Run(make_job()), Facts(), Policy())
    assert about(tree.spans[0])[names.LOG_STATE] == "missing"


def test_a_run_that_never_ran_was_queued_all_its_life():
    job = make_job(
        Phase.REJECTED,
        Reason.INVALID_RUN,
        status={"phase": "Rejected", "reason": "InvalidRun", "since": "2026-11-22T12:00:09Z"},
        started_at=None,
        completed_at=None,
    )
    tree = trees.build(Run(job), Facts(), Policy())
    assert drawn(tree) == ["RUN Reviewer", "  queued"]
    assert names.LOG_STATE not in about(tree.spans[0])


def test_the_end_is_the_condition_where_there_is_no_completion_time():
    failed = Condition("Failed", "True", "BackoffLimitExceeded", "", at(120))
    job = make_job(Phase.FAILED, Reason.CONTAINER_ERROR, completed_at=None, conditions=(failed,))
    assert build(None, job=job).spans[0].end == at(120)


def test_a_traceparent_becomes_a_link():
    tree = build(None, job=make_job(wishes=Wishes(traceparent=SUBMITTER)))
    (link,) = tree.spans[0].links
    assert (link.trace_id, link.span_id) == (SUBMITTER[3:35], SUBMITTER[36:52])
    assert (tree.trace_id, tree.spans[0].parent) == (JOB.replace("-", ""), "")


def test_a_traceparent_becomes_the_parent_if_the_policy_says_so():
    job = make_job(wishes=Wishes(traceparent=SUBMITTER))
    tree = build(None, job=job, policy=Policy(trace_parent="parent"))
    assert (tree.trace_id, tree.spans[0].parent) == (SUBMITTER[3:35], SUBMITTER[36:52])
    assert tree.spans[0].links == ()
    assert trees.trace_id(job, Policy(trace_parent="parent")) == tree.trace_id


@pytest.mark.parametrize(
    "traceparent",
    [
        pytest.param("", id="none"),
        pytest.param("hello", id="no traceparent at all"),
        pytest.param("ff" + SUBMITTER[2:], id="version ff"),
        pytest.param(SUBMITTER + "-more", id="version 00 with more fields"),
        pytest.param("00-" + "0" * 32 + SUBMITTER[35:], id="trace id zero"),
        pytest.param(SUBMITTER[:36] + "0" * 16 + "-01", id="span id zero"),
        pytest.param(SUBMITTER.upper(), id="upper case"),
    ],
)
@pytest.mark.parametrize("mode", ["link", "parent"])
def test_an_invalid_traceparent_is_ignored(traceparent, mode):
    tree = build(None, job=make_job(wishes=Wishes(traceparent=traceparent)), policy=Policy(trace_parent=mode))
    assert (tree.trace_id, tree.spans[0].parent, tree.spans[0].links) == (JOB.replace("-", ""), "", ())


def attached(**notes):
    """A run that has continued on another Job from 40 s to 100 s after noon."""
    decision = f'{{"decision":"reattach","run":{{"runId":"r-9"}},"at":"{rfc3339(at(40))}"}}'
    status = {
        "phase": "Succeeded",
        "reason": "Completed",
        "since": rfc3339(at(100)),
        "attached-to": f"other/{OTHER}",
        "decision": decision,
        "session-id": "5e55",
        **notes,
    }
    return Run(make_job(status=status, started_at=None, completed_at=None))


def test_a_run_that_continued_on_another_job_links_to_the_root_of_its_trace():
    tree = trees.build(attached(), Facts(), Policy())
    work = trees.build(Run(make_job(uid=OTHER)), Facts(), Policy())
    (link,) = tree.spans[0].links
    assert (link.trace_id, link.span_id) == (work.trace_id, work.spans[0].id)
    assert dict(link.attributes) == {"agent.link.kind": "work"}
    assert tree.trace_id == JOB.replace("-", "")


def test_its_tree_is_short_and_says_how_long_it_waited_and_was_attached():
    root, *parts = trees.build(attached(), Facts(), Policy()).spans
    assert [(span.name, span.start, span.end) for span in (root, *parts)] == [
        ("RUN Reviewer", at(0), at(100)),
        ("queued", at(0), at(40)),
        ("attached", at(40), at(100)),
    ]
    said = dict(root.attributes)
    assert (said["agent.run.phase"], said["gen_ai.conversation.id"]) == ("Succeeded", "5e55")
    assert not any("usage" in key for key in said), "usage belongs to the Job that did the work"


def test_a_link_follows_the_work_into_its_submitters_trace():
    decision = f'{{"decision":"duplicate","run":{{"runId":"r"}},"trace":"{"5" * 32}"}}'
    (link,) = trees.build(attached(decision=decision), Facts(), Policy()).spans[0].links
    assert link.trace_id == "5" * 32


def test_both_the_submitter_and_the_work_are_linked():
    run = attached()
    run = replace(run, job=replace(run.job, wishes=Wishes(traceparent=SUBMITTER)))
    kinds = [
        dict(link.attributes)["agent.link.kind"]
        for link in trees.build(run, Facts(), Policy()).spans[0].links
    ]
    assert kinds == ["work", "submitter"]


def test_an_attached_job_that_somebody_unsuspended_and_closed_ends_when_its_run_did():
    run = attached()
    closed = Condition("Failed", "True", "DeadlineExceeded", "", at(70))
    run = replace(run, job=replace(run.job, conditions=(closed,), started_at=at(69)))
    root, *parts = trees.build(run, Facts(), Policy()).spans
    assert root.end == at(100)
    assert [span.name for span in parts] == ["queued", "attached"]


def test_several_attempts_have_their_own_results_and_only_the_last_has_the_runs():
    failed = make_attempt(make_container(exit_code=3, reason="Error"), uid="p1")
    tree = build(None, failed, make_attempt(created_at=at(95), uid="p2"))
    first, second = named(tree, "attempt 1"), named(tree, "attempt 2")
    assert (about(first)[names.TASK_RUN_RESULT], first.error) == ("failure", "exit code 3")
    assert (about(second)[names.TASK_RUN_RESULT], second.error) == ("success", None)
    assert tree.spans[0].error is None


def test_attempts_left_out_of_the_facts_are_counted_and_leave_a_gap():
    attempts = tuple(make_attempt(uid=f"p{n}") for n in range(3))
    tree = trees.build(Run(make_job()), Facts(attempts, left_out=4), Policy())
    assert [span.name for span in tree.spans if span.name.startswith("attempt")] == [
        "attempt 1",
        "attempt 2",
        "attempt 7",
    ]
    root = about(tree.spans[0])
    assert (root[names.RUN_ATTEMPTS], root[names.FACTS_LEFT_OUT]) == (7, 4)


def test_a_pod_that_found_no_node_was_being_scheduled_until_its_end():
    attempt = make_attempt(scheduled_at=None, node="", containers=())
    tree = build(None, attempt, job=make_job(Phase.FAILED, Reason.UNSCHEDULABLE))
    assert named(tree, "scheduling").end == named(tree, "attempt 1").end == at(100)


def test_the_resource_holds_nothing_that_differs_between_two_controllers():
    resource = dict(build(None, policy=Policy(cluster_name="c", service_name="s")).resource)
    assert resource == {
        "service.name": "s",
        "k8s.cluster.name": "c",
        "k8s.namespace.name": "agents",
        "k8s.job.name": "run-1",
        "k8s.job.uid": JOB,
        "cicd.pipeline.name": "Reviewer",
        "cicd.pipeline.run.id": JOB,
    }


def test_the_run_id_is_the_one_the_job_was_submitted_with():
    job = make_job(template_labels=(("paperclip.io/run-id", "r-0"),))
    assert about(build(None, job=job).spans[0])[names.RUN_ID] == "r-0"
    assert about(build(None).spans[0])[names.RUN_ID] == "r-1"


def test_a_trace_is_bounded_and_says_what_is_missing():
    log = make_log(
        tools=tuple(call(f"t{n}", 50, 51, name="T" * 5000) for n in range(MAX_SPANS)),
        moments=tuple(Moment(at(60), "api_retry", (("attempt", n),)) for n in range(200)),
        dropped=11,
    )
    tree = build(log)
    invoked = next(span for span in tree.spans if span.name == "invoke_agent Reviewer")
    shown = sum(span.name.startswith("execute_tool") for span in tree.spans)
    assert MAX_STEPS < len(tree.spans) <= MAX_SPANS
    assert about(tree.spans[0])[names.TOOL_CALLS_DROPPED] == 11 + MAX_SPANS - shown
    assert (len(invoked.events), about(invoked)[names.EVENTS_DROPPED]) == (MAX_EVENTS, 200 - MAX_EVENTS)
    assert max(len(span.name) for span in tree.spans) < 200


def test_moments_are_events_with_words_and_numbers_but_no_text():
    moment = Moment(
        at(60), "api_retry", (("attempt", 1), ("error", "overloaded"), ("said", "CANARY free text"))
    )
    (event,) = named(build(make_log(moments=(moment,))), "invoke_agent Reviewer").events
    assert event.attributes == (("agent.api_retry.attempt", 1), ("agent.api_retry.error", "overloaded"))


def test_what_the_agent_and_its_container_say_stays_out():
    log = make_log(claim=Claim(at(80), b"CANARY", text="CANARY"), tail="CANARY")
    container = make_container(message="CANARY", exit_code=1)
    job = make_job(Phase.FAILED, Reason.AGENT_ERROR)
    job = replace(job, status={**job.status, "message": "CANARY", "result": "CANARY"})
    assert "CANARY" not in repr(build(log, make_attempt(container), job=job))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_runs_give_well_formed_traces(path):
    output = OUTPUTS[path.parent.name]
    fold = fold_for(output)
    for number, line in enumerate(path.read_bytes().splitlines()):
        fold.feed(at(41) + number * SECOND // 10, line)
    assert_well_formed(build(fold.seen(), job=make_job(wishes=Wishes(output=output))))


@pytest.mark.parametrize(
    ("output", "state", "end"),
    [
        pytest.param(
            OUTPUT_CLAUDE, LogState.COMPLETE, at(90), id="a turn that goes on ends with its container"
        ),
        pytest.param(
            OUTPUT_OPENCODE, LogState.COMPLETE, after(80.25), id="no turn is closed: the last word counts"
        ),
        pytest.param(OUTPUT_OPENCODE, LogState.TRUNCATED, at(90), id="nobody knows whether it was the last"),
    ],
)
def test_an_agent_ends_with_its_result_if_that_was_its_last_word(output, state, end):
    job = make_job(wishes=Wishes(agent_name="Reviewer", output=output))
    tree = build(make_log(turn_open=True), job=job, state=state)
    assert named(tree, "invoke_agent Reviewer").end == end


def test_pulls_tell_of_the_image_what_the_kubelet_said():
    pulls = (
        Pull("setup", init=True, finished_at=at(33)),
        Pull("claude", started_at=at(35), finished_at=at(39), millis=3900, size=77, derived=True),
    )
    tree = build(None, make_attempt(SETUP, make_container(), pulls=pulls))
    assert drawn(tree)[3:7] == [
        "    scheduling",
        "    image pull setup",
        "    image pull claude",
        "    init setup",
    ]
    present, pulled = named(tree, "image pull setup"), named(tree, "image pull claude")
    assert (present.start, present.end, pulled.start, pulled.end) == (at(33), after(33), at(35), at(39))
    assert about(present) == {
        "k8s.container.name": "setup",
        "agent.container.init": True,
        "container.image.name": "busybox",
        "container.image.tags": ("1",),
        "agent.image.cached": True,
    }
    assert (about(pulled)["agent.image.size_bytes"], about(pulled)["agent.timing"]) == (77, "derived")
    assert about(pulled)["agent.image.cached"] is False


def test_of_a_container_that_was_started_again_the_last_start_is_told_and_the_others_are_counted():
    again = make_container(restarts=2)
    run = Run(make_job(), logs=(AttemptLog(POD, LogState.COMPLETE, make_log(), restarts=2),))
    tree = trees.build(run, Facts((make_attempt(again),)), Policy())
    assert named(tree, "invoke_agent Reviewer").parent == named(tree, "container claude #2").id
    assert about(named(tree, "attempt 1"))["agent.attempt.starts_lost"] == 2
    assert about(tree.spans[0])[names.LOG_STATE] == "truncated"
    first = build(make_log())
    assert named(first, "container claude #0").id != named(tree, "container claude #2").id


def test_a_log_of_an_earlier_start_is_not_told_inside_a_later_one():
    run = make_run(make_log(tools=(call("t", 50, 51),)))
    tree = trees.build(run, Facts((make_attempt(make_container(restarts=1, started_at=at(85))),)), Policy())
    assert named(tree, "invoke_agent Reviewer").parent == named(tree, "attempt 1").id
    assert named(tree, "execute_tool Bash").start == at(50)


# Laws

EDGES = st.sampled_from([0, 1, at(0), at(40), at(40.7), at(90), at(100), 2**63, -1])
INSTANTS = EDGES | st.integers(min_value=at(-10), max_value=at(200))
MAYBE = st.none() | INSTANTS
WORDS = st.sampled_from(["", "a", "b", "Bash", "OOMKilled", "é" * 900, "mcp__s__t", "\x00\n", "\ud800"])
UIDS = st.uuids(version=4).map(str)
INTS = st.integers(min_value=-(2**70), max_value=2**70)

CALLS = st.builds(
    ToolCall,
    id=WORDS,
    name=WORDS,
    parent=WORDS,
    started_at=INSTANTS,
    ended_at=MAYBE,
    failed=st.booleans(),
    subagent=WORDS,
)
MOMENTS = st.builds(Moment, INSTANTS, WORDS, st.tuples(st.tuples(WORDS, WORDS | INTS)))
CLAIMS = st.builds(
    Claim,
    INSTANTS,
    st.just(b""),
    WORDS,
    is_error=st.booleans(),
    terminal_reason=WORDS,
    stop_reason=WORDS,
    turns=st.none() | INTS,
    cost_usd=st.none() | st.floats(),
    models=st.lists(st.builds(ModelUsage, WORDS, INTS, INTS, INTS, INTS, st.none()), max_size=2).map(tuple),
)
CHATS = st.builds(
    Chat,
    id=WORDS,
    parent=WORDS,
    model=WORDS,
    started_at=INSTANTS,
    ended_at=INSTANTS,
    calls_before=st.integers(0, 6),
    request_id=WORDS,
    input_tokens=st.none() | INTS,
    output_tokens=st.none() | INTS,
    finish=WORDS,
    error=WORDS,
    under_way=st.booleans(),
)
LOGS = st.builds(
    AgentLog,
    lines=INTS,
    first_at=MAYBE,
    last_at=MAYBE,
    init_at=MAYBE,
    claim=st.none() | CLAIMS,
    turn_open=st.booleans(),
    session_id=WORDS,
    tools=st.lists(CALLS, max_size=6).map(tuple),
    chats=st.lists(CHATS, max_size=4, unique_by=lambda chat: chat.id).map(tuple),
    moments=st.lists(MOMENTS, max_size=3).map(tuple),
)
CONTAINERS = st.builds(
    Container,
    name=st.sampled_from(["claude", "setup", "side", ""]),
    init=st.booleans(),
    reason=WORDS,
    exit_code=st.none() | INTS,
    started_at=MAYBE,
    finished_at=MAYBE,
    restarts=INTS,
)
PULLS = st.builds(
    Pull,
    st.sampled_from(["claude", "setup", ""]),
    init=st.booleans(),
    started_at=MAYBE,
    finished_at=MAYBE,
    millis=st.none() | INTS,
    size=st.none() | INTS,
    derived=st.booleans(),
)
ATTEMPTS = st.builds(
    Attempt,
    pod=WORDS,
    uid=UIDS,
    created_at=INSTANTS,
    node=WORDS,
    scheduled_at=MAYBE,
    reason=WORDS,
    containers=st.lists(CONTAINERS, max_size=4).map(tuple),
    pulls=st.lists(PULLS, max_size=3).map(tuple),
)
JOBS = st.builds(
    make_job,
    phase=st.sampled_from([*Phase, "", "odd"]),
    reason=st.sampled_from([*Reason, "", "odd"]),
    uid=UIDS,
    created_at=INSTANTS,
    started_at=MAYBE,
    completed_at=MAYBE,
    deleted_at=MAYBE,
    wishes=st.builds(
        Wishes, agent_name=WORDS, traceparent=st.sampled_from(["", SUBMITTER, "?"]), agent_container=WORDS
    ),
    specs=st.lists(
        st.builds(ContainerSpec, st.sampled_from(["claude", "setup", "side"]), WORDS, init=st.booleans()),
        max_size=3,
    ).map(tuple),
)


@st.composite
def stories(draw):
    attempts = tuple(draw(st.lists(ATTEMPTS, max_size=3)))
    logs = tuple(
        AttemptLog(attempt.uid, draw(st.sampled_from(LogState)), draw(LOGS))
        for attempt in attempts
        if draw(st.booleans())
    )
    return Run(draw(JOBS), logs=logs), Facts(attempts, draw(st.integers(0, 3)))


def assert_well_formed(tree: SpanTree):
    root, seen = tree.spans[0], {}
    assert 0 <= root.start < root.end < 2**63
    for span in tree.spans:
        assert_fits(span, seen.get(span.parent, root), is_root=span is root)
        assert span.id not in seen
        assert span is root or span.parent in seen
        seen[span.id] = span
    assert len(tree.spans) <= MAX_SPANS
    assert len(tree.trace_id) == 32


def assert_fits(span: Span, parent: Span, *, is_root):
    assert parent.start <= span.start < span.end <= parent.end
    assert is_root or span.parent
    assert all(span.start <= event.at <= span.end for event in span.events)
    for _, value in span.attributes:
        assert not isinstance(value, str) or 0 < len(value.encode()) <= 1024
        assert not isinstance(value, int) or abs(value) < 2**63
    assert len(span.name.encode()) < 200


@settings(max_examples=100, deadline=None)
@given(stories(), st.sampled_from(["link", "parent"]))
def test_any_run_gives_a_well_formed_tree_and_always_the_same(story, mode):
    run, facts = story
    policy = Policy(trace_parent=mode)
    tree = trees.build(run, facts, policy)
    assert_well_formed(tree)
    assert trees.build(replace(run, logs=run.logs[::-1]), facts, policy) == tree
