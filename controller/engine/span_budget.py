"""How many spans the live runs hold that nobody has been told of, and which of them hold too many.

Counts what the logs tell of; it makes no spans and tells none. Beyond the limit the runs that hold most have
to tell theirs while they go on, until what the others hold is within it: the same counts, the same runs.
"""

from collections.abc import Iterable

from controller.core.transcript import AttemptLog


class SpanBudget:
    """By uid of the Job."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._made: dict[str, int] = {}
        self._told: dict[str, frozenset[str]] = {}
        self._crowded: set[str] = set()
        self.held = 0
        """By all runs together."""
        self._quiet = 0
        """By those that keep theirs until their end."""

    def put_logs(self, job_uid: str, logs: Iterable[AttemptLog]) -> None:
        """So much do the logs of a run tell of by now."""
        made = sum(len(log.seen.tools) + len(log.seen.chats) for log in logs)
        self._change(job_uid, made, self.told(job_uid))
        if self._quiet > self._limit:
            self._choose()

    def put_told(self, job_uid: str, ids: Iterable[str]) -> None:
        """These spans have been handed over."""
        self._change(job_uid, self._made.get(job_uid, 0), self.told(job_uid).union(ids))

    def told(self, job_uid: str) -> frozenset[str]:
        """Ids of the spans of a run that have been handed over."""
        return self._told.get(job_uid, frozenset())

    def is_crowded(self, job_uid: str) -> bool:
        """Whether this run is to tell its spans while it goes on."""
        return job_uid in self._crowded

    def forget(self, job_uid: str) -> None:
        """Nothing of it is held any more."""
        self._change(job_uid, 0, frozenset())
        del self._made[job_uid], self._told[job_uid]
        self._crowded.discard(job_uid)

    def _change(self, job_uid: str, made: int, told: frozenset[str]) -> None:
        before = self._held(job_uid)
        self._made[job_uid], self._told[job_uid] = made, told
        more = self._held(job_uid) - before
        self.held += more
        self._quiet += 0 if job_uid in self._crowded else more

    def _held(self, job_uid: str) -> int:
        return max(0, self._made.get(job_uid, 0) - len(self.told(job_uid)))

    def _choose(self) -> None:
        """Who is chosen once stays: what was begun can't be taken back."""
        quiet = sorted(
            (uid for uid in self._made if uid not in self._crowded), key=lambda uid: (-self._held(uid), uid)
        )
        for uid in quiet:
            if self._quiet <= self._limit:
                return
            self._crowded.add(uid)
            self._quiet -= self._held(uid)
