from dataclasses import replace

import pytest

from controller.core import admission
from controller.core.actions import Plan, Rest
from controller.core.contract import Status
from controller.core.model import Wishes
from controller.core.reconcile import reconcile
from controller.core.rules import retiring
from controller.core.snapshot import Export, Policy
from tests.core.builders import (
    POLICY,
    TRACED,
    at,
    make_ended_pod,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    stamp,
    uid_of,
)
from tests.core.world import after

DAY = 86400.0
UID = uid_of("run-1")


def make_never_ran(**changes):
    """A run that was cancelled while it waited, 100 s after noon."""
    notes = {Status.SINCE: stamp(100), **changes.pop("notes", {})}
    kept = {"phase": "Cancelled", "result": True, "parallelism": 0, "notes": notes, **changes}
    return make_waiting(**kept)


def retire(job, at, policy=POLICY, *, rested=False, export=Export.NONE, others=()):
    run = replace(make_run(job, export=export), rested=rested)
    return retiring.retire(make_snapshot(run, *others), at, policy)


@pytest.mark.parametrize(
    ("job", "at", "rests"),
    [
        pytest.param(make_never_ran(), now(100), DAY, id="a day"),
        pytest.param(make_never_ran(), now(1100), DAY - 1000, id="what is left of it"),
        pytest.param(make_never_ran(), now(100 + 2 * DAY), 300, id="by a clock that may be ahead"),
        pytest.param(make_never_ran(), now(-3500), DAY, id="by a clock that is behind"),
        pytest.param(
            make_never_ran(notes={Status.SINCE: "soon"}), now(100), DAY, id="since nobody knows when"
        ),
        pytest.param(make_never_ran(wishes=Wishes(acknowledged=True)), now(100), 300, id="acknowledged"),
        pytest.param(make_never_ran(notes={Status.HOST_TTL: "7200"}), now(100), 7200, id="its host's TTL"),
        pytest.param(make_never_ran(notes={Status.HOST_TTL: "0"}), now(100), 300, id="but at least 300 s"),
        pytest.param(make_never_ran(phase="Rejected"), now(100), DAY, id="a rejected one"),
    ],
)
def test_a_job_that_never_ran_rests_for_as_long_as_it_is_kept(job, at, rests):
    assert retire(job, at) == Plan(rests=(Rest(UID, rests),))


def test_a_job_that_has_rested_is_retired_by_one_patch_whatever_the_wall_clock_says():
    for wall in (-9999, 100, 9**9):
        (patch,) = retire(make_never_ran(), now(wall), rested=True).actions
        assert patch.spec == {
            "suspend": False,
            "parallelism": 0,
            "activeDeadlineSeconds": 1,
            "ttlSecondsAfterFinished": 0,
        }
        assert (patch.version, patch.why, dict(patch.annotations)) == ("7", "retire", {})


def test_who_is_kept_for_no_time_is_retired_at_once():
    at_once = Policy(acknowledged_retention_seconds=0)
    assert retire(make_never_ran(wishes=Wishes(acknowledged=True)), now(100), at_once).actions


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_never_ran(wishes=Wishes(retain=True)), id="retained"),
        pytest.param(make_never_ran(external_queue="gpus"), id="another queue's"),
        pytest.param(make_never_ran(deleted_at=1), id="being deleted"),
        pytest.param(make_never_ran(result=False), id="without a result"),
        pytest.param(make_never_ran(started_at=at(1)), id="started"),
        pytest.param(make_never_ran(failed=1), id="has had a pod"),
        pytest.param(make_waiting(phase="Queued", result=True), id="waiting"),
        pytest.param(make_waiting(phase="Attached", result=True), id="attached"),
        pytest.param(make_job(phase="Cancelled", result=True), id="running"),
        pytest.param(make_job(phase="Cancelled", result=True, over="x"), id="over by itself"),
    ],
)
def test_what_is_never_retired(job):
    assert retire(job, now(9**9), rested=True) == Plan()


def test_a_job_is_not_retired_while_a_pod_of_it_lives():
    for pod, due in ((make_pod(), False), (make_ended_pod(1), True)):
        run = replace(make_run(make_never_ran(), pod), rested=True)
        assert bool(retiring.retire(make_snapshot(run), now(9**9), POLICY).actions) is due


@pytest.mark.parametrize(
    ("notes", "export", "due"),
    [
        ({}, Export.NONE, False),
        ({}, Export.ACCEPTED, False),
        ({}, Export.GIVEN_UP, True),
        ({Status.TRACE_EXPORTED: stamp(120)}, Export.NONE, True),
    ],
)
def test_its_trace_has_to_be_safe_and_noted_first(notes, export, due):
    plan = retire(make_never_ran(notes=notes), now(200), TRACED, export=export)
    assert bool(plan.rests) is due


def test_an_ended_attachment_stays_while_its_job_is_worked_on():
    other = make_job("other", phase="Running")
    job = make_never_ran(notes={Status.ATTACHED_TO: f"other/{other.uid}"})
    assert retire(job, now(9**9), rested=True, others=[make_run(other)]) == Plan()
    assert retire(job, now(9**9), rested=True).actions


@pytest.mark.parametrize("phase", ["Cancelled", "Rejected"])
def test_a_retired_job_holds_no_place_and_nothing_more_is_done_about_it(phase):
    seen = make_snapshot(replace(make_run(make_never_ran(phase=phase)), rested=True))
    seen = after(seen, reconcile(seen, now(), POLICY), now())
    for changes in ({}, {"started_at": at(1)}, {"started_at": at(1), "deleted_at": at(2)}):
        (run,) = seen.runs
        begun = replace(seen, runs=(replace(run, job=replace(run.job, **changes), rested=False),))
        assert reconcile(begun, now(), POLICY) == Plan()
        assert admission.holders(begun) == set()
