"""How much may be written on a Job: what its annotations leave, and what leaves a patch that asks for more.

The API server takes so many bytes of annotations of an object, all writers' together, and refuses a patch
that asks for one more: a stop must not fail because of a heartbeat. Nothing else is decided here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controller.core.actions import Action, PatchJob, Plan, StoreResult, TellJob
from controller.core.contract import (
    ANNOTATIONS_MAX,
    OURS_MAX,
    RESULT_INLINE_MAX,
    TERMINAL,
    Keys,
    Status,
    keys_of,
    size,
)
from controller.core.model import Job, Now
from controller.core.snapshot import Policy, Run, Snapshot

AGAIN_SECONDS: Final = 60.0
"""When more is tried again than there was room for."""
_CRAMPED: Final = (4096, 1024, 256, 0)
"""Bytes that a patch may add after it was refused as too large, once, twice …: less each time."""
LEVELS: Final = len(_CRAMPED)
_RESERVE: Final = 1024
"""Bytes that a result leaves to what is noted after it."""
_RESULT_LEAST: Final = 1024
"""Bytes for which a result has other things leave the object: enough to say how the run ended."""

_CAN_WAIT: Final = (
    Status.PROGRESS,
    Status.LAST_OUTPUT_AT,
    Status.MESSAGE,
    Status.TRACE_LIVE,
    Status.MODEL,
    Status.POD,
    Status.LOG_CURSOR,
    Status.FACTS,
    Status.ATTACHED_PHASE,
    Status.DECISION,
    Status.TTL_SET,
    Status.TRACE_EXPORTED,
    Status.OBSERVED_AT,
    Status.HEARTBEAT_SECONDS,
    Status.SESSION_ID,
    Status.TRACE_ID,
    Status.SCHEMA,
    Status.SINCE,
)
"""What a patch can do without, the least wanted first."""
_MAKES_ROOM: Final = (
    Status.PROGRESS,
    Status.LAST_OUTPUT_AT,
    Status.LOG_CURSOR,
    Status.MESSAGE,
    Status.MODEL,
    Status.POD,
    Status.FACTS,
)
"""What leaves the object itself for a phase, a result or a stop, in this order."""
_LAST_RESORT: Final = (Status.ATTACHED_PHASE, Status.HEARTBEAT_SECONDS, Status.OBSERVED_AT)
"""What leaves it besides for a stop or an end: nobody looks for a sign of life then."""
_END: Final = (Status.PHASE, Status.REASON, Status.MESSAGE, Status.SINCE, Status.RESULT, Status.RESULT_REF)
"""A terminal phase is final: it is written with its reason and result, or waits with them."""
_ALIVE: Final = (Status.OBSERVED_AT, Status.HEARTBEAT_SECONDS, Status.LOG_CURSOR)
"""What an end takes away, and a run that has to wait for its end still needs."""

_ALL: Final = "*"
"""In place of the names of what left a patch of which nothing is left."""
_TELLS_OF: Final = {
    "ResultRecorded": Status.PHASE,
    "ResultCut": Status.PHASE,
    "Rejected": Status.PHASE,
    "Cancelled": Status.PHASE,
    "Stopping": Status.STOP,
}
"""Reason of an Event -> what it says has been written."""

_FULL: Final = (
    "The annotations of this Job are full: not everything about its run could be written. "
    "Take away what nobody needs; all of them together may have 262144 bytes."
)


def left(run: Run, now: Now) -> int:
    """Bytes by which the annotations of the run's Job may grow."""
    free = max(0, ANNOTATIONS_MAX - run.job.notes_bytes)
    if run.cramped is None or now.mono >= run.cramped.at + AGAIN_SECONDS:
        return free
    return min(free, _CRAMPED[min(run.cramped.level, LEVELS) - 1])


def for_result(run: Run, others: Mapping[str, str | None], now: Now, keys: Keys) -> int:
    """Bytes of `result`. `others`: the annotations of ours that are written with it, by their short names."""
    job, key = run.job, keys.status(Status.RESULT)
    there = {**job.status, **others, Status.RESULT: None}
    ours = sum(size(keys.status(name), text) for name, text in there.items() if text is not None)
    growth = {name: _growth(job, keys.status(name), text, keys) for name, text in others.items()}
    free = left(run, now) - len(key)
    spare = free - sum(growth.values()) - _RESERVE
    if spare < _RESULT_LEAST:
        least = {name: min(0, grown) if name in _CAN_WAIT else grown for name, grown in growth.items()}
        least |= {name: -_there(job, keys.status(name), keys) for name in _MAKES_ROOM}
        spare = min(free - sum(least.values()), _RESULT_LEAST)
    share = max(OURS_MAX - ours - _RESERVE - len(key), _RESULT_LEAST)
    return max(0, min(RESULT_INLINE_MAX, share, spare))


def squeeze(plan: Plan, seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """The plan with patches that fit on their Jobs. What had to leave one is told, and tried again later.

    A patch of which nothing is left is withheld. What is done for what had to leave is not done without it.
    """
    keys, runs = keys_of(policy.domain), {run.job.uid: run for run in seen.runs}
    crowded: dict[str, Job] = {}
    lost: dict[str, frozenset[str]] = {}
    fitted: list[Action] = []
    for action in plan.actions:
        run = runs.get(action.job_uid)
        if run is None or not isinstance(action, PatchJob):
            fitted.append(action)
            continue
        fits = _squeezed(action, run, now, keys)
        if fits is not action:
            crowded[full(action.job_uid)] = run.job
            lost[action.job_uid] = _lost(action, fits, keys)
        fitted += [] if fits is None else [fits]
    if not crowded:
        return plan
    actions = [act for act in fitted if not _is_idle(act, lost.get(act.job_uid, frozenset()))]
    told = [_told(job) for mark, job in crowded.items() if mark not in seen.since]
    # Told before, not after: a patch that fails would skip it, and its mark says that it has been told.
    again = AGAIN_SECONDS if plan.look_again is None else min(plan.look_again, AGAIN_SECONDS)
    return replace(plan, actions=(*told, *actions), look_again=again, marks=(*plan.marks, *crowded))


def full(job_uid: str) -> str:
    """The mark of a Job that has no room for all that is to be written on it."""
    return f"full:{job_uid}"


def _lost(wanted: PatchJob, fits: PatchJob | None, keys: Keys) -> frozenset[str]:
    """Short names of what would have been written and is not."""
    if fits is None:
        return frozenset({_ALL})
    gone = (key for key, text in wanted.annotations.items() if text and fits.annotations.get(key) != text)
    return frozenset(key.removeprefix(keys.status_prefix) for key in gone)


def _is_idle(action: Action, lost: frozenset[str]) -> bool:
    """It would be done for a patch, or for a part of one, that is not written."""
    match action:
        case StoreResult():
            return not lost.isdisjoint({_ALL, Status.RESULT})
        case TellJob():
            return not lost.isdisjoint({_ALL, _TELLS_OF.get(action.reason, _ALL)})
    return False


def _told(job: Job) -> TellJob:
    return TellJob(job.namespace, job.name, job.uid, "AnnotationsFull", _FULL, warning=True)


def _squeezed(patch: PatchJob, run: Run, now: Now, keys: Keys) -> PatchJob | None:
    """The patch as it fits, the same one if it does; None if nothing is left of it."""
    if not patch.annotations:
        return patch
    free = left(run, now)
    if sum(size(key, text or "") for key, text in patch.annotations.items()) <= free:
        return patch
    crowd = _Crowd(patch, run.job, free, keys)
    if crowd.over <= 0:
        return patch
    if patch.annotations.get(keys.status(Status.ATTACHED_TO)):
        return None  # the commit point of an attachment: the run waits as it did
    fitted = crowd.squeezed()
    asks = fitted.annotations or fitted.spec or fitted.labels or fitted.template_labels
    return fitted if asks else None


class _Crowd:
    """The annotations of a patch that is too large. `over`: so many bytes have yet to leave."""

    def __init__(self, patch: PatchJob, job: Job, free: int, keys: Keys) -> None:
        self._asked, self._job, self._free, self._keys = patch, job, free, keys
        self._labels = patch.labels
        self._notes = dict(patch.annotations)
        self._growth = {key: _growth(job, key, text, keys) for key, text in self._notes.items()}
        self.over = sum(self._growth.values()) - free

    def squeezed(self) -> PatchJob:
        """The patch with as much as there is room for; of the spec it asks the same."""
        ends = self._said(Status.PHASE) in TERMINAL
        self._leave_history()
        for name in _CAN_WAIT:
            self._leave(name)
        for name in (*_MAKES_ROOM, *_LAST_RESORT) if ends or self._said(Status.STOP) else _MAKES_ROOM:
            self._take_away(name)
        self._leave(Status.RESULT_REF)
        if ends and self.over > 0:
            return _Crowd(self._without_end(), self._job, self._free, self._keys).squeezed()
        self._leave(Status.PHASE, Status.REASON, Status.SINCE)  # none without the others
        self._leave(Status.STOP)
        self._leave(Status.HOST_TTL)
        why = f"{self._asked.why}+squeezed"
        return replace(self._asked, annotations=self._notes, labels=self._labels, why=why)

    def _said(self, name: str) -> str | None:
        return self._notes.get(self._keys.status(name))

    def _without_end(self) -> PatchJob:
        """What the patch asks for besides: the run has not ended yet, and nothing is said of it."""
        withheld = {self._keys.status(name) for name in (*_END, *_ALIVE)}
        notes = {key: text for key, text in self._asked.annotations.items() if key not in withheld}
        ends = ("result", "reject", "cancel")
        why = "+".join(word for word in self._asked.why.split("+") if word not in ends) or "report"
        return replace(self._asked, annotations=notes, why=why, tally=None)

    def _leave(self, *names: str) -> None:
        """All of them or none, if that makes room."""
        keys = [key for name in names if (key := self._keys.status(name)) in self._notes]
        grown = sum(self._growth[key] for key in keys)
        if self.over > 0 and grown > 0:
            self.over -= grown
            for key in keys:
                del self._notes[key]

    def _take_away(self, name: str) -> None:
        key = self._keys.status(name)
        if self.over > 0 and (there := _there(self._job, key, self._keys)):
            self.over -= there + (self._growth[key] if key in self._notes else 0)
            self._notes[key] = None

    def _leave_history(self) -> None:
        """Whose run the Job is by now is written as a whole, labels and raw ids too, or not at all."""
        if self.over <= 0 or not self._said(Status.RUN_HISTORY):
            return
        ours = self._keys.status_prefix
        foreign = [key for key in self._notes if not key.startswith(ours)]
        for key in (*foreign, self._keys.status(Status.RUN_HISTORY)):
            self.over -= self._growth[key]
            del self._notes[key]
        self._labels = {}


def _growth(job: Job, key: str, text: str | None, keys: Keys) -> int:
    return (0 if text is None else size(key, text)) - _there(job, key, keys)


def _there(job: Job, key: str, keys: Keys) -> int:
    """Bytes that an annotation of ours has on the object now; nothing is known of others'."""
    ours = key.startswith(keys.status_prefix)
    text = job.status.get(key.removeprefix(keys.status_prefix)) if ours else None
    return 0 if text is None else size(key, text)
