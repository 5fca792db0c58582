"""How long Jobs are kept: TTLs put aside and given back, acknowledgements, Jobs that never ran."""

import asyncio

from controller.core.contract import Phase, Status
from tests.program import oracle
from tests.program.runs import API_RETRY, KEYS, NAMESPACE, SUBAGENT, make_run, replay

CANCELLED = {KEYS.cancel_requested: "enough"}
ACKNOWLEDGED = {KEYS.acknowledged: "yes"}
RETAINED = {KEYS.retain: "true"}
QUICK = {"RUNHERD_ACKNOWLEDGED_RETENTION_SECONDS": "1"}


def note(world, name, notes):
    world.cluster.patch("jobs", NAMESPACE, name, {"metadata": {"annotations": notes}})


def ttl(world, name):
    return world.job(name)["spec"].get("ttlSecondsAfterFinished")


async def gone(world, *names, seconds=20):
    await world.until(lambda: all(world.job(name) is None for name in names), seconds)


async def test_no_ttl_of_a_host_loses_a_result(world):
    await world.lead()
    world.submit(
        make_run("at-once", replay(API_RETRY), agent="a-1", ttlSecondsAfterFinished=0),
        make_run("running", replay(SUBAGENT), agent="a-2", ttlSecondsAfterFinished=0, suspend=False),
        make_run("long", replay(API_RETRY), agent="a-3", ttlSecondsAfterFinished=7200),
        make_run("none", replay(API_RETRY), agent="a-4"),
        make_run("kept", replay(API_RETRY), agent="a-5", ttlSecondsAfterFinished=0, notes=RETAINED),
    )
    await world.published("at-once", "running", "long", "none", "kept")
    put_aside = {name: world.said(name, Status.HOST_TTL) for name in ("at-once", "running", "long", "none")}
    assert put_aside == {"at-once": "0", "running": "0", "long": "7200", "none": ""}
    for name, least in (("at-once", 300), ("running", 300), ("long", 7200), ("none", 86400)):
        assert least <= ttl(world, name) <= least + 30, name
        assert world.said(name, Status.TTL_SET) == str(ttl(world, name))
    assert ttl(world, "kept") is None
    for name in ("at-once", "long", "none", "kept"):
        assert len(oracle.patches(world.cluster.history, world.uid(name)).weighty) <= 5, name
    world.check()


async def test_a_job_that_ended_while_the_controller_was_away_is_saved_if_it_is_still_there(world):
    world.submit(make_run("alone", replay(API_RETRY), suspend=False, ttlSecondsAfterFinished=30))
    await world.until(lambda: oracle.is_over(world.job("alone")))
    await world.lead()
    await world.published("alone")
    assert world.standing("alone") == "Succeeded/Completed"
    assert ttl(world, "alone") >= 300
    world.check()


async def test_a_host_that_has_its_result_gets_rid_of_the_job(world):
    await world.lead(**QUICK)
    world.submit(
        make_run("read", replay(API_RETRY), agent="a-1"),
        make_run("kept", replay(API_RETRY), agent="a-2", notes=RETAINED),
        make_run("changed", replay(API_RETRY), agent="a-3"),
    )
    await world.published("read", "kept", "changed")
    world.cluster.patch("jobs", NAMESPACE, "changed", {"spec": {"ttlSecondsAfterFinished": 9999}})
    for name in ("read", "kept", "changed"):
        note(world, name, ACKNOWLEDGED)
    await gone(world, "read")
    assert (ttl(world, "kept"), ttl(world, "changed")) == (None, 9999)
    world.check()


async def test_jobs_that_never_ran_are_collected_without_a_pod(world):
    await world.lead(**QUICK)
    world.submit(make_run("runs", replay(SUBAGENT, 0.5)))
    await world.started("runs")
    world.submit(
        make_run("cancelled", replay(API_RETRY)),
        make_run("rejected", replay(API_RETRY), agent="a-2", parallelism=2, completions=2),
        make_run("kept", replay(API_RETRY), notes=CANCELLED | RETAINED),
        make_run("waits", replay(API_RETRY)),
    )
    await world.phase("cancelled", Phase.QUEUED)
    note(world, "cancelled", CANCELLED)
    await world.published("cancelled", "rejected", "kept")
    uids = {world.uid(name) for name in ("cancelled", "rejected")}
    for name in ("cancelled", "rejected"):
        spec = world.job(name)["spec"]
        assert (spec["suspend"], spec["parallelism"]) == (True, 0)
        note(world, name, ACKNOWLEDGED)
    note(world, "kept", ACKNOWLEDGED)
    await gone(world, "cancelled", "rejected", seconds=30)
    assert not [w for w in world.cluster.history if w.kind == "Pod" and oracle.owner(w.object) in uids]
    assert world.said("waits") == Phase.QUEUED, "a Job that is collected frees no place, and takes none"
    await asyncio.sleep(3)  # time in which a Job that is to be retained could go
    assert world.said("kept") == Phase.CANCELLED
    await world.published("runs", "waits")
    world.check()
