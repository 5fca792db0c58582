"""Events that are told again: counted in memory, written seldom, remembered within bounds."""

import asyncio

import pytest

from controller.core.actions import TellJob
from controller.core.contract import Keys, Status
from controller.engine.series import Series
from controller.kube import errors
from tests.core.builders import NAMESPACE, stamp, uid_of
from tests.engine.virtual import always, virtual
from tests.engine.world import engine, merged

KEYS = Keys()
QUEUED = TellJob(NAMESPACE, "run-1", uid_of("run-1"), "Queued", "Waits.")


def told(series, mono, action=QUEUED):
    """Tells it, and writes what is to be written; what that is."""
    count = series.tell(action, mono)
    if count:
        series.wrote(action, count, mono)
    return count


def test_what_is_told_again_is_counted_and_written_once_a_minute():
    series = Series()
    assert [told(series, second) for second in (0, 1, 2, 59, 60, 61, 130)] == [1, 0, 0, 0, 5, 0, 7]


def test_what_was_only_counted_is_written_in_the_end():
    series = Series()
    for second in (0, 1, 2):
        told(series, second)
    assert series.due(59) == []
    assert series.due(60) == [(QUEUED, 3)]
    series.wrote(QUEUED, 3, 60)
    assert series.due(600) == []


def test_other_words_are_another_event():
    series = Series()
    told(series, 0)
    assert told(series, 1, TellJob(NAMESPACE, "run-1", uid_of("run-1"), "Queued", "Waits for another.")) == 1


def test_what_was_told_long_ago_is_asked_of_the_server():
    series = Series()
    told(series, 0)
    assert told(series, 601) == 1


def test_what_could_not_be_told_is_new_the_next_time():
    series = Series()
    series.tell(QUEUED, 0)
    series.failed(QUEUED)
    assert told(series, 1) == 1


def test_the_memory_is_bounded_and_the_oldest_leave_it():
    series = Series()
    for number in range(5000):
        told(series, number / 100, TellJob(NAMESPACE, "run-1", f"uid-{number}", "Queued", "Waits."))
    assert len(series) == 2048
    assert len(series.due(1000)) <= 2048
    assert told(series, 51, TellJob(NAMESPACE, "run-1", "uid-4999", "Queued", "Waits.")) == 0


# ── With loops ───────────────────────────────────────────────────────────────────────────────────


async def waiting(world):
    """`run-2` waits for `run-1`, and is told so."""
    world.see_job("run-1")
    await asyncio.sleep(1)
    world.see_job("run-2", metadata={"creationTimestamp": stamp(5)})
    await asyncio.sleep(1)


async def untold(world):
    """Somebody takes away what was written on `run-2`: it is said again, in the same words."""
    gone = {"metadata": {"annotations": {KEYS.status(Status.PHASE): None, KEYS.status(Status.REASON): None}}}
    world.cluster._save(merged(world.cluster.jobs[uid_of("run-2")], gone))
    world.see_again("run-2")
    await asyncio.sleep(1)


def queued(world):
    """How often it has been told that `run-2` waits, as the cluster knows it."""
    (count,) = [
        n
        for (uid, reason, _), n in world.cluster.events.items()
        if (uid, reason) == (uid_of("run-2"), "Queued")
    ]
    return count


@virtual
async def test_a_decision_that_is_taken_again_is_one_event_with_a_count():
    async with engine() as world:
        await waiting(world)
        for _ in range(5):
            await untold(world)
        assert queued(world) == 1
        await asyncio.sleep(120)
        assert queued(world) == 6


@virtual
async def test_after_a_restart_the_count_goes_on():
    async with engine() as world:
        await waiting(world)
        world.parts.series.failed(next(one for one in world.cluster.told if one.reason == "Queued"))
        await untold(world)
        assert queued(world) == 2


@virtual
async def test_an_event_that_the_server_has_forgotten_is_told_anew():
    async with engine() as world:
        await waiting(world)
        world.cluster.events.clear()
        await untold(world)
        await asyncio.sleep(120)
        assert queued(world) == 1


@pytest.mark.parametrize("error", [errors.Refused("no", 403, "Forbidden"), errors.Unavailable("no")])
@virtual
async def test_a_series_that_can_not_be_written_is_told_and_harms_nobody(error):
    async with engine() as world:
        await waiting(world)
        await untold(world)
        world.cluster.trouble = always(error, TellJob)
        await asyncio.sleep(120)
        assert world.told.about("refused")
        world.cluster.trouble = lambda _action: None
        await untold(world)
        assert queued(world) == 2


@virtual
async def test_without_the_lease_no_series_is_written():
    async with engine(workers=0) as world:
        told(world.parts.series, world.now().mono)
        told(world.parts.series, world.now().mono)
        world.leads = False
        await asyncio.sleep(120)
        assert world.cluster.calls == []
