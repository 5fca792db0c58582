"""Which words the labels of metrics may take, so that the number of series is bounded.

A closed set is an enum of the contract or a tuple here; an open one takes the first words that come and
turns the rest into `other`. Nothing is counted here.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from controller.core.contract import Phase, Reason

OTHER: Final = "other"
OUTCOMES: Final = (
    "done",
    "conflict",
    "throttled",
    "unavailable",
    "refused",
    "not_found",
    "already_exists",
    "expired",
    "failed",
)
"""How one round of a slot ended: the words of `kube/errors.py`."""
LOG_OUTCOMES: Final = (
    "ended",
    "polled",
    "gone",
    "not_started",
    "throttled",
    "refused",
    "unavailable",
    "failed",
)
"""How one read of a log ended, as the log follower says it."""
EXPORT_OUTCOMES: Final = ("accepted", "failed", "gave_up", "full")
"""How one try of a trace ended; the last two are no tries: too old, no room."""
RESOURCES: Final = ("jobs", "pods")
RESTARTS: Final = (
    "list",
    "relist",
    "reconnect",
    "expired",
    "throttled",
    "refused",
    "unavailable",
    "decode_error",
)
"""What happened to a watch: the words of `kube/informer.py` and `kube/retry.py`."""

FINISHED: Final[Mapping[Phase, tuple[Reason, ...]]] = {
    Phase.SUCCEEDED: (Reason.COMPLETED, Reason.COMPLETED_HUNG),
    Phase.TIMED_OUT: (Reason.DEADLINE_EXCEEDED, Reason.STALLED_TOO_LONG),
    Phase.CANCELLED: (Reason.CANCELLED_BY_HOST, Reason.JOB_DELETED, Reason.EXTERNALLY_SUSPENDED),
    Phase.FAILED: (
        Reason.AGENT_ERROR,
        Reason.MAX_TURNS,
        Reason.NO_RESULT,
        Reason.CONTAINER_ERROR,
        Reason.OOM_KILLED,
        Reason.EVICTED,
        Reason.NODE_LOST,
        Reason.START_TIMEOUT,
        Reason.UNKNOWN,
    ),
    Phase.REJECTED: (Reason.AGENT_BUSY, Reason.OBJECT_MISSING, Reason.INVALID_RUN),
}
"""Combinations that exist from the start, for alerts on their rate; the others appear when they occur."""


class Words:
    """The words that one label takes: those known, then new ones up to `limit` in all, then `other`."""

    def __init__(self, known: Iterable[str] = (), limit: int = 0) -> None:
        self._known = {str(word) for word in known}
        self._limit = max(limit, len(self._known))

    def bound(self, word: str) -> str:
        """The word itself, or `other`."""
        if word not in self._known and len(self._known) < self._limit:
            self._known.add(word)
        return word if word in self._known else OTHER
