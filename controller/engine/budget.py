"""How much the cluster is asked to take besides: heartbeats, 20 writes and 1 MB a second; lists of Events, 5.

A heartbeat rewrites its whole Job in etcd, so bytes count as well as writes. Owns the interval in force,
which stretches when there are more live runs than the budget allows at the interval that was asked for, and
the order in which late ones take their turn. Other writes are not its business: they never wait for it.
"""

from collections import deque
from dataclasses import replace
from math import ceil
from typing import Final

from controller.core.contract import LIVE
from controller.core.model import Job
from controller.core.snapshot import Policy

WRITES_A_SECOND: Final = 20
BYTES_A_SECOND: Final = 1_000_000

_SHARE: Final = 0.8
"""The interval is chosen so that this share of the budget is used: the rest takes up what comes unevenly."""
_STEP: Final = 1.1
"""The interval changes in steps, and shrinks only if it may by two: a run more or less must not move it."""
_LONGEST_PAUSE: Final = 60.0
_SHORTEST_WAIT: Final = 0.001
"""Less is within the rounding of clocks, and would be asked for again and again."""
_KIB: Final = 1024


class Heartbeats:
    """The budget of one controller. Times are seconds of the monotonic clock."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        """What decisions depend on, with the heartbeat interval in force."""
        self._asked = policy.heartbeat_seconds
        self._live: dict[str, int] = {}
        """Uid of each live run -> bytes that are counted for its Job."""
        self._bytes = 0
        self._booked: dict[str, float] = {}
        """Who was due and had to wait -> when he may."""
        self._next_free = 0.0
        self._sent: deque[tuple[float, int]] = deque()
        """The heartbeats of the last second."""
        self._paused_until = 0.0
        self._pauses = 0

    def see(self, job: Job) -> None:
        """A Job as it is now: if it is live it has a heartbeat."""
        if job.phase not in LIVE or job.finished is not None:
            self.forget(job.uid)
            return
        size = _share_of_a_second(max(job.size_kib, 1) * _KIB)
        self._bytes += size - self._live.get(job.uid, 0)
        self._live[job.uid] = size
        self._fit()

    def forget(self, job_uid: str) -> None:
        """The run is over, or gone."""
        self._booked.pop(job_uid, None)
        if (size := self._live.pop(job_uid, None)) is not None:
            self._bytes -= size
            self._fit()

    def wait(self, job_uid: str, mono: float) -> float:
        """Seconds for which a heartbeat that is due has to wait. 0: it is sent now, and counted."""
        size = self._live.get(job_uid, _KIB)
        booked = self._booked.get(job_uid)
        if booked is None or booked < self._paused_until:
            booked = self._booked[job_uid] = max(mono, self._paused_until, self._next_free)
            self._next_free = booked + max(1 / WRITES_A_SECOND, size / BYTES_A_SECOND)
        at = max(booked, self._earliest(size, mono))
        if at > mono:
            return max(at - mono, _SHORTEST_WAIT)
        del self._booked[job_uid]
        self._sent.append((mono, size))
        return 0.0

    def pause(self, mono: float, seconds: float) -> None:
        """The API server is busy: no heartbeat for so long, and for longer each time it still is then."""
        if mono >= self._paused_until:
            seconds = max(seconds, min(seconds * 2**self._pauses, _LONGEST_PAUSE))
            self._pauses = min(self._pauses + 1, 10)
        self._paused_until = max(self._paused_until, mono + seconds)
        self._next_free = max(self._next_free, self._paused_until)

    def accepted(self) -> None:
        """A heartbeat was taken: the server is not busy any more."""
        self._pauses = 0

    def _earliest(self, size: int, mono: float) -> float:
        """When one more of that size keeps to the budget in every second, whatever was sent late or early."""
        while self._sent and self._sent[0][0] <= mono - 1:
            self._sent.popleft()
        at = max(mono, self._sent[-1][0] + 1 / WRITES_A_SECOND) if self._sent else mono
        total = size + sum(sent for _, sent in self._sent)
        for sent_at, sent in self._sent:
            if total <= BYTES_A_SECOND:
                break
            at, total = max(at, sent_at + 1), total - sent
        return at

    def _fit(self) -> None:
        """The interval in force, for as many live runs as there are and as big as their Jobs are."""
        writes, size = len(self._live) / WRITES_A_SECOND, self._bytes / BYTES_A_SECOND
        needed, now = max(writes, size) / _SHARE, self.policy.heartbeat_seconds
        if needed <= now and (now == self._asked or needed * _STEP**2 > now):
            return
        interval = float(self._asked)
        while interval < needed:
            interval *= _STEP
        self.policy = replace(self.policy, heartbeat_seconds=ceil(interval))


EVENT_LISTS_A_SECOND: Final = 5.0
_LISTS_AT_ONCE: Final = 10
_UNCLAIMED_SECONDS: Final = 60.0
"""So long a turn is kept for somebody who does not come for it."""


class EventLists:
    """Lists of Events: each reads all that its namespace has, for the API server keeps no index of them.

    Who has to wait has a turn of his own, so that nobody comes before it in vain.
    """

    def __init__(self) -> None:
        self._turns: dict[str, float] = {}
        """Who waits, by uid -> when his turn is."""
        self._full_at = 0.0
        """When all that have been made or promised will have been made, at their rate."""
        self._spare_at = 0.0
        """The last turn of those that others go before. Nothing is promised to them."""

    def wait(self, about: str, mono: float, *, spare: bool) -> float:
        """Seconds for which a list has to wait. 0: it is made now, and counted. `spare`: others go first."""
        turn = self._turns.get(about)
        if turn is not None and turn > mono:
            return max(turn - mono, _SHORTEST_WAIT)
        self._turns.pop(about, None)
        if turn is not None and not spare:
            return 0.0
        at_once = _LISTS_AT_ONCE // 2 if spare else _LISTS_AT_ONCE
        at = self._full_at - (at_once - 1) / EVENT_LISTS_A_SECOND
        if at <= mono or not spare:
            self._full_at = max(self._full_at, mono) + 1 / EVENT_LISTS_A_SECOND
        else:
            at = self._spare_at = max(at, self._spare_at + 1 / EVENT_LISTS_A_SECOND)
        if at <= mono:
            return 0.0
        self._forget_unclaimed(mono)
        self._turns[about] = at
        return max(at - mono, _SHORTEST_WAIT)

    def _forget_unclaimed(self, mono: float) -> None:
        while self._turns and self._turns[first := next(iter(self._turns))] < mono - _UNCLAIMED_SECONDS:
            del self._turns[first]


def _share_of_a_second(size: int) -> int:
    """What is left of a second's bytes beside big objects is of no use: counted with them, equally."""
    return max(size, BYTES_A_SECOND // max(BYTES_A_SECOND // size, 1))
