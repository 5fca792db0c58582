"""Events that say nothing new: most are echoes of our own writes, and no slot is worked on for them."""

from dataclasses import replace

import pytest

from controller.core.contract import Phase
from controller.core.snapshot import Policy
from controller.engine.store import Store
from tests.core.builders import make_job, make_pod

JOB = make_job(version="5")
POD = make_pod(version="5")


@pytest.fixture
def store():
    made = Store(Policy())
    made.put_job(JOB)
    made.put_pod(POD)
    return made


def newest(store):
    (run,) = store.snapshot(JOB.slot, fresh=True).runs
    return run.job.version, run.pods[0].version


def test_the_same_object_again_touches_no_slot(store):
    assert store.put_job(JOB) == set()
    assert store.put_pod(POD) == set()


def test_a_newer_version_in_which_nothing_is_new_is_known_but_touches_no_slot(store):
    assert store.put_job(replace(JOB, version="6")) == set()
    assert store.put_pod(replace(POD, version="7")) == set()
    assert newest(store) == ("6", "7"), "else the next write would name a version that is gone"


@pytest.mark.parametrize("change", [{"active": 1}, {"suspended": True}, {"status": {"phase": Phase.RUNNING}}])
def test_whatever_is_new_about_a_job_touches_its_slot(store, change):
    assert store.put_job(replace(JOB, version="6", **change)) == {JOB.slot}


def test_a_read_that_settles_a_doubt_touches_the_slot_though_it_says_nothing_new(store):
    store.doubt(JOB.uid)
    assert store.put_reply(JOB) == {JOB.slot}
    assert store.snapshot(JOB.slot, fresh=True).doubts == ()


def test_an_answer_that_says_nothing_new_where_nothing_was_in_doubt_touches_no_slot(store):
    assert store.put_reply(replace(JOB, version="6")) == set()
