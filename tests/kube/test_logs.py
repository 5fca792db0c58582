import time
import tracemalloc
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import contract
from controller.kube import errors
from controller.kube.logs import ContainerLog
from tests.kube.doubles import in_virtual_time

SECOND = contract.SECOND
START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


def stamp(at):
    return f"{contract.rfc3339(at)[:-1]}.{at % SECOND:09d}Z ".encode()


class Kubelet:
    """A container's log as a kubelet serves it: lines from `sinceTime` on, of the files that still exist."""

    def __init__(self, *lines, ended_by=b"\n"):
        self.lines = list(lines)
        self.ended_by = ended_by
        self.first = 0
        self.cuts = []
        self.chunk = 1 << 16
        self.asked = []

    def body(self, since):
        begin = contract.instant(since) if since else 0
        kept = [stamp(at) + data for at, data in self.lines[self.first :] if at >= begin]
        return b"\n".join(kept) + self.ended_by if kept else b""

    async def log(self, _namespace, _pod, _container, *, follow, since="", limit_bytes=0):
        assert isinstance(follow, bool)
        self.asked.append(since)
        body = self.body(since)
        if limit_bytes:
            yield body[:limit_bytes]
            return
        length, how = self.cuts.pop(0) if self.cuts else (len(body), "end")
        body = body[:length]
        yield b""
        for i in range(0, len(body), self.chunk):
            yield body[i : i + self.chunk]
        if how == "cut":
            raise errors.Unavailable("cut")


class Words(Kubelet):
    """Sends exactly this."""

    def __init__(self, *bodies):
        super().__init__()
        self.bodies = list(bodies)

    def body(self, _since):
        return self.bodies.pop(0)


def container_log(kubelet, **options):
    return ContainerLog(kubelet, "ns", "pod", "agent", **options)


async def read(log, *, follow=False):
    """The lines of one connection, and how it ended."""
    lines = []
    try:
        async with aclosing(log.read(follow=follow)) as batches:
            async for batch in batches:
                lines.extend(batch)
    except errors.KubeError as e:
        return lines, type(e)
    return lines, None


async def read_through(log, kubelet):
    """Connects till nothing cuts any more, then takes the last line."""
    lines = []
    while True:
        last = not kubelet.cuts
        lines += (await read(log, follow=not last))[0]
        if last:
            return lines + list(log.finish())


def test_a_line_has_its_timestamp_and_its_bytes_as_they_are():
    data = b' {"a": 1}\r\x85\xe2\x80\xa8\xff\x00'
    kubelet = Kubelet((START + 5, data), (START + 5, b""), (START + 6, b"x"))
    log = container_log(kubelet)
    want = [(START + 5, data, False), (START + 5, b"", False), (START + 6, b"x", False)]
    assert in_virtual_time(read(log)) == (want, None)
    assert (log.lines, log.bytes, log.last_at, log.gap) == (3, len(data) + 1, START + 6, False)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2026-01-01T00:00:00.000000001Z", 1),
        ("2026-01-01T00:00:01Z", SECOND),
        ("2026-01-01T00:00:00.5Z", SECOND // 2),
        ("2026-01-01T02:00:00.000000007+02:00", 7),
        ("2025-12-31T18:30:00.100000000-05:30", SECOND // 10),
    ],
)
def test_timestamps_come_in_several_forms(text, want):
    kubelet = Words(b"".join(f"{text} line {n}\n".encode() for n in range(3)))
    lines, _ = in_virtual_time(read(container_log(kubelet)))
    assert lines == [(START + want, f"line {n}".encode(), False) for n in range(3)]


def test_a_resumed_read_asks_for_little_more_than_what_is_missing():
    kubelet = Kubelet(*((START + n * SECOND, b"%d" % n) for n in range(100)))
    log = container_log(kubelet)
    in_virtual_time(read(log))
    assert in_virtual_time(read(log)) == ([], None)
    assert kubelet.asked == ["", contract.rfc3339(START + 98 * SECOND)]
    assert not log.gap


# The law: however the log is cut into connections, each line comes exactly once, in order.

steps = st.sampled_from([0, 0, 0, 1, 7, 1000, SECOND // 3, SECOND, 5 * SECOND, -3, -SECOND // 2])
texts = st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"."))


@st.composite
def logs(draw, step=steps):
    at, newest, lines = START, START, []
    for move, data in draw(st.lists(st.tuples(step, texts), max_size=25)):
        at = max(newest + move, START)
        newest = max(newest, at)
        lines.append((at, data))
    return lines


cut = st.tuples(st.integers(0, 900), st.sampled_from(["cut", "end"]))


@settings(max_examples=300, deadline=None)
@given(
    lines=logs(),
    cuts=st.lists(cut, max_size=8),
    chunk=st.integers(1, 80),
    ended_by=st.sampled_from([b"", b"\n"]),
)
def test_each_line_comes_exactly_once_however_the_log_is_cut(lines, cuts, chunk, ended_by):
    kubelet = Kubelet(*lines, ended_by=ended_by)
    kubelet.cuts, kubelet.chunk = list(cuts), chunk
    log = container_log(kubelet)
    seen = in_virtual_time(read_through(log, kubelet))
    assert [(line.at, line.data) for line in seen] == lines
    assert not any(line.cut for line in seen)
    assert not log.gap
    assert (log.lines, log.bytes) == (len(lines), sum(len(data) for _, data in lines))


@settings(max_examples=200, deadline=None)
@given(lines=logs(), cuts=st.lists(cut, max_size=5), grown=st.lists(st.integers(0, 25), max_size=6))
def test_each_line_comes_once_also_while_the_log_grows(lines, cuts, grown):
    kubelet = Kubelet()
    log = container_log(kubelet)
    seen = []
    for count in sorted(min(n, len(lines)) for n in (*grown, len(lines))):
        kubelet.lines, kubelet.cuts = lines[:count], list(cuts[:1])
        cuts = cuts[1:]
        seen += in_virtual_time(read(log, follow=True))[0]
    seen += in_virtual_time(read(log))[0]
    assert [(line.at, line.data) for line in seen] == lines
    assert not log.gap


@settings(max_examples=200, deadline=None)
@given(
    lines=logs(), cuts=st.lists(cut, min_size=1, max_size=4), dropped=st.lists(st.integers(0, 25), max_size=4)
)
def test_what_rotation_took_away_is_owned_up_to(lines, cuts, dropped):
    kubelet = Kubelet(*lines)
    kubelet.cuts = list(cuts)
    log = container_log(kubelet)
    seen = []
    for first in (*sorted(dropped), None):
        seen += in_virtual_time(read(log))[0]
        kubelet.first = kubelet.first if first is None else min(first, len(lines))
    kubelet.cuts = []
    seen += in_virtual_time(read(log))[0]
    given_lines = [(line.at, line.data) for line in seen]
    if seen and given_lines != lines:
        assert log.gap or given_lines == lines[len(lines) - len(given_lines) :]


def test_a_line_that_took_the_place_of_the_last_one_is_not_taken_for_it():
    kubelet = Kubelet((START, b"given"))
    log = container_log(kubelet)
    in_virtual_time(read(log))
    kubelet.lines = [(START, b"new, at the same instant"), (START + 1, b"newer")]
    lines, _ = in_virtual_time(read(log))
    assert [line.data for line in lines] == [b"new, at the same instant", b"newer"]
    assert log.gap


def test_a_clock_set_back_by_an_hour_loses_nothing():
    lines = [(START + 3600 * SECOND + n, b"before") for n in range(3)]
    lines += [(START + n * SECOND, b"after %d" % n) for n in range(5)]
    kubelet = Kubelet(*lines)
    size = len(kubelet.body(""))
    kubelet.cuts = [(size - 40, "cut"), (size - 41, "end")]
    log = container_log(kubelet)
    seen = in_virtual_time(read_through(log, kubelet))
    assert [(line.at, line.data) for line in seen] == lines
    assert log.last_at == START + 3600 * SECOND + 2


def test_an_anchor_that_is_found_again_takes_the_suspicion_back():
    kubelet = Kubelet((START, b"a"), (START, b"b"))
    log = container_log(kubelet)
    in_virtual_time(read(log))
    kubelet.cuts = [(0, "end")]
    in_virtual_time(read(log))
    assert log.gap, "an empty answer where our last line should be"
    in_virtual_time(read(log))
    assert not log.gap


# The last line, and lines that are too long.


def test_a_last_line_without_newline_waits_for_the_end():
    kubelet = Kubelet((START, b"a"), (START + 1, b"half"), ended_by=b"")
    log = container_log(kubelet)
    assert in_virtual_time(read(log, follow=True)) == ([(START, b"a", False)], None)
    kubelet.lines[1] = (START + 1, b"half and half")
    kubelet.ended_by = b"\n"
    assert in_virtual_time(read(log)) == ([(START + 1, b"half and half", False)], None)
    assert log.finish() == ()


def test_a_last_line_that_was_cut_off_says_so():
    kubelet = Kubelet((START, b"a"), (START + 1, b"0123456789"))
    kubelet.cuts = [(len(kubelet.body("")) - 4, "cut"), (len(stamp(START)) + 6, "cut"), (3, "cut")]
    log = container_log(kubelet)
    for _ in range(3):
        in_virtual_time(read(log))
    assert log.finish() == ((START + 1, b"0123456", True),)
    assert log.finish() == ()
    assert log.lines == 2


@pytest.mark.parametrize("chunk", [3, 1 << 16])
def test_a_line_beyond_the_cap_is_cut_and_the_next_is_whole(chunk):
    kubelet = Kubelet((START, b"x" * 500), (START + 1, b"y" * 100), (START + 2, b"z" * 101), ended_by=b"")
    kubelet.chunk = chunk
    log = container_log(kubelet, line_max=100)
    lines, _ = in_virtual_time(read(log))
    assert lines == [(START, b"x" * 100, True), (START + 1, b"y" * 100, False)]
    assert log.finish() == ((START + 2, b"z" * 100, True),)


def test_a_huge_line_in_small_pieces_costs_no_more_than_its_length():
    kubelet = Kubelet((START, b"x" * (64 << 20)))
    kubelet.chunk = 4096
    log = container_log(kubelet, line_max=64 << 20)
    began = time.perf_counter()
    lines, _ = in_virtual_time(read(log))
    assert len(lines[0].data) == 64 << 20
    assert time.perf_counter() - began < 10, "joining at each piece would copy half a terabyte"


def test_a_line_that_never_ends_takes_no_more_memory_than_a_line_may_have():
    """Neither while it comes, nor between connections, however often it is read again."""
    limit = 1 << 20
    kubelet = Kubelet((START, b"a"), (START + 1, b"x" * (40 << 20)), ended_by=b"")
    log = container_log(kubelet, line_max=limit)

    async def chunks(*_of, **_how):
        yield b""
        yield stamp(START) + b"a\n" + stamp(START + 1)
        for _ in range(640):
            yield bytes(1 << 16)
        raise errors.Unavailable("cut")

    kubelet.log = chunks
    tracemalloc.start()
    for _ in range(2):
        in_virtual_time(read(log))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * limit
    (line,) = log.finish()
    assert (len(line.data), line.cut) == (limit, True)


def test_many_lines_that_come_together_are_given_in_pieces_and_a_stop_in_between_loses_none():
    lines = [(START + number, b"%d" % number) for number in range(5000)]
    kubelet = Kubelet(*lines)
    kubelet.chunk = 1 << 20
    log = container_log(kubelet)

    async def some():
        taken = []
        async with aclosing(log.read(follow=True)) as batches:
            async for batch in batches:
                assert len(batch) < 1000
                taken += batch
                if len(taken) > 2000:
                    return taken
        return taken

    first = in_virtual_time(some())
    assert 2000 < len(first) < 3000
    rest, _ = in_virtual_time(read(log))
    assert [(line.at, line.data) for line in (*first, *rest)] == lines
    assert not log.gap


# What the kubelet says instead of a log.


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"unable to retrieve container logs for containerd://9a", errors.LogGone),
        (b'failed to try resolving symlinks in path "/var/log/pods/x": no such file', errors.LogGone),
        (b"unable to retrieve container logs for containerd://9a\n", errors.LogGone),
        (b"failed to create fsnotify watcher: too many open files", errors.Unavailable),
        (b"", None),
    ],
)
def test_words_of_the_kubelet_alone_are_no_log(body, want):
    log = container_log(Words(body))
    assert in_virtual_time(read(log)) == ([], want)
    assert log.finish() == ()
    assert (log.lines, log.gap) == (0, False)


def test_words_of_the_kubelet_after_lines_take_the_time_before_them():
    first, more = stamp(START) + b"a\n", stamp(START) + b"b\n" + stamp(START + 1) + b"c\n"
    log = container_log(Words(first + b"failed to watch file\n" + b"rpc error", first + more))
    lines, _ = in_virtual_time(read(log))
    assert lines == [(START, b"a", False), (START, b"failed to watch file", False)]
    assert in_virtual_time(read(log))[0] == [(START, b"b", False), (START + 1, b"c", False)]


def test_a_log_that_is_gone_after_a_while_keeps_the_half_line_seen():
    body = stamp(START) + b"a\n" + stamp(START + 1) + b"ha"
    log = container_log(Words(body, b"unable to retrieve container logs for containerd://9a"))
    in_virtual_time(read(log))
    assert in_virtual_time(read(log)) == ([], errors.LogGone)
    assert [line.data for line in log.finish()] == [b"ha"]


def test_the_first_batch_says_that_the_stream_is_open():
    async def first():
        log = container_log(Kubelet((START, b"a")))
        async with aclosing(log.read(follow=True)) as batches:
            return await anext(batches)

    assert in_virtual_time(first()) == ()


def place_of(log):
    assert log.place
    return log.place


def test_another_process_goes_on_at_the_place_that_was_reached_if_the_beginning_is_gone():
    kubelet = Kubelet(*((START + n * SECOND, b"%d" % n) for n in range(100)))
    first = container_log(kubelet)
    in_virtual_time(read(first))
    place = place_of(first)
    kubelet.lines += [(START + 99 * SECOND, b"same"), (START + 100 * SECOND, b"new")]
    kubelet.first = 40
    log = container_log(kubelet)
    assert in_virtual_time(log.goes_on(place))
    lines, _ = in_virtual_time(read(log))
    assert [line.data for line in lines] == [b"same", b"new"]
    assert (log.gap, log.place.first, log.place.newest) == (False, START, START + 100 * SECOND)


def test_while_the_beginning_is_there_all_is_read_again():
    kubelet = Kubelet(*((START + n * SECOND, b"%d" % n) for n in range(10)))
    first = container_log(kubelet)
    in_virtual_time(read(first))
    log = container_log(kubelet)
    assert not in_virtual_time(log.goes_on(place_of(first)))
    assert len(in_virtual_time(read(log))[0]) == 10


def test_a_place_that_is_not_found_again_is_a_gap():
    kubelet = Kubelet(*((START + n * SECOND, b"%d" % n) for n in range(10)))
    first = container_log(kubelet)
    in_virtual_time(read(first))
    for kept in ([(START + 20 * SECOND, b"later")], []):
        kubelet.lines = kept
        log = container_log(kubelet)
        assert in_virtual_time(log.goes_on(place_of(first)))
        lines, _ = in_virtual_time(read(log))
        assert ([line[:2] for line in lines], log.gap) == (kept, True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"unable to retrieve container logs for containerd://1", errors.LogGone),
        (b"out of order", errors.Unavailable),
    ],
)
def test_a_log_that_cannot_be_looked_at_goes_on_nowhere(words, error):
    first = container_log(Kubelet((START, b"x")))
    in_virtual_time(read(first))
    with pytest.raises(error):
        in_virtual_time(container_log(Words(words)).goes_on(place_of(first)))
