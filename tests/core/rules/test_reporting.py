import json
from dataclasses import replace

import pytest

from controller.core import cursor, facts, lifecycle
from controller.core.actions import Plan
from controller.core.contract import Phase, Reason, Status
from controller.core.rules import publishing, reporting
from tests.core.builders import (
    KEYS,
    PLACE,
    POLICY,
    at,
    make_claim,
    make_ended_pod,
    make_event,
    make_finished_seen,
    make_heard,
    make_ids,
    make_job,
    make_log,
    make_open_log,
    make_over,
    make_pod,
    make_run,
    make_snapshot,
    make_unscheduled_pod,
    make_waiting,
    now,
    stamp,
    uid_of,
    waiting,
)
from tests.core.world import after

KNOWN = {Status.SESSION_ID: "5e55", Status.MODEL: "claude-opus-5-5"}


def report(run, at=None, **changes):
    return reporting.report(make_snapshot(run, **changes), at or now(), POLICY)


def status(plan, name):
    (patch,) = plan.actions
    return patch.annotations.get(KEYS.status(name))


def live(*pods, observed=99, reason="AgentWorking", phase="Running", logs=(), **notes):
    """A run that has been reported so many seconds after noon."""
    known = {Status.OBSERVED_AT: stamp(observed), **KNOWN, **notes}
    return make_run(make_job(phase=phase, reason=reason, notes=known), *(pods or (make_pod(),)), logs=logs)


@pytest.mark.parametrize(
    ("run", "phase", "reason"),
    [
        pytest.param(make_run(), Phase.STARTING, Reason.ADMITTED, id="the first phase"),
        pytest.param(
            live(phase="Starting", reason="Admitted"), Phase.RUNNING, Reason.AGENT_STARTING, id="running"
        ),
        pytest.param(
            make_run(
                make_job(phase="Running", reason="AgentWorking", notes={Status.OBSERVED_AT: stamp(99)}),
                make_pod(),
                logs=[make_open_log()],
            ),
            Phase.RUNNING,
            Reason.AGENT_WORKING,
            id="session and model",
        ),
        pytest.param(
            make_run(make_waiting(external_queue="gpus")),
            Phase.QUEUED,
            Reason.EXTERNAL_QUEUE,
            id="who waits in another queue",
        ),
    ],
)
def test_what_is_written_at_once(run, phase, reason):
    plan = report(run)
    (patch,) = plan.actions
    assert (patch.why, patch.version) == ("report", "7")
    standing = (status(plan, Status.PHASE) or run.job.phase, status(plan, Status.REASON) or reason)
    assert standing == (phase, reason)


def test_a_reason_is_written_when_it_has_lasted():
    run = live(logs=[make_open_log(retrying="overloaded")])
    first = report(run, now(100))
    assert (first.actions, first.look_again) == ((), 5.0)
    seen = after(make_snapshot(run), first, now(100))
    assert reporting.report(seen, now(104.9), POLICY).actions == ()
    assert status(reporting.report(seen, now(105), POLICY), Status.REASON) == Reason.AGENT_RETRYING


def test_a_reason_that_did_not_last_is_not_written():
    run = live(logs=[make_open_log(retrying="overloaded")])
    seen = after(make_snapshot(run), report(run), now(100))
    calm = replace(seen, runs=(live(logs=[make_open_log()]),))
    assert reporting.report(calm, now(104), POLICY).marks == ()


@pytest.mark.parametrize(
    ("observed", "due"),
    [
        pytest.param(stamp(71), False, id="not before half the interval"),
        pytest.param(stamp(10), True, id="after one and a half"),
        pytest.param(stamp(3700), True, id="the clock was set back an hour"),
        pytest.param("never", True, id="what cannot be read is overdue"),
        pytest.param(None, True, id="none yet"),
    ],
)
def test_heartbeats_go_by_the_wall_clock(observed, due):
    notes = {Status.OBSERVED_AT: observed} if observed else {}
    job = make_job(phase="Running", reason="AgentWorking", notes={**KNOWN, **notes})
    plan = report(make_run(job, make_pod(), logs=[make_open_log()]))
    assert bool(plan.actions) is due
    if due:
        assert status(plan, Status.OBSERVED_AT) == stamp(100)
        assert (plan.actions[0].why, plan.actions[0].beat) == ("heartbeat", True)
    else:
        assert 1.0 <= plan.look_again <= 61.0


def test_what_says_more_than_that_the_run_lives_is_no_mere_heartbeat():
    run = live(logs=[make_open_log(retrying="overloaded")], observed=0)
    seen = make_snapshot(run, since={f"standing:{run.job.uid}:Running:AgentRetrying": 90.0})
    (patch,) = reporting.report(seen, now(100), POLICY).actions
    assert (patch.why, patch.beat) == ("report", False)
    assert status(reporting.report(seen, now(100), POLICY), Status.OBSERVED_AT) == stamp(100)


def test_a_result_that_was_seen_is_secured_two_seconds_later():
    run = live(reason="AgentFinished", phase="Finishing", logs=[make_log()])
    first = report(run, now(100))
    assert (first.actions, first.look_again) == ((), 2.0)
    seen = after(make_snapshot(run), first, now(100))
    plan = reporting.report(seen, now(102), POLICY)
    assert status(plan, Status.FACTS)
    assert reporting.report(after(seen, plan, now(102)), now(110), POLICY).actions == ()


def test_a_phase_never_goes_back():
    run = live(make_pod(waiting()), observed=0, phase="Running")
    plan = report(run)
    assert status(plan, Status.PHASE) is None
    assert status(plan, Status.REASON) == Reason.NEW_ATTEMPT


def test_a_phase_that_was_finishing_stays_so_while_the_agent_speaks_again():
    run = live(observed=0, phase="Finishing", reason="AgentFinished", logs=[make_open_log()])
    plan = report(run)
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (None, None)


def test_a_started_run_that_its_queue_suspended_keeps_its_phase():
    job = make_job(phase="Running", external_queue="gpus", suspended=True, notes={"observed-at": stamp(3)})
    plan = report(make_run(job))
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (None, Reason.EXTERNAL_QUEUE)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(make_run(make_waiting()), id="who waits for us"),
        pytest.param(make_run(make_job(ids=make_ids(run=""))), id="what is no run"),
        pytest.param(make_run(make_job(phase="Failed", result=True, over="x")), id="what is concluded"),
        pytest.param(make_run(make_job(phase="Running", suspended=True)), id="who was suspended"),
        pytest.param(make_over(job=make_job()), id="what is concluded right now"),
    ],
)
def test_of_whom_nothing_is_reported(run):
    assert report(run).actions == ()


def test_a_run_that_is_being_drained_is_still_alive():
    run = make_run(make_job(over="Complete"), make_ended_pod(0), logs=[make_open_log()])
    plan = report(run)
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (
        Phase.FINISHING,
        Reason.DRAINING_LOG,
    )
    assert status(plan, Status.OBSERVED_AT) == stamp(100)


def test_marks_name_what_they_measure():
    run = live(logs=[make_open_log(retrying="overloaded")])
    (mark,) = report(run).marks
    assert uid_of("run-1") in mark
    assert publishing.identity(run) == KNOWN


def test_a_run_that_is_being_stopped_stays_so_and_keeps_what_it_was_told():
    run = live(make_pod(waiting()), reason="Stopping", stop="{}", message="Because.")
    plan = report(run, now(200))
    assert status(plan, Status.REASON) is None
    assert status(plan, Status.MESSAGE) is None
    assert status(plan, Status.OBSERVED_AT) == stamp(200)


def test_a_result_of_a_pod_that_was_never_seen_asks_for_no_writes_without_end():
    run = make_run(live().job, logs=[make_log()])
    seen = after(make_snapshot(run), report(run), now())
    seen = after(seen, reporting.report(seen, now(110), POLICY), now(110))
    assert reporting.report(seen, now(120), POLICY).actions == ()


def noted(run, plan):
    """The run after the plan."""
    return after(make_snapshot(run), plan, now(100)).runs[0]


def test_a_result_that_was_seen_is_in_the_cursor_two_seconds_later_and_then_there_is_peace():
    run = live(reason="AgentFinished", phase="Finishing", logs=[make_log(place=PLACE)])
    facts_only = {Status.FACTS: facts.encode(facts.gather(run))}
    run = replace(run, job=replace(run.job, status={**run.job.status, **facts_only}))
    first = report(run, now(100))
    assert (first.actions, first.look_again) == ((), 2.0)
    seen = after(make_snapshot(run), first, now(100))
    plan = reporting.report(seen, now(102), POLICY)
    assert json.loads(status(plan, Status.LOG_CURSOR))["claim"]["subtype"] == "success"
    assert reporting.report(after(seen, plan, now(102)), now(110), POLICY).actions == ()


def test_more_lines_alone_make_no_patch():
    run = live(logs=[make_open_log(place=PLACE)], observed=99)
    run = noted(run, Plan((publishing.patch(run, lifecycle.standing(run), now(99), POLICY, why="report"),)))
    assert Status.LOG_CURSOR in run.job.status
    more = replace(run, logs=(make_open_log(lines=99, place=PLACE),))
    assert report(more, now(100)).actions == ()


def test_a_log_that_is_being_read_again_takes_nothing_back():
    run = live(logs=[make_open_log(place=PLACE)], observed=0)
    run = noted(run, report(run))
    assert cursor.of(run.job, run.logs[0].pod_uid).seen.lines == 12
    again = replace(run, logs=(make_open_log(lines=3, place=PLACE),))
    plan = report(again, now(300))
    assert plan.actions[0].why == "heartbeat"
    assert status(plan, Status.LOG_CURSOR) is None
    assert status(plan, Status.PROGRESS) is None


def test_a_session_that_is_read_again_does_not_take_the_place_of_a_later_one():
    run = live(logs=[make_open_log(place=PLACE, session_id="newer")], observed=0)
    run = noted(run, report(run))
    again = replace(run, logs=(make_open_log(lines=3, place=PLACE, session_id="older"),))
    assert status(report(again, now(300)), Status.SESSION_ID) is None


def test_an_agent_that_gives_one_result_after_the_other_has_none_of_them_written_at_once():
    run = live(reason="AgentFinished", phase="Finishing", logs=[make_log(place=PLACE)])
    seen, written = make_snapshot(run), 0
    for tick in range(200):
        mono = 100 + tick / 20
        later = make_log(place=PLACE, seen=make_finished_seen(claim=make_claim(at=at(88) + tick)))
        seen = replace(seen, runs=(replace(seen.runs[0], logs=(later,)),))
        plan = reporting.report(seen, now(mono), POLICY)
        written += bool(plan.actions)
        seen = after(seen, plan, now(mono))
    assert written <= 5, "ten seconds, each result secured after two"


# ── Starts that are held up ──────────────────────────────────────────────────────────────────────

NODES = "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint(s)"


def held_up(pod, said, reason, **changes):
    """A run that starts, with that message on it."""
    notes = {Status.OBSERVED_AT: stamp(99), Status.MESSAGE: said}
    return make_run(make_job(phase="Starting", reason=reason, notes=notes), pod, **changes)


def message_of(pod):
    return status(report(make_run(None, pod)), Status.MESSAGE)


def beat(run):
    """What is written 80 s later, when a heartbeat is due."""
    seen = make_snapshot(run)
    seen = after(seen, reporting.report(seen, now(100), POLICY), now(100))
    (patch,) = reporting.report(seen, now(180), POLICY).actions
    return patch


def test_counts_that_change_rewrite_no_message_and_cause_no_write():
    said = message_of(make_unscheduled_pod(NODES))
    changed = NODES.replace("0/5", "0/6").replace("3 node", "4 node")
    run = held_up(make_unscheduled_pod(changed), said, "Unscheduled")
    seen = make_snapshot(run)
    assert reporting.report(seen, now(100), POLICY).actions == ()
    assert beat(run).beat
    assert KEYS.status(Status.MESSAGE) not in beat(run).annotations


def test_a_pull_that_is_tried_again_and_again_is_written_once():
    tried = make_pod(waiting("ErrImagePull", message="no such host"))
    held = make_pod(
        waiting("ImagePullBackOff", message='Back-off pulling image "i:1": ErrImagePull: no such host')
    )
    run = held_up(held, message_of(tried), "ImagePullBackOff")
    assert KEYS.status(Status.MESSAGE) not in beat(run).annotations


def test_another_obstacle_of_the_same_reason_is_told_when_it_has_lasted():
    mount = make_event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found')
    pod = make_pod(waiting())
    run = held_up(pod, message_of(pod), "ContainerCreating", heard=make_heard(mount))
    first = report(run, now(100))
    assert (first.actions, first.look_again) == ((), 5.0)
    plan = reporting.report(after(make_snapshot(run), first, now(100)), now(105), POLICY)
    assert 'secret "s" not found' in status(plan, Status.MESSAGE)
    assert KEYS.status(Status.SINCE) not in plan.actions[0].annotations


def test_an_image_that_is_pulled_for_long_is_told():
    pulling = make_event("Pulling", 'Pulling image "ghcr.io/x/claude:2"', "claude")
    pod = make_pod(waiting())
    run = held_up(pod, message_of(pod), "ContainerCreating", heard=make_heard(pulling))
    first = report(run, now(100))
    plan = reporting.report(after(make_snapshot(run), first, now(100)), now(105), POLICY)
    assert status(plan, Status.REASON) == Reason.PULLING_IMAGE


def test_a_pod_that_is_not_made_is_told_with_what_the_job_s_events_say():
    refused = make_event("FailedCreate", 'Error creating: pods "run-1-" is forbidden: exceeded quota: q')
    run = make_run(make_job(), heard=make_heard(refused, about="run-1"))
    assert "exceeded quota: q" in status(report(run), Status.MESSAGE)
