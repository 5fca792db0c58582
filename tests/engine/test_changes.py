"""What the loops make of changes: what the watches bring, and when it may be acted on."""

import asyncio

import pytest

from controller.core.actions import ConfirmGone
from controller.core.contract import Phase
from controller.core.model import Slot, Unreadable
from controller.core.snapshot import Policy
from controller.kube.informer import Gone, Synced, Upsert
from tests.core.builders import KEYS, NAMESPACE, make_job, uid_of
from tests.engine.virtual import phase_of, virtual
from tests.engine.world import engine

FINISHED = {"conditions": [{"type": "Complete", "status": "True"}]}


# ── Freshness ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("watch", ["jobs", "pods"])
@virtual
async def test_a_stale_watch_admits_nothing_and_all_goes_on_when_it_speaks_again(watch):
    async with engine() as world:
        getattr(world, watch).silence = 100.0
        world.see_job()
        await asyncio.sleep(60)
        assert not world.writes
        getattr(world, watch).silence = 0.0
        await asyncio.sleep(1.5)
        assert phase_of(world) is Phase.STARTING


@virtual
async def test_nothing_is_admitted_before_both_caches_are_complete():
    async with engine() as world:
        world.pods.synced = False
        world.see_job()
        world.jobs.give(Synced())
        await asyncio.sleep(60)
        assert not world.writes
        assert not world.parts.synced.is_set()
        world.pods.give(Synced())
        await asyncio.sleep(0.1)
        assert world.parts.synced.is_set()
        assert phase_of(world) is Phase.STARTING


@virtual
async def test_what_was_there_before_is_behind_what_is_new():
    async with engine(workers=0) as world:
        for number in range(3):
            job = make_job(f"old-{number}", slot=Slot(NAMESPACE, f"old-{number}", "claude_k8s"))
            world.jobs.give(Upsert(job, initial=True))
        world.jobs.give(Synced())
        await asyncio.sleep(1)
        world.see_job("new")
        await asyncio.sleep(1)
        order = [(await world.parts.queue.get()).agent for _ in range(4)]
        assert order == ["a-1", "old-0", "old-1", "old-2"]


# ── Changes ──────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_an_object_that_can_not_be_read_is_told_and_what_was_known_of_it_stays():
    async with engine() as world:
        world.see_job()
        await asyncio.sleep(1)
        garbled = Unreadable("Job", NAMESPACE, "run-1", uid_of("run-1"), "999", "is no Job")
        world.jobs.give(Upsert(garbled, initial=False))
        world.jobs.give(Gone(garbled))
        await asyncio.sleep(1)
        assert world.told.about("unreadable") == [(garbled,)]
        assert world.parts.store.job(uid_of("run-1")) is not None


@virtual
async def test_oddities_are_told_once():
    async with engine() as world:
        world.see_job(metadata={"annotations": {KEYS.on_conflict: "perhaps"}})
        await asyncio.sleep(1)
        world.see_again()
        await asyncio.sleep(1)
        assert len(world.told.about("odd")) == 1


@virtual
async def test_a_live_run_that_is_deleted_is_told_and_its_place_waits_for_certainty():
    async with engine() as world:
        world.see_job("run-1")
        await asyncio.sleep(1)
        still_there = dict(world.cluster.jobs)
        world.lose_job()
        world.cluster.jobs.update(still_there)  # a label was taken away; the Job lives
        world.see_job("run-2")
        await asyncio.sleep(10)
        assert world.told.about("vanished") == [], "a lost label is no deletion"
        assert phase_of(world, "run-2") is Phase.QUEUED
        asked = [at for at, action in world.cluster.calls if isinstance(action, ConfirmGone)]
        assert 4 <= len(asked) <= 7, "about every two seconds"
        del world.cluster.jobs[uid_of("run-1")]
        await asyncio.sleep(3)
        assert phase_of(world, "run-2") is Phase.STARTING
        assert world.follower.forgotten == [uid_of("run-1")]
        assert [job.name for (job,) in world.told.about("vanished")] == ["run-1"]
        assert "JobDeleted" in [told.reason for told in world.cluster.told if told.name == "run-1"]


@virtual
async def test_a_run_that_is_settled_is_not_followed_any_more():
    async with engine() as world:
        world.see_job()
        await asyncio.sleep(1)
        job = world.cluster.jobs[uid_of("run-1")]
        world.cluster._save(job | {"status": FINISHED})
        world.see_again()
        await asyncio.sleep(1)
        assert phase_of(world) is Phase.FAILED, "no pod was ever seen"
        assert world.follower.forgotten == [uid_of("run-1")]
        assert world.parts.store.is_settled(uid_of("run-1"))


@virtual
async def test_a_reply_that_is_no_job_is_told():
    async with engine() as world:

        async def garble(action):
            world.cluster.patches.append(action)
            return b"[]"

        world.cluster.patch_job = garble
        world.see_job()
        await asyncio.sleep(0.001)
        assert world.told.about("unreadable")


# ── Traces ───────────────────────────────────────────────────────────────────────────────────────


class Exporter:
    """Has no room until told."""

    def __init__(self):
        self.room = False
        self.offers = []

    def submit(self, job_uid, _tree):
        self.offers.append((asyncio.get_running_loop().time(), job_uid))
        return self.room


@virtual
async def test_a_trace_for_which_there_is_no_room_is_offered_again():
    exporter = Exporter()
    async with engine(Policy(tracing=True), exporter) as world:
        world.see_job(spec={"suspend": False}, status=FINISHED)
        await asyncio.sleep(70)
        assert len(exporter.offers) >= 2
        exporter.room = True
        await asyncio.sleep(60)
        count = len(exporter.offers)
        await asyncio.sleep(600)
        assert len(exporter.offers) == count, "taken over, once"
