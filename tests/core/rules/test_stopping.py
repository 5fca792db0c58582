import json
from dataclasses import replace

import pytest

from controller.core import facts
from controller.core.actions import PatchJob, Plan, ReadEvents, ReadPods, TellJob
from controller.core.contract import Reason, Status
from controller.core.model import Wishes
from controller.core.rules import stopping
from controller.core.snapshot import Facts
from controller.core.transcript import LogState
from tests.core.builders import (
    KEYS,
    POLICY,
    at,
    exited,
    make_attempt,
    make_condition,
    make_ended_pod,
    make_event,
    make_heard,
    make_ids,
    make_job,
    make_log,
    make_open_log,
    make_pod,
    make_run,
    make_snapshot,
    make_unscheduled_pod,
    make_waiting,
    now,
    stamp,
    waiting,
)
from tests.core.world import after

HOPELESS = make_pod(waiting("ErrImageNeverPull"))
SLOW = make_pod(waiting("ImagePullBackOff"))
STARTING = make_job(phase="Starting", reason="Admitted")


def plan_for(*pods, job=STARTING, at=None):
    return with_pods_read(make_snapshot(make_run(job, *pods)), at or now())


def with_pods_read(seen, at):
    """The plan once the API server has said of pods and Events what it knows, if that is asked for."""
    plan = stopping.stop_hopeless_starts(seen, at, POLICY)
    if [type(action) for action in plan.actions] not in ([ReadPods], [ReadPods, ReadEvents]):
        return plan
    return stopping.stop_hopeless_starts(after(seen, plan, at), at, POLICY)


def later(pod, at):
    """The plan at `at`, if the state has been seen first 100 s after noon."""
    seen = make_snapshot(make_run(STARTING, pod))
    seen = after(seen, stopping.stop_hopeless_starts(seen, now(100), POLICY), now(100))
    return with_pods_read(seen, at)


def stopped_for(plan):
    patches = [action for action in plan.actions if isinstance(action, PatchJob)]
    return [json.loads(patch.annotations[KEYS.status(Status.STOP)])["reason"] for patch in patches]


def test_a_stop_is_one_patch_that_says_why():
    plan = plan_for(HOPELESS)
    patch, told = plan.actions
    assert patch.spec == {"activeDeadlineSeconds": 1}
    assert json.loads(patch.annotations[KEYS.status(Status.STOP)]) == {
        "reason": Reason.IMAGE_PULL_FAILED,
        "at": stamp(100),
    }
    assert patch.annotations[KEYS.status(Status.REASON)] == Reason.STOPPING
    assert KEYS.status(Status.PHASE) not in patch.annotations
    assert json.loads(patch.annotations[KEYS.status(Status.FACTS)])["attempts"]
    assert patch.annotations[KEYS.status(Status.OBSERVED_AT)] == stamp(100)
    assert (patch.version, patch.why) == ("7", "stop")
    assert isinstance(told, TellJob)
    assert (told.reason, told.warning) == ("Stopping", True)


@pytest.mark.parametrize(
    ("pod", "at", "reasons"),
    [
        pytest.param(SLOW, now(100), [], id="not at first sight"),
        pytest.param(SLOW, now(699), [], id="not before the time is over"),
        pytest.param(SLOW, now(700), ["ImagePullFailed"], id="after 600 s for what was diagnosed"),
        pytest.param(make_pod(waiting()), now(700), ["StartTimeout"], id="after 600 s for want of better"),
        pytest.param(make_pod(waiting("CreateContainerConfigError")), now(700), ["ConfigError"], id="config"),
        pytest.param(SLOW, now(4300, mono=100), [], id="not by a wall clock that is an hour ahead"),
        pytest.param(SLOW, now(-3500, mono=699), [], id="not by a wall clock that is an hour behind"),
        pytest.param(
            SLOW, now(-3500, mono=700), ["ImagePullFailed"], id="in time whatever the wall clock says"
        ),
        pytest.param(make_unscheduled_pod(), now(3699), [], id="not one that waits for a node"),
        pytest.param(make_unscheduled_pod(), now(3700), ["Unschedulable"], id="unless it has for an hour"),
        pytest.param(make_unscheduled_pod(deleted_at=1), now(3700), [], id="not one that is taken away"),
        pytest.param(make_unscheduled_pod(), now(9000, mono=3699), [], id="an hour by the right clock"),
        pytest.param(make_pod(), now(9000), [], id="not one that runs"),
        pytest.param(make_pod(exited(1)), now(9000), [], id="not one that ran"),
        pytest.param(make_pod(waiting(), phase="Failed"), now(9000), [], id="not one whose pod has ended"),
    ],
)
def test_when_a_start_is_given_up(pod, at, reasons):
    assert stopped_for(later(pod, at)) == reasons


def test_time_that_passes_unseen_does_not_count():
    assert plan_for(SLOW, at=now(9000)).look_again == 600


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_job(conditions=(make_condition("FailureTarget"),)), id="it is about to fail"),
        pytest.param(make_job(conditions=(make_condition("SuccessCriteriaMet"),)), id="about to succeed"),
        pytest.param(make_job(over="x"), id="it is over"),
        pytest.param(make_job(deleted_at=1), id="it is being deleted"),
        pytest.param(make_waiting(), id="it is suspended"),
        pytest.param(make_job(notes={Status.STOP: "{}"}), id="it has been stopped"),
        pytest.param(make_job(ids=make_ids(run="")), id="it has no run id"),
        pytest.param(make_job(ids=make_ids(adapter="")), id="it has no adapter type"),
        pytest.param(make_job(ids=make_ids(agent="")), id="it has no agent id: live work, and nothing more"),
        pytest.param(make_job(phase="Rejected", result=True), id="its phase is terminal"),
    ],
)
def test_what_is_never_stopped(job):
    assert plan_for(HOPELESS, job=job).actions == ()


def test_only_the_newest_pod_counts():
    old = make_pod(waiting("ErrImageNeverPull"), name="old", created=1)
    assert plan_for(old, make_pod(name="new", created=2)).actions == ()


def test_for_a_node_is_waited_for_ever_if_that_is_wanted():
    patient = replace(POLICY, unschedulable_timeout_seconds=0)
    run = make_run(STARTING, make_unscheduled_pod())
    assert stopping.stop_hopeless_starts(make_snapshot(run), now(9000), patient) == Plan()


def without_pods(at, job=STARTING, *pods):
    """The plan at `at` for a run of which no pod was seen in the 100th second after noon."""
    seen = make_snapshot(make_run(job))
    seen = after(seen, stopping.stop_hopeless_starts(seen, now(100), POLICY), now(100))
    asked = stopping.stop_hopeless_starts(seen, at, POLICY)
    read = after(seen, asked, at)
    read = replace(read, runs=tuple(replace(run, pods=pods) for run in read.runs))
    return asked, stopping.stop_hopeless_starts(read, at, POLICY)


def test_a_run_that_gets_no_pod_is_given_up_after_its_time_and_a_look_at_the_cluster():
    asked, plan = without_pods(now(700))
    assert [type(action) for action in asked.actions] == [ReadPods, ReadEvents]
    assert stopped_for(plan) == [Reason.POD_MISSING]


@pytest.mark.parametrize("at", [now(699), now(4300, mono=699)], ids=["too early", "by the wrong clock"])
def test_a_run_without_a_pod_is_given_time(at):
    asked, _ = without_pods(at)
    assert (asked.actions, asked.look_again) == ((), 1)


def test_a_pod_that_only_the_cluster_knew_of_is_enough():
    _, plan = without_pods(now(700), STARTING, make_pod())
    assert stopped_for(plan) == []


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(replace(STARTING, failed=1), id="one has failed: the next comes later each time"),
        pytest.param(replace(STARTING, active=1), id="Kubernetes knows of one"),
        pytest.param(replace(STARTING, parallelism=0), id="none is wanted"),
        pytest.param(
            make_job(phase="Running", notes={Status.FACTS: facts.encode(Facts((make_attempt(),)))}),
            id="one has been seen",
        ),
    ],
)
def test_who_has_had_a_pod_or_wants_none_lacks_none(job):
    asked, _ = without_pods(now(9000), job)
    assert asked == Plan()


@pytest.mark.parametrize(
    ("pod", "at"),
    [
        pytest.param(HOPELESS, now(100), id="at once"),
        pytest.param(SLOW, now(700), id="after its time"),
    ],
)
def test_an_agent_that_has_begun_unseen_is_not_stopped(pod, at):
    seen = make_snapshot(make_run(STARTING, pod))
    first = stopping.stop_hopeless_starts(seen, now(100), POLICY)
    seen = after(seen, first, now(100))
    cached = make_snapshot(*unread(seen), since=seen.since)
    asked = stopping.stop_hopeless_starts(cached, at, POLICY).actions
    assert isinstance(asked[0], ReadPods)
    begun = replace(seen.runs[0], pods=(make_pod(),), pods_read_at=at.mono)
    assert stopping.stop_hopeless_starts(replace(seen, runs=(begun,)), at, POLICY).actions == ()


def unread(seen):
    return (replace(run, pods_read_at=None) for run in seen.runs)


def test_a_stop_that_failed_does_not_begin_the_waiting_anew():
    seen = make_snapshot(make_run(STARTING, SLOW))
    seen = after(seen, stopping.stop_hopeless_starts(seen, now(100), POLICY), now(100))
    plan = with_pods_read(seen, now(700))
    failed = replace(seen, since={mark: seen.since[mark] for mark in plan.marks})
    assert stopped_for(with_pods_read(failed, now(701))) == ["ImagePullFailed"]


MOUNT = make_event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found')


def stopped_with(run):
    """Reason and message of the stop that is due."""
    seen = make_snapshot(run)
    seen = after(seen, stopping.stop_hopeless_starts(seen, now(100), POLICY), now(100))
    plan = with_pods_read(seen, now(700))
    patch = next(action for action in plan.actions if isinstance(action, PatchJob))
    return stopped_for(plan), patch.annotations[KEYS.status(Status.MESSAGE)]


def test_a_start_that_is_given_up_is_named_by_its_events():
    pod = make_pod(waiting())
    reasons, said = stopped_with(make_run(STARTING, pod, heard=make_heard(MOUNT)))
    assert reasons == [Reason.CONFIG_ERROR]
    assert said.startswith("Pod run-1-x did not start in time. Volume v can't be mounted: secret")


def test_a_job_that_gets_no_pod_is_given_up_with_what_its_events_say():
    refused = make_event("FailedCreate", 'Error creating: pods "run-1-" is forbidden: exceeded quota: q')
    reasons, said = stopped_with(make_run(STARTING, heard=make_heard(refused, about="run-1")))
    assert reasons == [Reason.POD_MISSING]
    assert "exceeded quota: q. Raise the namespace's ResourceQuota" in said


def test_a_list_of_events_that_gets_no_answer_holds_no_stop_up():
    seen = make_snapshot(make_run(STARTING, SLOW))
    seen = after(seen, stopping.stop_hopeless_starts(seen, now(100), POLICY), now(100))
    unanswered = replace(seen.runs[0], pods_read_at=700, heard=make_heard(mono=700))
    plan = stopping.stop_hopeless_starts(replace(seen, runs=(unanswered,)), now(700), POLICY)
    assert stopped_for(plan) == [Reason.IMAGE_PULL_FAILED]


# ── Cancels ──────────────────────────────────────────────────────────────────────────────────────

ENOUGH = Wishes(output="claude-stream-json", cancel_requested="the issue was closed")
AT_WORK = make_job(phase="Running", reason="AgentWorking", wishes=ENOUGH)
STREAMS = make_log(state=LogState.READING, streaming=True)


def cancel(job, *pods, logs=(STREAMS,), at=None, others=(), **changes):
    seen = make_snapshot(make_run(job, *pods, logs=logs), *others, **changes)
    return stopping.stop_cancelled(seen, at or now(), POLICY)


def record(plan):
    (patch,) = [action for action in plan.actions if isinstance(action, PatchJob)]
    return json.loads(patch.annotations[KEYS.status(Status.STOP)])


@pytest.mark.parametrize(
    ("job", "pods"),
    [
        pytest.param(make_job(wishes=ENOUGH), [], id="just submitted"),
        pytest.param(replace(STARTING, wishes=ENOUGH), [], id="without a pod"),
        pytest.param(replace(STARTING, wishes=ENOUGH), [make_unscheduled_pod()], id="without a node"),
        pytest.param(replace(STARTING, wishes=ENOUGH), [SLOW], id="starting"),
        pytest.param(AT_WORK, [make_pod()], id="running"),
        pytest.param(replace(AT_WORK, backoff_limit=2), [make_ended_pod(1)], id="between two attempts"),
        pytest.param(replace(AT_WORK, external_queue="gpus"), [make_pod()], id="started by another queue"),
        pytest.param(make_job(phase="Finishing", wishes=ENOUGH), [make_pod(exited(0))], id="finishing"),
        pytest.param(replace(AT_WORK, deleted_at=1), [make_pod()], id="deleted, and held by a finalizer"),
    ],
)
def test_a_cancel_is_one_stop_wherever_the_run_stands(job, pods):
    plan = cancel(job, *pods)
    assert stopped_for(plan) == [Reason.CANCELLED_BY_HOST]
    assert plan.actions[0].spec == {"activeDeadlineSeconds": 1}
    assert plan.actions[0].version
    assert "the issue was closed" in plan.actions[0].annotations[KEYS.status(Status.MESSAGE)]


@pytest.mark.parametrize(
    ("job", "pods"),
    [
        pytest.param(make_job(phase="Running"), [make_pod()], id="nobody asks"),
        pytest.param(replace(AT_WORK, conditions=(make_condition("FailureTarget"),)), [], id="it fails"),
        pytest.param(replace(AT_WORK, conditions=(make_condition("SuccessCriteriaMet"),)), [], id="succeeds"),
        pytest.param(make_job(over="Complete", wishes=ENOUGH), [make_ended_pod(0)], id="it is over"),
        pytest.param(AT_WORK, [make_ended_pod(0)], id="its pod has ended by itself"),
        pytest.param(AT_WORK, [make_ended_pod(1)], id="its pod has failed, and there is no other"),
        pytest.param(make_job(phase="Failed", result=True, wishes=ENOUGH), [], id="its phase is terminal"),
        pytest.param(make_waiting(wishes=ENOUGH), [], id="it waits: that is no stop"),
        pytest.param(make_waiting(wishes=ENOUGH, external_queue="gpus"), [], id="another queue has it"),
        pytest.param(make_job(phase="Running", wishes=ENOUGH, deleted_at=1), [], id="it goes anyway"),
        pytest.param(make_job(wishes=ENOUGH, ids=make_ids(run="")), [make_pod()], id="it is no run"),
        pytest.param(make_job(wishes=ENOUGH, notes={Status.STOP: "{}"}), [make_pod()], id="stopped already"),
    ],
)
def test_what_a_cancel_changes_nothing_about(job, pods):
    assert cancel(job, *pods) == Plan()


@pytest.mark.parametrize("shorter", [0, 1])
def test_a_deadline_that_is_shorter_stays(shorter):
    plan = cancel(replace(AT_WORK, deadline_seconds=shorter), make_pod())
    assert (stopped_for(plan), plan.actions[0].spec) == ([Reason.CANCELLED_BY_HOST], {})


def test_a_longer_deadline_is_cut_short():
    plan = cancel(replace(AT_WORK, deadline_seconds=2), make_pod())
    assert plan.actions[0].spec == {"activeDeadlineSeconds": 1}


@pytest.mark.parametrize(
    ("container", "ended"),
    [(exited(0), "run-1-x"), (make_pod().containers[0], None)],
    ids=["ended", "at work"],
)
def test_a_stop_says_in_which_pod_the_agent_had_ended_before(container, ended):
    pod = make_pod(container)
    assert record(cancel(AT_WORK, pod)).get("ended") == (pod.uid if ended else None)


@pytest.mark.parametrize("log", [[], [make_open_log()]], ids=["not asked for", "not open yet"])
def test_a_stop_waits_for_the_log_for_five_seconds_at_most(log):
    seen = make_snapshot(make_run(AT_WORK, make_pod(), logs=log))
    waits = stopping.stop_cancelled(seen, now(100), POLICY)
    assert (waits.actions, waits.look_again) == ((), 5)
    seen = after(seen, waits, now(100))
    assert stopping.stop_cancelled(seen, now(3700, mono=104), POLICY).actions == ()
    plan = stopping.stop_cancelled(seen, now(100, mono=105), POLICY)
    assert stopped_for(plan) == [Reason.CANCELLED_BY_HOST]
    assert plan.marks == waits.marks


@pytest.mark.parametrize("known", [{"fresh": False}, {"doubts": ("another",)}], ids=["stale", "in doubt"])
def test_where_no_time_is_counted_a_cancel_does_not_wait(known):
    assert stopped_for(cancel(AT_WORK, make_pod(), logs=(), **known)) == [Reason.CANCELLED_BY_HOST]


# ── Attached runs ────────────────────────────────────────────────────────────────────────────────

SHARED = make_job(phase="Running", reason="AgentWorking")


def make_attached(name, created, wishes=ENOUGH, **changes):
    to = {Status.ATTACHED_TO: f"{SHARED.name}/{SHARED.uid}"}
    kept = {"phase": "Attached", "parallelism": 0, "notes": to, **changes}
    return make_run(make_waiting(name, created=created, wishes=wishes, **kept))


NOBODY = Wishes()


@pytest.mark.parametrize(
    ("others", "stops"),
    [
        pytest.param([make_attached("n-1", 5)], True, id="the only one"),
        pytest.param([make_attached("n-1", 5, NOBODY), make_attached("n-2", 6)], True, id="the newest"),
        pytest.param([make_attached("n-2", 6, NOBODY), make_attached("n-1", 5)], False, id="an earlier one"),
        pytest.param(
            [make_attached("n-a", 5), make_attached("n-b", 5, NOBODY)], False, id="the name decides"
        ),
        pytest.param(
            [make_attached("n-1", 5), make_attached("n-2", 6, NOBODY, phase="Cancelled", result=True)],
            True,
            id="the newest of those that are still attached",
        ),
        pytest.param([make_attached("n-1", 5, notes={})], False, id="one that is attached to nothing"),
    ],
)
def test_the_newest_run_that_shares_a_job_can_have_it_stopped(others, stops):
    plan = cancel(SHARED, make_pod(), others=others)
    assert stopped_for(plan) == [Reason.CANCELLED_BY_HOST] * stops


def test_in_doubt_it_is_not_known_who_is_the_newest():
    newest = make_attached("n-1", 5)
    assert cancel(SHARED, make_pod(), others=[newest], doubts=("another",)) == Plan()


# ── Suspended after its start ────────────────────────────────────────────────────────────────────

CUT_OFF = make_waiting(phase="Running", reason="AgentWorking", deadline_seconds=3600)


def close(job, *pods):
    return stopping.close_suspended(make_snapshot(make_run(job, *pods)), now(), POLICY)


def test_a_run_that_was_suspended_after_its_start_is_closed_by_one_patch():
    plan = close(CUT_OFF)
    assert plan.actions[0].spec == {"suspend": False, "parallelism": 0, "activeDeadlineSeconds": 1}
    assert stopped_for(plan) == [Reason.EXTERNALLY_SUSPENDED]
    assert plan.actions[0].version


def test_its_stop_counts_from_the_suspension_because_that_ended_the_agent():
    held = replace(CUT_OFF, conditions=(make_condition("Suspended", "JobSuspended", seconds=80),))
    ended = exited(143, finished_at=at(81))
    assert record(close(held, make_pod(ended))) == {"reason": "ExternallySuspended", "at": stamp(80)}


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_waiting(), id="waits"),
        pytest.param(make_waiting(phase="Queued"), id="is queued"),
        pytest.param(make_job(phase="Running"), id="runs"),
        pytest.param(replace(CUT_OFF, external_queue="gpus"), id="is another queue's"),
        pytest.param(replace(CUT_OFF, deleted_at=1), id="is being deleted"),
        pytest.param(make_waiting(phase="Attached", parallelism=0), id="is attached"),
        pytest.param(make_waiting(phase="Cancelled", result=True, parallelism=0), id="never ran"),
        pytest.param(make_waiting(phase="Running", over="Complete"), id="is over"),
    ],
)
def test_what_is_not_closed(job):
    assert close(job) == Plan()


@pytest.mark.parametrize("pods", [(), (make_ended_pod(143),)], ids=["gone", "ended"])
def test_a_cancel_of_a_suspended_run_closes_it_as_cancelled(pods):
    plan = cancel(replace(CUT_OFF, wishes=ENOUGH), *pods)
    assert stopped_for(plan) == [Reason.CANCELLED_BY_HOST]
    assert plan.actions[0].spec == {"suspend": False, "parallelism": 0, "activeDeadlineSeconds": 1}
    assert close(replace(CUT_OFF, wishes=ENOUGH), *pods) == Plan()


# ── A stop that was undone ───────────────────────────────────────────────────────────────────────

STOPPED = make_job(phase="Running", notes={Status.STOP: "{}"})


def again(job, at):
    seen = make_snapshot(make_run(job))
    seen = after(seen, stopping.stop_again(seen, now(100), POLICY), now(100))
    return stopping.stop_again(seen, at, POLICY)


@pytest.mark.parametrize(
    ("job", "spec"),
    [
        pytest.param(replace(STOPPED, deadline_seconds=3600), {"activeDeadlineSeconds": 1}, id="longer"),
        pytest.param(STOPPED, {"activeDeadlineSeconds": 1}, id="none"),
        pytest.param(
            replace(STOPPED, deadline_seconds=1, suspended=True),
            {"suspend": False, "parallelism": 0},
            id="suspended: no deadline counts",
        ),
    ],
)
def test_a_stop_that_was_undone_is_done_again_but_nobody_is_fought(job, spec):
    assert again(job, now(3700, mono=159)).actions == ()
    (patch,) = again(job, now(100, mono=160)).actions
    assert (patch.spec, patch.version, patch.why) == (spec, "7", "stop-again")
    assert KEYS.status(Status.STOP) not in patch.annotations


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(replace(STOPPED, deadline_seconds=1), id="it stands"),
        pytest.param(replace(STOPPED, deadline_seconds=0), id="or is shorter"),
        pytest.param(make_job(phase="Running"), id="there was none"),
        pytest.param(replace(STOPPED, conditions=(make_condition("FailureTarget"),)), id="it has worked"),
        pytest.param(replace(STOPPED, suspended=True, external_queue="gpus"), id="another queue holds it"),
    ],
)
def test_a_stop_that_stands_is_left_alone(job):
    assert again(job, now(9999)) == Plan()
