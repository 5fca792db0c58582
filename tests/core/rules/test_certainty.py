from dataclasses import replace

import pytest

from controller.core import admission
from controller.core.actions import ReadPods
from controller.core.rules import certainty
from tests.core.builders import (
    POLICY,
    make_ended_pod,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    now,
)
from tests.core.world import after

SUSPENDED = make_waiting(started_at=1)


def confirm(run, at, **changes):
    return certainty.confirm_released(make_snapshot(run, **changes), at, POLICY)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(SUSPENDED, id="suspended"),
        pytest.param(make_job(deleted_at=1, phase="Running"), id="being deleted"),
        pytest.param(make_job(parallelism=0, phase="Running"), id="without parallelism"),
    ],
)
def test_the_pods_of_a_started_job_are_read_before_its_place_is_free(job):
    (action,) = confirm(make_run(job), now()).actions
    assert action == ReadPods(job.namespace, job.uid)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_job(phase="Running"), id="that runs"),
        pytest.param(make_waiting(), id="that was never started"),
        pytest.param(make_job(over="Complete"), id="that is over"),
    ],
)
def test_nothing_is_read_of_a_job(job):
    assert confirm(make_run(job), now()).actions == ()


def read_at(seconds, *pods):
    """What is planned that many seconds after the pods were read, which were these."""
    run = make_run(SUSPENDED, *pods)
    seen = after(make_snapshot(run), confirm(run, now()), now())
    return certainty.confirm_released(seen, now(100 + seconds), POLICY)


def test_once_no_pod_could_still_run_nothing_more_is_asked():
    assert read_at(3600, make_ended_pod(0)).actions == ()
    assert read_at(3600).actions == ()


def test_a_pod_that_still_runs_is_looked_at_again_and_not_at_once():
    assert read_at(4, make_pod()).actions == ()
    assert 0 < read_at(4, make_pod()).look_again <= 5
    assert len(read_at(5, make_pod()).actions) == 1


def test_the_mark_holds_as_long_as_the_job_is_released():
    run = replace(make_run(SUSPENDED), pods_read_at=1e9)
    assert confirm(run, now()).marks == (admission.release_mark(SUSPENDED),)
