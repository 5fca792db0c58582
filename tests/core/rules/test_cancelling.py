import json
from dataclasses import replace

import pytest

from controller.core.actions import PatchJob, Plan, TellJob
from controller.core.contract import Phase, Reason, Status
from controller.core.model import Wishes
from controller.core.reconcile import reconcile
from controller.core.rules import cancelling
from controller.core.snapshot import Ghost
from tests.core.builders import (
    KEYS,
    NAMESPACE,
    POLICY,
    make_ids,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    uid_of,
)

ENOUGH = Wishes(output="claude-stream-json", cancel_requested="the issue was closed")
NOBODY = Wishes(output="claude-stream-json")


def patches(plan):
    return [action for action in plan.actions if isinstance(action, PatchJob)]


def said(patch, name):
    return patch.annotations.get(KEYS.status(name))


@pytest.mark.parametrize("phase", [None, "Queued"], ids=["before it was ever seen", "queued"])
def test_a_run_that_waits_and_is_cancelled_ends_by_one_patch(phase):
    run = make_run(make_waiting(phase=phase, wishes=ENOUGH))
    patch, told = cancelling.cancel_waiting(make_snapshot(run), now(), POLICY).actions
    assert patch.spec == {"parallelism": 0}
    assert (patch.version, patch.why) == ("7", "cancel")
    assert (said(patch, Status.PHASE), said(patch, Status.REASON)) == ("Cancelled", "CancelledByHost")
    result = json.loads(said(patch, Status.RESULT))
    assert (result["phase"], result["reason"]) == (Phase.CANCELLED, Reason.CANCELLED_BY_HOST)
    assert (result["errorCode"], result["runId"]) == ("cancelled", "r-run-1")
    assert "the issue was closed" in result["errorMessage"]
    assert "usageBasis" not in result
    assert isinstance(told, TellJob)
    assert told.reason == "Cancelled"


@pytest.mark.parametrize("fresh", [True, False])
def test_a_cancel_wins_over_an_admission_in_the_same_plan(fresh):
    seen = make_snapshot(
        make_run(make_waiting("wanted", created=5)),
        make_run(make_waiting("unwanted", wishes=ENOUGH)),
        fresh=fresh,
    )
    plan = reconcile(seen, now(), POLICY)
    by_name = {patch.name: patch for patch in patches(plan)}
    assert by_name["unwanted"].spec == {"parallelism": 0}
    assert ("wanted" in by_name) is fresh, "the place is the next one's"
    if fresh:
        assert by_name["wanted"].spec == {"suspend": False}


def test_a_run_of_the_same_id_is_not_started_instead():
    twin = make_waiting("twin", run="r-same", created=5)
    seen = make_snapshot(make_run(twin), make_run(make_waiting(run="r-same", wishes=ENOUGH)))
    assert all(patch.spec.get("suspend") is not False for patch in patches(reconcile(seen, now(), POLICY)))


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_waiting(), id="nobody asks"),
        pytest.param(make_waiting(wishes=ENOUGH, external_queue="gpus"), id="another queue has it"),
        pytest.param(make_waiting(wishes=ENOUGH, deleted_at=1), id="it is being deleted"),
        pytest.param(make_waiting(wishes=ENOUGH, phase="Running"), id="it was started and suspended"),
        pytest.param(make_waiting(wishes=ENOUGH, phase="Rejected", result=True), id="it is over"),
        pytest.param(make_waiting(wishes=ENOUGH, ids=make_ids(run="")), id="it is no run: rejected"),
        pytest.param(make_job(wishes=ENOUGH), id="it runs"),
    ],
)
def test_what_is_not_cancelled_here(job):
    assert cancelling.cancel_waiting(make_snapshot(make_run(job)), now(), POLICY) == Plan()


def test_a_job_that_is_in_doubt_is_read_before_it_is_cancelled():
    seen = make_snapshot(make_run(make_waiting(wishes=ENOUGH)), doubts=(uid_of("run-1"),))
    assert patches(reconcile(seen, now(), POLICY)) == []


def test_another_job_s_doubt_holds_up_no_cancel():
    seen = make_snapshot(
        make_run(make_waiting(wishes=ENOUGH)), make_run(make_job("other")), doubts=(uid_of("other"),)
    )
    assert [patch.why for patch in patches(reconcile(seen, now(), POLICY))] == ["cancel"]


# ── Attached runs ────────────────────────────────────────────────────────────────────────────────

SHARED = make_job("shared", phase="Running", reason="AgentWorking")


def make_attached(name, created, wishes=NOBODY, to=SHARED):
    notes = {Status.ATTACHED_TO: f"{to.name}/{to.uid}"}
    job = make_waiting(name, created=created, wishes=wishes, phase="Attached", parallelism=0, notes=notes)
    return make_run(job)


def ended(*attached, shared=SHARED):
    seen = make_snapshot(make_run(shared, make_pod(job="shared")), *attached)
    return {patch.name: patch for patch in patches(cancelling.end_attachments(seen, now(), POLICY))}


def test_an_earlier_attached_run_ends_by_itself_and_leaves_the_job_alone():
    found = ended(make_attached("n-2", 6), make_attached("n-1", 5, ENOUGH))
    assert set(found) == {"n-1"}
    assert said(found["n-1"], Status.PHASE) == Phase.CANCELLED
    result = json.loads(said(found["n-1"], Status.RESULT))
    assert (result["usageBasis"], result["runId"]) == ("attached", "r-n-1")


@pytest.mark.parametrize(
    ("attached", "shared"),
    [
        pytest.param([make_attached("n-1", 5, ENOUGH)], SHARED, id="the only one: that is a stop"),
        pytest.param(
            [make_attached("n-1", 5), make_attached("n-2", 6, ENOUGH)], SHARED, id="the newest: likewise"
        ),
        pytest.param([make_attached("n-1", 5), make_attached("n-2", 6)], SHARED, id="nobody asks"),
        pytest.param(
            [make_attached("n-1", 5, ENOUGH), make_attached("n-2", 6)],
            make_job("shared", phase="Running", over="Complete"),
            id="the Job has ended: its result is theirs",
        ),
        pytest.param(
            [make_attached("n-1", 5, ENOUGH), make_attached("n-2", 6)],
            make_job("shared", phase="Failed", over="x", result=True),
            id="the run is over",
        ),
    ],
)
def test_which_attachments_are_not_ended(attached, shared):
    assert ended(*attached, shared=shared) == {}


def test_an_attached_run_whose_job_is_nowhere_to_be_seen_ends_by_itself():
    lost = make_attached("n-1", 5, ENOUGH, make_job("gone"))
    assert set(ended(lost, make_attached("n-2", 6))) == {"n-1"}
    ghost = make_snapshot(lost, ghosts=(Ghost(NAMESPACE, "gone", uid_of("gone")),))
    assert not cancelling.end_attachments(ghost, now(), POLICY).actions, "that may still run"


def test_once_the_earlier_one_has_ended_the_later_one_decides():
    gone = make_attached("n-1", 5, ENOUGH)
    gone = replace(gone, job=replace(gone.job, status={**gone.job.status, Status.PHASE: "Cancelled"}))
    assert ended(gone, make_attached("n-2", 6, ENOUGH)) == {}
