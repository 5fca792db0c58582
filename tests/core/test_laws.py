import json
import os
import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core import admission, attachments, lifecycle
from controller.core.actions import (
    ExportTrace,
    FollowLog,
    PatchJob,
    PatchPod,
    ReadResult,
    RefreshJob,
    StoreResult,
    TellJob,
    TellSpans,
)
from controller.core.contract import (
    ANNOTATIONS_MAX,
    RANK,
    RESULT_INLINE_MAX,
    SECOND,
    TERMINAL,
    Keys,
    Phase,
    Status,
)
from controller.core.model import Now
from controller.core.reconcile import RULES, reconcile
from controller.core.rules import keeping
from controller.core.snapshot import Ownership
from tests.core.strategies import NOW, policies, snapshots
from tests.core.world import after

LAW = settings(
    max_examples=int(os.environ.get("RUNHERD_LAW_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
KEYS = Keys()
OURS = {KEYS.status(name) for key, name in vars(Status).items() if key.isupper()}
ENDS = {"result", "reject", "cancel"}
"""Purposes of patches that write a terminal phase."""
RAW_IDS = {KEYS.run_id, KEYS.session_id}
"""Written on the Job that does an attached run's work."""
SPEC_FIELDS = {"suspend", "parallelism", "activeDeadlineSeconds", "ttlSecondsAfterFinished"}


def patches(plan):
    return [action for action in plan.actions if isinstance(action, PatchJob)]


def written(patch, name):
    return patch.annotations.get(KEYS.status(name))


def places(seen):
    """Places held in the slot, counted by the words of the contract."""
    held = {ghost.uid for ghost in seen.ghosts}
    for run in seen.runs:
        job = run.job
        over = any(c.type in ("Complete", "Failed") and c.status == "True" for c in job.conditions)
        if not job.suspended and job.parallelism > 0 and not over and job.deleted_at is None:
            held.add(job.uid)
    everywhere = [pod for run in seen.runs for pod in run.pods] + list(seen.strays)
    held |= {pod.job_uid or pod.uid for pod in everywhere if pod.phase not in ("Succeeded", "Failed")}
    return held


@LAW
@given(snapshots(), policies())
def test_no_snapshot_makes_a_rule_raise(seen, policy):
    for rule in RULES:
        rule(seen, NOW, policy)
    reconcile(seen, NOW, policy)


@LAW
@given(snapshots(), policies())
def test_order_of_runs_pods_and_logs_is_irrelevant(seen, policy):
    shuffled = random.Random(7)

    def mixed(values):
        return tuple(shuffled.sample(values, len(values)))

    other = replace(
        seen,
        runs=mixed([replace(run, pods=mixed(run.pods), logs=mixed(run.logs)) for run in seen.runs]),
        strays=mixed(seen.strays),
        ghosts=mixed(seen.ghosts),
        doubts=mixed(seen.doubts),
    )
    first, second = reconcile(seen, NOW, policy), reconcile(other, NOW, policy)
    assert sorted(map(repr, first.actions)) == sorted(map(repr, second.actions))
    assert first.look_again == second.look_again
    assert set(first.marks) == set(second.marks)


@LAW
@given(snapshots(calm=True), policies())
def test_planning_twice_changes_nothing(seen, policy):
    plan = reconcile(seen, NOW, policy)
    again = reconcile(after(seen, plan, NOW), NOW, policy)
    # A run that has just been concluded hands over its trace, for which earlier attempts' logs count too, and
    # is then kept for as long as its host says.
    concluded = {patch.job_uid for patch in patches(plan) if ENDS & set(patch.why.split("+"))}
    rejected = any("reject" in patch.why for patch in patches(plan))
    for action in again.actions:
        follows = isinstance(action, ExportTrace) or getattr(action, "why", "") in ("release", "retire")
        traced = follows and action.job_uid in concluded
        # A rejected Job no longer stands before a younger one of the same run id.
        freed = rejected and admission.is_waiting(job_of(seen, action))
        assert traced or freed or (moved(plan) and attends(action))


def moved(plan):
    """Something was written, or read, that others follow: attached runs, twins, those that may not wait."""
    return bool(patches(plan)) or any(isinstance(action, ReadResult) for action in plan.actions)


def attends(action):
    """What follows on another Job than the one that was written: its commit point is a write of its own."""
    match action:
        case PatchPod() | ReadResult():
            return True
        case PatchJob(why=why):
            return set(why.split("+")) <= {"attach", "relabel", "mirror", "copy", "reject"}
        case TellJob(reason=reason):
            return reason in ("Attached", "ResultRecorded", "Rejected", "OddInput")
        case ExportTrace() | TellSpans():
            return True
        case FollowLog(urgent=urgent):
            return urgent  # its run has just been stopped
    return False


def job_of(seen, action):
    return next(run.job for run in seen.runs if run.job.uid == action.job_uid)


@LAW
@given(snapshots(), policies())
def test_planning_falls_silent_whatever_was_in_doubt(seen, policy):
    seen = replace(seen, fresh=True)
    for _ in range(8):
        plan = reconcile(seen, NOW, policy)
        seen = after(seen, plan, NOW)
    assert reconcile(seen, NOW, policy).actions == ()


@settings(LAW, max_examples=LAW.max_examples // 3)
@given(snapshots(), policies())
def test_without_certain_knowledge_nothing_but_knowledge_is_asked_for(seen, policy):
    # Cheap to get wrong by one rule only, and then wrong for most snapshots: fewer examples will do.
    # What a host wants to end is ended all the same, unless its own Job is in doubt.
    doubted = seen.runs[0].job.uid
    plan = reconcile(replace(seen, doubts=(doubted,)), NOW, policy)
    assert {type(action) for action in plan.actions} <= {RefreshJob, PatchJob, TellJob}
    assert {type(action) for action in plan.actions if action.job_uid == doubted} == {RefreshJob}
    assert all(is_wanted(seen, patch) for patch in patches(plan))
    plan = reconcile(replace(seen, doubts=(), fresh=False), NOW, policy)
    assert {type(action) for action in plan.actions} <= {FollowLog, PatchJob, TellJob}
    assert all(is_wanted(seen, patch) for patch in patches(plan))


def is_wanted(seen, patch):
    """A patch that does what a host asks for with a cancel, and nothing besides."""
    asking = [run.job for run in seen.runs if run.job.wishes.cancel_requested]
    on = {job.uid for job in asking} | {job.status.get(Status.ATTACHED_TO, "")[-36:] for job in asking}
    return patch.why in ("stop", "cancel") and patch.job_uid in on and bool(patch.version)


def stops(plan):
    """Which Jobs a plan ends, and why."""
    ending = [patch for patch in patches(plan) if patch.spec.get("activeDeadlineSeconds") == 1]
    ending = [patch for patch in ending if "retire" not in patch.why]
    reasons = [written(patch, Status.STOP) for patch in ending]
    return {
        (patch.job_uid, json.loads(text)["reason"] if text else "again")
        for patch, text in zip(ending, reasons, strict=True)
    }


@LAW
@given(snapshots(), policies(), st.sampled_from([-3600, 3600, -(10**9), 10**9]))
def test_whatever_the_wall_clock_says_the_same_runs_are_stopped(seen, policy, skew):
    skewed = Now(NOW.wall + skew * SECOND, NOW.mono)
    assert stops(reconcile(seen, skewed, policy)) == stops(reconcile(seen, NOW, policy))


@LAW
@given(snapshots(), policies(), st.sampled_from([-3600, 0, 3600, 10**9]))
def test_a_job_is_retired_only_after_a_rest_by_the_monotonic_clock(seen, policy, skew):
    plan = reconcile(seen, Now(NOW.wall + skew * SECOND, NOW.mono), policy)
    kept = {rest.job_uid: rest.seconds for rest in plan.rests}
    for run in seen.runs:
        least = min(keeping.seconds(run.job, policy), 300)
        assert kept.get(run.job.uid, least) >= least
        assert kept.get(run.job.uid, 0) <= keeping.seconds(run.job, policy)
    for patch in patches(plan):
        run = next(run for run in seen.runs if run.job.uid == patch.job_uid)
        if "retire" in patch.why:
            assert run.rested or keeping.seconds(run.job, policy) == 0
            assert run.job.suspended
            assert not run.job.wishes.retain


@LAW
@given(snapshots(), policies())
def test_no_job_is_given_a_ttl_before_its_run_is_over_and_its_result_is_on_it(seen, policy):
    left = after(seen, reconcile(seen, NOW, policy), NOW)
    for before, run in zip(seen.runs, left.runs, strict=True):
        job = run.job
        if job.ttl_seconds is None or job.ttl_seconds == before.job.ttl_seconds:
            continue
        assert before.job.phase in TERMINAL
        assert Status.RESULT in before.job.status
        assert not admission.holds(job)
        assert not job.wishes.retain
        assert not attachments.attached_to(left, job.uid)


@LAW
@given(snapshots(), policies())
def test_no_host_ttl_lasts_longer_than_the_first_plan(seen, policy):
    seen = replace(seen, fresh=True, doubts=())
    left = after(seen, reconcile(seen, NOW, policy), NOW)
    for before, run in zip(seen.runs, left.runs, strict=True):
        job = before.job
        if job.ttl_seconds is None or job.phase in TERMINAL or job.deleted_at or not job.ids.name_a_run:
            continue
        if any(mark.startswith(f"ttl:{job.uid}:") for mark in seen.since):
            continue  # somebody has put it back within this minute
        assert run.job.ttl_seconds is None or run.job.phase in TERMINAL
        assert run.job.status[Status.HOST_TTL] == str(job.ttl_seconds)


@LAW
@given(snapshots(calm=True), policies())
def test_a_run_that_is_to_be_cancelled_is_never_started(seen, policy):
    for patch in patches(reconcile(seen, NOW, policy)):
        if job_of(seen, patch).wishes.cancel_requested and patch.spec.get("suspend") is False:
            assert patch.spec["parallelism"] == 0


@LAW
@given(snapshots(calm=True), policies())
def test_what_its_host_wants_to_end_is_ending_soon(seen, policy):
    for minutes in range(3):
        later = Now(NOW.wall, NOW.mono + 60 * minutes)
        seen = after(seen, reconcile(seen, later, policy), later)
    for run in seen.runs:
        job = run.job
        if not job.wishes.cancel_requested or job.external_queue or not job.ids.name_a_run:
            continue
        ending = job.phase in TERMINAL or job.deleted_at or job.conditions or Status.STOP in job.status
        shared = job.phase is Phase.ATTACHED
        ended = run.pods and lifecycle.newest_pod(run).ended
        assert ending or shared or ended or not admission.holds(job)


@LAW
@given(snapshots(), policies())
def test_whatever_is_written_is_guarded_final_and_ours(seen, policy):
    plan = reconcile(seen, NOW, policy)
    left = after(seen, plan, NOW)
    before = {run.job.uid: run.job for run in seen.runs}
    behind = {run.job.uid: run.job for run in left.runs}
    known = {run.job.uid: run for run in seen.runs}
    for patch in patches(plan):
        job = before[patch.job_uid]
        keeps_to_what_is_ours(patch)
        moves_forward_only(patch, job)
        ends_whole(patch, behind[patch.job_uid])
        starts_whole(patch, known[patch.job_uid], policy)
    assert len({patch.job_uid for patch in patches(plan)}) == len(patches(plan))
    starts = {patch.job_uid for patch in patches(plan) if is_start(patch)}
    if policy.company_concurrency or policy.cluster_concurrency:
        assert starts <= (seen.capacity.granted if seen.capacity else frozenset())
    # Whether a ghost is gone is not known yet when the other actions are carried out.
    held = places(replace(left, ghosts=seen.ghosts, strays=seen.strays))
    assert len(held) <= max(policy.agent_concurrency, len(places(seen)))


@LAW
@given(snapshots(calm=True), policies(), st.sampled_from([900, 3000]))
def test_no_job_is_patched_before_the_whole_of_its_result_is_stored(seen, policy, free):
    """Also where a rule before the one that ends a run wants something of its Job: its TTL, say."""
    changes = {"notes_bytes": ANNOTATIONS_MAX - free, "ttl_seconds": 60}
    runs = tuple(replace(run, job=replace(run.job, **changes)) for run in seen.runs)
    patched = set()
    for action in reconcile(replace(seen, runs=runs), NOW, policy).actions:
        assert not (isinstance(action, StoreResult) and action.job_uid in patched)
        patched |= {action.job_uid} if isinstance(action, PatchJob) else set()


def keeps_to_what_is_ours(patch):
    assert patch.job_uid
    unguarded = set(patch.why.split("+")) <= {"trace", "keep", "release"}
    assert bool(patch.version) is not unguarded
    assert patch.spec.keys() <= SPEC_FIELDS
    relabels = "relabel" in patch.why.split("+")
    assert patch.annotations.keys() <= OURS | (RAW_IDS if relabels else set())
    assert patch.labels.keys() <= (RAW_IDS if relabels else set())
    assert patch.annotations or patch.spec


def moves_forward_only(patch, job):
    """A written result is never replaced, a terminal phase never changes, no phase goes back."""
    phase = written(patch, Status.PHASE)
    if Status.RESULT in job.status:
        assert written(patch, Status.RESULT) is None
    if job.phase in TERMINAL:
        late = {KEYS.status(name) for name in (Status.TRACE_EXPORTED, Status.RUN_HISTORY, Status.TTL_SET)}
        assert set(patch.annotations) <= late | RAW_IDS
    if phase is not None and job.phase is not None:
        assert RANK[Phase(phase)] >= RANK[job.phase]


def is_start(patch):
    """It lets pods be made: with parallelism 0 it closes a Job."""
    return patch.spec.get("suspend") is False and patch.spec.get("parallelism") != 0


def starts_whole(patch, run, policy):
    """No run is started before each of its objects has answered."""
    if is_start(patch):
        checked = [owned for owned in run.job.owned if policy.own_secrets or owned.kind != "Secret"]
        answers = {run.owned[owned].ownership for owned in checked}
        assert answers <= {Ownership.ADOPTED, Ownership.REFUSED, Ownership.FORBIDDEN}


def ends_whole(patch, left):
    """A terminal phase has a result that fits and says why, and no heartbeat beside it."""
    if written(patch, Status.PHASE) not in TERMINAL:
        return
    assert Status.RESULT in left.status
    assert {Status.OBSERVED_AT, Status.HEARTBEAT_SECONDS}.isdisjoint(left.status)
    text = written(patch, Status.RESULT)
    if text is not None:
        assert len(text.encode()) <= RESULT_INLINE_MAX
        assert left.phase is Phase.SUCCEEDED or json.loads(text)["errorMessage"]
