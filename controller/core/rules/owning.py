"""A run's Secrets and ConfigMaps: each is asked for until it has answered; who lacks one is turned away.

What the answers mean for a start is `ownership`'s word, which `admission` asks too.
"""

from collections.abc import Iterator

from controller.core import admission, history, ownership, result
from controller.core.actions import OwnObject, Plan, TellJob
from controller.core.contract import TERMINAL, ErrorCode, Phase, Reason
from controller.core.model import Job, Now, Owned
from controller.core.rules import publishing
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot, Standing


def own_objects(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Every object that belongs to a run is looked for, and owned by its Job if it is this run's."""
    return merge(_own(run, now, policy) for run in seen.runs if _is_owner(run.job))


def reject_missing(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A waiting run whose object is still not there after startTimeout gets phase and result."""
    return merge(_judge(seen, run, now, policy) for run in seen.runs if _is_gated(run))


def _is_owner(job: Job) -> bool:
    """Whether its uid may stand on objects: a Job that is going must not be named by one that stays."""
    return job.ids.name_a_run and job.deleted_at is None and job.phase not in TERMINAL


def _is_gated(run: Run) -> bool:
    job = run.job
    wanted = not job.wishes.cancel_requested and not admission.problem(job)
    return bool(job.owned) and wanted and admission.is_waiting(job)


def _own(run: Run, now: Now, policy: Policy) -> Plan:
    due = list(_due(run, now, policy))
    asked = tuple(_question(run.job, owned) for owned, left in due if left <= 0)
    waits = [left for _, left in due if left > 0]
    return Plan(asked, look_again=min(waits, default=None))


def _due(run: Run, now: Now, policy: Policy) -> Iterator[tuple[Owned, float]]:
    """The objects that are to be asked for, and in how many seconds."""
    gated = admission.is_waiting(run.job)
    for owned in ownership.of(run.job, policy):
        answer = run.owned.get(owned)
        if answer is None:
            yield owned, 0.0
        elif answer.ownership not in ownership.SETTLED:
            yield owned, answer.at + ownership.pause(answer, gated=gated) - now.mono


def _question(job: Job, owned: Owned) -> OwnObject:
    """The object says whose it is by the run that its Job was submitted with, not by a later one."""
    run_id = job.ids.run if admission.is_waiting(job) else history.submitted(job).run
    return OwnObject(job.namespace, owned.kind, owned.name, job.name, job.uid, run_id)


def _judge(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    if not (lacking := ownership.missing(run, policy)):
        return Plan()
    mark = f"missing:{run.job.uid}"
    due = seen.first_seen(mark, now) + policy.start_timeout_seconds
    if now.mono < due:
        return Plan(look_again=due - now.mono, marks=(mark,))
    if all(run.owned[owned].at < due for owned in lacking):
        # Answers of before the time ran out: it may have come since. Asked once more, and then it counts.
        return Plan(tuple(_question(run.job, owned) for owned in lacking), marks=(mark,))
    if not _is_still_waited_for(seen, run, policy):
        return Plan(marks=(mark,))
    return merge((_reject(run, now, policy), Plan(marks=(mark,))))


def _is_still_waited_for(seen: Snapshot, run: Run, policy: Policy) -> bool:
    """Nothing else becomes of it: the work may be done by another Job by now."""
    verdict = admission.decide(seen, policy).get(run.job.uid)
    return verdict is None or verdict.phase is Phase.QUEUED


def _reject(run: Run, now: Now, policy: Policy) -> Plan:
    job, said = run.job, ownership.rejection(run, policy)
    ended = result.rejected(job, Reason.OBJECT_MISSING, said, ErrorCode.ADAPTER_FAILED)
    standing = Standing(Phase.REJECTED, Reason.OBJECT_MISSING, said)
    patch = publishing.closing(run, standing, now, policy, why="reject", ended=ended)
    return Plan((patch, TellJob(job.namespace, job.name, job.uid, "Rejected", said, warning=True)))
