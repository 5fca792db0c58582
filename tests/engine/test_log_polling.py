"""How often a log is asked for that has nothing new to say, in virtual time."""

import asyncio
import random
from contextlib import suppress

from controller.core.actions import FollowLog
from controller.engine import log_follower, log_reader
from controller.kube.logs import Line
from tests.engine.readers import Seen
from tests.engine.virtual import virtual


class Silent:
    """A log that is there and says nothing new: its container waits to be restarted."""

    gap, reads, place = False, 0, None

    def __init__(self, *_):
        pass

    async def read(self, **_):
        Silent.reads += 1
        yield ()

    def finish(self):
        return ()


@virtual
async def test_a_log_that_says_nothing_new_is_asked_for_less_and_less(monkeypatch):
    monkeypatch.setattr(log_reader, "ContainerLog", Silent)
    monkeypatch.setattr(Silent, "reads", 0)
    seen = Seen()
    follower = log_follower.LogFollower(None, seen.publish, seen, random.Random(1))
    running = asyncio.ensure_future(follower.run())
    await asyncio.sleep(0)
    follower.follow(FollowLog("ns", "pod", "uid", "job", "claude", "text"))
    await asyncio.sleep(120)
    assert 10 < Silent.reads < 20
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


class Chatty(Silent):
    """A log with a line a second."""

    async def read(self, **_):
        for second in range(100):
            yield (Line(second + 1, b"one more", cut=False),)
            await asyncio.sleep(1)


@virtual
async def test_counters_are_told_now_and_then_though_nobody_is_to_be_woken_for_a_line(monkeypatch):
    monkeypatch.setattr(log_reader, "ContainerLog", Chatty)
    seen = Seen()
    clock = asyncio.get_running_loop().time
    follower = log_follower.LogFollower(None, seen.publish, seen, random.Random(1), clock=clock)
    running = asyncio.ensure_future(follower.run())
    await asyncio.sleep(0)
    follower.follow(FollowLog("ns", "pod", "uid", "job-pod", "claude", "text"))
    await asyncio.sleep(90)
    assert seen.of("pod").seen.lines > 60
    assert seen.said < 8
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
