"""What becomes of a run that waits, given the Jobs that run, or ran, in its slot: the table of contract §4.

Owns the table, and the record of a verdict from which it can be replayed. It looks at ids and nothing else:
who is live, and whether the slot is full, it is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from controller.core.contract import ErrorCode, Reason, Status, rfc3339, sanitise
from controller.core.model import Ids, Job


class Decision(StrEnum):
    """A verdict on a waiting run."""

    ADMIT = "admit"
    BLOCK_TASK_UNKNOWN = "block_task_unknown"
    BLOCK_TASK_MISMATCH = "block_task_mismatch"
    BLOCK_SESSION_MISMATCH = "block_session_mismatch"
    BLOCK_BUSY = "block_busy"
    REATTACH = "reattach"
    DUPLICATE = "duplicate"


REASONS: Final[Mapping[Decision, Reason]] = {
    Decision.ADMIT: Reason.ADMITTED,
    Decision.BLOCK_TASK_UNKNOWN: Reason.TASK_UNKNOWN,
    Decision.BLOCK_TASK_MISMATCH: Reason.TASK_MISMATCH,
    Decision.BLOCK_SESSION_MISMATCH: Reason.SESSION_MISMATCH,
    Decision.BLOCK_BUSY: Reason.AGENT_BUSY,
    Decision.REATTACH: Reason.REATTACHED,
    Decision.DUPLICATE: Reason.DUPLICATE_RUN,
}
CODES: Final[Mapping[Decision, ErrorCode]] = {
    Decision.BLOCK_TASK_UNKNOWN: ErrorCode.ORPHAN_TASK_UNKNOWN,
    Decision.BLOCK_TASK_MISMATCH: ErrorCode.CONCURRENT_RUN_BLOCKED,
    Decision.BLOCK_SESSION_MISMATCH: ErrorCode.ORPHAN_SESSION_MISMATCH,
    Decision.BLOCK_BUSY: ErrorCode.CONCURRENT_RUN_BLOCKED,
}
"""`errorCode` of a run that is rejected because it may not wait."""


@dataclass(frozen=True, slots=True)
class Other:
    """A Job of the slot that runs, or has run, as far as the table looks at it."""

    name: str
    uid: str
    ids: Ids
    served: tuple[Ids, ...] = ()
    """Ids of the runs that it has served besides the one it is labelled with."""
    live: bool = True
    """It holds a place by itself. One that has ended can only be the same run."""
    allows: bool = False
    """The waiting run may continue on it, if it asks for that and is about the same."""
    created_at: int = 0


class Ruling(NamedTuple):
    """A verdict, the Job that it was made by, and what else it depended on."""

    decision: Decision
    other: Other | None
    reattach: bool
    full: bool


def judge(me: Ids, others: Sequence[Other], *, reattach: bool, full: bool) -> Ruling:
    """The verdict on a waiting run. `full`: no place is free for it."""
    newest_first = sorted(others, key=lambda other: (other.live, other.created_at, other.name), reverse=True)
    compared = [(compare(me, other, reattach=reattach), other) for other in newest_first]
    for wins in (Decision.DUPLICATE, Decision.REATTACH):
        for decision, other in compared:
            if decision is wins and (other.live or wins is Decision.DUPLICATE):
                return Ruling(decision, other, reattach, full)
    decision, newest = next(((d, o) for d, o in compared if o.live), (Decision.BLOCK_BUSY, None))
    return Ruling(decision if full else Decision.ADMIT, newest, reattach, full)


def compare(me: Ids, other: Other, *, reattach: bool) -> Decision:
    """The row of the table for one other Job: the top line wins."""
    if any(me.same("run", served) for served in (other.ids, *other.served)):
        return Decision.DUPLICATE
    if not me.task or not other.ids.task:
        return Decision.BLOCK_TASK_UNKNOWN
    if not me.same("task", other.ids):
        return Decision.BLOCK_TASK_MISMATCH
    if me.session and other.ids.session and not me.same("session", other.ids):
        return Decision.BLOCK_SESSION_MISMATCH
    return Decision.REATTACH if reattach and other.allows else Decision.BLOCK_BUSY


def allows(job: Job, created_at: int) -> bool:
    """Whether a run that was submitted at that instant may continue on this live Job."""
    ending = Status.STOP in job.status or job.deleted_at is not None or job.condition("FailureTarget")
    if ending or job.wishes.cancel_requested or not job.ids.run:
        return False
    return job.started_at is not None and job.started_at < created_at


# ── The record ───────────────────────────────────────────────────────────────────────────────────

_NAMES: Final = ("run", "task", "session")


class _Side(msgspec.Struct, omit_defaults=True, rename="camel"):
    """Ids of one side; `raw` names those that are raw ids, the others are labels."""

    run_id: str = ""
    task_id: str = ""
    session_id: str = ""
    raw: list[str] = []


class Record(msgspec.Struct, omit_defaults=True, rename="camel"):
    """`status.D/decision`. The keys after `at` are those of the table's inputs that are no ids."""

    decision: str = ""
    live: str = ""
    """`name/uid` of the Job that it was made by; it may have ended, if it is the same run."""
    run: _Side = msgspec.field(default_factory=_Side)
    other: _Side | None = None
    reattach: bool = False
    on_conflict: str = ""
    at: str = ""
    allows: bool = False
    full: bool = False
    served: list[_Side] = []
    """The run of its history that is this one, if it is not the one it is labelled with."""
    trace: str = ""
    """The trace id of that Job, where it does not follow from its uid."""

    @property
    def ids(self) -> Ids:
        """The waiting run's ids at that time; without those that the table does not look at."""
        return _ids(self.run)


_RECORD: Final = msgspec.json.Decoder(Record)


def record(me: Ids, ruling: Ruling, on_conflict: str, at: int, trace: str = "") -> str:
    """The verdict as JSON. Bounded: no id is longer than 256 characters."""
    other = ruling.other
    found = Record(
        decision=ruling.decision,
        live=f"{other.name}/{other.uid}" if other else "",
        run=_side(me),
        other=_side(other.ids) if other else None,
        reattach=ruling.reattach,
        on_conflict=on_conflict,
        at=rfc3339(at),
        allows=other.allows if other else False,
        full=ruling.full,
        served=_matching(me, other) if other else [],
        trace=trace,
    )
    return msgspec.json.encode(found).decode()


@lru_cache(maxsize=256)
def read(text: str) -> Record | None:
    """The record of a verdict; None if it is none that can be read. Never raises."""
    try:
        return _RECORD.decode(text) if text else None
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def replay(found: Record) -> Decision:
    """The verdict once more, from nothing but its record."""
    others = []
    if found.other is not None:
        served = tuple(map(_ids, found.served))
        others = [Other("", "", _ids(found.other), served, allows=found.allows)]
    return judge(found.ids, others, reattach=found.reattach, full=found.full).decision


def _matching(me: Ids, other: Other) -> list[_Side]:
    if me.same("run", other.ids):
        return []
    return [_side(served) for served in other.served if me.same("run", served)][:1]


def _side(ids: Ids) -> _Side:
    raw = [name for name, _ in ids.raw if name in _NAMES]
    return _Side(ids.best("run"), ids.best("task"), ids.best("session"), raw)


def _ids(side: _Side) -> Ids:
    told = {"run": side.run_id, "task": side.task_id, "session": side.session_id}
    raw = tuple((name, told[name]) for name in side.raw if name in told)
    labels = {name: sanitise(value) if name in side.raw else value for name, value in told.items()}
    return Ids(**labels, raw=raw)
