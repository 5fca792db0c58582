"""Runs that are to end, be kept or be collected, in virtual time: clocks that jump, outages, restarts."""

import asyncio

import pytest

from controller.core.actions import PatchJob
from controller.core.contract import Keys, Phase, Status
from controller.core.snapshot import Policy
from controller.engine import loops
from controller.kube import errors
from controller.kube.lease import LeaseLost
from tests.core.builders import SLOT, pod_json, stamp, uid_of
from tests.engine.virtual import RUNNING, always, once, phase_of, virtual
from tests.engine.world import engine, merged

KEYS = Keys()
CANCEL = {"metadata": {"annotations": {KEYS.cancel_requested: "enough"}}}
ACKNOWLEDGE = {"metadata": {"annotations": {KEYS.acknowledged: "yes"}}}
FAILED = {
    "conditions": [{"type": "Failed", "status": "True", "reason": "x", "lastTransitionTime": stamp(1000)}]
}
LONG = 1000
KEPT = Policy(retention_seconds=LONG)


def host_writes(world, patch, name="run-1", *, seen=True):
    """The host changes its Job, and the watch says so if it still says anything."""
    world.cluster._save(merged(world.cluster.jobs[uid_of(name)], patch))
    if seen:
        world.see_again(name)


def stops(world):
    return [patch for patch in world.cluster.patches if patch.why.startswith("stop")]


def reason_of(world, name="run-1"):
    return world.cluster.job(name).status.get(Status.REASON)


async def started(world, **pod):
    """A run whose only pod is at work, unless told otherwise."""
    world.see_job()
    await asyncio.sleep(1)
    what = pod or {"status": RUNNING}
    world.see_pod(**what)
    world.cluster.pods["x"] = {**merged(pod_json("run-1-x", job="run-1"), what), "job": uid_of("run-1")}
    await asyncio.sleep(1)


# ── Cancels ──────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_cancel_while_the_api_server_is_away_is_carried_out_when_it_is_back():
    async with engine() as world:
        await started(world)
        world.cluster.trouble = always(errors.Unavailable("away"), object)
        host_writes(world, CANCEL)
        await asyncio.sleep(600)
        assert stops(world) == []
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(61)
        assert len(stops(world)) == 1
        assert reason_of(world) == "Stopping"


@virtual
async def test_a_cancel_is_carried_out_while_a_watch_is_stale():
    async with engine(workers=0) as world:
        world.see_job(spec={"suspend": False}, **CANCEL)
        world.pods.silence = 1000.0
        await asyncio.sleep(1)
        worker = asyncio.ensure_future(loops.work(world.parts))
        await asyncio.sleep(10)
        worker.cancel()
        assert [patch.spec for patch in world.cluster.patches] == [{"activeDeadlineSeconds": 1}]


@virtual
async def test_a_stale_job_is_read_anew_if_it_was_changed_before_its_cancel():
    async with engine(workers=0) as world:
        world.see_job(spec={"suspend": False}, **CANCEL)
        world.jobs.silence = 1000.0
        await asyncio.sleep(1)
        host_writes(world, {"metadata": {"annotations": {"other": "x"}}}, seen=False)
        worker = asyncio.ensure_future(loops.work(world.parts))
        await asyncio.sleep(10)
        worker.cancel()
        assert len(stops(world)) == 1


@virtual
async def test_a_cancel_is_not_carried_out_without_the_lease():
    async with engine(workers=0) as world:
        world.leads = False
        world.see_job(spec={"suspend": False}, **CANCEL)
        await asyncio.sleep(1)
        with pytest.raises(LeaseLost):
            await loops.work(world.parts)
        assert not world.cluster.calls


@virtual
async def test_a_cancel_that_comes_while_the_start_is_being_written_wins():
    async with engine() as world:

        def cancelled_meanwhile(action):
            if isinstance(action, PatchJob) and not tried:
                tried.append(action)
                host_writes(world, CANCEL)

        tried = []
        world.cluster.trouble = cancelled_meanwhile
        world.see_job()
        await asyncio.sleep(5)
        assert phase_of(world) is Phase.CANCELLED
        assert not world.cluster.admissions()


@virtual
async def test_the_place_of_a_cancelled_run_is_the_next_one_s():
    async with engine() as world:
        world.see_job("run-1")
        await asyncio.sleep(1)
        world.see_job("run-2", metadata={"creationTimestamp": stamp(1)})
        world.see_job("run-3", metadata={"creationTimestamp": stamp(2)})
        await asyncio.sleep(1)
        host_writes(world, CANCEL, "run-2")
        host_writes(world, {"status": FAILED})
        await asyncio.sleep(5)
        phases = [phase_of(world, name) for name in ("run-1", "run-2", "run-3")]
        assert phases == [Phase.FAILED, Phase.CANCELLED, Phase.STARTING]


# ── Clocks ───────────────────────────────────────────────────────────────────────────────────────

WAITS = {
    "no pod": None,
    "no node": {"spec": {"nodeName": ""}, "status": {"phase": "Pending"}},
    "no image": {
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"name": "claude", "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
        }
    },
    "at work": {"status": RUNNING},
}


@pytest.mark.parametrize("jump", [3600, -3600])
@pytest.mark.parametrize("pod", WAITS.values(), ids=WAITS)
@virtual
async def test_a_clock_that_jumps_an_hour_stops_nothing(pod, jump):
    async with engine() as world:
        await started(world, **(pod or {"status": {}}))
        if pod is None:
            world.cluster.pods.clear()
        await asyncio.sleep(60)
        world.ahead = jump
        await asyncio.sleep(400)
        world.ahead = 0
        await asyncio.sleep(60)
        assert stops(world) == []


@pytest.mark.parametrize(("pod", "seconds"), [("no node", 3600), ("no image", 600)])
@pytest.mark.parametrize("jump", [3600, -3600, 0])
@virtual
async def test_a_start_is_given_up_in_time_whatever_the_wall_clock_says(pod, seconds, jump):
    async with engine() as world:
        await started(world, **WAITS[pod])
        world.ahead = jump
        await asyncio.sleep(seconds - 10)
        assert stops(world) == []
        await asyncio.sleep(20)
        assert len(stops(world)) == 1


@pytest.mark.parametrize("jump", [3600, -3600, 0])
@virtual
async def test_a_run_without_a_pod_is_given_up_in_time_whatever_the_wall_clock_says(jump):
    async with engine() as world:
        world.see_job()
        await asyncio.sleep(1)
        world.ahead = jump
        await asyncio.sleep(590)
        assert stops(world) == []
        await asyncio.sleep(20)
        assert len(stops(world)) == 1
        assert '"PodMissing"' in world.cluster.job().status[Status.STOP]


# ── Keeping and retiring ─────────────────────────────────────────────────────────────────────────


def retired(world):
    return [patch for patch in world.cluster.patches if patch.why == "retire"]


def ttl(world):
    return world.cluster.job().ttl_seconds


@pytest.mark.parametrize("jump", [0, 10**6, -(10**6)], ids=["right", "ahead", "behind"])
@virtual
async def test_a_cancelled_run_is_retired_in_time_whatever_the_wall_clock_does(jump):
    async with engine(KEPT) as world:
        world.see_job(**CANCEL)
        await asyncio.sleep(1)
        world.ahead = jump
        await asyncio.sleep(LONG - 10)
        assert not retired(world)
        await asyncio.sleep(20)
        assert len(retired(world)) == 1
        await asyncio.sleep(LONG)
        assert len(retired(world)) == 1


@virtual
async def test_an_acknowledgement_shortens_a_rest_and_a_wish_to_retain_ends_it():
    async with engine(KEPT) as world:
        world.see_job("run-1", **CANCEL)
        world.see_job("run-2", **CANCEL)
        await asyncio.sleep(100)
        host_writes(world, ACKNOWLEDGE, "run-1")
        host_writes(world, {"metadata": {"annotations": {KEYS.retain: "true"}}}, "run-2")
        await asyncio.sleep(310)
        assert [patch.name for patch in retired(world)] == ["run-1"]
        await asyncio.sleep(2 * LONG)
        assert [patch.name for patch in retired(world)] == ["run-1"]


@virtual
async def test_runs_that_rest_are_no_part_of_the_work():
    async with engine(KEPT) as world:
        for number in range(50):
            world.see_job(f"run-{number}", **CANCEL)
        await asyncio.sleep(10)
        assert not world.parts.store.snapshot(SLOT, fresh=True).runs
        calls = len(world.cluster.calls)
        world.see_job("later")
        await asyncio.sleep(100)
        assert phase_of(world, "later") is Phase.STARTING
        assert len(world.cluster.calls) <= calls + 5, "its pod never comes: Events are asked for once"


@virtual
async def test_a_retirement_that_fails_is_tried_again():
    async with engine(KEPT) as world:
        world.see_job(**CANCEL)
        await asyncio.sleep(1)
        world.cluster.trouble = once(errors.Unavailable("no"))
        await asyncio.sleep(LONG + 60)
        assert len(retired(world)) == 1


@virtual
async def test_a_retirement_that_is_refused_is_tried_again_later_and_is_no_start_that_was_refused():
    async with engine(KEPT) as world:
        world.see_job(**CANCEL)
        await asyncio.sleep(1)
        world.cluster.trouble = once(errors.Refused("no", 403, "Forbidden"))
        await asyncio.sleep(LONG + 5)
        assert not retired(world)
        assert not world.parts.store.snapshot(SLOT, fresh=True, mono=0.0).refused
        await asyncio.sleep(60)
        assert len(retired(world)) == 1


@virtual
async def test_an_acknowledgement_brings_a_settled_run_back_once():
    async with engine(KEPT) as world:
        world.see_job(status=FAILED, spec={"suspend": False})
        await asyncio.sleep(10)
        assert ttl(world) == LONG
        assert world.parts.store.is_settled(uid_of("run-1"))
        host_writes(world, ACKNOWLEDGE)
        await asyncio.sleep(10)
        assert ttl(world) == 300
        count = len(world.cluster.patches)
        host_writes(world, {"spec": {"ttlSecondsAfterFinished": 7}})
        await asyncio.sleep(1000)
        assert (ttl(world), len(world.cluster.patches)) == (7, count), "not fought"


@pytest.mark.parametrize("outcome", [errors.Unavailable("cut"), errors.Conflict("no")])
@virtual
async def test_a_ttl_is_put_aside_and_given_back_whatever_happens_to_the_writes(outcome):
    async with engine(KEPT) as world:
        failures = iter([True, False] * 50)

        def sometimes(action):
            if isinstance(action, PatchJob) and next(failures):
                raise outcome

        world.cluster.trouble = world.cluster.lost = sometimes
        world.see_job(spec={"ttlSecondsAfterFinished": 0})
        await asyncio.sleep(30)
        assert ttl(world) is None
        host_writes(world, {"status": FAILED})
        await asyncio.sleep(200)
        assert phase_of(world) is Phase.FAILED
        assert 300 <= ttl(world) <= 600
        assert len({patch.spec["ttlSecondsAfterFinished"] for patch in world.cluster.patches[-1:]}) == 1


@virtual
async def test_a_deleted_job_that_a_finalizer_holds_is_closed_once_and_written_to_no_more():
    async with engine(KEPT) as world:
        held = {"deletionTimestamp": stamp(3), "finalizers": ["example.com/hold"]}
        world.see_job(metadata=held, spec={"suspend": False, "ttlSecondsAfterFinished": 0})
        await asyncio.sleep(10)
        assert phase_of(world) is Phase.CANCELLED
        count = len(world.cluster.patches)
        host_writes(world, ACKNOWLEDGE)
        await asyncio.sleep(2 * LONG)
        assert len(world.cluster.patches) == count
