"""When an informer tries again: how long to wait after a list or a watch, by how it went.

Owns the pauses. After a watch that was worth opening, asking again at once is right; all else waits, longer
each time: 0.8 s, doubled up to 30 s, times 1 to 2; from the beginning after two quiet minutes. It never waits
by itself.
"""

import random
from collections.abc import Callable
from typing import Final

from controller.kube import errors

FIRST_SECONDS: Final = 0.8
MOST_SECONDS: Final = 30.0
QUIET_SECONDS: Final = 120.0
"""Without trouble for so long, the next trouble is the first again."""
WORTH_SECONDS: Final = 1.0
"""At least so long is a watch open that was worth it without an event, and between two lists."""
USELESS_SECONDS: Final = 10.0
"""Before another list, when the last was of no use: the server can't watch from what it listed."""
REFUSED_SECONDS: Final = (30.0, 60.0)
"""Till somebody may have mended roles or token."""
REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 422})


class Retry:
    """The pauses of one informer. It says listing, opening and heard as it goes, and asks `after…`."""

    def __init__(self, clock: Callable[[], float], rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._listing = False
        self._listed_at = clock()
        self._opened_at: float | None = None
        self._useful = False
        self._expired = False
        self._failures = 0
        self._failed_at = clock()

    def listing(self) -> None:
        """A list begins."""
        self._listing, self._listed_at, self._opened_at = True, self._clock(), None

    def opening(self) -> None:
        """A watch is asked for."""
        self._listing, self._opened_at, self._useful = False, None, False

    def heard(self, *, useful: bool) -> None:
        """The watch is open, or brought an event."""
        if self._opened_at is None:
            self._opened_at = self._clock()
        self._useful = self._useful or useful
        self._expired = self._expired and not useful

    def after_end(self) -> float:
        """Seconds to wait after a list, or a watch that ended in its turn."""
        return 0.0 if self._listing else self._after_watch()

    def after(self, error: errors.KubeError) -> tuple[str, float]:
        """What went wrong, in a word fit for a metric, and the seconds to wait."""
        if isinstance(error, errors.Throttled):
            return "throttled", error.after * self._rng.uniform(1.0, 1.1)
        if isinstance(error, errors.Expired):
            return "expired", self._after_expired()
        if error.code in REFUSALS:
            return "refused", self._rng.uniform(*REFUSED_SECONDS)
        if self._opened_at is not None:
            return "reconnect", self._after_watch()
        return "unavailable", self._longer()

    def _after_watch(self) -> float:
        if self._opened_at is None or self._clock() - self._opened_at >= WORTH_SECONDS:
            self._expired = False
            return 0.0
        if self._useful:
            return self._rng.uniform(0.1, 0.2)
        return self._longer(at_least=1)

    def _after_expired(self) -> float:
        """The first is normal after a break: list at once. If the list did not help, more lists won't."""
        useless, self._expired = self._listing or self._expired, True
        if useless:
            return max(self._longer(), USELESS_SECONDS)
        return max(0.0, self._listed_at + WORTH_SECONDS - self._clock())

    @property
    def _failing(self) -> bool:
        return self._failures > 0 and self._clock() - self._failed_at < QUIET_SECONDS

    def _longer(self, at_least: int = 0) -> float:
        failures = max(self._failures if self._failing else 0, at_least)
        self._failures, self._failed_at = min(failures + 1, 10), self._clock()
        return min(FIRST_SECONDS * 2.0**failures, MOST_SECONDS) * self._rng.uniform(1.0, 2.0)
