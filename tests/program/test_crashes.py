"""kill -9 at any moment: a start afterwards comes to the same decisions, results, ids and bytes."""

import asyncio
import random
from collections import defaultdict

import pytest

from controller.core.contract import Status
from tests.program import oracle
from tests.program.runs import KEYS, NAMESPACE
from tests.program.test_faults import ENDS, check_results, demo, masked

pytestmark = pytest.mark.slow

SEED = 20261123
KILLS = 7
"""In each round."""


def differing(spans):
    """Spans that were sent more than once and not the same each time."""
    sent = defaultdict(set)
    for span in spans:
        sent[span.trace_id, span.span_id].add(repr(span))
    return [key for key, versions in sent.items() if len(versions) > 1]


async def killed_again_and_again(world, dice):
    """Controllers that live for a random while, one after the other."""
    for _ in range(KILLS):
        controller = await world.start()
        life = dice.uniform(0.6, 3.0)
        await asyncio.sleep(life)  # the moment is the point
        await controller.kill()


async def play(world, prefix, dice=None):
    """One set of runs to its end; killed in between if there are dice."""
    names = [prefix + name for name in ENDS]
    world.submit(*demo(prefix, 0.4 if dice else 0.02))
    if dice:
        await killed_again_and_again(world, dice)
        assert not all(world.said(name, Status.TRACE_EXPORTED) for name in names), "killed in the middle"
    last = await world.start()
    await last.says("leading")
    await world.published(*names)
    assert await last.stop() == 0


def steps(world, name):
    """Our writes of a run that are neither heartbeats nor another reason of the same phase: the killed runs
    take longer, and have more to say about where they stand.
    """
    words = oracle.BEATS | {Status.REASON, Status.SINCE}
    written = oracle.patches(world.cluster.history, world.uid(name))
    return [write for write in written.weighty if not oracle.changed(write) <= words]


@pytest.mark.parametrize("round_", range(3))
async def test_a_controller_that_is_killed_all_the_time_comes_to_the_same_end(world, round_):
    seed = SEED + round_
    print(f"seed {seed}")  # noqa: T201 — to play it again
    world.settings["RUNHERD_LEADER_ELECTION"] = "false"  # no lease to wait for: starts follow at once
    await play(world, "calm-")
    await play(world, "x-", random.Random(seed))
    check_results(world, "x-")
    for name in ENDS:
        assert masked(world.result(f"x-{name}")) == masked(world.result(f"calm-{name}")), name
        calm, killed = (steps(world, prefix + name) for prefix in ("calm-", "x-"))
        assert len(killed) <= len(calm) + 1, "a crash costs one write more at most"
        assert world.said(f"x-{name}", Status.TRACE_ID) == world.uid(f"x-{name}").replace("-", "")
    world.check()
    assert differing(world.sink.spans) == []


async def test_a_trace_that_is_exported_again_is_the_same(world):
    world.settings["RUNHERD_LEADER_ELECTION"] = "false"
    await play(world, "")
    first = {name: sorted(map(repr, world.spans(name))) for name in ENDS}
    world.sink.spans.clear()
    gone = {"metadata": {"annotations": {KEYS.status(Status.TRACE_EXPORTED): None}}}
    for name in ENDS:
        world.cluster.patch("jobs", NAMESPACE, name, gone)
    again = await world.start()
    await again.says("leading")
    await world.published(*ENDS)
    assert await again.stop() == 0
    assert {name: sorted(map(repr, world.spans(name))) for name in ENDS} == first
    world.check()
