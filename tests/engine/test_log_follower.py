"""The log follower reads each log to its end, once, over real sockets and whatever the cluster does."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from controller.core.actions import FollowLog
from controller.core.agents import fold
from controller.core.transcript import AgentLog, LogState, Standing
from controller.engine import log_reader
from controller.kube import logs, transport
from controller.kube.api import Kube
from devcluster.fake import FakeCluster, Options, Refusal
from tests.engine.readers import Pods, following

RESULT = b'{"type":"result","session_id":"5e55","subtype":"success","is_error":false,"result":"Done."}'
INIT = b'{"type":"system","subtype":"init","session_id":"5e55","model":"m","tools":[]}'


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Waits are shorter than in life; what they are for stays."""
    monkeypatch.setattr(log_reader, "RETRY_FIRST", 0.02)


@pytest.fixture
def pods(cluster):
    return Pods(cluster)


async def test_a_log_is_read_as_it_comes_and_to_its_end(kube, pods):
    pods.start()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        pods.write(b"one")
        await seen.until(lambda: seen.lines == 1)
        assert seen.state() is LogState.READING
        assert seen.of("pod").streaming
        pods.write(b"two", b"three")
        pods.end()
        follower.follow(pods.follow(ended=True))
        log = await seen.end_of()
    assert (log.state, log.seen.lines, log.seen.tail) == (LogState.COMPLETE, 3, "one\ntwo\nthree")
    assert seen.lines == 3, "each line once"


async def test_a_log_of_a_container_that_ended_long_ago_is_read_whole(kube, pods):
    pods.start()
    pods.write(*(b"line %d" % n for n in range(5000)))
    pods.end()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow(ended=True))
        log = await seen.end_of()
    assert (log.state, log.seen.lines, log.final) == (LogState.COMPLETE, 5000, True)


async def test_asking_again_changes_nothing_and_says_once_more_what_is_known(kube, pods):
    pods.start()
    pods.write(b"one")
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.lines == 1)
        seen.logs.clear()
        for _ in range(3):
            follower.follow(pods.follow())
        assert seen.of("pod").seen.lines == 1
        assert seen.streams == 1


async def test_a_stream_that_is_cut_all_the_time_loses_and_repeats_nothing(cluster, kube, pods):
    pods.start()
    cluster.faults.cut_logs_every = 0.05
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        for count in itertools.count(1):
            pods.write(b"line %d" % count)
            await seen.until(lambda count=count: seen.lines >= count)
            if seen.reads["unavailable"] >= 3:
                break
        cluster.faults.clear()
        pods.end()
        follower.follow(pods.follow(ended=True))
        log = await seen.end_of()
    assert (log.state, log.seen.lines, seen.lines) == (LogState.COMPLETE, count, count)


async def test_a_stream_that_ends_before_its_container_is_opened_again(cluster, kube, pods, monkeypatch):
    monkeypatch.setattr(log_reader, "END_NOTICE", 0.05)
    pods.start()
    pods.write(b"one")
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.lines == 1)
        cluster.streams.end_all("close", "logs")
        await seen.until(lambda: seen.reads["ended"] == 1)
        pods.write(b"two")
        await seen.until(lambda: seen.lines == 2)
        assert seen.state() is LogState.READING
        pods.end()
        follower.follow(pods.follow(ended=True))
        assert (await seen.end_of()).seen.lines == 2


async def test_word_of_the_end_that_comes_after_the_stream_ended_closes_the_log(kube, pods):
    pods.start()
    pods.write(b"one")
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        pods.end()
        await seen.until(lambda: seen.reads["ended"] >= 1)
        assert seen.state() is LogState.READING, "nobody has said yet that this was the last"
        follower.follow(pods.follow(ended=True))
        assert (await seen.end_of()).state is LogState.COMPLETE


async def test_word_of_the_end_that_comes_while_the_stream_is_open_is_told_on_at_once(kube, pods):
    pods.start()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.streams == 1)
        follower.follow(pods.follow(ended=True))
        assert seen.of("pod").final
        assert seen.state() is LogState.READING
        pods.write(b"the last word")
        pods.end()
        log = await seen.end_of()
    assert (log.state, log.seen.tail) == (LogState.COMPLETE, "the last word")


async def test_word_of_the_end_may_come_again_while_a_silent_stream_is_being_given_up(cluster, kube, pods):
    pods.start("busy")
    pods.start()
    async with following(kube, streams=1) as (follower, seen):
        follower.follow(pods.follow("busy"))
        await seen.until(lambda: seen.streams == 1)
        follower.follow(pods.follow())
        pods.write(b"one")
        pods.end()
        for _ in range(4):  # it waits for a stream: each comes at another moment of its giving up
            follower.follow(pods.follow(ended=True))
            await asyncio.sleep(0)
        assert (await seen.end_of()).state is LogState.COMPLETE


async def test_a_stream_that_stays_silent_after_the_end_is_given_up_for_a_new_one(
    cluster, kube, pods, monkeypatch
):
    monkeypatch.setattr(log_reader, "SILENT_AFTER_END", 0.2)
    pods.start()
    cluster.faults.half_open = ("logs",)
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.streams == 1)
        pods.write(b"never heard")
        cluster.faults.clear()
        pods.end()
        follower.follow(pods.follow(ended=True))
        log = await seen.end_of()
    assert (log.state, log.seen.lines) == (LogState.COMPLETE, 1)


async def test_a_container_that_has_not_started_is_asked_again(kube, pods):
    pods.create()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.reads["not_started"] >= 2)
        assert seen.state() is None, "there is nothing to say yet"
        pods.run()
        pods.write(b"one")
        await seen.until(lambda: seen.lines == 1)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        pytest.param((), LogState.MISSING, id="nothing was read"),
        pytest.param((INIT,), LogState.TRUNCATED, id="it breaks off"),
        pytest.param((INIT, RESULT), LogState.COMPLETE, id="the agent had closed its last turn"),
    ],
)
async def test_a_log_that_goes_with_its_pod_is_judged_by_what_was_read(kube, pods, said, state):
    pods.start()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow(output="claude-stream-json"))
        pods.write(*said)
        await seen.until(lambda: seen.lines == len(said) and seen.streams == 1)
        pods.delete()
        assert (await seen.end_of()).state is state


async def test_a_log_of_a_pod_that_never_was_is_missing(kube, pods):
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow("nobody"))
        log = await seen.end_of("nobody")
    assert (log.state, seen.reads["gone"]) == (LogState.MISSING, 1)


async def test_a_server_that_is_busy_is_not_asked_before_it_said(cluster, kube, pods):
    pods.start()
    pods.write(b"one")
    cluster.faults.refusals = [Refusal(429, retry_after=1, resources=("pods/log",), count=1)]
    clock = asyncio.get_running_loop().time
    began = clock()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.lines == 1)
    assert clock() - began >= 1.0
    assert seen.reads["throttled"] == 1


@pytest.mark.parametrize(("status", "told"), [(403, "refused"), (404, "unavailable"), (500, "unavailable")])
async def test_a_log_that_is_refused_for_a_while_is_read_in_the_end(cluster, kube, pods, status, told):
    pods.start()
    pods.write(b"one")
    pods.end()
    cluster.faults.refusals = [Refusal(status, resources=("pods/log",), count=3)]
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow(ended=True))
        assert (await seen.end_of()).state is LogState.COMPLETE
    assert seen.reads[told] == 3


@pytest.mark.parametrize("ended", [False, True])
async def test_a_kubelet_that_does_not_find_a_log_is_believed_once_its_container_has_ended(ended):
    """One that was restarted in mid-run knows nothing of its pods for a moment."""
    answers = [b"unable to retrieve container logs for containerd://9a", b"2026-01-01T00:00:00.0Z one\n"]

    class Kubelet:
        async def log(self, *_of, **_how):
            yield b""
            yield answers.pop(0)

    async with following(Kubelet()) as (follower, seen):
        follower.follow(FollowLog("default", "pod", "uid", "job-pod", "claude", "text", ended))
        if not ended:
            await seen.until(lambda: seen.lines == 1)
            follower.follow(FollowLog("default", "pod", "uid", "job-pod", "claude", "text", ended=True))
            answers.append(b"2026-01-01T00:00:00.0Z one\n")
        assert (await seen.end_of()).state is (LogState.MISSING if ended else LogState.COMPLETE)


async def test_no_more_streams_than_the_budget_allows(kube, pods):
    names = [f"pod-{number}" for number in range(4)]
    async with following(kube, streams=2) as (follower, seen):
        for name in names:
            pods.start(name)
            pods.write(b"x", name=name)
            follower.follow(pods.follow(name))
        await seen.until(lambda: seen.lines == 4)
        assert seen.most_streams == 2
        assert [seen.of(name).streaming for name in names] == [True, True, False, False]
        pods.end("pod-0")
        follower.follow(pods.follow("pod-0", ended=True))
        await seen.until(lambda: seen.of("pod-2").streaming)
        assert not seen.of("pod-3").streaming
        assert seen.most_streams == 2


async def test_a_log_that_has_ended_is_read_though_all_streams_are_taken(kube, pods):
    async with following(kube, streams=1) as (follower, seen):
        for name in ("busy", "over"):
            pods.start(name)
            follower.follow(pods.follow(name))
        await seen.until(lambda: seen.streams == 1)
        pods.write(b"one", name="over")
        pods.end("over")
        follower.follow(pods.follow("over", ended=True))
        log = await seen.end_of("over")
    assert (log.state, log.seen.lines) == (LogState.COMPLETE, 1)
    assert seen.state("busy") in (None, LogState.READING)


async def test_a_log_nobody_wants_any_more_is_dropped(kube, pods):
    for name in ("pod", "other"):
        pods.start(name)
    async with following(kube) as (follower, seen):
        for name in ("pod", "other"):
            follower.follow(pods.follow(name))
        await seen.until(lambda: seen.streams == 2)
        follower.forget("job-pod")
        await seen.until(lambda: seen.streams == 1)
        pods.write(b"one", name="other")
        await seen.until(lambda: seen.lines == 1)


async def test_a_log_that_is_wanted_again_just_after_it_was_dropped_is_read_from_its_beginning(kube, pods):
    pods.start()
    pods.write(b"one")
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.lines == 1)
        seen.logs.clear()
        follower.forget("job-pod")
        follower.follow(pods.follow())
        await seen.until(lambda: seen.lines == 2)
        assert seen.of("pod").seen.lines == 1


async def test_a_log_that_can_not_be_folded_is_told_and_holds_up_no_other(kube, pods, monkeypatch):
    real = fold.fold_for

    class Poisoned:
        def __init__(self, begun=None):
            self._begun = begun or AgentLog()

        def feed(self, _at, _data, _cut):
            self._begun = None
            raise RecursionError("poison")

        def seen(self):
            if self._begun is None:
                raise RecursionError("poison")
            return self._begun

        def standing(self):
            return Standing()

    def fold_for(output, begun=None, **more):
        return Poisoned(begun) if output == "poison" else real(output, begun, **more)

    monkeypatch.setattr(fold, "fold_for", fold_for)
    for name in ("pod", "poisoned"):
        pods.start(name)
        pods.write(b"one", name=name)
        pods.end(name)
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow("poisoned", ended=True, output="poison"))
        assert (await seen.end_of("poisoned")).state is LogState.MISSING
        follower.follow(pods.follow(ended=True))
        assert (await seen.end_of()).state is LogState.COMPLETE
    assert [pod for pod, _ in seen.failures] == ["poisoned"]


async def test_a_stream_in_which_nothing_comes_is_not_broken_while_its_container_runs(
    kube, pods, monkeypatch
):
    monkeypatch.setattr(log_reader, "SILENT_AFTER_END", 0.01)
    assert transport.READ_SECONDS["logs"] > 60
    pods.start()
    pods.start("other")
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.streams == 1)
        for count in range(1, 20):  # time in which something else happens
            if count == 1:
                follower.follow(pods.follow("other"))
            pods.write(b"x", name="other")
            await seen.until(lambda count=count: seen.lines == count)
        assert not seen.reads


async def test_lines_in_many_pieces_and_of_any_bytes_come_whole(kube, pods):
    """A runtime keeps lines in pieces of 16 KiB."""
    lines = (b"x" * 50_000, b"\xff\xfe progress 10%\rprogress 20%\r", b"", b"y" * 16_384, b"\x85\xe2\x80\xa8")
    pods.start()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow())
        await seen.until(lambda: seen.streams == 1)
        pods.write(*lines)
        pods.end()
        follower.follow(pods.follow(ended=True))
        log = await seen.end_of()
    assert (log.state, log.seen.lines, log.seen.bytes) == (LogState.COMPLETE, 5, sum(map(len, lines)))


async def test_a_line_longer_than_may_be_is_cut_and_counted(kube, pods, monkeypatch):
    monkeypatch.setattr(logs.ContainerLog.__init__, "__kwdefaults__", {"line_max": 1000})
    pods.start()
    pods.write(b"x" * 5000, b"y" * 1000, b"z")
    pods.end()
    async with following(kube) as (follower, seen):
        follower.follow(pods.follow(ended=True))
        log = await seen.end_of()
    assert (log.state, log.seen.lines, log.seen.cut_lines, log.seen.bytes) == (LogState.COMPLETE, 3, 1, 2001)


async def test_the_agents_container_is_read_whatever_others_say(cluster, kube, pods):
    pods.start(names=("main", "sidecar"))
    async with following(kube) as (follower, seen):
        follower.follow(replace(pods.follow(), container="main"))
        pods.write(b"mine", container="main")
        pods.write(*[b"noise"] * 50, container="sidecar")
        pods.write(b"too", container="main")
        await seen.until(lambda: seen.lines == 2)
    assert seen.of("pod").seen.tail == "mine\ntoo"


async def test_a_further_attempt_is_a_log_of_its_own(kube, pods):
    for name in ("first", "second"):
        pods.start(name)
    async with following(kube) as (follower, seen):
        for name in ("first", "second"):
            follower.follow(replace(pods.follow(name), job_uid="job"))
            pods.write(name.encode(), name=name)
        await seen.until(lambda: seen.lines == 2)
        assert sorted(log.seen.tail for log in seen.logs.values()) == ["first", "second"]
        follower.forget("job")
        await seen.until(lambda: seen.streams == 0)


async def test_a_stream_goes_on_over_a_rotation_in_mid_run_and_what_a_break_has_lost_to_it_is_owned_up_to(
    tmp_path,
):
    options = Options(container_log_max_size=2000, container_log_max_files=2)
    async with FakeCluster(options=options, kubelet=False, job_controller=False) as cluster:
        pods = Pods(cluster)
        kube = await Kube.connect(kubeconfig=str(cluster.write_kubeconfig(tmp_path / "kubeconfig")))
        for name in ("pod", "broken"):
            pods.start(name)
        async with following(kube) as (follower, seen):
            for name in ("pod", "broken"):
                follower.follow(pods.follow(name))
            for number in range(200):
                pods.write(b"line %d" % number)
                await seen.until(lambda number=number: seen.lines == number + 1)
            pods.write(b"one", name="broken")
            await seen.until(lambda: seen.lines == 201)
            cluster.faults.refusals = [Refusal(503, resources=("pods/log",))]
            cluster.streams.end_all("cut", "logs")
            await seen.until(lambda: seen.reads["unavailable"] >= 3)
            pods.write(*(b"line %d" % number for number in range(200)), name="broken")
            cluster.faults.clear()
            for name, state in (("pod", LogState.COMPLETE), ("broken", LogState.TRUNCATED)):
                pods.end(name)
                follower.follow(pods.follow(name, ended=True))
                assert (await seen.end_of(name)).state is state
            assert seen.of("pod").seen.lines == 200
            assert 1 < seen.of("broken").seen.lines < 201
        await kube.aclose()
