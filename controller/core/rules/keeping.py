"""How long a Job is kept: a TTL is put aside while its run is not over, and given back once all is safe.

Nothing of ours lets a Job be collected before its result is on it (contract §6). A TTL that somebody sets
after us is not fought: `ttl-set` remembers ours. These patches carry no resourceVersion.
"""

from typing import Final

from controller.core import admission, attachments
from controller.core.actions import PatchJob, Plan
from controller.core.contract import SECOND, TERMINAL, Status, instant, keys_of
from controller.core.model import Job, Now
from controller.core.snapshot import Export, Policy, Run, Snapshot

HOST_TTL_LEAST: Final = 300
"""Seconds that a host has for its result, however short the TTL that it asked for."""
_AGAIN_SECONDS: Final = 60.0
_TTL_MOST: Final = 2**31 - 1
_FIELD: Final = "ttlSecondsAfterFinished"


def put_aside(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A TTL of a run that is not over goes into `host-ttl`: one of 0 deletes right after the Job's end.

    One that is there again, as after a webhook that adds it to every write, is put aside once in a minute.
    """
    endangered = [run.job for run in seen.runs if _is_in_danger(run.job)]
    marks = {
        job.uid: f"ttl:{job.uid}:{int(now.mono // _AGAIN_SECONDS)}" for job in endangered if _is_again(job)
    }
    due = (
        job for job in endangered if job.uid not in marks or seen.first_seen(marks[job.uid], now) >= now.mono
    )
    return Plan(
        tuple(_put_aside(job, policy) for job in due),
        look_again=_AGAIN_SECONDS if marks else None,
        marks=tuple(marks.values()),
    )


def _is_again(job: Job) -> bool:
    return job.status.get(Status.HOST_TTL) == str(job.ttl_seconds)


def _is_in_danger(job: Job) -> bool:
    ours = job.ids.name_a_run or admission.is_waiting(job)
    return ours and job.ttl_seconds is not None and job.phase not in TERMINAL and job.deleted_at is None


def _put_aside(job: Job, policy: Policy) -> PatchJob:
    keys = keys_of(policy.domain)
    # What a copied manifest brought along goes now: else it would be taken for ours, or ours for it.
    notes: dict[str, str | None] = dict.fromkeys(job.leftovers)
    if (found := str(job.ttl_seconds)) != job.status.get(Status.HOST_TTL):
        notes[Status.HOST_TTL] = found
    return PatchJob(
        namespace=job.namespace,
        name=job.name,
        job_uid=job.uid,
        annotations={keys.status(name): text for name, text in notes.items()},
        spec={_FIELD: None},
        why="keep",
    )


def release(seen: Snapshot, _now: Now, policy: Policy) -> Plan:
    """A Job whose result, copies and trace are safe gets its TTL: the host's, or that of the settings."""
    due = (run.job for run in seen.runs if not is_kept_right(run.job, policy) and _is_safe(seen, run, policy))
    return Plan(tuple(_release(job, policy) for job in due))


def is_kept_right(job: Job, policy: Policy) -> bool:
    """The TTL of this Job, if it has ended, is what it shall be, or somebody else's."""
    if job.phase not in TERMINAL or job.finished is None or job.deleted_at is not None:
        return True
    ours = _seconds(job.status.get(Status.TTL_SET))
    return job.ttl_seconds != ours or ours == _wanted(job, policy)


def trace_is_safe(run: Run, policy: Policy) -> bool:
    """Nothing more will be written about the trace of this run."""
    traced = Status.TRACE_EXPORTED in run.job.status or run.export is Export.GIVEN_UP
    return traced or not policy.tracing


def seconds(job: Job, policy: Policy) -> int:
    """How long this Job is kept once its result is on it."""
    host = _seconds(job.status.get(Status.HOST_TTL))
    kept = policy.retention_seconds if host is None else max(host, HOST_TTL_LEAST)
    return min(kept, policy.acknowledged_retention_seconds) if job.wishes.acknowledged else kept


def _wanted(job: Job, policy: Policy) -> int | None:
    """Kubernetes counts from the Job's end, a host from its result: what lies between is added."""
    if job.wishes.retain or job.finished is None:
        return None
    ended, told = job.finished.at, instant(job.status.get(Status.SINCE, ""))
    late = 0 if ended is None or told is None else max(0, -((ended - told) // SECOND))
    return min(seconds(job, policy) + late, _TTL_MOST)


def _is_safe(seen: Snapshot, run: Run, policy: Policy) -> bool:
    if Status.RESULT not in run.job.status:
        return False
    waits = run.attached or attachments.attached_to(seen, run.job.uid)
    return not waits and (trace_is_safe(run, policy) or run.export is Export.ACCEPTED)


def _release(job: Job, policy: Policy) -> PatchJob:
    wanted = _wanted(job, policy)
    noted = {keys_of(policy.domain).status(Status.TTL_SET): None if wanted is None else str(wanted)}
    return PatchJob(job.namespace, job.name, job.uid, annotations=noted, spec={_FIELD: wanted}, why="release")


def _seconds(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None
