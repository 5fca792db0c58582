"""One log that says more than can be read does others no harm."""

import asyncio

from controller.core.transcript import LogState
from controller.engine import log_reader
from tests.engine.kubelet import Kubelet, followed, wanted
from tests.engine.virtual import virtual


class Costly:
    """A clock by which each look takes a while: what is folded between two looks has taken so long."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return self.looks * self.seconds


@virtual
async def test_others_are_read_while_a_flood_is_folded():
    kubelet = Kubelet()
    kubelet.start("flood", "quiet")
    kubelet.write("flood", *[b"x" * 1000] * 20_000)
    kubelet.write("quiet", b"one")
    async with followed(kubelet, clock=Costly(0.002)) as (follower, seen):
        follower.follow(wanted("flood"))
        await asyncio.sleep(0)
        follower.follow(wanted("quiet"))
        await seen.until(lambda: seen.of("quiet") is not None and seen.of("quiet").seen.lines)
        assert 0 < seen.lines < 1000
        kubelet.end("flood")
        follower.follow(wanted("flood", ended=True))
        assert (await seen.end_of("flood")).state is LogState.COMPLETE
        assert seen.lines == 20_001


@virtual
async def test_a_flood_has_no_more_than_half_of_the_time():
    kubelet = Kubelet()
    kubelet.start("flood")
    kubelet.write("flood", *[b"x" * 1000] * 2000)
    kubelet.end("flood")
    clock = Costly(0.001)
    loop = asyncio.get_running_loop()
    async with followed(kubelet, clock=clock) as (follower, seen):
        began = loop.time()
        follower.follow(wanted("flood", ended=True))
        await seen.end_of("flood")
        pieces = 2000 * 1032 / (16 * 1024)
        used = pieces * clock.seconds
        assert loop.time() - began >= used - log_reader.SLICE_SECONDS, "so long in which it did nothing"
