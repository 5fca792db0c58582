import json
from dataclasses import replace

import pytest

from controller.core import admission
from controller.core.actions import OwnObject, PatchJob, TellJob
from controller.core.contract import ErrorCode, Phase, Reason, Status
from controller.core.model import Owned, Wishes
from controller.core.reconcile import reconcile
from controller.core.rules import owning
from controller.core.snapshot import Asked, Ownership, Policy
from tests.core.builders import (
    KEYS,
    NAMESPACE,
    POLICY,
    make_ids,
    make_job,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    uid_of,
)
from tests.core.world import after

SECRET, FILES = Owned("Secret", "run-1-key"), Owned("ConfigMap", "run-1-files")
WAITING = make_waiting(owned=(SECRET, FILES))
LIVE = make_job(owned=(SECRET, FILES), phase="Running")


def answered(job=WAITING, at=100.0, tries=1, **ownerships):
    """A run whose Secret (`key`) and ConfigMap (`files`) have answered so."""
    named = {"key": SECRET, "files": FILES}
    answers = {named[name]: Asked(Ownership(word), at, tries) for name, word in ownerships.items()}
    return make_run(job, owned=answers)


def asked(run, at=100.0, policy=POLICY, **changes):
    plan = owning.own_objects(make_snapshot(run, **changes), now(at), policy)
    assert {type(action) for action in plan.actions} <= {OwnObject}
    return [action.name for action in plan.actions]


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────


def test_a_question_says_whose_the_object_has_to_be():
    plan = owning.own_objects(make_snapshot(make_run(make_waiting(owned=(SECRET,)))), now(), POLICY)
    (question,) = plan.actions
    assert question == OwnObject(NAMESPACE, "Secret", "run-1-key", "run-1", uid_of("run-1"), "r-run-1")


@pytest.mark.parametrize("job", [WAITING, LIVE], ids=["that waits", "submitted running"])
def test_every_object_of_a_run_is_asked_for(job):
    assert asked(make_run(job)) == ["run-1-key", "run-1-files"]


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(replace(LIVE, deleted_at=1), id="that is being deleted"),
        pytest.param(make_job(owned=(SECRET,), phase="Succeeded"), id="that is over"),
        pytest.param(make_waiting(owned=(SECRET,), ids=make_ids(run="")), id="that is no run"),
    ],
)
def test_nothing_is_owned_by_a_job(job):
    assert asked(make_run(job)) == []


@pytest.mark.parametrize("word", ["adopted", "refused", "forbidden"])
def test_an_answer_that_is_final_is_not_asked_for_again(word):
    assert asked(answered(key=word, files=word), at=1e6) == []


@pytest.mark.parametrize(
    ("job", "word", "tries", "pause"),
    [
        (WAITING, "missing", 1, 1),
        (WAITING, "missing", 2, 2),
        (WAITING, "missing", 4, 8),
        (WAITING, "missing", 5, 10),
        (WAITING, "missing", 10**6, 10),
        (WAITING, "unknown", 1, 1),
        (WAITING, "unknown", 6, 30),
        (LIVE, "unknown", 99, 30),
        (LIVE, "missing", 1, 1),
        (LIVE, "missing", 99, 300),
    ],
)
def test_an_answer_that_is_not_is_asked_for_later_each_time(job, word, tries, pause):
    run = answered(job, tries=tries, key=word, files="adopted")
    early = owning.own_objects(make_snapshot(run), now(100 + pause - 0.5), POLICY)
    assert (early.actions, early.look_again) == ((), 0.5)
    assert asked(run, at=100 + pause) == ["run-1-key"]


def test_without_the_right_to_secrets_only_config_maps_are_looked_after():
    policy = Policy(own_secrets=False)
    assert asked(make_run(WAITING), policy=policy) == ["run-1-files"]
    assert (
        admission.decide(make_snapshot(answered(files="adopted")), policy)[WAITING.uid].phase
        is Phase.STARTING
    )


# ── Admission ────────────────────────────────────────────────────────────────────────────────────


def verdict(run, *others, policy=POLICY):
    return admission.decide(make_snapshot(run, *others), policy).get(run.job.uid)


@pytest.mark.parametrize("word", ["adopted", "refused", "forbidden"])
def test_a_run_is_started_once_each_of_its_objects_has_answered(word):
    assert verdict(answered(key=word, files="adopted")).phase is Phase.STARTING


def test_a_run_is_not_started_before_and_hears_nothing_before_there_is_something_to_say():
    assert verdict(make_run(WAITING)) is None
    assert verdict(answered(key="missing")) is None, "its host is just creating it"
    assert verdict(answered(key="unknown", files="adopted")) is None


def test_a_run_that_lacks_an_object_is_told_which():
    found = verdict(answered(tries=2, key="missing", files="adopted"))
    assert (found.phase, found.reason) == (Phase.QUEUED, Reason.OBJECT_MISSING)
    assert "secret/run-1-key" in found.message
    assert "run-1-files" not in found.message


def test_a_run_whose_object_nobody_knows_of_is_told_so():
    found = verdict(answered(tries=2, key="unknown", files="adopted"))
    assert (found.phase, found.reason) == (Phase.QUEUED, Reason.OBJECT_MISSING)
    assert "has not said" in found.message


@pytest.mark.parametrize(
    "run", [make_run(WAITING), answered(tries=2, key="missing")], ids=["not asked", "missing"]
)
def test_a_run_without_its_objects_holds_up_nobody_behind_it(run):
    behind = make_run(make_waiting("run-2", created=5))
    assert verdict(behind, run).phase is Phase.STARTING


def test_a_run_waits_for_its_place_before_it_hears_of_its_objects():
    busy = make_run(make_job("busy"))
    assert verdict(make_run(WAITING), busy).reason is Reason.AGENT_BUSY
    assert verdict(answered(tries=2, key="missing"), busy).reason is Reason.OBJECT_MISSING


def test_a_run_that_is_submitted_running_is_held_back_by_nothing():
    plan = reconcile(make_snapshot(answered(LIVE, tries=9, key="missing")), now(), POLICY)
    assert not [a for a in plan.actions if isinstance(a, PatchJob) and a.spec]


# ── Rejection ────────────────────────────────────────────────────────────────────────────────────


def judged(run, at, since=100.0, policy=POLICY):
    return owning.reject_missing(make_snapshot(run, since={f"missing:{run.job.uid}": since}), now(at), policy)


def test_a_run_whose_object_never_came_is_rejected():
    plan = judged(answered(at=700, tries=9, key="missing", files="adopted"), at=701)
    patch, tell = plan.actions
    assert (patch.spec, patch.version, patch.why) == ({"parallelism": 0}, "7", "reject")
    assert patch.annotations[KEYS.status(Status.PHASE)] == Phase.REJECTED
    found = json.loads(patch.annotations[KEYS.status(Status.RESULT)])
    assert (found["reason"], found["errorCode"]) == (Reason.OBJECT_MISSING, ErrorCode.ADAPTER_FAILED)
    assert "secret/run-1-key" in found["errorMessage"]
    assert (type(tell), tell.reason) == (TellJob, "Rejected")


def test_before_that_it_is_asked_for_once_more():
    plan = judged(answered(at=695, tries=9, key="missing", files="adopted"), at=701)
    assert [type(action) for action in plan.actions] == [OwnObject]


def test_the_time_begins_with_the_first_answer_that_it_is_missing():
    run = answered(tries=9, key="missing")
    plan = owning.reject_missing(make_snapshot(run), now(1e6), POLICY)
    assert (plan.actions, plan.look_again) == ((), POLICY.start_timeout_seconds)
    assert plan.marks == (f"missing:{run.job.uid}",)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(answered(at=700, key="unknown"), id="of whose object nobody knows"),
        pytest.param(make_run(WAITING), id="whose objects were not asked for"),
        pytest.param(answered(LIVE, at=700, key="missing"), id="that runs all the same"),
        pytest.param(answered(at=700, key="adopted", files="forbidden"), id="whose objects have answered"),
        pytest.param(
            answered(replace(WAITING, wishes=Wishes(cancel_requested="enough")), at=700, key="missing"),
            id="whose host wants no more of it",
        ),
    ],
)
def test_nobody_is_rejected(run):
    plan = judged(run, at=701)
    assert (plan.actions, plan.marks) == ((), ())


def test_a_rejection_is_written_once():
    run = answered(at=700, tries=9, key="missing", files="adopted")
    seen = make_snapshot(run, since={f"missing:{run.job.uid}": 0.0})
    plan = reconcile(seen, now(701), POLICY)
    assert "Rejected" in [a.reason for a in plan.actions if isinstance(a, TellJob)]
    assert reconcile(after(seen, plan, now(701)), now(701), POLICY).actions == ()
