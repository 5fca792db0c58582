"""What a cancel does to a run that has no pod of its own: it ends at once, and is never started.

Which is a run that waits, and one that is attached to another's Job while a later one is attached to it too.
A cancel of what runs is a stop: `stopping` has it.
"""

from controller.core import admission, attachments, result
from controller.core.actions import Plan, TellJob
from controller.core.contract import TERMINAL, Phase, Reason
from controller.core.model import Job, Now
from controller.core.rules import publishing
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot, Standing
from controller.core.verdict import cancel_said


def cancel_waiting(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A run that waits and that its host wants no more is over: nobody can start it any more."""
    return merge(_end(run, now, policy) for run in seen.runs if _is_unwanted(run.job))


def _is_unwanted(job: Job) -> bool:
    return bool(job.wishes.cancel_requested) and admission.is_waiting(job) and not admission.problem(job)


def end_attachments(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """An attached run that is cancelled ends by itself while a later one needs the same Job (contract §4).

    So does one whose Job is nowhere to be seen: there is nothing that could be stopped.
    """
    live = [run.job for run in seen.runs if run.job.phase not in TERMINAL and run.job.finished is None]
    earlier = [run for job in live for run in attachments.attached_to(seen, job.uid)[:-1]]
    lost = [run for run in seen.runs if attachments.is_attached(run.job) and _is_alone(seen, run.job)]
    return merge(_end(run, now, policy) for run in (*earlier, *lost) if run.job.wishes.cancel_requested)


def _is_alone(seen: Snapshot, job: Job) -> bool:
    on = attachments.target(job)
    if on is None or attachments.known(seen, on.uid) is not None:
        return False
    return all(ghost.uid != on.uid for ghost in seen.ghosts)


def _end(run: Run, now: Now, policy: Policy) -> Plan:
    job, said = run.job, cancel_said(run.job.wishes.cancel_requested)
    ended = result.cancelled(job, said, attached=job.phase is Phase.ATTACHED)
    standing = Standing(Phase.CANCELLED, Reason.CANCELLED_BY_HOST, said)
    patch = publishing.closing(run, standing, now, policy, why="cancel", ended=ended)
    return Plan((patch, TellJob(job.namespace, job.name, job.uid, "Cancelled", said)))
