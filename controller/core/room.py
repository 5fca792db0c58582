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
    Status.HOST_TTL,
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
_LAST: Final = (Status.OBSERVED_AT, Status.HEARTBEAT_SECONDS, Status.ATTACHED_PHASE)
"""What leaves it besides for a stop or an end, which say that nothing more of this will come."""

_FOLLOWS: Final = (StoreResult, TellJob)
"""What is done for a patch of the Job, and is not without it."""

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

    A patch of which nothing is left is withheld, and what would be told of it with it.
    """
    keys, runs = keys_of(policy.domain), {run.job.uid: run for run in seen.runs}
    full: list[Job] = []
    withheld: set[str] = set()
    unsaid: set[str] = set()
    fitted: list[Action] = []
    for action in plan.actions:
        run = runs.get(action.job_uid)
        fits = _squeezed(action, run, now, keys) if isinstance(action, PatchJob) and run else action
        full += [run.job] if run is not None and fits is not action else []
        if (
            isinstance(action, PatchJob)
            and isinstance(fits, PatchJob)
            and not _says_as_much(action, fits, keys)
        ):
            unsaid.add(action.job_uid)
        if fits is None:
            withheld.add(action.job_uid)
        else:
            fitted.append(fits)
    if not full:
        return plan
    actions = [act for act in fitted if not (isinstance(act, _FOLLOWS) and act.job_uid in withheld | unsaid)]
    marks = {full_mark(job.uid): job for job in full}
    told = [_told(job) for mark, job in marks.items() if mark not in seen.since]
    # Told before, not after: a patch that fails would skip it, and its mark says that it has been told.
    again = AGAIN_SECONDS if plan.look_again is None else min(plan.look_again, AGAIN_SECONDS)
    return replace(plan, actions=(*told, *actions), look_again=again, marks=(*plan.marks, *marks))


def full_mark(job_uid: str) -> str:
    """Is named while something that was to be written on this Job had no room."""
    return f"full:{job_uid}"


def _says_as_much(patch: PatchJob, fitted: PatchJob, keys: Keys) -> bool:
    """Whether it still says what Events are told of: how the run ended, or that it is stopped."""
    told = map(keys.status, (Status.RESULT, Status.STOP))
    return all(key in fitted.annotations for key in told if key in patch.annotations)


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
    if keys.status(Status.ATTACHED_TO) in patch.annotations:
        return None  # the commit point of an attachment: the run waits as it did
    fitted = crowd.squeezed()
    asks = fitted.annotations or fitted.spec or fitted.labels or fitted.template_labels
    return fitted if asks else None


class _Crowd:
    """The annotations of a patch that is too large. `over`: so many bytes have yet to leave."""

    def __init__(self, patch: PatchJob, job: Job, free: int, keys: Keys) -> None:
        self._patch, self._job, self._keys = patch, job, keys
        self._notes = dict(patch.annotations)
        self._growth = {key: _growth(job, key, text, keys) for key, text in self._notes.items()}
        self.over = sum(self._growth.values()) - free

    def squeezed(self) -> PatchJob:
        """The patch with as much as there is room for; of the spec it asks the same."""
        self._leave_history()
        for name in _CAN_WAIT:
            self._leave(name)
        for name in (*_MAKES_ROOM, *(_LAST if self._is_last else ())):
            self._take_away(name)
        if self.over > 0 and self._ends:
            # As long as the end can't be told, what it is known from stays too.
            return replace(self._patch, annotations={}, why=f"{self._patch.why}+squeezed")
        if self.over > 0:
            self._leave_together(Status.PHASE, Status.REASON)
        notes = self._notes if self.over <= 0 else self._harmless()
        return replace(self._patch, annotations=notes, why=f"{self._patch.why}+squeezed")

    @property
    def _ends(self) -> bool:
        return self._notes.get(self._keys.status(Status.PHASE)) in TERMINAL

    @property
    def _is_last(self) -> bool:
        return self._ends or self._keys.status(Status.STOP) in self._notes

    def _leave_together(self, *names: str) -> None:
        for key in map(self._keys.status, names):
            if self._notes.get(key) is not None:
                self.over -= self._growth[key]
                del self._notes[key]

    def _harmless(self) -> dict[str, str | None]:
        """What takes no more room than before."""
        return {
            key: text for key, text in self._notes.items() if _growth(self._job, key, text, self._keys) <= 0
        }

    def _leave(self, name: str) -> None:
        key = self._keys.status(name)
        if self.over > 0 and self._growth.get(key, 0) > 0:
            self.over -= self._growth[key]
            del self._notes[key]

    def _take_away(self, name: str) -> None:
        key = self._keys.status(name)
        if self.over > 0 and (there := _there(self._job, key, self._keys)):
            self.over -= there + (self._growth[key] if key in self._notes else 0)
            self._notes[key] = None

    def _leave_history(self) -> None:
        """Whose run the Job is by now is written as a whole, labels and raw ids too, or not at all."""
        if self.over <= 0 or self._keys.status(Status.RUN_HISTORY) not in self._notes:
            return
        ours = self._keys.status_prefix
        foreign = [key for key in self._notes if not key.startswith(ours)]
        for key in (*foreign, self._keys.status(Status.RUN_HISTORY)):
            self.over -= self._growth[key]
            del self._notes[key]
        self._patch = replace(self._patch, labels={})


def _growth(job: Job, key: str, text: str | None, keys: Keys) -> int:
    return (0 if text is None else size(key, text)) - _there(job, key, keys)


def _there(job: Job, key: str, keys: Keys) -> int:
    """Bytes that an annotation of ours has on the object now; nothing is known of others'."""
    ours = key.startswith(keys.status_prefix)
    text = job.status.get(key.removeprefix(keys.status_prefix)) if ours else None
    return 0 if text is None else size(key, text)
