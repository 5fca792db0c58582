"""The program: changes -> store -> queue; queue -> reconcile -> perform -> one switch on the outcome.

Everything that happens ends as a slot in the queue; everything that is done was asked for by a Plan. The
`match` in `_requeue` is the whole policy on failures, and the only place that has one.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from controller.core.actions import Plan, RefreshJob
from controller.core.model import Job, Now, Pod, Slot, Unreadable
from controller.core.reconcile import reconcile
from controller.core.snapshot import Export, Snapshot
from controller.core.transcript import AttemptLog
from controller.engine.capacity import compete
from controller.engine.parts import Parts, is_fresh
from controller.engine.perform import perform, tell_series
from controller.engine.queue import FRESH, INITIAL
from controller.kube import errors
from controller.kube.informer import Change, Gone, Informer, Synced, Upsert
from controller.kube.lease import LeaseLost

_SLOW_RETRY_SECONDS: Final = 60.0

_OUTCOMES: Final[Mapping[type, str]] = {
    type(None): "done",
    errors.NotFound: "not_found",
    errors.Conflict: "conflict",
    errors.AlreadyExists: "conflict",
    errors.Throttled: "throttled",
    errors.Refused: "refused",
    errors.TooLarge: "refused",
    errors.Unavailable: "unavailable",
    errors.Expired: "unavailable",
}


# ── Changes in ───────────────────────────────────────────────────────────────────────────────────


async def feed(parts: Parts, informer: Informer[Job] | Informer[Pod]) -> None:
    """What one informer sees goes into the store, and the slots it touches into the queue. Never ends."""
    async for changes in informer.changes():
        for change in changes:
            initial = isinstance(change, Synced) or (isinstance(change, Upsert) and change.initial)
            priority = INITIAL if initial else FRESH
            for slot in _take(parts, change):
                if not initial:
                    parts.arrived.setdefault(slot, parts.now().mono)
                parts.queue.add(slot, priority)
        await asyncio.sleep(0)  # a long list must not keep the others waiting


def _take(parts: Parts, change: Change[Job] | Change[Pod]) -> set[Slot]:
    match change:
        case Upsert(object=found):
            return _put(parts, found)
        case Gone(object=Job() as job):
            return parts.store.drop_job(job)
        case Gone(object=Pod() as pod):
            return parts.store.drop_pod(pod)
        case Gone(object=Unreadable()):
            return set()
        case _:
            return _synced(parts)


def _synced(parts: Parts) -> set[Slot]:
    """One cache is complete. When all are, what waited for that may go on."""
    if not all(informer.synced for informer in parts.informers):
        return set()
    parts.synced.set()
    return set(parts.store.slots())


def _put(parts: Parts, found: Job | Pod | Unreadable) -> set[Slot]:
    if isinstance(found, Pod):
        return parts.store.put_pod(found)
    if isinstance(found, Unreadable):
        parts.observer.unreadable(found)
        return set()
    known = parts.store.job(found.uid)
    if found.oddities and (known is None or known.oddities != found.oddities):
        parts.observer.odd(found)
    return parts.store.put_job(found)


def log_news(parts: Parts, job_uid: str, log: AttemptLog) -> None:
    """A log says something new."""
    for slot in parts.store.put_log(job_uid, log):
        parts.queue.add(slot)


def export_news(parts: Parts, job_uid: str, state: Export) -> None:
    """The exporter is done with a trace."""
    for slot in parts.store.put_export(job_uid, state):
        parts.queue.add(slot)


async def watch_freshness(parts: Parts, period: float = 1.0) -> None:
    """When the caches become trustworthy again, every slot is looked at: waits may be over. Never ends."""
    fresh = is_fresh(parts)
    while True:
        await asyncio.sleep(period)
        before, fresh = fresh, is_fresh(parts)
        if fresh and not before:
            for slot in parts.store.slots():
                parts.queue.add(slot, INITIAL)


async def keep_series(parts: Parts, period: float = 15.0) -> None:
    """What was told again is written down, though not each time. Never ends."""
    while True:
        await asyncio.sleep(period)
        await tell_series(parts)


# ── Work out ─────────────────────────────────────────────────────────────────────────────────────


async def work(parts: Parts) -> None:
    """One worker: the next slot, its plan, the plan's actions, and what follows from their outcome."""
    while True:
        slot = await parts.queue.get()
        began = parts.now().mono
        arrived = parts.arrived.pop(slot, None)
        try:
            outcome = await _round(parts, slot)
            ended = parts.now().mono
            parts.observer.reconciled(outcome, ended - began)
            if arrived is not None:
                parts.observer.handled(ended - arrived)
        finally:
            parts.queue.done(slot)


async def _round(parts: Parts, slot: Slot) -> str:
    try:
        plan = _plan(parts, slot)
        worst = await perform(parts, slot, plan)
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 — a poisoned slot is told, backed off, and holds up no other
        return _requeue(parts, slot, error)
    if plan.look_again is not None:
        parts.queue.add_after(slot, plan.look_again)
    if worst is None and any(isinstance(action, RefreshJob) for action in plan.actions):
        return _OUTCOMES[type(None)]  # what failed before has not succeeded yet: its backoff goes on
    return _requeue(parts, slot, worst)


def _plan(parts: Parts, slot: Slot) -> Plan:
    now = parts.now()
    parts.store.wake(slot, now.mono)
    try:
        snapshot = _look(parts, slot, now)
        plan = reconcile(snapshot, now, parts.store.beats.policy)
    except Exception:
        if parts.store.ledger:  # a slot in which nothing can be decided keeps no place from others
            parts.store.ledger.contend(slot, (), 0)
        raise
    if snapshot.fresh and not snapshot.doubts:  # else the plan says nothing about what holds
        parts.store.remember(slot, plan.marks, now.mono)
    _let_rest(parts, slot, plan, now.mono)
    return plan


def _let_rest(parts: Parts, slot: Slot, plan: Plan, mono: float) -> None:
    """Runs that need nothing for a while leave the working set; the slot comes again when one is due."""
    busy = {action.job_uid for action in plan.actions}
    for rest in plan.rests:
        if rest.job_uid not in busy:
            parts.store.rest(rest.job_uid, mono + rest.seconds)
    if (ends := parts.store.resting.ends_at(slot)) is not None:
        parts.queue.add_after(slot, ends - mono)


def _look(parts: Parts, slot: Slot, now: Now) -> Snapshot:
    """The slot as it is, with the turns that its runs have got in what companies and cluster have left.

    No `await` stands between the look at what is left and its reservation.
    """
    seen = parts.store.snapshot(slot, fresh=is_fresh(parts), mono=now.mono)
    if not compete(parts.store.ledger, seen, parts.policy):
        return seen
    return parts.store.snapshot(slot, fresh=seen.fresh, mono=now.mono)


async def prime(parts: Parts) -> None:
    """Before anything is decided: all contenders line up, so that a restart does not change their order."""
    if (ledger := parts.store.ledger) is None:
        return
    for slot in parts.store.slots():
        try:
            seen = parts.store.snapshot(slot, fresh=True, mono=parts.now().mono)
            compete(ledger, seen, parts.policy, later=True)
        except Exception as error:  # noqa: BLE001 — as in `_round`: a poisoned slot is told, and no more
            parts.observer.failed(slot, error)
        await asyncio.sleep(0)
    ledger.give_turns()


def _requeue(parts: Parts, slot: Slot, outcome: Exception | None) -> str:
    """What follows from how a round ended: the whole policy, in one place. Says what to call the outcome."""
    queue = parts.queue
    match outcome:
        case None:
            queue.forget(slot)
        case errors.Throttled(after=after):
            queue.add_after(slot, after)
        case errors.Refused():
            queue.add_after(slot, _SLOW_RETRY_SECONDS)
        case errors.KubeError():  # gone, changed meanwhile, or out of reach: look again, later each time
            queue.add_backoff(slot)
        case _:
            parts.observer.failed(slot, outcome)
            queue.add_backoff(slot)
    return _OUTCOMES.get(type(outcome), "failed")
