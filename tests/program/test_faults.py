"""The whole program on a cluster that drops, delays, refuses and forgets; and two controllers at once."""

import asyncio
import signal

import pytest

from controller.core.contract import Phase, Status
from devcluster.fake import Faults, Refusal
from tests.program import oracle
from tests.program.runs import API_RETRY, HOOKS, MAX_TURNS, SUBAGENT, TERMINATED, make_run, replay

pytestmark = pytest.mark.slow

TERMINATE = "trap 'exit 143' TERM; sh -c 'kill -TERM \"$PPID\"'"
ENDS = {
    "a-1": "Succeeded/Completed",
    "a-2": "Failed/MaxTurns",
    "a-3": "Succeeded/Completed",
    "b-1": "Succeeded/Completed",
    "b-2": "Failed/TruncatedOutput",
    "b-3": "Succeeded/Completed",
    "c-1": "Failed/ContainerError",
    "c-2": "Failed/ImagePullFailed",
}


def demo(prefix="", seconds=0.06):
    """Eight runs of three agents, some of which fail."""
    runs = {
        "a-1": {"script": replay(SUBAGENT, seconds)},
        "a-2": {"script": replay(MAX_TURNS, seconds, "exit 1")},
        "a-3": {"script": replay(API_RETRY, seconds)},
        "b-1": {"script": replay(HOOKS, seconds)},
        "b-2": {"script": replay(TERMINATED, seconds, TERMINATE)},
        "b-3": {"script": replay(SUBAGENT, seconds)},
        "c-1": {"script": "sleep 0.5; exit 3", "adapter": "other_k8s"},
        "c-2": {"container": {"imagePullPolicy": "Never", "image": "x.invalid/agent:1"}},
    }
    return [make_run(prefix + name, agent=f"agent-{name[0]}", **run) for name, run in runs.items()]


def masked(result):
    """A result without what differs from one run of the same transcript to the next."""
    times = {"jobUid", "runId", "pod", "sha256", "durationMs"}
    return {key: value for key, value in result.items() if key not in times}


def check_results(world, prefix=""):
    standings = {name: world.standing(prefix + name) for name in ENDS}
    assert standings == ENDS
    for name in ENDS:
        assert len(oracle.unsuspended(world.cluster.history, world.uid(prefix + name))) == 1, name
        assert world.result(prefix + name).get("log", {}).get("state") in ("complete", "missing")


DROPPED = Faults(
    seed=1,
    close_watches_every=1.0,
    keep_versions=20,
    refusals=[
        Refusal(429, share=0.1, retry_after=1),
        Refusal(500, share=0.1),
        Refusal(503, share=0.1),
    ],
)
LOST = Faults(
    seed=2,
    cut_watches_every=1.0,
    cut_logs_every=1.5,
    lost_answer_share=0.15,
    conflict_share=0.15,
    refusals=[Refusal(503, share=0.1)],
    latency_ms=20,
)


@pytest.mark.parametrize("faults", [DROPPED, LOST], ids=["dropped and refused", "lost and conflicting"])
async def test_runs_end_right_through_a_storm_of_faults(world, faults):
    world.cluster.faults.replace(faults)
    await world.start()
    world.submit(*demo(seconds=0.5))
    await asyncio.sleep(20)  # the length of the storm
    assert not all(world.said(name, Status.TRACE_EXPORTED) for name in ENDS), "it lasted long enough"
    world.cluster.faults.clear()
    if world.controllers[-1].process.returncode is not None:
        await world.start()
    await world.published(*ENDS)
    check_results(world)
    world.check()


async def test_writes_that_all_fail_for_a_while_are_made_up_for(world):
    await world.lead()
    world.cluster.faults.replace(Faults(refusals=[Refusal(500, verbs=("patch", "create"))]))
    world.submit(*demo())
    await asyncio.sleep(8)  # the length of the outage
    tries = world.cluster.requests["patch", "jobs", 500]
    assert 0 < tries < 200, "no storm of our own"
    assert not any(world.said(name) for name in ENDS)
    world.cluster.faults.clear()
    await world.published(*ENDS, seconds=120)
    check_results(world)
    world.check()


async def test_a_rival_that_writes_all_the_time_is_not_fought(world):
    await world.lead()
    world.submit(*demo())

    async def rival():
        for count in range(400):
            for name in ENDS:
                patch = {"metadata": {"annotations": {"rival": str(count)}}}
                world.cluster.patch("jobs", "default", name, patch)
            await asyncio.sleep(0.05)

    writing = asyncio.ensure_future(rival())
    await world.published(*ENDS)
    writing.cancel()
    check_results(world)
    world.check()


async def test_half_open_watches_are_noticed_within_90_seconds(world):
    await world.lead()
    world.submit(make_run("first", replay(API_RETRY), agent="first"))
    await world.published("first")
    world.cluster.faults.half_open = ("watches",)
    world.submit(make_run("second", replay(API_RETRY), agent="second"))
    opened = world.cluster.requests["watch", "jobs", 200]
    async with asyncio.timeout(90):
        while world.cluster.requests["watch", "jobs", 200] == opened:  # noqa: ASYNC110 — reads wake nobody
            await asyncio.sleep(0.5)
    assert not world.said("second"), "nobody has seen it yet"
    world.cluster.faults.half_open = ()
    await world.published("second")
    world.check()


# ── Two controllers ──────────────────────────────────────────────────────────────────────────────


async def test_a_standby_takes_over_within_20_seconds_of_a_crash(world):
    first = await world.lead()
    leader = world.holder()
    await world.start()
    world.submit(*demo(seconds=0.3))
    await world.started("a-1")
    clock = asyncio.get_running_loop().time
    began = clock()
    await first.kill()
    await world.until(lambda: world.holder() not in ("", leader))
    took = clock() - began
    print(f"fail-over after kill -9: {took:.1f} s")  # noqa: T201 — a figure to report
    assert took < 20
    await world.published(*ENDS, seconds=120)
    check_results(world)
    world.check()


async def test_a_leader_that_was_paused_does_nothing_when_it_wakes(world):
    first = await world.lead()
    leader = world.holder()
    second = await world.start()
    world.submit(*demo(seconds=0.3))
    await world.started("a-1")
    first.signal(signal.SIGSTOP)
    await world.until(lambda: world.holder() not in ("", leader), 30)
    await asyncio.sleep(2)  # the new leader is in the middle of it
    version = world.cluster.storage.version
    first.signal(signal.SIGCONT)
    async with asyncio.timeout(20):
        assert await first.process.wait() == 1, "it has lost its lease, and says so by ending"
    assert any("LeaseLost" in message for message in first.messages())
    assert second.process.returncode is None
    await world.published(*ENDS, seconds=120)
    assert world.cluster.storage.version > version
    check_results(world)
    world.check()
    assert [world.said(name) for name in ("a-1", "b-1")] == [Phase.SUCCEEDED] * 2
