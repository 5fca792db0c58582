"""When a live run says again that it has been seen alive.

Owns how the heartbeats of many runs are spread: each has a place of its own within the interval, which
follows from its Job's uid, so that runs that started together, or a restart, don't beat together.
"""

from typing import Final
from zlib import crc32

from controller.core.contract import MIN_HEARTBEAT_SECONDS, SECOND, Status, instant
from controller.core.model import Job, Now

_CLOCK_SET_BACK_SECONDS: Final = 1


def due_in(job: Job, now: Now, interval: int) -> float:
    """Seconds until the next heartbeat; 0 or less: now.

    It comes at the run's place in the interval, half an interval to one and a half after the newest patch. If
    hosts were promised a shorter interval than the one in force now, that promise is kept first.
    """
    observed = instant(job.status.get(Status.OBSERVED_AT, ""))
    if observed is None or observed - now.wall > _CLOCK_SET_BACK_SECONDS * SECOND:
        return 0.0  # a clock that was set back must not silence it
    period = min(interval, _promised(job) or interval) * SECOND
    place = crc32(job.uid.encode()) * period >> 32
    earliest = observed + period // 2
    return (earliest + (place - earliest) % period - now.wall) / SECOND


def _promised(job: Job) -> int | None:
    text = job.status.get(Status.HEARTBEAT_SECONDS, "")
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        return None
    return max(int(text), MIN_HEARTBEAT_SECONDS)
