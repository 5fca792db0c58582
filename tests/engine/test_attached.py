"""Attached runs in the engine: what the store keeps for them, what a refusal of labels does to the rest."""

import asyncio

import pytest

from controller.core.actions import PatchJob, PatchPod, ReadResult, answer_mark
from controller.core.contract import Phase, Status
from controller.core.snapshot import Answer
from controller.engine.store import Store
from controller.kube import errors
from tests.core.builders import KEYS, POLICY, SLOT, make_job, make_waiting, pod_json, stamp, uid_of
from tests.engine.stores import make_concluded, runs
from tests.engine.virtual import RUNNING, phase_of, virtual
from tests.engine.world import engine, merged


@pytest.fixture
def store():
    return Store(POLICY)


def attached(**changes):
    notes = {Status.ATTACHED_TO: f"run-1/{uid_of('run-1')}"}
    return make_waiting("next", **{"phase": "Attached", "parallelism": 0, "notes": notes, **changes})


def settled(store):
    return {job.name for job in store.snapshot(SLOT, fresh=True).settled}


# ── The store ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_job_is_not_settled_before_the_runs_that_continue_on_it(store, order):
    jobs = [make_concluded(), attached()]
    for index in order:
        store.put_job(jobs[index])
    assert set(runs(store)) == {"run-1", "next"}
    assert runs(store)["run-1"].attached == (uid_of("next"),)
    store.put_job(attached(phase="Succeeded", result=True, version="8"))
    assert (set(runs(store)), settled(store)) == ({"next"}, {"run-1"}), "next has yet to be collected"


def test_a_settled_job_comes_back_for_the_same_run_and_leaves_with_it(store):
    store.put_job(make_concluded())
    assert settled(store) == {"run-1"}
    store.put_job(attached())
    assert settled(store) == set()
    store.drop_job(attached())
    assert settled(store) == {"run-1"}


def test_an_attached_job_that_is_deleted_leaves_no_ghost(store):
    store.put_job(attached(suspended=False, started_at=5))
    store.drop_job(attached())
    assert store.snapshot(SLOT, fresh=True).ghosts == ()


def test_a_ghost_says_whose_it_is(store):
    store.put_job(make_job(run="r-1"))
    store.drop_job(make_job(run="r-1"))
    (ghost,) = store.snapshot(SLOT, fresh=True).ghosts
    assert {ids.run for ids in ghost.served} == {"r-1"}


def test_a_ghost_still_does_the_work_of_the_run_that_it_was_submitted_with(store):
    notes = {Status.RUN_HISTORY: '[{"runId":"r-1"},{"runId":"r-2"}]'}
    store.put_job(make_job(run="r-2", notes=notes))
    store.drop_job(make_job(run="r-2", notes=notes))
    (ghost,) = store.snapshot(SLOT, fresh=True).ghosts
    assert {ids.run for ids in ghost.served} == {"r-1", "r-2"}


def test_an_answer_is_kept_as_long_as_it_is_wanted(store):
    answer = Answer(1.0, make_concluded(), "{}")
    store.put_answer(SLOT, uid_of("run-1"), answer)
    store.remember(SLOT, [answer_mark(uid_of("run-1"))], 2.0)
    assert store.snapshot(SLOT, fresh=True).answers == {uid_of("run-1"): answer}
    store.remember(SLOT, [], 3.0)
    assert store.snapshot(SLOT, fresh=True).answers == {}


def test_what_was_refused_is_forgotten_after_a_while(store):
    store.refuse_labels(SLOT, "uid", 10.0)
    assert store.snapshot(SLOT, fresh=True, mono=64.0).labels_refused == {"uid"}
    assert store.snapshot(SLOT, fresh=True, mono=65.0).labels_refused == frozenset()


# ── The loops ────────────────────────────────────────────────────────────────────────────────────

LIVE = {
    "metadata": {"labels": {KEYS.task_id: "t-1"}, "creationTimestamp": stamp(-60)},
    "spec": {"suspend": False},
    "status": {"startTime": stamp(-50), "active": 1},
}
NEXT = {"metadata": {"labels": {KEYS.task_id: "t-1"}, "annotations": {KEYS.reattach: "true"}}}
OVER = {
    "metadata": {
        "annotations": {
            KEYS.status("phase"): "Succeeded",
            KEYS.status("reason"): "Completed",
            KEYS.status("result"): '{"runId":"r","jobUid":"u","phase":"Succeeded","reason":"Completed"}',
        }
    },
    "status": {"conditions": [{"type": "Complete", "status": "True"}]},
}


def labelled(world, name="run-1"):
    return world.cluster.job(name).ids.run


def refuses(kind, code=403):
    """Labels may not be changed."""

    def trouble(action):
        if isinstance(action, kind) and getattr(action, "labels", None):
            raise errors.Refused("no", code, "Forbidden")

    return trouble


async def attach(world):
    world.see_job("run-1", **LIVE)
    labels = {KEYS.task_id: "t-1"}
    world.cluster.pods[uid_of("run-1-x")] = {
        **pod_json(labels=labels, status=RUNNING),
        "job": uid_of("run-1"),
    }
    world.see_pod(status=RUNNING, metadata={"labels": labels})
    await asyncio.sleep(1)
    world.see_job("next", **NEXT)
    await asyncio.sleep(1)


def end(world):
    """Its Job's run is over, and the watch says so."""
    world.cluster._save(merged(world.cluster.jobs[uid_of("run-1")], OVER))
    world.see_again("run-1")


@virtual
async def test_a_run_that_continues_on_another_job_ends_with_it():
    async with engine() as world:
        await attach(world)
        assert phase_of(world, "next") is Phase.ATTACHED
        assert labelled(world) == "r-next"
        assert world.cluster.pods[uid_of("run-1-x")]["metadata"]["labels"][KEYS.run_id] == "r-next"
        end(world)
        await asyncio.sleep(1)
        assert phase_of(world, "next") is Phase.SUCCEEDED
        assert world.parts.store.snapshot(SLOT, fresh=True).answers == {}
        assert len([a for _, a in world.cluster.calls if isinstance(a, ReadResult)]) == 1


@pytest.mark.parametrize("code", [403, 422])
def test_a_refusal_of_labels_changes_no_verdict_and_does_not_loop(code):
    @virtual
    async def play():
        async with engine() as world:
            world.cluster.trouble = refuses(PatchJob, code)
            await attach(world)
            assert labelled(world) == "r-run-1"
            for second in range(40):  # something happens all the time
                world.cluster._save(
                    merged(world.cluster.jobs[uid_of("run-1")], {"status": {"active": second}})
                )
                world.see_again("run-1")
                await asyncio.sleep(1)
            tried = [a for _, a in world.cluster.calls if isinstance(a, PatchJob) and a.labels]
            assert len(tried) == 1
            end(world)
            await asyncio.sleep(1)
            assert phase_of(world, "next") is Phase.SUCCEEDED

    play()


@virtual
async def test_labels_that_were_refused_are_tried_again_later():
    async with engine() as world:
        world.cluster.trouble = refuses(PatchJob)
        await attach(world)
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(62)
        assert labelled(world) == "r-next"


@virtual
async def test_a_refusal_of_labels_does_not_take_the_rest_of_its_patch_along():
    async with engine() as world:
        world.cluster.trouble = refuses(PatchJob)
        world.see_job("run-1", **LIVE)
        world.see_job("next", **NEXT)
        await asyncio.sleep(1)
        assert phase_of(world, "run-1") is not None, "what it stands at was part of a patch with labels"


@virtual
async def test_a_pod_whose_labels_are_refused_is_left_alone_for_a_while():
    async with engine() as world:
        world.cluster.trouble = refuses(PatchPod)
        await attach(world)
        for _ in range(40):
            world.see_again("run-1")
            await asyncio.sleep(1)
        tried = [a for _, a in world.cluster.calls if isinstance(a, PatchPod)]
        assert len(tried) == 1
        assert labelled(world) == "r-next"
        assert len(world.told.about("refused")) == 1


@virtual
async def test_a_pod_that_is_gone_holds_nothing_up():
    async with engine() as world:
        await attach(world)
        del world.cluster.pods[uid_of("run-1-x")]
        world.see_job("third", **merged(NEXT, {"metadata": {"creationTimestamp": stamp(1)}}))
        await asyncio.sleep(5)
        assert phase_of(world, "third") is Phase.ATTACHED
        end(world)
        await asyncio.sleep(1)
        assert phase_of(world, "third") is phase_of(world, "next") is Phase.SUCCEEDED


@virtual
async def test_a_job_that_is_deleted_in_mid_run_ends_the_run_that_continues_on_it():
    async with engine() as world:
        await attach(world)
        world.lose_job("run-1")
        del world.cluster.pods[uid_of("run-1-x")]
        await asyncio.sleep(5)
        assert world.cluster.job("next").status[Status.REASON] == "JobDeleted"


@virtual
async def test_while_its_job_cannot_be_read_nothing_is_concluded():
    async with engine() as world:
        await attach(world)
        unreadable = errors.Unavailable("no")

        def trouble(action):
            if isinstance(action, ReadResult):
                raise unreadable

        world.cluster.trouble = trouble
        world.lose_job("run-1")
        del world.cluster.pods[uid_of("run-1-x")]
        await asyncio.sleep(300)
        assert phase_of(world, "next") is Phase.ATTACHED
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(300)
        assert phase_of(world, "next") is Phase.CANCELLED
