"""How soon the next run starts once the last pod of the one before has ended, whichever way it ends."""

import asyncio

import pytest

from controller.core.contract import Phase
from controller.core.snapshot import Policy
from controller.kube.informer import Gone, Upsert
from tests.core.builders import pod_json, stamp, uid_of
from tests.engine.virtual import RUNNING, phase_of, virtual
from tests.engine.world import PARSER, engine, merged, raw

SOON = 0.05
ENDED = {"status": {"phase": "Succeeded", "containerStatuses": []}}
OVER = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
DELETED = {"metadata": {"deletionTimestamp": stamp(1100)}}


def change_job(world, changes):
    world.cluster._save(merged(world.cluster.jobs[uid_of("run-1")], changes))
    world.see_again("run-1")


async def is_over(world):
    """The Job is Complete, as its pods have ended."""
    change_job(world, OVER)


async def is_deleted(world):
    """The Job is being deleted, and its pod takes a while."""
    change_job(world, DELETED)


async def is_suspended(world):
    """Somebody suspends the Job."""
    change_job(world, {"spec": {"suspend": True}, "status": {"startTime": stamp(1000)}})


async def has_vanished(world):
    """The Job is gone, and its pod takes a while."""
    job = PARSER.job(raw(world.cluster.jobs.pop(uid_of("run-1"))))
    world.jobs.give(Gone(job))


def pod(world, changes):
    """The pod of `run-1`, as the watch and a list show it."""
    made = merged(pod_json("run-1-x", job="run-1", resourceVersion=str(world.cluster.version + 1)), changes)
    world.cluster.version += 1
    world.cluster.pods["x"] = {**made, "job": uid_of("run-1")}
    return made


@pytest.mark.parametrize("policy", [Policy(), Policy(cluster_concurrency=1)], ids=["slot", "cluster"])
@pytest.mark.parametrize("end", [is_over, is_deleted, is_suspended, has_vanished])
@virtual
async def test_the_next_run_starts_soon_after_the_last_pod_has_ended(policy, end):
    async with engine(policy) as world:
        world.cluster.slow = 0.002
        world.see_job("run-1")
        await asyncio.sleep(1)
        world.see_job("run-2", metadata={"creationTimestamp": stamp(5)})
        world.pods.give(seen(pod(world, {"status": RUNNING})))
        await asyncio.sleep(1)
        await end(world)
        await asyncio.sleep(11)
        assert phase_of(world, "run-2") is Phase.QUEUED, "its pod still runs"
        world.pods.give(seen(pod(world, ENDED)))
        await asyncio.sleep(SOON)
        assert phase_of(world, "run-2") is Phase.STARTING


def seen(made):
    return Upsert(PARSER.pod(raw(made)), initial=False)
