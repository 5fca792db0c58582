"""A restart of the controller after the log was rotated: what an earlier process read is not lost."""

from dataclasses import replace

import pytest

from controller.core import contract, cursor
from controller.core.actions import FollowLog
from controller.core.contract import OUTPUT_CLAUDE, SECOND
from controller.core.transcript import LogState
from controller.kube import errors
from tests.core.agents.agent_transcript import lines_of
from tests.engine.readers import following

START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
RECORDED = "success-subagent-two-results"


class Kubelet:
    """Serves the lines of the newest file of a log. `says`: what it has to say instead."""

    def __init__(self, lines, first=0, says=None):
        self.lines, self.first, self.says = lines, first, says

    async def log(self, *_of, since="", limit_bytes=0, **_how):
        if isinstance(self.says, Exception):
            raise self.says
        yield b""
        begin = contract.instant(since) if since else 0
        kept = [(at, line) for at, line in self.lines[self.first :] if at >= begin]
        body = b"".join(
            f"{contract.rfc3339(at)[:-1]}.{at % SECOND:09d}Z ".encode() + line + b"\n" for at, line in kept
        )
        body = body if self.says is None else self.says
        yield body[:limit_bytes] if limit_bytes else body


@pytest.fixture
def lines():
    return [(START + n * SECOND // 4, line) for n, line in enumerate(lines_of(RECORDED))]


async def read(kubelet, begun=None):
    """What a new process says of the log of a container that has ended."""
    async with following(kubelet) as (follower, seen):
        asked = FollowLog(
            "default", "pod", "uid", "job-pod", "claude", OUTPUT_CLAUDE, ended=True, begun=begun
        )
        follower.follow(asked)
        return await seen.end_of()


def totals(seen):
    """What a checkpoint carries."""
    claim = seen.claim and replace(seen.claim, raw=b"")
    return replace(seen, claim=claim, tools=(), chats=(), moments=(), tail="")


async def test_after_a_rotation_the_totals_go_on_from_the_checkpoint(lines):
    whole = await read(Kubelet(lines))
    for stopped in range(1, len(lines)):
        begun = cursor.decode(cursor.encode(await read(Kubelet(lines[:stopped]))))
        log = await read(Kubelet(lines, first=stopped - 1), begun)
        assert (log.state, log.place) == (LogState.COMPLETE, whole.place)
        assert totals(log.seen) == totals(whole.seen), f"stopped after line {stopped}"


async def test_while_the_beginning_is_there_nothing_is_taken_from_the_checkpoint(lines):
    whole = await read(Kubelet(lines))
    lie = replace(whole.seen, lines=999, session_id="another", turns=77)
    begun = cursor.decode(cursor.encode(replace(whole, seen=lie)))
    log = await read(Kubelet(lines), begun)
    assert (log.state, log.seen) == (LogState.COMPLETE, whole.seen)


async def test_what_was_rotated_away_unread_is_owned_up_to(lines):
    begun = cursor.decode(cursor.encode(await read(Kubelet(lines[:10]))))
    log = await read(Kubelet(lines, first=15), begun)
    assert (log.state, log.seen.lines) == (LogState.TRUNCATED, 10 + len(lines) - 15)
    assert log.seen.claim.raw == lines[-1][1]


@pytest.mark.parametrize("says", [b"unable to retrieve container logs for x", errors.PodGone("gone")])
@pytest.mark.parametrize(("stopped", "state"), [(10, LogState.TRUNCATED), (26, LogState.COMPLETE)])
async def test_of_a_log_that_is_gone_the_checkpoint_is_what_is_known(lines, says, stopped, state):
    begun = cursor.decode(cursor.encode(await read(Kubelet(lines[:stopped]))))
    log = await read(Kubelet(lines, says=says), begun)
    assert (log.state, log.seen.lines, log.seen.session_id) == (state, stopped, begun.seen.session_id)


async def test_what_was_lost_once_stays_lost_over_restarts(lines):
    begun = cursor.decode(cursor.encode(await read(Kubelet(lines[:10]))))
    second = await read(Kubelet(lines[:20], first=15), begun)
    third = await read(Kubelet(lines, first=19), cursor.decode(cursor.encode(second)))
    assert (second.state, third.state) == (LogState.TRUNCATED, LogState.TRUNCATED)


async def test_a_log_that_was_rotated_before_anybody_read_it_is_not_whole(lines):
    log = await read(Kubelet(lines, first=3))
    assert (log.state, log.seen.claim is None) == (LogState.TRUNCATED, False)


async def test_words_of_the_kubelet_before_the_first_line_do_not_hide_the_log(lines):
    begun = cursor.decode(cursor.encode(await read(Kubelet(lines[:10]))))
    body = b"".join(
        f"{contract.rfc3339(at)[:-1]}.{at % SECOND:09d}Z ".encode() + line + b"\n" for at, line in lines
    )
    log = await read(Kubelet(lines, says=b"a notice of the kubelet\n" + body), begun)
    assert log.seen.claim is not None
