"""What the loops make of Events about pods, in virtual time: few lists, and none that holds anything up."""

import asyncio

import pytest

from controller.core.actions import ReadEvents
from controller.core.contract import Phase, Reason, Status
from controller.core.snapshot import Policy
from controller.engine.budget import EVENT_LISTS_A_SECOND, EventLists
from controller.kube import errors
from tests.core.builders import event_json, stamp, uid_of
from tests.engine.virtual import phase_of, virtual
from tests.engine.world import engine

STARTED = {"spec": {"suspend": False}, "status": {"active": 1}}
CREATING = {
    "status": {
        "phase": "Pending",
        "containerStatuses": [{"name": "claude", "state": {"waiting": {"reason": "ContainerCreating"}}}],
    }
}
MOUNT = event_json("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found')


def asked(world):
    """Seconds at which Events were listed."""
    return [at for at, action in world.cluster.calls if isinstance(action, ReadEvents)]


def status(world, name):
    return world.cluster.job().status.get(name, "")


@virtual
async def test_why_a_start_is_slow_is_told_within_half_a_minute():
    async with engine() as world:
        world.cluster.said[uid_of("run-1-x")] = [MOUNT]
        world.see_job(**STARTED)
        world.see_pod(**CREATING)
        await asyncio.sleep(30)
        assert 'secret "s" not found' in status(world, Status.MESSAGE)
        assert len(asked(world)) == 1


@virtual
async def test_a_start_that_fails_costs_two_lists_and_is_named():
    async with engine(Policy(start_timeout_seconds=60)) as world:
        world.cluster.add_pod(**CREATING)
        world.cluster.said[uid_of("run-1-x")] = [MOUNT]
        world.see_job(**STARTED)
        world.see_pod(**CREATING)
        await asyncio.sleep(90)
        assert f'"reason":"{Reason.CONFIG_ERROR}"' in status(world, Status.STOP)
        assert len(asked(world)) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        errors.Refused("no such right", 403, "Forbidden"),
        errors.Unavailable("down", 500),
        errors.NotFound("no such group"),
    ],
    ids=["forbidden", "unavailable", "not found"],
)
@virtual
async def test_a_list_that_is_not_answered_holds_nothing_up(trouble):
    def raised(action):
        if isinstance(action, ReadEvents):
            raise trouble

    async with engine(Policy(start_timeout_seconds=60)) as world:
        world.cluster.trouble = raised
        world.cluster.add_pod(**CREATING)
        world.see_job(**STARTED)
        world.see_pod(**CREATING)
        await asyncio.sleep(90)
        assert f'"reason":"{Reason.START_TIMEOUT}"' in status(world, Status.STOP)
        assert len(asked(world)) == (1 if trouble.code == 403 else 2), "no retry"
        outcome = "refused" if trouble.code == 403 else "failed"
        assert {told[1] for told in world.told.about("events_read")} == {outcome}


@virtual
async def test_a_server_that_asks_to_be_left_alone_is_left_alone():
    def throttled(action):
        if isinstance(action, ReadEvents):
            raise errors.Throttled("busy", 20.0)

    async with engine() as world:
        world.cluster.trouble = throttled
        world.see_job(**STARTED)
        world.see_pod(**CREATING)
        await asyncio.sleep(120)
        assert len(asked(world)) == 1
        assert phase_of(world) is Phase.STARTING


@virtual
async def test_pulls_are_facts_as_soon_as_anything_is_written():
    pulled = event_json("Pulled", 'Successfully pulled image "i:1" in 2.5s', "claude")
    container = {"name": "claude", "state": {"running": {"startedAt": stamp(995)}}}
    async with engine(Policy(tracing=True)) as world:
        world.cluster.said[uid_of("run-1-x")] = [pulled]
        world.see_job(**STARTED)
        world.see_pod(status={"phase": "Running", "containerStatuses": [container]})
        await asyncio.sleep(150)
        assert '"millis":2500' in status(world, Status.FACTS)
        assert len(asked(world)) == 1


def test_so_many_lists_are_made_and_not_more():
    lists, made, mono = EventLists(), 0, 0.0
    while mono < 60:
        wait = lists.wait(f"uid-{made}", mono, spare=False)
        made += not wait
        mono += wait
    assert made <= 10 + 60 * EVENT_LISTS_A_SECOND + 1


@pytest.mark.parametrize("spare", [False, True])
def test_nobody_comes_in_vain_more_than_once(spare):
    lists, coming, asked, made = EventLists(), {f"uid-{n}": 0.0 for n in range(300)}, 0, []
    while coming:
        about = min(coming, key=coming.get)
        mono = coming.pop(about)
        asked += 1
        if (wait := lists.wait(about, mono, spare=spare)) > 0:
            coming[about] = mono + wait
        else:
            made.append(mono)
    assert asked <= 2 * 300
    assert max(made) <= 300 / EVENT_LISTS_A_SECOND + 1


def test_turns_that_nobody_claims_are_forgotten():
    lists = EventLists()
    for n in range(2000):
        lists.wait(f"uid-{n}", n / 2, spare=n % 2 == 0)
    for n in range(100):
        lists.wait(f"more-{n}", 5000.0, spare=False)
    assert len(lists._turns) <= 100


def test_lists_that_only_a_trace_wants_leave_room_for_others():
    lists = EventLists()
    spare = sum(not lists.wait(f"spare-{n}", 0.0, spare=True) for n in range(20))
    others = sum(not lists.wait(f"other-{n}", 0.0, spare=False) for n in range(20))
    assert (spare, others) == (5, 5)
