"""Results and words that are too big for where they belong, in virtual time: refusals, outages, no room."""

import asyncio

import pytest

from controller.core.actions import PatchJob, StoreResult, TellJob
from controller.core.contract import ANNOTATIONS_MAX, Keys, Phase, Status
from controller.engine import loops
from controller.kube import errors
from tests.core.builders import make_claim, make_finished_seen, make_log, stamp, uid_of
from tests.engine.virtual import RUNNING, always, once, phase_of, virtual
from tests.engine.world import engine, merged

KEYS = Keys()
ENDED = {
    "phase": "Succeeded",
    "containerStatuses": [
        {
            "name": "claude",
            "state": {
                "terminated": {"exitCode": 0, "startedAt": stamp(40), "finishedAt": stamp(90)},
            },
        }
    ],
}
COMPLETE = {
    "succeeded": 1,
    "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": stamp(95)}],
}
NAME = f"run-{uid_of('run-1')}"
AWAY = errors.Unavailable("away", 503)


def stores(world):
    return [at for at, action in world.cluster.calls if isinstance(action, StoreResult)]


def ends(world):
    return [patch for patch in world.cluster.patches if "result" in patch.why.split("+")]


def status(world, name):
    return world.cluster.job().status.get(name)


def told(world):
    return {tell.reason: tell.note for tell in world.cluster.told}


def full(world, most=ANNOTATIONS_MAX):
    """The API server's own count, of all annotations after a patch."""

    def trouble(action):
        if not isinstance(action, PatchJob):
            return
        notes = world.cluster.jobs[action.job_uid]["metadata"].get("annotations", {})
        after = merged(notes, dict(action.annotations))
        if sum(len(key) + len(text.encode()) for key, text in after.items()) > most:
            raise errors.TooLarge("metadata.annotations: Too long", 422, "Invalid")

    world.cluster.trouble = trouble


async def over(world, words=30_000, **job):
    """A run whose Job is over, and whose agent has said so much."""
    world.see_job(**merged({"spec": {"suspend": False}, "status": {"active": 1}}, job))
    world.see_pod(status=RUNNING)
    await asyncio.sleep(1)
    claim = make_claim(text="y" * words)
    loops.log_news(world.parts, uid_of("run-1"), make_log(seen=make_finished_seen(claim=claim)))
    world.cluster.add_pod(status=ENDED)
    world.see_pod(status=ENDED, resourceVersion="9")
    world.cluster._save(merged(world.cluster.jobs[uid_of("run-1")], {"status": COMPLETE}))
    world.see_again()


@virtual
async def test_the_whole_is_kept_before_the_run_is_over():
    async with engine() as world:
        await over(world)
        await asyncio.sleep(5)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF) == f"configmap/{NAME}"
        kinds = [
            type(act) for _, act in world.cluster.calls if isinstance(act, StoreResult) or act in ends(world)
        ]
        assert kinds == [StoreResult, PatchJob]
        assert "y" * 30_000 in world.cluster.stored[NAME].text
        await asyncio.sleep(600)
        assert len(stores(world)) == 1


@virtual
async def test_a_result_that_fits_is_kept_nowhere_else():
    async with engine() as world:
        await over(world, words=300)
        await asyncio.sleep(5)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF) is None
        assert not stores(world)


@pytest.mark.parametrize("code", [403, 409, 413, 422])
@virtual
async def test_a_config_map_that_is_refused_holds_up_no_result(code):
    async with engine() as world:
        world.cluster.trouble = always(errors.Refused("exceeded quota", code), StoreResult)
        await over(world)
        await asyncio.sleep(3)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF) is None
        assert "exceeded quota" in told(world)["ResultCut"]
        await asyncio.sleep(600)
        assert len(stores(world)) == 1


@virtual
async def test_a_config_map_of_another_result_is_left_as_it_is():
    async with engine() as world:
        world.cluster.stored[NAME] = StoreResult("agents", NAME, "run-1", uid_of("run-1"), "{}", "5")
        await over(world)
        await asyncio.sleep(3)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF) is None
        assert f"is kept in configmap/{NAME}" in told(world)["ResultCut"]


@virtual
async def test_a_short_outage_loses_nothing():
    async with engine() as world:
        world.cluster.trouble = always(AWAY, StoreResult)
        await over(world)
        await asyncio.sleep(20)
        assert phase_of(world) in (Phase.RUNNING, Phase.FINISHING)
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(31)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF)


@virtual
async def test_config_maps_that_always_fail_hold_up_a_result_for_minutes_only():
    async with engine() as world:
        world.cluster.trouble = always(AWAY, StoreResult)
        await over(world)
        await asyncio.sleep(240)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF) is None
        assert "away" in told(world)["ResultCut"]
        times = stores(world)
        assert 120 <= times[-1] - times[0] < 155
        assert len(times) < 25


@virtual
async def test_config_maps_that_a_busy_server_turns_away_hold_up_a_result_for_minutes_only():
    async with engine() as world:
        world.cluster.trouble = always(errors.Throttled("busy", 10), StoreResult)
        await over(world)
        await asyncio.sleep(60)
        assert phase_of(world) is not Phase.SUCCEEDED
        await asyncio.sleep(180)
        assert phase_of(world) is Phase.SUCCEEDED
        assert "busy" in told(world)["ResultCut"]


@virtual
async def test_a_long_outage_of_everything_loses_nothing():
    async with engine() as world:
        world.cluster.trouble = always(AWAY, StoreResult | PatchJob)
        await over(world)
        await asyncio.sleep(900)
        assert phase_of(world) is None
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(61)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT_REF), "it was tried once more before it was given up"


@virtual
async def test_a_lost_answer_to_the_config_map_costs_one_more_question():
    async with engine() as world:
        lost = [AWAY]

        def after_it_was_made(action):
            if isinstance(action, StoreResult) and lost:
                world.cluster.stored[action.name] = action
                raise lost.pop()

        world.cluster.trouble = after_it_was_made
        await over(world)
        await asyncio.sleep(10)
        assert status(world, Status.RESULT_REF)
        assert len(stores(world)) == 2


# ── No room ──────────────────────────────────────────────────────────────────────────────────────


FEW = 1000
"""Bytes that are too few for all that this run says."""


def filler(bytes_):
    return {"metadata": {"annotations": {"other": "x" * (bytes_ - len("other"))}}}


@pytest.mark.parametrize("free", [0, 1, 100, 300, 1000, 5000, 40_000])
@virtual
async def test_a_run_goes_its_way_however_full_its_job_is(free):
    async with engine() as world:
        full(world)
        world.see_job(**filler(ANNOTATIONS_MAX - free))
        await asyncio.sleep(1)
        assert world.cluster.admissions()
        before = len(world.cluster.calls)
        await over(world, **filler(ANNOTATIONS_MAX - free))
        await asyncio.sleep(600)
        assert (phase_of(world) is Phase.SUCCEEDED) is (free > 100)
        assert bool(status(world, Status.RESULT)) is (free > 100), "without room for a result it waits"
        refused = [entry for entry in world.told.about("refused") if isinstance(entry[1], errors.TooLarge)]
        assert not refused, "what is there is counted before it is tried"
        assert len(world.cluster.calls) - before < 40
        assert ("AnnotationsFull" in told(world)) is (free <= FEW)


@virtual
async def test_a_run_that_had_no_room_for_its_end_ends_within_a_minute_of_there_being_some():
    async with engine() as world:
        full(world)
        await over(world, **filler(ANNOTATIONS_MAX))
        await asyncio.sleep(300)
        assert phase_of(world) is None
        world.cluster._save(merged(world.cluster.jobs[uid_of("run-1")], filler(ANNOTATIONS_MAX - 2000)))
        world.see_again()
        await asyncio.sleep(61)
        assert phase_of(world) is Phase.SUCCEEDED
        assert status(world, Status.RESULT)


@virtual
async def test_that_a_job_is_full_is_told_also_if_the_first_patch_fails():
    async with engine() as world:
        world.cluster.trouble = once(errors.Conflict("changed meanwhile"))
        world.see_job(**filler(ANNOTATIONS_MAX))
        await asyncio.sleep(2)
        assert world.cluster.admissions()
        assert "AnnotationsFull" in told(world)


@virtual
async def test_a_server_that_takes_less_than_it_seems_to_is_asked_for_less_each_time():
    """Somebody else's webhook adds to every patch, say."""
    async with engine() as world:
        full(world, most=1500)
        await over(world)
        await asyncio.sleep(5)
        assert phase_of(world) is Phase.SUCCEEDED
        assert "result" in world.cluster.job().status
        calls = [act for _, act in world.cluster.calls if isinstance(act, PatchJob)]
        await asyncio.sleep(600)
        assert len([act for _, act in world.cluster.calls if isinstance(act, PatchJob)]) - len(calls) < 10


@virtual
async def test_a_server_that_takes_nothing_is_not_asked_all_the_time():
    async with engine() as world:
        world.cluster.trouble = always(errors.TooLarge("Too long", 422), PatchJob)
        await over(world)
        await asyncio.sleep(60)
        before = len(world.cluster.calls)
        await asyncio.sleep(600)
        calls = [act for _, act in world.cluster.calls[before:] if not isinstance(act, TellJob)]
        assert len(calls) <= 10 * 2 * 6, "each size once a minute, with what is kept before it"


@virtual
async def test_annotations_that_grow_meanwhile_change_nothing_of_that():
    async with engine() as world:
        full(world)
        world.see_job(spec={"suspend": False}, status={"active": 1})
        world.see_pod(status=RUNNING)
        await asyncio.sleep(10)
        for size in (ANNOTATIONS_MAX - 40_000, ANNOTATIONS_MAX - 3000, ANNOTATIONS_MAX - 1200):
            world.cluster._save(merged(world.cluster.jobs[uid_of("run-1")], filler(size)))
            world.see_again()
            await asyncio.sleep(120)
        await over(world, **world.cluster.jobs[uid_of("run-1")])
        await asyncio.sleep(60)
        assert phase_of(world) is Phase.SUCCEEDED
        assert world.cluster.job().status[Status.RESULT]


@virtual
async def test_a_start_that_is_too_large_as_it_is_asked_for_is_asked_for_again_at_once():
    async with engine() as world:
        full(world, most=400)
        world.see_job()
        await asyncio.sleep(2)
        assert world.cluster.admissions()
        assert world.cluster.jobs[uid_of("run-1")]["spec"]["suspend"] is False
