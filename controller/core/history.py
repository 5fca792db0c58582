"""Which runs a Job has served: the one it was submitted with, and those that have continued on it.

Owns the encoding of `status.D/run-history`. It keeps what was there, and adds; labels are `relabelling`'s.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from controller.core import orphans
from controller.core.contract import Status, rfc3339, sanitise
from controller.core.model import Ids, Job

ENTRIES_MAX: Final = 20
SIZE_MAX: Final = 8 * 1024
"""Bytes of `status.D/run-history`; only ids of foreign characters come near."""


class _Entry(msgspec.Struct, omit_defaults=True, rename="camel"):
    run_id: str = ""
    since: str = msgspec.field(name="from", default="")
    to: str = ""
    raw: bool = False


_ENTRIES: Final = msgspec.json.Decoder(list[_Entry])


class Served(NamedTuple):
    """One run of a Job's history. Instants in RFC 3339; the one that it serves now has no `to`."""

    ids: Ids
    since: str
    to: str = ""


def runs(job: Job) -> tuple[Served, ...]:
    """The history written on the Job, oldest first; empty if it has only served its own run."""
    return _decode(job.status.get(Status.RUN_HISTORY, ""))


def told(job: Job) -> tuple[Served, ...]:
    """The same with the run that it was submitted with, if it tells of no other."""
    return runs(job) or (Served(submitted(job), rfc3339(job.created_at)),)


def serves(job: Job, ids: Ids) -> bool:
    """Whether the Job serves that run now, or has served it."""
    if ids.same("run", job.ids):
        return True
    if Status.RUN_HISTORY in job.status:
        return any(ids.same("run", served.ids) for served in told(job))
    return not _is_as_submitted(job) and ids.same("run", submitted(job))


def submitted(job: Job) -> Ids:
    """The run id that this Job was submitted with, whatever it is labelled with now; nothing but the run id.

    The record of its admission says it; else its pod template, whose labels can't be changed any more.
    """
    decision = orphans.read(job.status.get(Status.DECISION, ""))
    if decision is not None and decision.ids.run:
        return run_of(decision.ids)
    candidates = [*(served.ids for served in runs(job)), run_of(job.ids)]
    if not (label := _template_run(job)):
        return candidates[0]
    return next((ids for ids in candidates if ids.run == label), Ids(run=label))


def asked_session(job: Job) -> str:
    """The session that this Job was asked to resume when it was submitted; empty if to begin a new one.

    Its label may have become that of a run which continues on it.
    """
    decision = orphans.read(job.status.get(Status.DECISION, ""))
    if decision is not None and decision.ids.run:
        return decision.ids.session
    if Status.RUN_HISTORY not in job.status:
        return job.ids.session
    return next((value for key, value in job.template_labels if key.endswith("/session-id")), "")


def lacking(job: Job, attached: Sequence[Job]) -> tuple[Job, ...]:
    """Of the runs that continue on this Job (oldest first), those that its history does not tell of yet.

    Where the oldest entries had to leave, a run that is older than one of the history has been in it.
    """
    if not attached:
        return ()
    known = told(job)
    new = [run for run in attached if not any(run.ids.same("run", served.ids) for served in known)]
    if len(known) < ENTRIES_MAX and _size(known) < SIZE_MAX // 2:
        return tuple(new)
    applied = [run for run in attached if run not in new]
    last = max(((run.created_at, run.name) for run in applied), default=(0, ""))
    return tuple(run for run in new if (run.created_at, run.name) > last)


def grown(job: Job, new: Sequence[Job], at: int) -> str | None:
    """The history with what has come since: a run id that others have set, then new runs. None: nothing."""
    if not new and Status.RUN_HISTORY not in job.status and _is_as_submitted(job):
        return None
    before = told(job)
    found = list(before)
    for ids in (job.ids, *(run.ids for run in new)):
        if not found[-1].ids.same("run", ids):
            found[-1] = found[-1]._replace(to=found[-1].to or rfc3339(at))
            found.append(Served(run_of(ids), rfc3339(at)))
    return _encode(found) if len(found) > len(before) else None


def _is_as_submitted(job: Job) -> bool:
    """For certain, and cheaply: it is asked of every Job in every plan."""
    decision = orphans.read(job.status.get(Status.DECISION, ""))
    if decision is not None and decision.run.run_id:
        return decision.run.run_id == job.ids.best("run")
    return _template_run(job) in ("", job.ids.run)


def _template_run(job: Job) -> str:
    return next((value for key, value in job.template_labels if key.endswith("/run-id")), "")


def run_of(ids: Ids) -> Ids:
    """The run id alone."""
    return Ids(run=ids.run, raw=tuple(pair for pair in ids.raw if pair[0] == "run"))


def _encode(found: Sequence[Served]) -> str:
    kept = list(found[-ENTRIES_MAX:])
    while len(kept) > 1 and _size(kept) > SIZE_MAX:
        del kept[0]
    return _text(kept).decode()


def _size(found: Sequence[Served]) -> int:
    return len(_text(found))


def _text(found: Sequence[Served]) -> bytes:
    entries = [_Entry(s.ids.best("run"), s.since, s.to, raw=bool(s.ids.raw)) for s in found]
    return msgspec.json.encode(entries)


@lru_cache(maxsize=256)
def _decode(text: str) -> tuple[Served, ...]:
    try:
        found = _ENTRIES.decode(text) if text else []
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return ()
    return tuple(Served(_ids(entry), entry.since, entry.to) for entry in found)


def _ids(entry: _Entry) -> Ids:
    if not entry.raw:
        return Ids(run=entry.run_id)
    return Ids(run=sanitise(entry.run_id), raw=(("run", entry.run_id),))
