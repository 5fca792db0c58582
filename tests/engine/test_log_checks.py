"""How it is known that a log can be read and that there is nothing more in it, in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from controller.core.transcript import LogState
from controller.engine.log_reader import CHECK_EVERY, SILENT
from controller.kube import errors
from tests.engine.kubelet import Kubelet, followed, wanted
from tests.engine.virtual import virtual


def clock():
    return asyncio.get_running_loop().time()


def refuse(_read):
    raise errors.Unavailable("connection refused")


@pytest.fixture
def kubelet():
    made = Kubelet()
    made.start("pod")
    return made


@virtual
async def test_a_check_reads_to_the_present_and_tells_when_it_began(kubelet):
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        kubelet.write("pod", b"one")
        await asyncio.sleep(30)
        assert seen.of("pod").read_at is None, "a stream never comes to an end"
        asked = clock()
        follower.follow(wanted("pod", check=True))
        await asyncio.sleep(1)
        log = seen.of("pod")
        assert log.read_at >= asked
        assert (log.state, log.streaming, seen.lines) == (LogState.READING, True, 1)
        kubelet.write("pod", b"two")
        await asyncio.sleep(1)
        assert seen.lines == 2, "the stream goes on"


@virtual
async def test_a_check_finds_what_a_stuck_stream_did_not_bring(kubelet):
    kubelet.deaf.add("pod")
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        kubelet.write("pod", b"one", b"two")
        await asyncio.sleep(1)
        assert seen.lines == 0
        follower.follow(wanted("pod", check=True))
        await asyncio.sleep(1)
        assert (seen.lines, seen.of("pod").seen.lines) == (2, 2)


@virtual
async def test_checks_are_as_far_apart_as_they_must_be_however_often_they_are_asked_for(kubelet):
    async with followed(kubelet) as (follower, _):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        began = clock()
        while clock() < began + 61:
            follower.follow(wanted("pod", check=True))
            await asyncio.sleep(0.5)
        checks = [read.began for read in kubelet.of("pod") if not read.follow]
        assert 5 <= len(checks) <= 7
        assert all(b - a >= CHECK_EVERY for a, b in pairwise(checks))


@virtual
async def test_asking_for_a_check_that_is_on_its_way_says_nothing(kubelet):
    """Else the run would be looked at, and ask again, without a pause."""
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        follower.follow(wanted("pod", check=True))
        await asyncio.sleep(1)
        said = seen.said
        for _ in range(20):
            follower.follow(wanted("pod", check=True))
        assert seen.said == said


@virtual
async def test_a_stream_that_is_silent_for_long_is_opened_anew_and_loses_and_repeats_nothing(kubelet):
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        kubelet.write("pod", b"one")
        await asyncio.sleep(SILENT * 10)
        opened = [read for read in kubelet.of("pod") if read.follow]
        assert 8 <= len(opened) <= 13
        assert kubelet.open == 1
        kubelet.write("pod", b"two")
        await asyncio.sleep(1)
        assert seen.lines == 2
        assert seen.of("pod").streaming


@virtual
async def test_what_a_stuck_stream_holds_back_is_read_within_minutes(kubelet):
    kubelet.deaf.add("pod")
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        kubelet.write("pod", b"one")
        await asyncio.sleep(SILENT * 1.3)
        assert seen.lines == 1


@virtual
async def test_streams_that_were_opened_together_are_not_opened_anew_together(kubelet):
    pods = [f"pod-{number}" for number in range(200)]
    kubelet.start(*pods)
    async with followed(kubelet) as (follower, _):
        for pod in pods:
            follower.follow(wanted(pod))
        await asyncio.sleep(SILENT / 2)
        kubelet.most = kubelet.open
        first = len(kubelet.reads)
        await asyncio.sleep(SILENT)
        again = sorted(read.began for read in kubelet.reads[first:])
        assert len(again) >= 400, "each was proven, and opened"
        assert max(sum(1 for at in again if start <= at < start + 1) for start in again) < 60


@virtual
async def test_a_log_that_can_be_read_works_until_a_connection_fails(kubelet):
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        assert seen.of("pod").works
        kubelet.trouble = refuse
        follower.follow(wanted("pod", check=True))
        await asyncio.sleep(1)
        assert not seen.of("pod").works
        assert seen.of("pod").read_at is None
        kubelet.trouble = lambda _read: None
        await asyncio.sleep(11)
        assert seen.of("pod").works
        assert seen.of("pod").read_at is not None, "what was asked for is done when it can be"


@virtual
async def test_a_log_that_was_never_read_does_not_work(kubelet):
    kubelet.trouble = refuse
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(60)
        assert seen.of("pod") is None
        kubelet.trouble = lambda _read: None
        await asyncio.sleep(11)
        assert seen.of("pod").works


@virtual
async def test_words_of_the_kubelet_instead_of_a_log_are_no_read_that_works(kubelet):
    async def words(*_of, **_how):
        yield b""
        yield b"unable to retrieve container logs for containerd://9a"

    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        kubelet.log = words
        follower.follow(wanted("pod", check=True))
        await asyncio.sleep(1)
        assert not seen.of("pod").works
        assert seen.state() is LogState.READING


@virtual
async def test_a_read_that_hangs_is_given_up_and_does_not_work(kubelet):
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        kubelet.latency = 1000.0
        follower.follow(wanted("pod", check=True))
        await asyncio.sleep(20)
        assert not seen.of("pod").works


@virtual
async def test_a_stream_that_breaks_and_is_opened_again_has_worked_all_the_time(kubelet):
    """Else proxies that cut every stream each few minutes would hide for ever that an agent hangs."""
    async with followed(kubelet) as (follower, seen):
        follower.follow(wanted("pod"))
        await asyncio.sleep(1)
        said = seen.said
        for _ in range(5):
            kubelet.cut()
            await asyncio.sleep(2)
        assert seen.reads["unavailable"] == 5
        assert seen.of("pod").works
        assert seen.said == said, "and nobody is woken"
