"""The store: Jobs that vanish, runs that settle, and that the order of changes carries no meaning."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import facts
from controller.core.model import Wishes
from controller.core.snapshot import Export, Policy
from controller.core.transcript import AgentLog, LogState
from controller.engine.store import Store
from tests.core.builders import (
    POLICY,
    SLOT,
    TRACED,
    make_ended_pod,
    make_ids,
    make_job,
    make_log,
    make_pod,
    make_waiting,
    uid_of,
)
from tests.engine.stores import OTHER, ghosts, make_concluded, runs, strays


@pytest.fixture
def store():
    return Store(POLICY)


# ── Ghosts ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("job", "pods", "leaves"),
    [
        pytest.param(make_job(), (), True, id="a live Job"),
        pytest.param(make_job(), (make_pod(),), True, id="a live Job with its pod"),
        pytest.param(make_waiting(), (), False, id="a Job that waited"),
        pytest.param(make_waiting(), (make_pod(),), True, id="a suspended Job whose pod still runs"),
        pytest.param(make_job(over="Complete"), (make_ended_pod(),), False, id="a Job that is over"),
        pytest.param(make_job(over="Complete"), (make_pod(),), True, id="a Job that is over, its pod not"),
    ],
)
def test_a_ghost_is_left_by_what_could_still_run(store, job, pods, leaves):
    store.put_job(job)
    for pod in pods:
        store.put_pod(pod)
    store.drop_job(job)
    assert ghosts(store) == ({"run-1"} if leaves else set())


def test_an_answer_without_the_label_that_a_job_was_watched_by_leaves_its_place_taken(store):
    store.put_job(make_waiting())
    store.doubt(uid_of("run-1"))
    started = make_job(version="9", slot=SLOT._replace(agent=""), ids=make_ids(agent=""))
    assert store.put_reply(started) == {SLOT}
    assert ghosts(store) == {"run-1"}
    store.drop_job(make_waiting(version="9"))  # what its watch says of it, later
    assert ghosts(store) == {"run-1"}
    store.put_job(make_job(version="10"))
    assert (ghosts(store), set(runs(store))) == (set(), {"run-1"})


def test_an_old_answer_without_that_label_says_nothing(store):
    store.put_job(make_job())
    assert not store.put_reply(make_job(version="6", slot=SLOT._replace(agent="")))
    assert set(runs(store)) == {"run-1"}


def test_a_job_that_waited_leaves_a_ghost_if_its_start_may_have_been_written(store):
    store.put_job(make_waiting())
    store.doubt(uid_of("run-1"))
    store.drop_job(make_waiting())
    assert ghosts(store) == {"run-1"}


def test_a_ghost_that_is_confirmed_to_be_gone_takes_its_pods_along(store):
    store.put_job(make_job())
    store.put_pod(make_pod())
    store.drop_job(make_job())
    store.confirm_gone(uid_of("run-1"), absent=True)
    assert (ghosts(store), strays(store), store.slots()) == (set(), set(), ())


def test_a_job_that_is_seen_again_is_no_ghost(store):
    store.put_job(make_job())
    store.drop_job(make_job())
    store.put_job(make_job(version="9"))
    assert not ghosts(store)


def test_a_job_that_is_seen_again_in_another_slot_is_no_ghost_of_the_first(store):
    store.put_job(make_job())
    store.drop_job(make_job())
    assert store.put_job(make_job(slot=OTHER, version="9")) == {SLOT, OTHER}
    assert not ghosts(store)


# ── Logs, exports, marks ─────────────────────────────────────────────────────────────────────────


def test_the_newest_word_of_each_log_is_known(store):
    store.put_job(make_job())
    uid = uid_of("run-1")
    assert store.put_log(uid, make_log(final=False, state=LogState.READING)) == {SLOT}
    store.put_log(uid, make_log("run-1-y"))
    store.put_log(uid, make_log(final=True, state=LogState.READING))
    logs = {log.pod_uid: log.final for log in runs(store)["run-1"].logs}
    assert logs == {uid_of("run-1-x"): True, uid_of("run-1-y"): False}


def test_logs_and_exports_of_a_job_that_is_not_known_are_forgotten(store):
    assert store.put_log("nobody", make_log()) == set()
    assert store.put_export("nobody", Export.ACCEPTED) == set()
    store.put_job(make_job(uid="nobody"))
    assert (runs(store)["run-1"].logs, runs(store)["run-1"].export) == ((), Export.NONE)


def test_a_mark_keeps_its_first_moment_as_long_as_it_is_named(store):
    store.put_job(make_job())
    store.remember(SLOT, ("a", "b"), 10.0)
    store.remember(SLOT, ("b", "c"), 20.0)
    store.remember(SLOT, ("a", "b"), 30.0)
    assert store.snapshot(SLOT, fresh=True).since == {"a": 30.0, "b": 10.0}


# ── Settling ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_is_over_and_published_leaves_the_working_set(store):
    store.put_job(make_job())
    store.put_log(uid_of("run-1"), make_log())
    assert store.put_job(make_concluded(version="8")) == {SLOT}
    assert not runs(store)
    assert [job.ids.run for job in store.snapshot(SLOT, fresh=True).settled] == ["r-run-1"]
    assert store.is_settled(uid_of("run-1"))


def test_what_a_log_still_says_of_a_settled_run_is_not_kept(store):
    store.put_job(make_concluded())
    assert store.put_log(uid_of("run-1"), make_log()) == set()
    assert not store._findings._logs


def test_a_settled_run_comes_back_when_it_changes_into_one_that_is_not(store):
    store = Store(TRACED)
    exported = make_concluded(notes={"trace-exported": "2026-11-23T12:00:00Z"})
    store.put_job(exported)
    assert not runs(store)
    store.put_job(replace(make_concluded(), version="8"))
    assert set(runs(store)) == {"run-1"}
    assert not store.is_settled(uid_of("run-1"))


def test_a_published_run_stays_until_its_pod_has_ended(store):
    store.put_job(make_concluded())
    store.put_pod(make_pod())
    assert set(runs(store)) == {"run-1"}
    store.put_pod(make_ended_pod(version="4"))
    assert not runs(store)


@pytest.mark.parametrize(
    ("state", "settles"),
    [(Export.NONE, False), (Export.PENDING, False), (Export.ACCEPTED, False), (Export.GIVEN_UP, True)],
)
def test_a_traced_run_settles_when_its_trace_is_written_down_or_given_up(state, settles):
    store = Store(TRACED)
    store.put_job(make_concluded())
    store.put_export(uid_of("run-1"), state)
    assert store.is_settled(uid_of("run-1")) is settles


def test_a_settled_run_that_is_deleted_leaves_nothing(store):
    store.put_job(make_concluded())
    store.drop_job(make_concluded())
    store.remember(SLOT, (), 0.0)
    assert store.slots() == ()
    assert not store.snapshot(SLOT, fresh=True).settled


def test_jobs_that_are_over_stay_known(store):
    store.put_job(make_concluded("a"))
    store.put_job(make_job("b", phase="Running"))
    store.put_job(make_job("c"))
    assert sorted(str(job.phase) for job in store.jobs()) == ["None", "Running", "Succeeded"]


# ── Rest ─────────────────────────────────────────────────────────────────────────────────────────

CANCELLED = {"phase": "Cancelled", "result": True, "parallelism": 0}


def resting(store, until=100.0):
    store.put_job(make_waiting(**CANCELLED))
    store.rest(uid_of("run-1"), until)
    return store


def test_a_run_that_rests_leaves_only_its_run_id_until_its_time_has_come(store):
    resting(store).wake(SLOT, 99.0)
    assert not runs(store)
    assert [job.ids.run for job in store.snapshot(SLOT, fresh=True).settled] == ["r-run-1"]
    assert store.resting.ends_at(SLOT) == 100.0
    store.wake(SLOT, 100.0)
    assert runs(store)["run-1"].rested
    assert not store.snapshot(SLOT, fresh=True).settled
    assert store.resting.ends_at(SLOT) is None


def test_a_run_that_changes_rests_no_more(store):
    resting(store).put_job(make_waiting(**CANCELLED, version="8", wishes=Wishes(acknowledged=True)))
    assert not runs(store)["run-1"].rested
    assert store.resting.ends_at(SLOT) is None


def test_a_run_that_has_rested_and_then_changes_has_to_rest_anew(store):
    resting(store).wake(SLOT, 100.0)
    store.put_job(make_waiting(**CANCELLED, version="8", wishes=Wishes(acknowledged=True)))
    assert not runs(store)["run-1"].rested


def test_a_version_that_says_nothing_new_disturbs_no_rest(store):
    resting(store).put_job(make_waiting(**CANCELLED, version="8"))
    assert not runs(store)
    assert store.resting.ends_at(SLOT) == 100.0


@pytest.mark.parametrize("moved", [True, False], ids=["to another slot", "away"])
def test_a_run_that_leaves_takes_its_rest_along(store, moved):
    job = make_waiting(**CANCELLED, version="8")
    resting(store)
    store.put_job(replace(job, slot=OTHER)) if moved else store.drop_job(job)
    store.wake(SLOT, 100.0)
    assert (runs(store), store.resting.ends_at(SLOT), set(runs(store, OTHER))) == (
        {},
        None,
        {"run-1"} if moved else set(),
    )


def test_of_those_that_rest_the_first_due_is_told(store):
    for name, until in (("run-1", 300.0), ("run-2", 200.0)):
        store.put_job(make_waiting(name, **CANCELLED))
        store.rest(uid_of(name), until)
    assert store.resting.ends_at(SLOT) == 200.0
    store.wake(SLOT, 200.0)
    assert (set(runs(store)), store.resting.ends_at(SLOT)) == ({"run-2"}, 300.0)


def test_a_retired_job_that_is_gone_leaves_no_ghost(store):
    retired = {"suspended": False, "ttl_seconds": 0, "deadline_seconds": 1, "started_at": 1}
    job = make_waiting(**{**CANCELLED, **retired})
    store.put_job(job)
    store.drop_job(job)
    assert ghosts(store) == set()


# ── Order ────────────────────────────────────────────────────────────────────────────────────────

_JOBS = [
    make_job("run-1", version="11"),
    make_job("run-1", version="12", phase="Running"),
    make_job("run-1", version="13", slot=OTHER),
    make_waiting("run-2", version="14"),
    make_job("run-2", version="15"),
    make_concluded("run-3", version="16"),
    make_waiting("run-4", version="17"),
]
_PODS = [
    make_pod(job="run-1", version="21"),
    make_ended_pod(job="run-1", version="22"),
    make_pod(job="run-2", version="23"),
    make_ended_pod(job="run-3", version="24"),
    make_pod(job="nobody", version="25"),
    make_pod(job="nobody", version="26", slot=OTHER),
]
_GONE = ["run-2", "run-4"]
"""Jobs that are deleted in the end."""


def _seen(store, slot):
    found = store.snapshot(slot, fresh=True)
    return (
        sorted(found.runs, key=lambda run: run.job.uid),
        sorted(found.strays, key=lambda pod: pod.uid),
        sorted(found.settled, key=lambda job: job.uid),
        sorted(found.ghosts),
        found.doubts,
    )


@settings(max_examples=80, deadline=None)
@given(st.permutations(_JOBS + _PODS), st.permutations(_GONE))
def test_any_order_of_the_same_changes_gives_the_same_snapshots(changes, gone):
    store, ordered = Store(Policy()), Store(Policy())
    for target, found in ((store, changes), (ordered, _JOBS + _PODS)):
        for change in found:
            target.put_job(change) if change in _JOBS else target.put_pod(change)
        for name in gone if target is store else _GONE:
            target.drop_job(make_job(name))
    for slot in (SLOT, OTHER):
        assert _seen(store, slot) == _seen(ordered, slot)


@settings(max_examples=80, deadline=None)
@given(st.permutations(_JOBS + _PODS))
def test_every_slot_that_looks_different_was_touched(changes):
    store = Store(Policy())
    before = {slot: _seen(store, slot) for slot in (SLOT, OTHER)}
    for change in changes:
        touched = store.put_job(change) if change in _JOBS else store.put_pod(change)
        after = {slot: _seen(store, slot) for slot in (SLOT, OTHER)}
        assert {slot for slot in after if after[slot] != before[slot]} <= touched
        before = after


def test_ended_pods_go_with_their_job_even_if_no_watch_tells_of_them(store):
    store.put_job(make_job(over="Complete"))
    store.put_pods(uid_of("run-1"), [make_ended_pod(0)], 1.0)
    store.drop_job(make_job(over="Complete"))
    assert (store.stray_count(), store.slots()) == (0, ())


def test_a_suspended_job_that_was_started_leaves_a_ghost(store):
    job = make_waiting(started_at=1)
    store.put_job(job)
    store.drop_job(job)
    assert ghosts(store) == {job.name}


def test_a_job_that_vanishes_twice_under_two_agents_leaves_one_ghost(store):
    job = make_job()
    store.drop_job(job)
    store.drop_job(replace(job, slot=OTHER))
    assert (ghosts(store), ghosts(store, OTHER)) == (set(), {job.name})
    store.confirm_gone(job.uid, absent=True)
    assert store.slots() == ()


def test_a_refusal_is_forgotten_after_a_while(store):
    store.put_job(make_waiting())
    store.refuse(SLOT, uid_of("run-1"), 10.0)
    assert store.snapshot(SLOT, fresh=True, mono=60.0).refused == {uid_of("run-1")}
    assert not store.snapshot(SLOT, fresh=True, mono=70.0).refused


def test_an_older_copy_of_a_job_that_vanished_does_not_free_its_place(store):
    store.put_job(make_job())
    store.drop_job(make_job())
    store.drop_job(make_waiting("run-1"))
    assert ghosts(store) == {"run-1"}


def test_the_last_word_of_a_pod_that_is_gone_is_kept_until_its_run_is_settled(store):
    job = make_job(phase="Running")
    store.put_job(job)
    store.put_pod(make_pod())
    store.drop_pod(make_ended_pod(143, version="9"))
    (run,) = runs(store).values()
    (attempt,) = facts.gather(run).attempts
    assert (run.pods, attempt.containers[0].exit_code) == ((), 143)
    store.put_job(replace(make_concluded(), version="10"))
    assert not store._findings._gone


def departed(store):
    return store.snapshot(SLOT, fresh=True).vanished


def test_a_run_that_was_cut_off_is_remembered_with_its_pods_and_log_until_it_is_closed(store):
    job = make_job(phase="Running")
    store.put_job(job)
    store.put_pod(make_pod())
    store.drop_job(job)
    store.put_pod(make_ended_pod(143, version="4"))
    store.put_log(job.uid, make_log(state=LogState.TRUNCATED))
    assert departed(store) == (), "it may only have lost its label"
    store.confirm_gone(job.uid, absent=True)
    (run,) = departed(store)
    assert (run.job, run.pods[0].phase, run.logs[0].state) == (job, "Failed", LogState.TRUNCATED)
    assert store.slots() == (SLOT,)
    assert store.departed.discard(job.uid) == job
    assert (departed(store), store.slots(), store.departed.discard(job.uid)) == ((), (), None)


def test_a_run_that_is_over_and_was_deleted_before_it_was_concluded_is_cut_off_too(store):
    job = make_job(phase="Finishing", over="Complete")
    store.put_job(job)
    store.drop_job(job)
    assert ghosts(store) == {job.name}, "somebody has to ask whether it is gone"
    store.confirm_gone(job.uid, absent=True)
    assert len(departed(store)) == 1


@pytest.mark.parametrize("absent", [True, False])
def test_a_run_that_is_there_without_its_label_was_not_deleted(store, absent):
    job = make_job(phase="Running")
    store.put_job(job)
    store.drop_job(job)
    if absent:
        store.put_job(job)
    store.confirm_gone(job.uid, absent=absent)
    assert departed(store) == ()


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_waiting(phase="Queued"), id="waiting"),
        pytest.param(make_job(phase="Succeeded", over="Complete", result=True), id="concluded"),
    ],
)
def test_a_run_that_was_not_at_work_is_not_cut_off(store, job):
    store.put_job(job)
    store.drop_job(job)
    store.confirm_gone(job.uid, absent=True)
    assert departed(store) == ()


def test_a_log_that_has_ended_is_not_forgotten_for_one_that_begins_late(store):
    store.put_job(make_job())
    uid = uid_of("run-1")
    store.put_log(uid, make_log())
    store.put_log(uid, make_log(state=LogState.MISSING, seen=AgentLog()))
    (log,) = store.snapshot(SLOT, fresh=True).runs[0].logs
    assert log.state is LogState.COMPLETE
    store.put_log(uid, make_log(state=LogState.READING, seen=AgentLog(), restarts=1))
    (log,) = store.snapshot(SLOT, fresh=True).runs[0].logs
    assert log.state is LogState.READING
