from dataclasses import replace
from itertools import pairwise

import pytest

from controller.core import facts
from controller.core.actions import PatchJob, TellSpans
from controller.core.contract import Status
from controller.core.rules import telling, tracing
from controller.core.snapshot import Facts
from controller.core.spans import telling as tellings
from controller.core.spans import tree
from controller.core.transcript import AttemptLog, LogState, ToolCall
from tests.core.builders import (
    KEYS,
    PLACE,
    TRACED,
    at,
    make_attempt,
    make_ended_pod,
    make_job,
    make_log,
    make_open_log,
    make_pod,
    make_run,
    make_snapshot,
    now,
    stamp,
    uid_of,
)
from tests.core.world import after

LIVE = replace(TRACED, trace_mode="live")
NOTE = {Status.TRACE_LIVE: tellings.note(at(50), make_job(), LIVE)}
FACTS = {Status.FACTS: facts.encode(Facts((make_attempt(),)))}
DONE = {"phase": "Succeeded", "result": True, "over": "Complete"}


def calls(count, *, ended=True):
    return tuple(
        ToolCall(f"t{n}", "Bash", "", at(45 + n), at(46 + n) if ended else None) for n in range(1, count + 1)
    )


def at_work(*, noted=True, told=(), tools=None, **log):
    notes = {**FACTS, **(NOTE if noted else {})}
    run = make_run(
        make_job(phase="Running", notes=notes),
        make_pod(),
        logs=[make_open_log(**{"tools": tools or calls(2), "init_at": at(43), **log})],
    )
    return replace(run, told=frozenset(told))


def names(plan):
    return [span.name for action in plan.actions for span in action.part.spans]


def test_a_run_says_that_its_spans_are_told_before_any_is():
    run = at_work(noted=False)
    seen = make_snapshot(run)
    assert telling.tell(seen, now(), LIVE).actions == ()
    (patch,) = telling.go_live(seen, now(50), LIVE).actions
    assert isinstance(patch, PatchJob)
    assert (patch.annotations, patch.version) == (
        {KEYS.status(Status.TRACE_LIVE): NOTE[Status.TRACE_LIVE]},
        "7",
    )
    assert NOTE[Status.TRACE_LIVE].startswith(stamp(50))


@pytest.mark.parametrize(
    ("run", "policy"),
    [
        pytest.param(at_work(noted=False), TRACED, id="the whole is told at the end"),
        pytest.param(at_work(noted=False), replace(LIVE, tracing=False), id="there are no traces"),
        pytest.param(at_work(), LIVE, id="it is noted"),
        pytest.param(at_work(noted=False, lines=0), LIVE, id="the agent has not said a word"),
        pytest.param(at_work(noted=False, headless=True), LIVE, id="its log has lost its beginning"),
        pytest.param(make_run(make_job(**DONE), make_ended_pod(), logs=[make_log()]), LIVE, id="it is over"),
    ],
)
def test_who_does_not_go_live(run, policy):
    assert telling.go_live(make_snapshot(run), now(), policy).actions == ()


def test_a_run_that_holds_too_many_spans_goes_live_in_any_mode():
    run = replace(at_work(noted=False), crowded=True)
    assert len(telling.go_live(make_snapshot(run), now(), TRACED).actions) == 1
    assert names(telling.tell(make_snapshot(at_work()), now(), TRACED)) == [
        "scheduling",
        *["execute_tool Bash"] * 2,
    ]


def test_what_has_been_told_is_not_told_again_and_nothing_is_told_all_the_time():
    seen, told = make_snapshot(at_work()), []
    for second in range(100, 130):
        plan = telling.tell(seen, now(second), LIVE)
        told += names(plan)
        seen = after(seen, plan, now(second))
    assert told == ["scheduling", "execute_tool Bash", "execute_tool Bash"]
    (run,) = seen.runs
    more = replace(run, logs=at_work(tools=calls(3)).logs)
    refused = 0
    for second in range(130, 140):
        plan = telling.tell(replace(seen, runs=(more,)), now(second), LIVE)
        seen, refused = after(seen, plan, now(second)), refused + len(plan.actions)
    assert refused == 2, "what finds no room is offered again every five seconds"


def looks(run, seconds):
    """At which of these seconds the spans of the run are looked at; each look finds that there are some."""
    seen, found = make_snapshot(run), []
    for second in seconds:
        plan = telling.tell(seen, now(second), LIVE)
        found += [second] if plan.actions else []
        seen = replace(seen, since={mark: seen.since.get(mark, now(second).mono) for mark in plan.marks})
    return found


def test_who_has_told_much_is_looked_at_less_often():
    few, many = (
        looks(at_work(told=[f"{n:016x}" for n in range(told)]), range(1000, 1400)) for told in (499, 2000)
    )
    assert {later - earlier for earlier, later in pairwise(few[1:])} == {5}
    assert {later - earlier for earlier, later in pairwise(many[1:])} == {40}


def test_what_became_final_since_is_looked_for_even_if_the_agent_falls_silent():
    seen = make_snapshot(at_work())
    told = telling.tell(seen, now(100), LIVE)
    assert 0 < told.look_again <= telling.EVERY_SECONDS
    seen = after(seen, told, now(100))
    at_once = telling.tell(seen, now(100.1), LIVE)
    assert at_once.actions == ()
    assert at_once.look_again == pytest.approx(told.look_again - 0.1)
    later = telling.tell(after(seen, at_once, now(100.1)), now(100 + told.look_again), LIVE)
    assert (later.actions, later.look_again) == ((), None), "and not again, if there is nothing"


def whole_of(run, policy=LIVE):
    known = facts.decode(run.job.status.get(Status.FACTS, ""))
    return tree.build(run, known, policy).spans


def ended(*, told=(), **log):
    job = make_job(**DONE, notes={**FACTS, **NOTE})
    return replace(make_run(job, make_ended_pod(), logs=[make_log(**log)]), told=frozenset(told))


def seen_with(tools):
    return replace(make_log().seen, tools=tools, tool_calls=len(tools), init_at=at(43))


def test_the_end_of_such_a_run_tells_the_rest_and_the_root():
    run = ended(seen=seen_with(calls(2)))
    whole = whole_of(run)
    told = {span.id for span in whole if span.name in ("scheduling", "execute_tool Bash")}
    (action,) = tracing.export(make_snapshot(replace(run, told=frozenset(told))), now(), LIVE).actions
    assert [span.id for span in action.tree.spans] == [span.id for span in whole if span.id not in told]
    assert action.tree.spans[0].name.startswith("RUN ")


@pytest.mark.parametrize(
    ("log", "steps"),
    [
        pytest.param({}, 2, id="read to its end: also what was cut off"),
        pytest.param({"state": LogState.TRUNCATED}, 1, id="its end is missing: what is final"),
        pytest.param({"resumed": True}, 0, id="its beginning is known from a checkpoint"),
        pytest.param({"place": replace(PLACE, gap=True)}, 0, id="lines in between are missing"),
    ],
)
def test_a_start_that_can_read_less_tells_nothing_that_may_have_been_told_otherwise(log, steps):
    tools = (*calls(1), *calls(2, ended=False)[1:])
    whole = whole_of(ended(seen=seen_with(tools), **log))
    assert [span.name for span in whole].count("execute_tool Bash") == steps


def test_under_other_settings_nothing_is_told_that_may_have_been_told_under_the_former():
    other = replace(LIVE, service_name="elsewhere")
    assert telling.tell(make_snapshot(at_work()), now(), other).actions == ()
    same, changed = (whole_of(ended(seen=seen_with(calls(2))), policy) for policy in (LIVE, other))
    early = {"scheduling", "execute_tool Bash"}
    assert {span.name for span in same} - {span.name for span in changed} == early


def concluded(now, then, *, live=False):
    """A run whose logs were these when it was concluded, and are those now."""
    known = Facts(
        tuple(make_attempt(uid=uid_of(pod), pod=pod) for pod in ("one", "two")), logs=tellings.extent(then)
    )
    notes = {Status.FACTS: facts.encode(known), Status.RESULT: "…", **(NOTE if live else {})}
    return make_run(make_job(phase="Succeeded", over="Complete", notes=notes), logs=now)


def make_log_of(pod, lines, state=LogState.COMPLETE):
    seen = replace(seen_with(calls(2)), lines=lines, bytes=lines * 100)
    return AttemptLog(uid_of(pod), state, seen)


FIRST, LAST = make_log_of("one", 40), make_log_of("two", 50)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param([FIRST, replace(LAST, state=LogState.TRUNCATED)], id="its beginning is gone"),
        pytest.param([FIRST, make_log_of("two", 49)], id="a line is gone"),
        pytest.param([FIRST], id="it is gone"),
        pytest.param([LAST], id="that of an earlier attempt is gone, which the result does not tell of"),
        pytest.param([], id="both are gone"),
    ],
)
def test_a_trace_of_logs_that_have_become_less_is_another_telling_with_other_ids(now):
    whole = whole_of(concluded([FIRST, LAST], [FIRST, LAST]), TRACED)
    retold = whole_of(concluded(now, [FIRST, LAST]), TRACED)
    assert {span.id for span in retold}.isdisjoint(span.id for span in whole)
    _root, *others = retold
    assert {span.parent for span in others} <= {span.id for span in retold}
    assert retold == whole_of(concluded(now, [FIRST, LAST]), TRACED)


def test_the_same_telling_has_the_ids_that_it_had_before_the_run_was_concluded():
    before = concluded([FIRST, LAST], [])
    known = replace(facts.decode(before.job.status[Status.FACTS]), logs="")
    never = replace(
        before, job=replace(before.job, status={**before.job.status, Status.FACTS: facts.encode(known)})
    )
    assert whole_of(concluded([LAST, FIRST], [FIRST, LAST]), TRACED) == whole_of(never, TRACED)


def test_what_was_told_live_keeps_its_place_if_the_log_was_read_to_its_end_only_later():
    then = [FIRST, make_log_of("two", 45, LogState.READING)]
    late = whole_of(concluded([FIRST, LAST], then, live=True))
    in_time = whole_of(concluded([FIRST, LAST], [FIRST, LAST], live=True))
    assert [span.id for span in late] == [span.id for span in in_time]


def test_no_span_is_told_of_a_run_whose_containers_may_be_started_again():
    run = at_work(noted=False)
    run = replace(run, job=replace(run.job, restarts_containers=True))
    assert telling.go_live(make_snapshot(run), now(50), LIVE).actions == ()


@pytest.mark.parametrize("wish", [{"agent_name": "Other"}, {"traceparent": "00-1"}, {"output": "text"}])
def test_if_the_host_changes_what_spans_are_made_of_nothing_more_is_told(wish):
    run = at_work()
    run = replace(run, job=replace(run.job, wishes=replace(run.job.wishes, **wish)))
    assert telling.tell(make_snapshot(run), now(), LIVE).actions == ()


def test_how_many_steps_have_no_span_is_not_said_if_some_may_have_been_told_before():
    whole = whole_of(ended(seen=seen_with(calls(2)), place=replace(PLACE, gap=True)))
    assert not {key for key, _ in whole[0].attributes if key.endswith(".dropped")}


def test_a_run_whose_job_is_deleted_while_its_spans_are_told_tells_the_rest():
    (part,) = telling.tell(make_snapshot(at_work()), now(), LIVE).actions
    assert isinstance(part, TellSpans)
    told = {span.id for span in part.part.spans}
    vanished = at_work(told=told)
    _, closed = tracing.close_vanished(make_snapshot(vanished=(vanished,)), now(), LIVE).actions
    assert told.isdisjoint(span.id for span in closed.tree.spans)
    assert closed.job_uid == uid_of("run-1")
