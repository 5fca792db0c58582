"""Recorded runs, cut and split at every byte: however a log comes, the same is concluded from it."""

from contextlib import aclosing
from dataclasses import replace

import pytest

from controller.core import contract, cursor
from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, SECOND
from controller.core.transcript import AttemptLog, LogState
from controller.kube import errors
from controller.kube.logs import ContainerLog
from tests.core.agents.agent_transcript import RECORDED, lines_of
from tests.kube.doubles import in_virtual_time

START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
NAMES = sorted(path.stem for path in RECORDED.glob("*.jsonl"))
STEP = 61
"""In the tests that take seconds only every so manieth byte is looked at; it divides no line's length."""

every_byte = pytest.mark.parametrize(
    "step", [pytest.param(STEP, id="some bytes"), pytest.param(1, id="every byte", marks=pytest.mark.slow)]
)
every_run = pytest.mark.parametrize("name", NAMES)


class Log:
    """A recorded run as a kubelet serves it, two lines at each instant."""

    def __init__(self, name):
        self.lines = [
            (START + number // 2 * (SECOND // 2), line) for number, line in enumerate(lines_of(name))
        ]
        self.split = self.broken = self.ends = None
        self.first = 0

    def body(self, since=""):
        begin = contract.instant(since) if since else 0
        kept = [stamped(at, line) for at, line in self.lines[self.first :] if at >= begin]
        return b"".join(kept)

    async def log(self, *_of, since="", **_how):
        body = self.body(since)
        yield b""
        if self.broken is not None:
            cut, self.broken = self.broken, None
            yield body[:cut]
            raise errors.Unavailable("cut")
        body = body if self.ends is None else body[: self.ends]
        if self.split is not None:
            yield body[: self.split]
            body = body[self.split :]
        yield body


def stamped(at, line):
    return f"{contract.rfc3339(at)[:-1]}.{at % SECOND:09d}Z ".encode() + line + b"\n"


class Reader:
    """Reads a log as the follower does."""

    def __init__(self, log, begun=None):
        self.log = ContainerLog(log, "ns", "pod", "claude")
        self.fold = fold_for(OUTPUT_CLAUDE, begun)

    async def connect(self):
        try:
            async with aclosing(self.log.read(follow=False)) as batches:
                async for batch in batches:
                    self.feed(batch)
        except errors.Unavailable:
            return

    def feed(self, lines):
        for line in lines:
            self.fold.feed(line.at, line.data, line.cut)

    async def whole(self, connections=1):
        for _ in range(connections):
            await self.connect()
        self.feed(self.log.finish())
        return self.fold.seen()


def of_every_place(name, step, what):
    """Asks `what`, a coroutine of log and place, of each place in the bytes of the log."""

    async def all_of_them():
        log = Log(name)
        for place in range(0, len(log.body()), step):
            await what(log, place)

    in_virtual_time(all_of_them())


def whole(name):
    return in_virtual_time(Reader(Log(name)).whole())


@every_run
@every_byte
def test_a_log_that_comes_in_two_pieces_says_the_same(name, step):
    want = whole(name)

    async def split(log, place):
        log.split = place
        assert await Reader(log).whole() == want, f"split at byte {place}"

    of_every_place(name, step, split)


@every_run
@every_byte
def test_a_log_whose_connection_breaks_and_is_opened_again_says_the_same(name, step):
    want = whole(name)

    async def broken(log, place):
        log.broken = place
        reader = Reader(log)
        assert await reader.whole(connections=2) == want, f"broken at byte {place}"
        assert not reader.log.gap

    of_every_place(name, step, broken)


@every_run
@every_byte
def test_a_log_that_ends_anywhere_says_what_came_up_to_there(name, step):
    lines = Log(name).lines
    lengths = [len(stamped(at, line)) for at, line in lines]
    folds = [fold_of(lines[:count]) for count in range(len(lines) + 1)]

    async def ended(log, place):
        log.ends = place
        seen = await Reader(log).whole()
        count = next(n for n in range(len(lines) + 1) if sum(lengths[: n + 1]) > place)
        assert count <= seen.lines <= count + 1, "the last one may have come in part"
        if seen.lines == count:
            assert seen == folds[count]
        else:
            assert seen.session_id in (folds[count].session_id, folds[count + 1].session_id)

    of_every_place(name, step, ended)


def fold_of(lines, begun=None):
    fold = fold_for(OUTPUT_CLAUDE, begun)
    for at, line in lines:
        fold.feed(at, line)
    return fold.seen()


@every_run
def test_after_a_checkpoint_at_any_line_the_totals_come_out_the_same(name):
    want = totals(whole(name))

    async def restored():
        log = Log(name)
        for count in range(1, len(log.lines) + 1):
            log.first, log.ends = 0, sum(len(stamped(at, line)) for at, line in log.lines[:count])
            reader = Reader(log)
            attempt = AttemptLog("pod", LogState.READING, await reader.whole(), place=reader.log.place)
            begun = cursor.decode(cursor.encode(attempt))
            log.first, log.ends = (count - 1) // 2 * 2, None  # two share a timestamp
            again = Reader(log, begun.seen)
            if await again.log.goes_on(begun.place):
                assert totals(await again.whole()) == want, f"after line {count}"
                assert not again.log.gap
            else:
                assert log.first == 0

    in_virtual_time(restored())


def totals(seen):
    """What a checkpoint carries."""
    return replace(
        seen, claim=seen.claim and replace(seen.claim, raw=b""), tools=(), chats=(), moments=(), tail=""
    )
