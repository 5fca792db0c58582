"""What must be known for certain before a place is freed, and is asked of the API server itself.

A place is freed on certainty, not on an event: watches lag, and labels get lost.
"""

from typing import Final

from controller.core import admission
from controller.core.actions import ConfirmGone, Plan, ReadPods
from controller.core.model import Now
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot

_AGAIN_SECONDS: Final = 5.0
"""Between two reads of pods that have not ended yet."""


def confirm_ghosts(seen: Snapshot, _now: Now, _policy: Policy) -> Plan:
    """A Job that vanished keeps its place until the cluster says that nothing of it can run."""
    return Plan(tuple(ConfirmGone(ghost.namespace, ghost.name, ghost.uid) for ghost in seen.ghosts))


def confirm_released(seen: Snapshot, now: Now, _policy: Policy) -> Plan:
    """A started Job that was suspended or is being deleted has its pods read before its place is free."""
    return merge(_confirm(seen, run, now) for run in seen.runs if _is_released_by_itself(run))


def _is_released_by_itself(run: Run) -> bool:
    job = run.job
    return job.finished is None and not admission.holds(job) and admission.was_started(job)


def _confirm(seen: Snapshot, run: Run, now: Now) -> Plan:
    """Read until none could still run (contract §4): a pod that a list showed need not be in the watch."""
    mark = admission.release_mark(run.job)
    due = seen.first_seen(mark, now)
    if run.pods_read_at is not None and run.pods_read_since(due):
        if all(pod.ended for pod in run.pods):
            return Plan(marks=(mark,))
        due = run.pods_read_at + _AGAIN_SECONDS
    if now.mono < due:
        return Plan(look_again=due - now.mono, marks=(mark,))
    return Plan((ReadPods(run.job.namespace, run.job.uid),), look_again=_AGAIN_SECONDS, marks=(mark,))
