"""What the loops make of a run's objects and of pods without labels, in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from controller.core.actions import OwnObject, PatchPod, ReadPods
from controller.core.contract import Keys, Phase, Reason, Status
from controller.core.snapshot import Ownership, Policy
from controller.kube import errors
from controller.kube.adoption import Adopted
from tests.core.builders import uid_of
from tests.engine.virtual import RUNNING, always, once, phase_of, virtual
from tests.engine.world import engine

KEYS = Keys()
OWNED = {"metadata": {"annotations": {KEYS.owned: "secret/prompt"}}}
STARTED = {"spec": {"suspend": False}, "status": {"active": 1}}
UNLABELLED = {"labels": {KEYS.agent_id: None, KEYS.run_id: None, KEYS.adapter_type: None}}


def has(world, ownership=Ownership.ADOPTED, why=""):
    world.cluster.objects["Secret", "prompt"] = Adopted(ownership, why)


def asked(world, kind=OwnObject):
    """Seconds at which it was asked for."""
    return [at for at, action in world.cluster.calls if isinstance(action, kind)]


def reason_of(world, name="run-1"):
    return world.cluster.job(name).status.get(Status.REASON)


def told(world):
    return [(tell.reason, tell.note) for tell in world.cluster.told]


# ── Objects ──────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_run_whose_object_is_there_is_started_at_once():
    async with engine() as world:
        has(world)
        world.see_job(**OWNED)
        await asyncio.sleep(0.1)
        assert phase_of(world) is Phase.STARTING
        await asyncio.sleep(600)
        assert len(asked(world)) == 1
        assert world.cluster.patches[0].why == "admit"


@virtual
async def test_an_object_that_comes_a_second_later_costs_no_word():
    async with engine() as world:
        world.see_job(**OWNED)
        await asyncio.sleep(0.5)
        assert phase_of(world) is None
        has(world)
        await asyncio.sleep(1)
        assert phase_of(world) is Phase.STARTING
        assert "Queued" not in [reason for reason, _ in told(world)]


@virtual
async def test_a_run_whose_object_never_comes_is_told_and_then_rejected():
    async with engine(Policy(start_timeout_seconds=60)) as world:
        world.see_job(**OWNED)
        world.see_job("run-2", metadata={"creationTimestamp": "2026-11-22T13:00:00Z"})
        await asyncio.sleep(8)
        assert (phase_of(world), reason_of(world)) == (Phase.QUEUED, Reason.OBJECT_MISSING)
        assert phase_of(world, "run-2") is Phase.STARTING, "it holds up nobody"
        await asyncio.sleep(47)
        assert phase_of(world) is Phase.QUEUED
        await asyncio.sleep(10)
        assert (phase_of(world), reason_of(world)) == (Phase.REJECTED, Reason.OBJECT_MISSING)
        assert len(asked(world)) < 14
        last = len(asked(world))
        await asyncio.sleep(600)
        assert len(asked(world)) == last


@pytest.mark.parametrize("answer", [Ownership.REFUSED, Ownership.FORBIDDEN])
@virtual
async def test_an_object_that_is_left_alone_is_told_once_and_the_run_goes_on(answer):
    async with engine() as world:
        has(world, answer, "its label says so")
        world.see_job(**OWNED)
        await asyncio.sleep(600)
        assert phase_of(world) is Phase.STARTING
        (note,) = [note for reason, note in told(world) if reason == "OwnedRefused"]
        assert "secret/prompt" in note
        assert "its label says so" in note
        assert len(asked(world)) == 1
        assert [entry[1] for entry in world.told.about("owned")] == [answer]


@pytest.mark.parametrize(
    "error", [errors.Unavailable("no"), errors.Conflict("no"), errors.Refused("no", 422)], ids=repr
)
@virtual
async def test_an_answer_that_is_none_is_asked_for_again_within_bounds(error):
    async with engine() as world:
        has(world)
        world.cluster.trouble = always(error, OwnObject)
        world.see_job(**OWNED)
        await asyncio.sleep(300)
        times = asked(world)
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert pauses[:3] == pytest.approx([1, 2, 4], abs=0.1)
        assert max(pauses) == pytest.approx(30, abs=0.1)
        assert (phase_of(world), reason_of(world)) == (Phase.QUEUED, Reason.OBJECT_MISSING)
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(31)
        assert phase_of(world) is Phase.STARTING


@virtual
async def test_an_object_that_can_not_be_asked_for_fails_nothing_else():
    async with engine() as world:
        world.cluster.trouble = always(errors.Unavailable("no"), OwnObject)
        world.see_job(**OWNED, **STARTED)
        world.see_pod(status=RUNNING)
        await asyncio.sleep(300)
        assert phase_of(world) is Phase.RUNNING
        assert set(world.told.outcomes) == {"done"}
        assert len(world.cluster.patches) <= 8, "a heartbeat each minute"


@virtual
async def test_a_server_that_asks_to_be_left_alone_is():
    async with engine() as world:
        has(world)
        world.cluster.trouble = once(errors.Throttled("no", 7), OwnObject)
        world.see_job(**OWNED)
        await asyncio.sleep(20)
        first, second = asked(world)
        assert second - first == pytest.approx(7, abs=0.1)


@virtual
async def test_a_call_that_gets_no_answer_is_given_up_before_another_could_lead():
    async with engine() as world:
        has(world)
        world.cluster.slow = 1e4
        world.see_job(**OWNED)
        await asyncio.sleep(4.6)
        assert world.told.about("owned")
        world.cluster.slow = 0
        await asyncio.sleep(2)
        assert phase_of(world) is Phase.STARTING


@virtual
async def test_without_the_lease_nothing_is_owned():
    async with engine(workers=0) as world:
        world.leads = False
        world.see_job(**OWNED)
        await asyncio.sleep(10)
        assert asked(world) == []


@virtual
async def test_answers_go_with_their_job():
    async with engine() as world:
        has(world)
        world.see_job(**OWNED)
        await asyncio.sleep(1)
        assert set(world.parts.store._findings._owned) == {uid_of("run-1")}
        world.lose_job()
        await asyncio.sleep(10)
        assert world.parts.store._findings._owned == {}


# ── Pods ─────────────────────────────────────────────────────────────────────────────────────────


def labels_of(world, job="run-1"):
    return world.cluster.pods[uid_of(f"{job}-x")]["metadata"]["labels"]


def started_without_labels(world):
    world.see_job(**STARTED)
    world.cluster.add_pod(metadata=UNLABELLED, status=RUNNING)


@virtual
async def test_a_pod_that_the_watch_does_not_select_is_found_and_labelled():
    async with engine() as world:
        started_without_labels(world)
        await asyncio.sleep(4)
        assert asked(world, ReadPods) == []
        await asyncio.sleep(2)
        assert labels_of(world)[KEYS.agent_id] == "a-1"
        assert labels_of(world)[KEYS.run_id] == "r-run-1"
        assert phase_of(world) is Phase.RUNNING
        await asyncio.sleep(600)
        assert len(asked(world, PatchPod)) == len(asked(world, ReadPods)) == 1


@virtual
async def test_a_job_that_counts_a_pod_that_nobody_can_find_is_no_storm_of_lists():
    async with engine(Policy(start_timeout_seconds=10**6)) as world:
        world.see_job(**STARTED)
        await asyncio.sleep(600)
        assert 15 <= len(asked(world, ReadPods)) <= 21


@pytest.mark.parametrize("code", [403, 422])
@virtual
async def test_a_pod_that_may_not_be_labelled_is_tried_once_a_minute(code):
    async with engine() as world:
        world.cluster.trouble = always(errors.Refused("no", code), PatchPod)
        started_without_labels(world)
        for _ in range(300):
            await asyncio.sleep(2)
            world.see_again()  # as when its log talks all the time
            world.parts.queue.add(world.cluster.job().slot)
        assert 5 <= len(asked(world, PatchPod)) <= 11
        assert phase_of(world) is Phase.RUNNING, "it is followed all the same"


@virtual
async def test_a_pod_that_is_gone_is_not_labelled_for_ever():
    async with engine() as world:
        world.see_job(**STARTED)
        world.see_pod(metadata=UNLABELLED, status=RUNNING)
        await asyncio.sleep(600)
        assert len(asked(world, PatchPod)) == 1


@virtual
async def test_labels_that_somebody_takes_out_again_are_not_fought_in_a_loop():
    async with engine() as world:
        pod = world.cluster.add_pod(metadata=UNLABELLED, status=RUNNING)
        pod["metadata"]["labels"] = type("Sieve", (dict,), {"__ior__": lambda self, _more: self})(
            pod["metadata"]["labels"]
        )
        world.see_job(**STARTED)
        await asyncio.sleep(600)
        assert 5 <= len(asked(world, PatchPod)) <= 12
