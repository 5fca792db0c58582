import json
from dataclasses import replace

import pytest

from controller.core.actions import PatchJob, ReadPods, TellJob
from controller.core.contract import Reason, Status
from controller.core.rules import stopping
from tests.core.builders import (
    KEYS,
    POLICY,
    exited,
    make_condition,
    make_ids,
    make_job,
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
    """The plan once the API server has confirmed what the cache says of the pods, if that is asked for."""
    plan = stopping.stop_hopeless_starts(seen, at, POLICY)
    if [type(action) for action in plan.actions] != [ReadPods]:
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
        pytest.param(make_unscheduled_pod(), now(9000), [], id="not one that waits for a node"),
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


def test_a_run_without_a_pod_is_not_judged_here():
    assert plan_for().actions == ()


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
    (asked,) = stopping.stop_hopeless_starts(cached, at, POLICY).actions
    assert isinstance(asked, ReadPods)
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
