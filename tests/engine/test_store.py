"""The store: which slots a change touches, and what is known of a slot after it."""

import pytest

from controller.engine.store import Store
from tests.core.builders import (
    POLICY,
    SLOT,
    make_ended_pod,
    make_job,
    make_log,
    make_pod,
    make_waiting,
    uid_of,
)
from tests.engine.stores import OTHER, ghosts, make_concluded, pods_of, runs, strays


@pytest.fixture
def store():
    return Store(POLICY)


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_is_seen_in_its_slot(store):
    assert store.put_job(make_job()) == {SLOT}
    assert set(runs(store)) == {"run-1"}
    assert store.slots() == (SLOT,)
    assert not runs(store, OTHER)


def test_an_older_version_of_a_job_is_ignored(store):
    store.put_job(make_job(version="10", parallelism=3))
    assert store.put_job(make_job(version="9", parallelism=1)) == set()
    assert runs(store)["run-1"].job.parallelism == 3, "9 is older than 10, though it sorts after it"


def test_an_older_version_of_a_pod_is_ignored(store):
    store.put_job(make_job())
    store.put_pod(make_ended_pod(version="10"))
    assert store.put_pod(make_pod(version="9")) == set()
    assert runs(store)["run-1"].pods[0].ended


def test_a_label_that_moves_a_job_touches_both_slots(store):
    store.put_job(make_job())
    moved = make_job(slot=OTHER, version="8")
    assert store.put_job(moved) == {SLOT, OTHER}
    assert not runs(store)
    assert set(runs(store, OTHER)) == {"run-1"}


def test_a_settled_job_that_moves_takes_its_run_id_along(store):
    store.put_job(make_concluded())
    store.put_job(make_concluded(slot=OTHER, version="8"))
    assert not store.snapshot(SLOT, fresh=True).settled
    assert store.snapshot(OTHER, fresh=True).settled


def test_a_new_uid_under_an_old_name_is_another_run(store):
    store.put_job(make_job(version="7"))
    store.put_pod(make_pod())
    store.put_log(uid_of("run-1"), make_log())
    store.drop_job(make_job(version="8"))
    store.put_job(make_job(uid="second", version="9"))
    run = runs(store)["run-1"]
    assert (run.job.uid, run.pods, run.logs) == ("second", (), ())
    assert ghosts(store) == {"run-1"}, "the first one's pod may still run"


# ── Our own writes ───────────────────────────────────────────────────────────────────────────────


def test_what_we_wrote_is_read_before_the_watch_brings_it(store):
    store.put_job(make_waiting(version="7"))
    assert store.put_reply(make_job(version="9")) == {SLOT}
    assert store.put_job(make_waiting(version="8")) == set(), "the watch lags behind"
    assert not runs(store)["run-1"].job.suspended


def test_a_reply_about_a_job_that_has_vanished_does_not_bring_it_back(store):
    store.put_job(make_job())
    store.drop_job(make_job())
    assert store.put_reply(make_job(version="9")) == set()
    assert not runs(store)


def test_a_doubt_lasts_until_a_certain_answer(store):
    store.put_job(make_job(version="7"))
    store.doubt(uid_of("run-1"))
    store.put_job(make_job(version="8"))
    assert store.snapshot(SLOT, fresh=True).doubts == (uid_of("run-1"),), "a watch may be older than it seems"
    store.put_reply(make_job(version="8"))
    assert not store.snapshot(SLOT, fresh=True).doubts


def test_a_job_that_is_not_known_is_not_doubted(store):
    store.doubt("nobody")
    store.put_job(make_job(uid="nobody"))
    assert not store.snapshot(SLOT, fresh=True).doubts


# ── Pods, strays ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", ["job", "pod"])
def test_a_pod_belongs_to_its_job_whichever_comes_first(store, first):
    changes = [lambda: store.put_job(make_job()), lambda: store.put_pod(make_pod())]
    for change in changes if first == "job" else reversed(changes):
        assert change() == {SLOT}
    assert pods_of(store) == {"run-1-x"}
    assert not strays(store)
    assert store.stray_count() == 0


def test_a_pod_without_a_job_is_a_stray_of_its_slot(store):
    assert store.put_pod(make_pod()) == {SLOT}
    assert strays(store) == {"run-1-x"}
    assert store.stray_count() == 1
    assert store.drop_pod(make_pod()) == {SLOT}
    assert not strays(store)


def test_pods_of_a_job_that_vanishes_become_strays(store):
    store.put_job(make_job())
    store.put_pod(make_pod())
    assert store.drop_job(make_job()) == {SLOT}
    assert strays(store) == {"run-1-x"}


def test_a_stray_whose_labels_change_is_a_stray_of_its_new_slot_only(store):
    store.put_pod(make_pod())
    assert store.put_pod(make_pod(slot=OTHER, version="4")) == {SLOT, OTHER}
    assert (strays(store), strays(store, OTHER)) == (set(), {"run-1-x"})
    store.drop_pod(make_pod(slot=OTHER, version="5"))
    assert (strays(store), strays(store, OTHER)) == (set(), set())


def test_a_pod_that_says_it_belongs_to_another_job_leaves_the_first(store):
    for name in ("run-1", "run-2"):
        store.put_job(make_job(name))
    store.put_pod(make_pod())
    store.put_pod(make_pod(job_uid=uid_of("run-2"), version="4"))
    assert {name: len(run.pods) for name, run in runs(store).items()} == {"run-1": 0, "run-2": 1}
    store.drop_pod(make_pod(job_uid=uid_of("run-2"), version="5"))
    assert {name: len(run.pods) for name, run in runs(store).items()} == {"run-1": 0, "run-2": 0}


def test_pods_are_given_oldest_first(store):
    store.put_job(make_job())
    store.put_pod(make_pod(name="b", created=50))
    store.put_pod(make_pod(name="c", created=40))
    store.put_pod(make_pod(name="a", created=50))
    assert [pod.name for pod in runs(store)["run-1"].pods] == ["c", "a", "b"]


def test_a_list_of_a_jobs_pods_replaces_what_was_known_of_them(store):
    store.put_job(make_job())
    store.put_pod(make_pod(name="gone"))
    store.put_pod(make_pod(name="old"))
    listed = [make_ended_pod(name="old", version="4"), make_pod(name="new")]
    assert store.put_pods(uid_of("run-1"), listed, 7.0) == {SLOT}
    assert pods_of(store) == {"old", "new"}
    assert runs(store)["run-1"].pods_read_at == 7.0
