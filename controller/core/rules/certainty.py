"""What must be known for certain before a place is freed, and is asked of the API server itself.

A place is freed on certainty, not on an event: watches lag, and labels get lost.
"""

from controller.core import admission
from controller.core.actions import ConfirmGone, Plan, ReadPods
from controller.core.model import Now
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot


def confirm_ghosts(seen: Snapshot, _now: Now, _policy: Policy) -> Plan:
    """A Job that vanished keeps its place until the cluster says that nothing of it can run."""
    return Plan(tuple(ConfirmGone(*ghost) for ghost in seen.ghosts))


def confirm_released(seen: Snapshot, now: Now, _policy: Policy) -> Plan:
    """A started Job that was suspended or is being deleted has its pods read before its place is free."""
    return merge(_confirm(seen, run, now) for run in seen.runs if _is_released_by_itself(run))


def _is_released_by_itself(run: Run) -> bool:
    job = run.job
    return job.finished is None and not admission.holds(job) and admission.was_started(job)


def _confirm(seen: Snapshot, run: Run, now: Now) -> Plan:
    mark = admission.release_mark(run.job)
    certain = run.pods_read_since(seen.first_seen(mark, now))
    return Plan(() if certain else (ReadPods(run.job.namespace, run.job.uid),), marks=(mark,))
