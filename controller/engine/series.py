"""What has been told of late, and how often: repeated Events become a series of one, and few writes.

In memory and bounded. It writes nothing: it says what is to be written, and is told what was.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from controller.core.actions import TellJob

REPEATED_WITHIN_SECONDS: Final = 600.0
"""What was told longer ago than this is asked of the API server, which knows it if it still has it."""
WRITE_EVERY_SECONDS: Final = 60.0
"""A series is not written more often than this."""
_MOST: Final = 2048

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Told:
    action: TellJob
    count: int
    told_at: float
    written: int = 0
    written_at: float = float("-inf")


class Series:
    """Told Events by (uid, reason, note), the newest last. Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._told: OrderedDict[_Key, _Told] = OrderedDict()
        self._unwritten: set[_Key] = set()

    def __len__(self) -> int:
        """How many Events are remembered."""
        return len(self._told)

    def tell(self, action: TellJob, mono: float) -> int:
        """How often it has been told, if that is to be written. 1: it is new; 0: there is nothing to do."""
        known = self._told.pop(_key(action), None)
        if known is None or mono - known.told_at > REPEATED_WITHIN_SECONDS:
            known = _Told(action, 0, mono)
        known.count += 1
        known.told_at = mono
        self._told[_key(action)] = known
        self._unwritten.add(_key(action))
        while len(self._told) > _MOST:
            oldest, _ = self._told.popitem(last=False)
            self._unwritten.discard(oldest)
        return known.count if mono - known.written_at >= WRITE_EVERY_SECONDS else 0

    def wrote(self, action: TellJob, count: int, mono: float) -> None:
        """The API server has it, told so often."""
        if (known := self._told.get(_key(action))) is None:
            return
        known.count = max(known.count, count)
        known.written, known.written_at = count, mono
        if known.count == count:
            self._unwritten.discard(_key(action))

    def failed(self, action: TellJob) -> None:
        """It could not be told: the next time it is new again."""
        self._told.pop(_key(action), None)
        self._unwritten.discard(_key(action))

    def due(self, mono: float) -> list[tuple[TellJob, int]]:
        """What has been told again since it was written, and may be written by now."""
        waiting = [self._told[key] for key in self._unwritten]
        return [
            (told.action, told.count)
            for told in waiting
            if told.written and mono - told.written_at >= WRITE_EVERY_SECONDS
        ]


def _key(action: TellJob) -> _Key:
    return action.job_uid, action.reason, action.note
