import hashlib
import json
from dataclasses import replace

import pytest

from controller.core import cursor, facts
from controller.core.actions import PatchJob, ReadPods, StoreResult, TellJob
from controller.core.contract import SECOND, Phase, Reason, Status
from controller.core.model import Wishes
from controller.core.rules import concluding
from controller.core.snapshot import Export, Facts, Run, Unkept
from controller.core.transcript import AgentLog, LogState
from tests.core.builders import (
    KEYS,
    PLACE,
    POLICY,
    TRACED,
    exited,
    make_attempt,
    make_claim,
    make_ended_pod,
    make_finished_seen,
    make_ids,
    make_job,
    make_log,
    make_open_log,
    make_over,
    make_pod,
    make_run,
    make_seen,
    make_snapshot,
    make_waiting,
    now,
    stamp,
)
from tests.core.world import after

OPEN = make_over(log=make_open_log())
RETAINED = Wishes(retain=True)


def conclude(run, at=None, **changes):
    return concluding.conclude(make_snapshot(run, **changes), at or now(), POLICY)


def patch_of(plan):
    (patch,) = [action for action in plan.actions if isinstance(action, PatchJob)]
    return patch


def status(plan, name):
    return patch_of(plan).annotations.get(KEYS.status(name))


def test_phase_and_result_are_one_patch():
    job = make_job(phase="Running", notes={Status.OBSERVED_AT: stamp(90), Status.HEARTBEAT_SECONDS: "60"})
    plan = conclude(make_over(job=job))
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (Phase.SUCCEEDED, Reason.COMPLETED)
    assert json.loads(status(plan, Status.RESULT))["phase"] == Phase.SUCCEEDED
    assert facts.decode(status(plan, Status.FACTS)).logs, "how much had been read, for who tells it again"
    assert patch_of(plan).annotations[KEYS.status(Status.OBSERVED_AT)] is None
    assert (patch_of(plan).version, patch_of(plan).why) == ("7", "result")
    (told,) = [action for action in plan.actions if isinstance(action, TellJob)]
    assert (told.reason, told.warning) == ("ResultRecorded", False)


# ── A result that is too big ─────────────────────────────────────────────────────────────────────

BIG = make_over(log=make_log(seen=make_finished_seen(claim=make_claim(text="y" * 40_000))))
REF = f"configmap/run-{BIG.job.uid}"


def unkept(at, *, since=None, final=False):
    return replace(BIG, unkept=Unkept("quota", at if since is None else since, at, final))


def test_the_whole_of_a_result_that_is_cut_is_kept_before_it_is_referred_to():
    store, patch, _ = conclude(BIG).actions
    assert isinstance(store, StoreResult)
    assert (store.name, store.job_name, store.job_uid) == (f"run-{BIG.job.uid}", "run-1", BIG.job.uid)
    assert store.labels == {KEYS.run_id: "r-run-1", KEYS.agent_id: "a-1"}
    assert patch.annotations[KEYS.status(Status.RESULT_REF)] == REF
    found = json.loads(patch.annotations[KEYS.status(Status.RESULT)])
    assert found["sha256"] == store.sha256 == hashlib.sha256(store.text.encode()).hexdigest()
    assert json.loads(store.text)["summary"] == "y" * 40_000


def test_a_result_that_fits_is_kept_nowhere_else():
    plan = conclude(make_over())
    assert [type(action) for action in plan.actions] == [PatchJob, TellJob]
    assert status(plan, Status.RESULT_REF) is None


def test_where_nothing_has_left_the_annotation_but_what_nobody_has_there_is_no_whole():
    lost = make_over(log=make_log(seen=make_finished_seen(claim=make_claim(raw=b""))))
    plan = conclude(lost)
    assert [type(action) for action in plan.actions] == [PatchJob, TellJob]
    assert json.loads(status(plan, Status.RESULT))["truncated"] == ["resultJson"]


@pytest.mark.parametrize(
    ("run", "kept"),
    [
        pytest.param(unkept(50.0), True, id="it failed once"),
        pytest.param(unkept(99.0, since=0.0), True, id="it has failed for less than two minutes"),
        pytest.param(unkept(99.0, since=-30.0), False, id="it has for longer, and just now"),
        pytest.param(unkept(41.0, since=-300.0), False, id="and within the last minute"),
        pytest.param(unkept(40.0, since=-300.0), True, id="and a minute ago, so that it may be tried again"),
        pytest.param(unkept(0.0, final=True), False, id="it is refused"),
    ],
)
def test_a_run_waits_for_its_whole_result_to_be_kept_but_not_for_ever(run, kept):
    plan = conclude(run)
    assert any(isinstance(action, StoreResult) for action in plan.actions) is kept
    assert (status(plan, Status.RESULT_REF) == REF) is kept
    told = [a.note for a in plan.actions if isinstance(a, TellJob) and a.reason == "ResultCut"]
    assert bool(told) is not kept
    assert json.loads(status(plan, Status.RESULT))["truncated"] == ["resultJson", "summary"]


def test_a_failure_is_told_as_a_warning():
    (told,) = [action for action in conclude(make_over(1)).actions if isinstance(action, TellJob)]
    assert told.warning


def test_a_log_that_is_being_read_is_waited_for():
    plan = conclude(OPEN)
    assert (plan.actions, plan.look_again, len(plan.marks)) == ((), 300, 2)


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(make_open_log(), "truncated", id="what was read of it counts"),
        pytest.param(make_log(state=LogState.READING, seen=AgentLog()), "missing", id="nothing was read"),
        pytest.param(None, "missing", id="it was never opened"),
    ],
)
def test_a_log_that_never_ends_is_given_up_on(log, want):
    run = make_run(make_job(over="Complete"), make_ended_pod(0), logs=[log] if log else [])
    waits = conclude(run)
    seen = after(make_snapshot(run), waits, now(100))
    assert concluding.conclude(seen, now(399), POLICY).actions == ()
    plan = concluding.conclude(seen, now(400), POLICY)
    assert json.loads(status(plan, Status.RESULT))["log"]["state"] == want
    assert status(plan, Status.PHASE) == Phase.FAILED


def test_the_wall_clock_gives_up_on_no_log():
    seen = after(make_snapshot(OPEN), conclude(OPEN), now(100))
    assert concluding.conclude(seen, now(9999, mono=100), POLICY).actions == ()


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(make_run(make_job(over="Complete")), id="no pod is to be seen"),
        pytest.param(make_run(make_job(over="Complete"), make_pod()), id="its pod still runs"),
    ],
)
def test_pods_are_read_again_before_a_job_is_concluded_that_does_not_fit_them(run):
    (action,) = conclude(run).actions
    assert isinstance(action, ReadPods)
    certain = Run(run.job, run.pods, logs=(make_log(),), pods_read_at=now().mono)
    assert status(conclude(certain), Status.PHASE) == Phase.FAILED


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(make_run(make_job(), make_ended_pod(0)), id="a Job that is not over"),
        pytest.param(make_run(make_waiting()), id="a Job that waits"),
        pytest.param(make_over(job=make_job(ids=make_ids(adapter=""))), id="what is no run"),
        pytest.param(make_over(job=make_job(phase="Failed", result=True)), id="what has been concluded"),
        pytest.param(make_over(job=make_job(phase="Cancelled")), id="a terminal phase, whoever wrote it"),
    ],
)
def test_what_is_not_concluded(run):
    assert conclude(run).actions == ()


def test_a_result_without_a_terminal_phase_is_kept():
    plan = conclude(make_over(job=make_job(phase="Running", result=True)))
    assert status(plan, Status.PHASE) == Phase.SUCCEEDED
    assert KEYS.status(Status.RESULT) not in patch_of(plan).annotations


DONE = {"phase": "Failed", "result": True, "over": "x", "kept": POLICY.retention_seconds}
NEVER_RAN = {"phase": "Rejected", "result": True, "parallelism": 0}


@pytest.mark.parametrize(
    ("run", "policy", "want"),
    [
        pytest.param(make_run(make_job(**DONE)), POLICY, True, id="concluded, no traces wanted"),
        pytest.param(make_run(make_job(**DONE)), TRACED, False, id="its trace is still to come"),
        pytest.param(
            make_run(make_job(**DONE, notes={Status.TRACE_EXPORTED: stamp(99)})), TRACED, True, id="traced"
        ),
        pytest.param(make_run(make_job(**DONE), export=Export.GIVEN_UP), TRACED, True, id="given up on"),
        pytest.param(
            make_run(make_job(**DONE), export=Export.ACCEPTED), TRACED, False, id="not written down"
        ),
        pytest.param(make_run(make_job(**DONE), make_pod()), POLICY, False, id="a pod lingers"),
        pytest.param(make_run(make_job(phase="Failed")), POLICY, False, id="no result"),
        pytest.param(make_run(make_job(phase="Running", result=True)), POLICY, False, id="no terminal phase"),
        pytest.param(make_run(make_job(**{**DONE, "kept": None})), POLICY, False, id="not given a TTL yet"),
        pytest.param(make_run(make_job(**DONE, ttl_seconds=7)), POLICY, True, id="given one by another"),
        pytest.param(make_run(make_job(**DONE, wishes=RETAINED)), POLICY, False, id="its TTL is to go"),
        pytest.param(make_run(make_waiting(**NEVER_RAN)), POLICY, False, id="to be retired one day"),
        pytest.param(make_run(make_waiting(**NEVER_RAN, wishes=RETAINED)), POLICY, True, id="never retired"),
        pytest.param(make_run(make_waiting(**NEVER_RAN, deleted_at=1)), POLICY, True, id="being deleted"),
    ],
)
def test_what_is_settled(run, policy, want):
    assert concluding.is_settled(run, policy) is want


HELD = make_job(deleted_at=now().wall, phase="Running")
"""Deleted while it runs, and held by somebody's finalizer: Kubernetes will never give it a condition."""


def test_a_deleted_job_is_closed_once_its_pods_are_certain_to_have_ended():
    gone = Run(HELD, pods_read_at=now().mono)
    plan = conclude(gone)
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (Phase.CANCELLED, Reason.JOB_DELETED)
    assert json.loads(status(plan, Status.RESULT))["errorCode"] == "k8s_job_deleted_externally"


def test_of_a_deleted_job_without_pods_the_api_server_is_asked_first():
    (action,) = conclude(Run(HELD)).actions
    assert isinstance(action, ReadPods)


@pytest.mark.parametrize("certain", [now().mono, None])
def test_a_deleted_job_is_not_closed_while_a_pod_of_it_lives(certain):
    assert conclude(replace(make_run(HELD, make_pod()), pods_read_at=certain)).actions == ()


def test_an_agent_that_ended_before_its_job_was_deleted_keeps_its_own_end():
    ended = make_over()
    job = replace(HELD, conditions=(), deleted_at=now().wall + 3600 * SECOND)
    plan = conclude(replace(ended, job=job, pods_read_at=now().mono))
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (Phase.SUCCEEDED, Reason.COMPLETED)


def test_a_result_that_could_not_be_written_is_not_waited_for_anew():
    run = make_run(make_job(over="Complete"), make_ended_pod(0), logs=[make_open_log()])
    seen = after(make_snapshot(run), conclude(run), now(100))
    plan = concluding.conclude(seen, now(400), POLICY)
    refused = replace(seen, since={mark: seen.since[mark] for mark in plan.marks})
    assert status(concluding.conclude(refused, now(401), POLICY), Status.RESULT)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_job(over="Complete", failed=1, succeeded=1), id="more pods have ended"),
        pytest.param(make_job(over="Complete", succeeded=1), id="its pod has failed"),
    ],
)
def test_an_attempt_that_was_not_seen_is_looked_for_before_the_result_is_written(job):
    (action,) = conclude(make_run(job, make_ended_pod(1), logs=[make_log()])).actions
    assert isinstance(action, ReadPods)


def test_a_job_that_may_still_run_is_never_settled_whatever_its_annotations_say():
    copied = make_job(phase="Succeeded", result=True, notes={Status.TRACE_EXPORTED: stamp(1)})
    assert not concluding.is_settled(make_run(copied), TRACED)


def gone(code, log, **changes):
    """A run whose pod went while nobody looked: all that is left of it is what was written on its Job."""
    kept = {
        Status.FACTS: facts.encode(Facts((make_attempt(exited(code)),))),
        Status.LOG_CURSOR: cursor.encode(log),
    }
    return make_over(job=make_job(phase="Running", reason="AgentWorking", notes=kept), code=code, **changes)


@pytest.mark.parametrize("log", [None, make_log(state=LogState.MISSING, seen=AgentLog())])
@pytest.mark.parametrize(
    ("code", "phase", "reason"),
    [(0, Phase.SUCCEEDED, Reason.COMPLETED), (1, Phase.FAILED, Reason.CONTAINER_ERROR)],
)
def test_a_result_that_only_the_cursor_knows_is_told_and_never_covers_a_failure(log, code, phase, reason):
    read = make_log(place=PLACE)
    run = replace(gone(code, read), logs=(log,) if log else (), pods_read_at=1e9)
    plan = conclude(run if log else replace(run, pods=()), at=now(1000))
    assert (status(plan, Status.PHASE), status(plan, Status.REASON)) == (phase, reason)
    told = json.loads(status(plan, Status.RESULT))
    assert (told["summary"], told["sessionId"], told["log"]["state"]) == ("Done.", "5e55", "complete")
    assert (told["log"]["lines"], told["numTurns"], "resultJson" in told) == (12, 3, False)


def test_what_the_cursor_had_no_room_for_is_named():
    long = make_log(place=PLACE, seen=make_finished_seen(claim=make_claim(text="word " * 2000)))
    run = replace(gone(0, long), logs=(), pods=(), pods_read_at=1e9)
    told = json.loads(status(conclude(run, at=now(1000)), Status.RESULT))
    assert (len(told["summary"]), told["truncated"]) == (600, ["resultJson", "summary"])


def test_a_log_that_was_read_again_in_part_hides_no_result_that_the_cursor_knows():
    half = make_log(state=LogState.TRUNCATED, seen=make_seen(lines=3))
    run = replace(gone(0, make_log(place=PLACE)), logs=(half,), pods_read_at=1e9)
    assert status(conclude(run, at=now(1000)), Status.REASON) == Reason.COMPLETED


def test_a_success_whose_log_breaks_off_in_a_later_turn_is_none():
    spoke = make_log(state=LogState.TRUNCATED, seen=make_finished_seen(turn_open=True))
    run = replace(make_over(), logs=(spoke,), pods_read_at=1e9)
    assert status(conclude(run, at=now(1000)), Status.REASON) == Reason.TRUNCATED_OUTPUT


def test_a_cursor_without_a_claim_says_that_the_log_was_cut_short():
    run = replace(gone(0, make_open_log(place=PLACE)), logs=(), pods=(), pods_read_at=1e9)
    told = json.loads(status(conclude(run, at=now(1000)), Status.RESULT))
    assert (told["reason"], told["log"]["state"]) == ("TruncatedOutput", "truncated")


def test_the_terminal_patch_takes_the_cursor_away():
    kept = {Status.LOG_CURSOR: cursor.encode(make_log(place=PLACE))}
    run = make_over(job=make_job(phase="Running", reason="AgentWorking", notes=kept))
    patch = patch_of(conclude(run))
    assert patch.annotations[KEYS.status(Status.LOG_CURSOR)] is None
