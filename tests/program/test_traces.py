"""One whole trace of each run, once, whoever is killed and whenever: the controller, or the collector."""

import asyncio
import random
from collections import Counter

import pytest

from controller.core.contract import TERMINAL, Status
from tests.program.runs import KEYS, NAMESPACE, SUBAGENT, make_run, replay
from tests.program.test_crashes import differing
from tests.program.test_faults import ENDS, check_results, demo

pytestmark = pytest.mark.slow

SEED = 20261126
LIVES = 10
"""Of controllers that are killed in the middle; something happens to the collector in each as well."""
WAVES = (0, 4)
"""Lives at whose beginning runs are submitted, so that there are always some whose traces are not safe."""
MODES = pytest.mark.parametrize("mode", ["end", "live"])


async def stop_for_a_while(sink, seconds):
    await sink.stop()
    await asyncio.sleep(seconds)
    await sink.start()


async def lose_answers(sink, seconds):
    """It takes what it gets, and is gone before it has said so."""
    sink.lose_next = 3
    await asyncio.sleep(seconds)
    sink.lose_next = 0


async def be_busy(sink, seconds):
    sink.status = 503
    await asyncio.sleep(seconds)
    sink.status = 200


TROUBLES = (stop_for_a_while, lose_answers, be_busy)


async def one_life(world, dice):
    """A controller and its collector until the former is killed; the latter is in trouble for some of it."""
    controller = await world.start()
    life = dice.uniform(1.0, 4.0)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(life))  # the moment is the point
        group.create_task(dice.choice(TROUBLES)(world.sink, dice.uniform(0.2, life)))
    await controller.kill()


async def finish(world, names):
    last = await world.start()
    await last.says("leading")
    await world.published(*names, seconds=180.0)
    assert await last.stop() == 0


def sent(world, names):
    """Each span of each run, once: it may have been sent again as it was."""
    return {name: sorted(set(map(repr, world.spans(name)))) for name in names}


async def told_again(world, names):
    """What a start without any trouble makes of the same runs."""
    world.sink.spans.clear()
    gone = {"metadata": {"annotations": {KEYS.status(Status.TRACE_EXPORTED): None}}}
    for name in names:
        world.cluster.patch("jobs", NAMESPACE, name, gone)
    await finish(world, names)
    return sent(world, names)


def roots(spans):
    return [span for span in spans if span.kind == "SERVER"]


def gaps(spans):
    """Parents that are not there."""
    return {span.parent_id for span in spans} - {span.span_id for span in spans} - {""}


@MODES
async def test_whoever_is_killed_each_run_has_one_whole_trace_as_if_nobody_had_been(world, mode):
    dice = random.Random(f"{SEED} {mode}")
    world.settings |= {"RUNHERD_LEADER_ELECTION": "false", "RUNHERD_TRACE_MODE": mode}
    names = []
    for number in range(LIVES):
        if number in WAVES:
            world.submit(*demo(f"w{number}-", seconds=0.5))
            names += [f"w{number}-{name}" for name in ENDS]
        await one_life(world, dice)
        assert not all(world.said(name, Status.TRACE_EXPORTED) for name in names), "killed in the middle"
    await finish(world, names)
    for number in WAVES:
        check_results(world, f"w{number}-")
    assert differing(world.sink.spans) == []
    found = sent(world, names)
    for name in names:
        assert len({span.span_id for span in roots(world.spans(name))}) == 1, name
        assert gaps(world.spans(name)) == set(), name
    assert await told_again(world, names) == found
    world.check()


async def until_sent(world, enough):
    async with asyncio.timeout(60):
        while not enough():  # noqa: ASYNC110 — the collector wakes nobody
            await asyncio.sleep(0.05)


async def test_a_live_trace_comes_span_by_span_and_its_root_last(world):
    world.settings["RUNHERD_TRACE_MODE"] = "live"
    controller = await world.lead()
    world.submit(make_run("one", replay(SUBAGENT, 0.8)))
    await until_sent(world, lambda: len(world.spans("one")) > 5)
    assert world.said("one") not in TERMINAL
    assert world.said("one", Status.TRACE_LIVE)
    assert roots(world.spans("one")) == []
    await world.published("one")
    assert await controller.stop() == 0
    spans = world.spans("one")
    assert (spans[-1].kind, gaps(spans)) == ("SERVER", set())
    assert set(Counter(span.span_id for span in spans).values()) == {1}, "nothing was sent twice"
    assert (await told_again(world, ["one"]))["one"] == sorted(map(repr, spans))


async def test_a_run_that_is_begun_live_is_ended_by_one_that_tells_at_the_end(world):
    world.settings["RUNHERD_LEADER_ELECTION"] = "false"
    first = await world.start(RUNHERD_TRACE_MODE="live")
    world.submit(make_run("one", replay(SUBAGENT, 0.8)))
    await until_sent(world, lambda: len(world.spans("one")) > 5)
    await first.kill()
    await finish(world, ["one"])
    assert differing(world.sink.spans) == []
    assert len(roots(world.spans("one"))) == 1
    found = sent(world, ["one"])
    assert await told_again(world, ["one"]) == found


async def test_a_trace_that_is_told_again_after_its_log_is_gone_says_nothing_of_what_was_told_before(world):
    world.settings["RUNHERD_LEADER_ELECTION"] = "false"
    world.sink.lose_next = 1_000  # it takes all, and nobody hears of it
    first = await world.start()
    world.submit(make_run("one", replay(SUBAGENT)))
    await world.over("one")
    await until_sent(world, lambda: roots(world.spans("one")))
    await first.kill()
    (pod,) = world.pods("one")
    world.cluster.delete("pods", NAMESPACE, pod["metadata"]["name"])
    world.sink.lose_next = 0
    await finish(world, ["one"])
    assert differing(world.sink.spans) == []
    whole, partial = {span.span_id: span for span in roots(world.spans("one"))}.values()
    states = [dict(root.attributes)["agent.log.state"] for root in (whole, partial)]
    assert states == ["complete", "missing"]
    assert gaps(world.spans("one")) == set()
