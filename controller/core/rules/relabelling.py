"""What a Job says of the runs that it serves: its labels and history, and the labels of its pods.

Follows from what is written on the runs that continue on it, also after it has ended; each is applied once.
A run id that others change is written down, never fought. A failure here changes no verdict.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from controller.core import attachments, history
from controller.core.actions import PatchJob, PatchPod, Plan
from controller.core.admission import is_waiting
from controller.core.contract import Phase, Status, keys_of
from controller.core.model import Ids, Job, Now
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot

_REFUSED_AGAIN_SECONDS: Final = 60.0


def relabel(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A Job that another run continues on gets that run's ids, with its pods; what others did is recorded."""
    attached = attachments.reattached(seen)
    runs = (run for run in seen.runs if _serves(run.job))
    return merge(_relabel(seen, run, attached.get(run.job.uid, ()), now, policy) for run in runs)


def _serves(job: Job) -> bool:
    return (
        job.ids.name_a_run
        and not is_waiting(job)
        and job.phase is not Phase.REJECTED
        and not attachments.was_attached(job)
    )


def is_due(seen: Snapshot, on_uid: str, job: Job) -> bool:
    """The Job of that uid is still to be told that this attached run continues on it."""
    if on_uid in seen.labels_refused:
        return False
    found = next((run.job for run in seen.runs if run.job.uid == on_uid), None)
    if found is None or not _serves(found):
        return False
    return job in history.lacking(found, attachments.reattached(seen).get(on_uid, ()))


def _relabel(seen: Snapshot, run: Run, attached: Sequence[Job], now: Now, policy: Policy) -> Plan:
    job = run.job
    new = history.lacking(job, attached)
    grown = history.grown(job, new, now.wall)
    if grown is None:
        return _relabel_pods(seen, run, attached, policy)
    if job.uid in seen.labels_refused:
        return Plan(look_again=_REFUSED_AGAIN_SECONDS)
    labels, raw = _identity(new[-1].ids, policy) if new else ({}, {})
    annotations = {**raw, keys_of(policy.domain).status(Status.RUN_HISTORY): grown}
    patch = PatchJob(
        job.namespace,
        job.name,
        job.uid,
        job.version,
        annotations=annotations,
        labels=labels,
        why="relabel",
    )
    return Plan((patch,))


def _identity(ids: Ids, policy: Policy) -> tuple[dict[str, str], dict[str, str | None]]:
    """Labels and raw ids of a run; a session that it does not ask for stays what it was."""
    keys, raw = keys_of(policy.domain), dict(ids.raw)
    names = {"run": keys.run_id} | ({"session": keys.session_id} if ids.session else {})
    labels = {key: str(getattr(ids, name)) for name, key in names.items()}
    return labels, {key: raw.get(name) for name, key in names.items()}


def _relabel_pods(seen: Snapshot, run: Run, attached: Iterable[Job], policy: Policy) -> Plan:
    """Pods follow their Job, if it was us who changed its labels; so does a further attempt's."""
    job = run.job
    if not any(other.ids.same("run", job.ids) for other in attached):
        return Plan()
    labels, raw = _identity(job.ids, policy)
    wrong = [pod for pod in run.pods if pod.run_id != job.ids.run]
    refused = any(pod.uid in seen.refused for pod in wrong)
    patches = (
        PatchPod(pod.namespace, pod.name, pod.uid, job.uid, labels, raw, why="relabel")
        for pod in wrong
        if pod.uid not in seen.refused
    )
    return Plan(tuple(patches), look_again=_REFUSED_AGAIN_SECONDS if refused else None)
