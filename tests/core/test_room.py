"""What fits on a Job whose annotations others have filled: never a byte too much, never less than needed."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core import room
from controller.core.actions import PatchJob, Plan, StoreResult, TellJob
from controller.core.contract import ANNOTATIONS_MAX, OURS_MAX, TERMINAL, Phase, Reason, Status
from controller.core.reconcile import reconcile
from controller.core.rules import publishing
from controller.core.snapshot import Cramped, Standing
from tests.core.builders import (
    KEYS,
    POLICY,
    make_claim,
    make_finished_seen,
    make_job,
    make_log,
    make_open_log,
    make_over,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    stamp,
)
from tests.core.strategies import NOW, policies, snapshots
from tests.core.world import after, growth

LAW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
FREE = st.one_of(st.integers(0, 200), st.integers(0, 5000))
WORKING = {"phase": "Running", "reason": "AgentWorking", "message": "At work.", "since": stamp(50)}
CANCELLED = KEYS.cancel_requested


def crowded(run, free):
    """The run's Job with room for so many bytes of annotations."""
    return replace(run, job=replace(run.job, notes_bytes=ANNOTATIONS_MAX - free))


def filled(seen, rooms):
    return replace(seen, runs=tuple(map(crowded, seen.runs, rooms)))


def patches(plan):
    return [action for action in plan.actions if isinstance(action, PatchJob)]


def planned(run, at=None, **changes):
    return reconcile(make_snapshot(run, **changes), at or now(), POLICY)


def only(plan):
    (patch,) = patches(plan)
    return patch


def said(patch):
    return {key.removeprefix(KEYS.status_prefix): text for key, text in patch.annotations.items()}


LONG = make_log(seen=make_finished_seen(claim=make_claim(text="y" * 30_000)))


def whole(log=LONG):
    """A run that is over and says much, with what it had written while it ran."""
    notes = {**WORKING, "facts": "f" * 700, "progress": "p" * 90, "observed-at": stamp(90)}
    return make_over(1, job=make_job(notes=notes), log=LONG)


# ── Laws ─────────────────────────────────────────────────────────────────────────────────────────


@LAW
@given(snapshots(), policies(), st.lists(FREE, min_size=4, max_size=4))
def test_no_patch_ever_takes_more_than_there_is(seen, policy, rooms):
    seen = filled(seen, rooms)
    jobs = {run.job.uid: run.job for run in seen.runs}
    for patch in patches(reconcile(seen, NOW, policy)):
        job = jobs[patch.job_uid]
        assert growth(job, patch) <= ANNOTATIONS_MAX - job.notes_bytes
        assert patch.annotations or patch.spec or patch.labels or patch.template_labels


@LAW
@given(snapshots(), policies(), st.lists(FREE, min_size=4, max_size=4))
def test_what_is_done_to_a_job_is_done_however_little_can_be_said_of_it(seen, policy, rooms):
    """Only what continues on another Job waits: its own words are what makes it so."""
    roomy, tight = (reconcile(known, NOW, policy) for known in (seen, filled(seen, rooms)))
    attached = {patch.job_uid for patch in patches(roomy) if "attach" in patch.why.split("+")}

    def done(plan):
        return {
            (patch.job_uid, *patch.spec.items())
            for patch in patches(plan)
            if patch.spec and patch.job_uid not in attached
        }

    assert done(roomy) == done(tight)


@LAW
@given(snapshots(), policies(), st.lists(FREE, min_size=4, max_size=4))
def test_planning_falls_silent_however_little_room_there_is(seen, policy, rooms):
    seen = replace(filled(seen, rooms), fresh=True)
    for _ in range(8):
        seen = after(seen, reconcile(seen, NOW, policy), NOW)
    again = reconcile(seen, NOW, policy)
    assert [action for action in again.actions if not is_closed_again(seen, action)] == []


def is_closed_again(seen, action):
    """A run that is to have no pods and has no room to say why is closed once more: that changes nothing."""
    job = next(run.job for run in seen.runs if run.job.uid == action.job_uid)
    closed = job.parallelism == 0 and job.phase not in TERMINAL
    return closed and (
        isinstance(action, TellJob) or (action.spec == {"parallelism": 0} and not action.annotations)
    )


@LAW
@given(snapshots(), policies(), st.lists(FREE, min_size=4, max_size=4))
def test_no_run_ends_without_its_result_and_no_phase_is_written_without_its_reason(seen, policy, rooms):
    seen = filled(seen, rooms)
    jobs = {run.job.uid: run.job for run in seen.runs}
    for patch in patches(reconcile(seen, NOW, policy)):
        found = {**jobs[patch.job_uid].status, **said(patch)}
        if said(patch).get("phase") in TERMINAL:
            assert found["result"]
        if said(patch).get("phase") and "reason" not in said(patch):
            roomy = next(
                p for p in patches(reconcile(seen_with_room(seen), NOW, policy)) if p.job_uid == patch.job_uid
            )
            assert "reason" not in said(roomy)


def seen_with_room(seen):
    return filled(seen, [ANNOTATIONS_MAX] * len(seen.runs))


@LAW
@given(snapshots(), policies(), st.lists(FREE, min_size=4, max_size=4))
def test_what_did_not_get_written_is_not_told(seen, policy, rooms):
    plan = reconcile(filled(seen, rooms), NOW, policy)
    wrote = {patch.job_uid: said(patch) for patch in patches(plan)}
    for patch in patches(plan):
        ends = {"result", "reject", "cancel"} & set(patch.why.split("+"))
        if ends or patch.tally is not None:
            assert said(patch).get("phase") in TERMINAL, "an end is counted only if it is written"
    for action in plan.actions:
        if isinstance(action, TellJob) and action.reason in ("ResultRecorded", "ResultCut", "Rejected"):
            assert wrote[action.job_uid]["phase"] in TERMINAL
        if isinstance(action, TellJob) and action.reason == "Stopping":
            assert wrote[action.job_uid]["stop"]


@LAW
@given(snapshots(), policies())
def test_with_room_nothing_is_changed(seen, policy):
    plan = reconcile(seen, NOW, policy)
    assert not any("squeezed" in patch.why for patch in patches(plan))
    assert room.squeeze(plan, seen, NOW, policy) is plan


# ── A start, a stop, a heartbeat ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("free", [0, 1, 40, 100, 200, 400])
def test_a_run_is_started_however_full_its_annotations_are(free):
    patch = only(planned(crowded(make_run(make_waiting()), free)))
    assert patch.spec == {"suspend": False}
    assert growth(make_waiting(), patch) <= free


def test_at_the_very_limit_all_is_said_that_was_to_be():
    run = make_run(make_waiting())
    wanted = growth(run.job, only(planned(run)))
    exact, short = (only(planned(crowded(run, free))) for free in (wanted, wanted - 1))
    assert exact.annotations == only(planned(run)).annotations
    assert said(exact).keys() - said(short).keys() == {"message"}
    assert short.why == "admit+squeezed"


@pytest.mark.parametrize("free", [0, 30, 75, 100, 5000])
def test_a_run_is_stopped_however_full_its_annotations_are(free):
    job = make_job(notes=WORKING, wishes=replace(make_job().wishes, cancel_requested="enough"))
    log = make_open_log(last_at=None)
    run = make_run(job, make_pod(), logs=[replace(log, streaming=True)])
    patch = only(planned(crowded(run, free)))
    assert patch.spec == {"activeDeadlineSeconds": 1}
    assert growth(job, patch) <= free
    if free >= 100:
        assert json.loads(said(patch)["stop"])["reason"] == Reason.CANCELLED_BY_HOST


def stopped(free, **notes):
    """What is written of a stop on a Job that says this already."""
    job = make_job(notes=WORKING | notes)
    job = replace(job, wishes=replace(job.wishes, cancel_requested="enough"))
    run = make_run(job, make_pod(), logs=[replace(make_open_log(last_at=None), streaming=True)])
    return planned(crowded(run, free))


def test_why_a_run_is_stopped_is_worth_more_than_that_it_was_observed():
    beat = {"observed-at": stamp(90), "heartbeat-seconds": "60", "schema": "1"}
    found = said(only(stopped(0, **beat)))
    assert json.loads(found["stop"])["reason"] == Reason.CANCELLED_BY_HOST
    assert found["observed-at"] is None


def test_why_a_run_is_stopped_is_worth_more_than_how_it_stands():
    (least,) = [free for free in range(200) if free_for_stop(free) and not free_for_stop(free - 1)]
    found = said(only(stopped(least, reason="?")))
    assert found.keys().isdisjoint({"phase", "reason", "since", "pod"})


def free_for_stop(free):
    return free >= 0 and bool(said(only(stopped(free, reason="?"))).get("stop"))


def test_a_stop_that_is_not_written_is_not_told():
    plan = stopped(0, phase="Running", message="")
    assert "stop" not in said(only(plan))
    assert "Stopping" not in {act.reason for act in plan.actions if isinstance(act, TellJob)}


def test_the_time_that_a_host_wants_its_job_kept_is_worth_more_than_how_it_stands():
    waiting = make_waiting(ttl_seconds=77)
    patch = only(planned(crowded(make_run(waiting), 35)))
    assert said(patch) == {"host-ttl": "77"}
    assert patch.spec == {"ttlSecondsAfterFinished": None, "suspend": False}


def test_what_there_is_makes_room_for_why_a_run_is_stopped():
    job = make_job(notes={**WORKING, "progress": "p" * 200, "message": "m"}, over=None)
    job = replace(job, wishes=replace(job.wishes, cancel_requested="enough"))
    run = make_run(job, make_pod(), logs=[replace(make_open_log(last_at=None), streaming=True)])
    found = said(only(planned(crowded(run, 0))))
    assert found["stop"]
    assert found["progress"] is None


def test_a_heartbeat_that_takes_no_more_room_than_the_one_before_goes_on():
    notes = {**WORKING, "observed-at": stamp(0), "heartbeat-seconds": "60", "schema": "1"}
    run = make_run(make_job(notes=notes), make_pod(), logs=[make_open_log()])
    found = said(only(planned(crowded(run, 0), now(300))))
    assert found["observed-at"] == stamp(300)
    assert found.keys().isdisjoint({"progress", "facts", "session-id", "pod"})


def test_a_full_job_is_told_once_and_looked_at_again():
    run = crowded(make_run(make_waiting()), 0)
    plan = planned(run)
    (told,) = [act for act in plan.actions if isinstance(act, TellJob) and act.reason == "AnnotationsFull"]
    assert told.warning
    assert plan.look_again == room.AGAIN_SECONDS
    again = planned(run, since=dict.fromkeys(plan.marks, 100.0))
    assert not any(act.reason == "AnnotationsFull" for act in again.actions if isinstance(act, TellJob))


def test_of_a_patch_that_is_withheld_nothing_is_told():
    busy = make_run(make_job("live", notes=WORKING), make_pod(job="live"), logs=[make_open_log("live-x")])
    waits = crowded(make_run(make_waiting(created=5)), 0)
    told = [a for a in reconcile(make_snapshot(busy, waits), now(), POLICY).actions if isinstance(a, TellJob)]
    assert [tell.reason for tell in told if tell.name == "run-1"] == ["AnnotationsFull"]


# ── The end ──────────────────────────────────────────────────────────────────────────────────────


def ended(free, run=None):
    run = run or whole()
    found = reconcile(make_snapshot(crowded(run, free)), now(), POLICY)
    return said(only(found))


@pytest.mark.parametrize(
    ("free", "has", "lacks"),
    [
        pytest.param(50_000, {"facts", "message", "log", "summary"}, set(), id="room for all"),
        pytest.param(3000, {"facts", "message", "log", "summary"}, {"resultJson"}, id="for some"),
        pytest.param(
            300, {"runId", "errorMessage"}, {"resultJson"}, id="the envelope, for which others leave"
        ),
        pytest.param(0, {"reason", "errorCode", "errorMessage"}, {"resultJson"}, id="what others leave"),
    ],
)
def test_a_run_ends_with_as_much_of_its_result_as_there_is_room_for(free, has, lacks):
    found = ended(free)
    said_ = json.loads(found["result"])
    assert found["phase"] == Phase.FAILED == said_["phase"]
    assert has <= said_.keys() | found.keys()
    assert lacks.isdisjoint(said_)
    assert said_["errorMessage"]


BEATING = {"observed-at": stamp(90), "heartbeat-seconds": "60", "log-cursor": "{}"}


@pytest.mark.parametrize("free", [0, 20, 60])
@pytest.mark.parametrize("notes", [{}, {"observed-at": stamp(90)}])
def test_where_there_is_no_room_for_a_result_a_run_waits_for_it(free, notes):
    job = make_job(phase="Running", reason="AgentWorking", notes=notes)
    plan = planned(crowded(make_over(1, job=job), free))
    found = after(make_snapshot(crowded(make_over(1, job=job), free)), plan, now()).runs[0].job.status
    assert {name: found.get(name) for name in job.status} == job.status
    assert "result" not in found
    assert plan.look_again == room.AGAIN_SECONDS
    told = {action.reason for action in plan.actions if isinstance(action, TellJob)}
    assert told == {"AnnotationsFull"}


def test_a_run_that_has_waited_for_room_ends_with_its_result_when_there_is_some():
    run = make_over(1, job=make_job(phase="Running", reason="AgentWorking"))
    seen = make_snapshot(crowded(run, 20))
    seen = after(seen, reconcile(seen, now(), POLICY), now())
    patch = only(reconcile(filled(seen, [900]), now(160), POLICY))
    assert said(patch)["phase"] == Phase.FAILED == json.loads(said(patch)["result"])["phase"]


def test_what_a_run_no_longer_needs_makes_room_for_its_end():
    run = make_over(
        1, job=make_job(phase="Running", reason="AgentWorking", notes=BEATING | {"message": "m" * 60})
    )
    found = ended(0, run)
    assert json.loads(found["result"])["reason"] == found["reason"] == Reason.CONTAINER_ERROR
    assert found["observed-at"] is None


def test_where_a_whole_is_kept_leaves_just_before_the_result_and_the_result_says_its_checksum():
    run = whole()
    needed = {free for free in range(0, 2500, 20) if "result-ref" in ended(free, run)}
    assert needed == set(range(min(needed), 2500, 20)), "it never leaves where there is more room"
    found = ended(max(min(needed) - 20, 0), run)
    assert found["result"]
    assert json.loads(ended(min(needed), run)["result"])["sha256"]


def test_of_an_end_that_waits_for_room_no_whole_is_kept():
    run = make_over(1, job=make_job(phase="Running", reason="AgentWorking"), log=LONG)
    plan = planned(crowded(run, 20))
    assert not any(isinstance(action, StoreResult) for action in plan.actions)


def test_where_there_is_no_room_at_all_nothing_is_asked_for():
    plan = planned(crowded(make_over(1, job=make_job()), 0))
    assert patches(plan) == []
    assert plan.look_again == room.AGAIN_SECONDS


@pytest.mark.parametrize(("level", "most"), [(1, 4096), (2, 1024), (3, 256), (4, 0), (9, 0)])
def test_after_a_refusal_less_is_asked_for_each_time_and_for_a_while(level, most):
    run = replace(whole(), cramped=Cramped(level, 100.0))
    patch = only(planned(run, now(159)))
    assert growth(run.job, patch) <= most
    assert json.loads(said(patch)["result"])["phase"] == Phase.FAILED
    assert growth(run.job, only(planned(run, now(160)))) > 4096


def test_all_that_is_ours_together_has_a_limit_too():
    notes = {**WORKING, "decision": "d" * 12_000, "run-history": "[" + " " * 14_000 + "]"}
    run = make_over(1, job=make_job(notes=notes), log=LONG)
    patch = only(planned(run))
    after_ = {**run.job.status, **said(patch)}
    ours = sum(len(KEYS.status(name)) + len(text) for name, text in after_.items() if text is not None)
    assert OURS_MAX - 2048 < ours <= OURS_MAX
    assert len(after_["result"]) < 14_000


def test_a_plan_without_patches_is_left_as_it_is():
    plan = Plan(look_again=3.0)
    assert room.squeeze(plan, make_snapshot(), now(), POLICY) is plan


def test_whose_run_a_job_is_by_now_is_written_whole_or_not_at_all():
    run = crowded(make_run(make_job(notes=WORKING)), 20)
    own = publishing.patch(
        run, Standing(Phase.RUNNING, Reason.AGENT_WORKING, "At work."), now(), POLICY, why="x"
    )
    relabel = replace(
        own,
        annotations={KEYS.run_id: "r/2", KEYS.status(Status.RUN_HISTORY): "[" + " " * 80 + "]"},
        labels={KEYS.run_id: "r2"},
        spec={"activeDeadlineSeconds": 1},
    )
    (patch,) = patches(room.squeeze(Plan((relabel,)), make_snapshot(run), now(), POLICY))
    assert (patch.annotations, patch.labels) == ({}, {})
    assert patch.spec == {"activeDeadlineSeconds": 1}
