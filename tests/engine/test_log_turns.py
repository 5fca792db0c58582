"""More logs than streams: who is followed, who is read now and then, and who goes first, in virtual time."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from controller.core.transcript import LogState
from controller.engine import log_turns
from controller.engine.log_turns import CATCHING_UP, LAST_READS, POLL_EVERY, POLLS, POLLS_A_SECOND
from controller.kube import errors
from tests.engine.kubelet import Kubelet, followed, wanted
from tests.engine.virtual import virtual


def names(count, kind="pod"):
    return [f"{kind}-{number:04}" for number in range(count)]


@pytest.fixture
def kubelet():
    made = Kubelet()
    made.latency = 0.01
    return made


def polls(kubelet, since=0.0):
    return [read for read in kubelet.reads if not read.follow and read.began >= since]


def clock():
    return asyncio.get_running_loop().time()


@virtual
async def test_what_has_no_stream_is_read_every_few_seconds_and_says_its_news_like_the_others(kubelet):
    pods = names(10)
    kubelet.start(*pods)
    async with followed(kubelet, streams=4) as (follower, seen):
        for pod in pods:
            follower.follow(wanted(pod))
        await asyncio.sleep(1)
        assert (kubelet.streams(), seen.waiting) == (set(pods[:4]), 6)
        for _ in range(10):
            for pod in pods:
                kubelet.write(pod, b"more")
            await asyncio.sleep(POLL_EVERY + 1)
        assert min(seen.of(pod).seen.lines for pod in pods) >= 6, "counters are told now and then"
        assert seen.lines == 100, "each line once"
        assert [seen.of(pod).works for pod in pods] == [True] * 10
        assert [seen.of(pod).streaming for pod in pods] == [True] * 4 + [False] * 6
        times = [read.began for read in polls(kubelet) if read.pod == pods[-1]]
        assert all(POLL_EVERY <= b - a < POLL_EVERY + 0.5 for a, b in pairwise(times))


@pytest.mark.parametrize(("count", "streams"), [(800, 80), pytest.param(5000, 500, marks=pytest.mark.slow)])
@virtual
async def test_ten_times_as_many_live_runs_as_streams_are_read_in_turn(kubelet, count, streams):
    pods = names(count)
    kubelet.start(*pods)
    waiting = count - streams
    async with followed(kubelet, streams) as (follower, seen):
        for pod in pods:
            follower.follow(wanted(pod))
        await asyncio.sleep(10 + waiting / POLLS_A_SECOND)
        assert (len(kubelet.streams()), seen.waiting) == (streams, waiting)
        for pod in pods:
            kubelet.write(pod, b"one")
        began = clock()
        await asyncio.sleep(waiting / POLLS_A_SECOND * 1.2)
        assert seen.lines == count
        reads = Counter(read.pod for read in polls(kubelet, began))
        assert max(reads.values()) <= 2, "none is read a third time before all have been read"
        assert len(polls(kubelet, began)) <= (clock() - began) * POLLS_A_SECOND + 2
        assert kubelet.most <= streams + POLLS


@virtual
async def test_slow_reads_are_no_more_than_may_be_open_at_once(kubelet):
    pods = names(300)
    kubelet.start(*pods)
    kubelet.latency = 5.0
    async with followed(kubelet, streams=1) as (follower, _):
        for pod in pods:
            follower.follow(wanted(pod))
        await asyncio.sleep(60)
        assert kubelet.most <= 1 + POLLS


@virtual
async def test_a_stream_that_frees_goes_to_whoever_has_waited_longest(kubelet):
    pods = names(6)
    kubelet.start(*pods)
    async with followed(kubelet, streams=2) as (follower, _):
        for pod in pods:
            follower.follow(wanted(pod))
            await asyncio.sleep(0.5)
        for gone, comes in zip(pods[:4], pods[2:], strict=True):
            assert comes not in kubelet.streams()
            follower.forget(f"job-{gone}")
            await asyncio.sleep(2.7)
            assert comes in kubelet.streams()
            assert len(kubelet.streams()) == 2


@pytest.mark.parametrize("knows", [0.0, 2.0, 7.3])
@virtual
async def test_a_log_that_is_about_to_end_has_a_stream_at_once_though_all_are_taken(kubelet, knows):
    kubelet.start("busy", "pod")
    async with followed(kubelet, streams=1) as (follower, seen):
        follower.follow(wanted("busy"))
        await asyncio.sleep(1)
        if knows:
            follower.follow(wanted("pod"))
            await asyncio.sleep(knows)
        follower.follow(wanted("pod", urgent=True))
        await asyncio.sleep(0.1)
        log = seen.of("pod")
        assert (log.urgent, log.streaming) == (True, True)
        assert kubelet.streams() == {"busy", "pod"}
        kubelet.write("pod", b"the last word")
        await asyncio.sleep(0.1)
        assert seen.lines == 1


@virtual
async def test_more_that_is_urgent_than_there_may_be_is_read_before_others(kubelet, monkeypatch):
    monkeypatch.setattr(log_turns, "URGENT_STREAMS", 2)
    urgent, pods = names(6, "urgent"), names(900)
    kubelet.start(*urgent, *pods)
    async with followed(kubelet, streams=1) as (follower, _):
        for pod in pods:
            follower.follow(wanted(pod))
        for pod in urgent:
            follower.follow(wanted(pod, urgent=True))
        await asyncio.sleep(1)
        assert len(kubelet.streams() & set(urgent)) == 2
        began = clock()
        await asyncio.sleep(POLL_EVERY * 2 + 1)
        assert sum(read.pod in urgent for read in polls(kubelet, began)) >= 8


@virtual
async def test_what_is_urgent_no_more_waits_like_the_others(kubelet):
    kubelet.start("busy", "pod")
    async with followed(kubelet, streams=1) as (follower, seen):
        follower.follow(wanted("busy"))
        await asyncio.sleep(1)
        follower.follow(wanted("pod", urgent=True))
        await asyncio.sleep(1)
        follower.follow(wanted("pod", urgent=False))
        assert not seen.of("pod").urgent
        kubelet.cut()
        await asyncio.sleep(10)
        assert len(kubelet.streams()) == 1


@virtual
async def test_a_check_of_a_log_without_stream_comes_before_the_others(kubelet):
    pods = names(900)
    kubelet.start(*pods)
    async with followed(kubelet, streams=1) as (follower, seen):
        for pod in pods:
            follower.follow(wanted(pod))
        await asyncio.sleep(13)
        asked = clock()
        follower.follow(wanted(pods[-1], check=True))
        await asyncio.sleep(POLL_EVERY + 1)
        assert seen.of(pods[-1]).read_at >= asked


@virtual
async def test_after_a_restart_few_logs_at_a_time_are_read_from_their_beginning(kubelet):
    """And those for which a result waits come first, those for which only a trace waits last."""
    traced, live, ended = names(60, "traced"), names(60, "live"), names(60, "ended")
    kubelet.start(*traced, *live, *ended)
    for pod in (*traced, *live, *ended):
        kubelet.write(pod, b"x")
        if pod not in live:
            kubelet.end(pod)
    kubelet.latency = 0.3
    async with followed(kubelet) as (follower, seen):
        for pod in traced:
            follower.follow(wanted(pod, ended=True, patient=True))
        for pod in live:
            follower.follow(wanted(pod))
        for pod in ended:
            follower.follow(wanted(pod, ended=True))
        for _ in range(40):
            await asyncio.sleep(0.05)
            assert sum(not read.over and clock() - read.began < 0.3 for read in kubelet.reads) <= CATCHING_UP
        await asyncio.sleep(20)
        order = [read.pod.split("-")[0] for read in kubelet.reads]
        assert max(i for i, kind in enumerate(order) if kind == "ended") < order.index("traced", CATCHING_UP)
        assert {seen.state(pod) for pod in (*traced, *ended)} == {LogState.COMPLETE}
        assert kubelet.streams() == set(live)


@virtual
async def test_a_flood_keeps_nobody_from_opening_for_long(kubelet):
    floods, pods = names(CATCHING_UP, "flood"), names(3)
    kubelet.start(*floods, *pods)
    async with followed(kubelet) as (follower, _):
        for pod in (*floods, *pods):
            follower.follow(wanted(pod))
        for _ in range(130):
            for pod in floods:
                kubelet.write(pod, b"more")
            await asyncio.sleep(0.1)
        assert kubelet.streams() == {*floods, *pods}


@virtual
async def test_kubelets_that_do_not_answer_hold_up_no_other(kubelet):
    dead, pods = names(100, "dead"), names(50)
    kubelet.start(*dead, *pods)
    for pod in (*dead, *pods):
        kubelet.end(pod)

    async def log(_namespace, pod, *_of, **how):
        if pod in dead:
            await asyncio.sleep(3600)
        async for chunk in real(_namespace, pod, *_of, **how):
            yield chunk

    real, kubelet.log = kubelet.log, log
    async with followed(kubelet) as (follower, seen):
        for pod in (*dead, *pods):
            follower.follow(wanted(pod, ended=True))
        await asyncio.sleep(10)
        assert {seen.state(pod) for pod in pods} == {LogState.COMPLETE}
        await asyncio.sleep(60)
        assert seen.reads["unavailable"] >= LAST_READS / 2


@virtual
async def test_a_log_whose_reads_fail_is_asked_for_less_often(kubelet):
    kubelet.start("busy", "pod")

    def trouble(read):
        if read.pod == "pod":
            raise errors.Unavailable("no")

    kubelet.trouble = trouble
    async with followed(kubelet, streams=1) as (follower, _):
        follower.follow(wanted("busy"))
        await asyncio.sleep(1)
        follower.follow(wanted("pod"))
        await asyncio.sleep(300)
        assert len(kubelet.of("pod")) < 50


@virtual
async def test_a_log_that_ends_while_it_has_no_stream_is_read_to_its_end_at_once(kubelet):
    pods = names(500)
    kubelet.start(*pods, "pod")
    async with followed(kubelet, streams=1) as (follower, seen):
        for pod in (*pods, "pod"):
            follower.follow(wanted(pod))
        await asyncio.sleep(7)
        kubelet.write("pod", b"last")
        kubelet.end("pod")
        follower.follow(wanted("pod", ended=True))
        await asyncio.sleep(0.1)
        assert (seen.state(), seen.of("pod").seen.lines) == (LogState.COMPLETE, 1)


@virtual
async def test_whoever_is_not_wanted_any_more_leaves_nothing_behind(kubelet):
    pods = names(40)
    kubelet.start(*pods)
    kubelet.latency = 1.0
    async with followed(kubelet, streams=3) as (follower, seen):
        for round_ in range(20):
            for pod in pods:
                follower.follow(wanted(pod, urgent=round_ % 3 == 0, ended=round_ % 5 == 4))
            await asyncio.sleep(round_ * 0.17)
            for pod in pods:
                follower.forget(f"job-{pod}")
        await asyncio.sleep(1)
        assert (seen.waiting, kubelet.open) == (0, 0)
        for pod in pods[:5]:
            follower.follow(wanted(pod))
        await asyncio.sleep(10)
        assert kubelet.streams() == set(pods[:3]), "every stream that was given has come back"
