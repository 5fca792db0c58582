"""Ends a run: once its Job is over and its log is read, terminal phase and result are written, once.

What the annotation has no room for is put where it has before that; but no run waits for ever for its whole
result to be taken in.
"""

from dataclasses import replace
from typing import Final

from controller.core import (
    admission,
    attachments,
    contract,
    cursor,
    facts,
    fitting,
    lifecycle,
    result,
    tallying,
    verdict,
)
from controller.core.actions import PatchJob, Plan, ReadPods, StoreResult, TellJob
from controller.core.contract import TERMINAL, Phase, Status, keys_of
from controller.core.model import Job, Now
from controller.core.rules import keeping, publishing, retiring
from controller.core.rules.merging import merge
from controller.core.snapshot import Attempt, Policy, Run, Snapshot, Standing
from controller.core.spans import telling
from controller.core.transcript import AttemptLog, LogState

STORE_SECONDS: Final = 120.0
"""So long a ConfigMap that fails is waited for, by the monotonic clock."""
_GIVEN_UP_SECONDS: Final = 60.0
"""So long after a further failure the result is written without: if that fails too, it is the API server."""


def conclude(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Every run whose Job is over gets phase and result as soon as its log is read, or given up on."""
    return merge(_conclude(seen, run, now, policy) for run in seen.runs if is_over(run))


def is_settled(run: Run, policy: Policy) -> bool:
    """Nothing more will be written about this run unless it changes: result, trace and TTL are in order.

    The result is on every run that continues on it as well. A Job that never ran is only settled if it is
    never to be retired: until then it rests (`retiring`).
    """
    job = run.job
    if job.phase not in TERMINAL or Status.RESULT not in job.status:
        return False
    if admission.holds(job) or run.attached or not keeping.is_kept_right(job, policy):
        return False
    if retiring.never_ran(run) and not retiring.is_kept(job):
        return False
    return keeping.trace_is_safe(run, policy) and all(pod.ended for pod in run.pods)


def is_over(run: Run) -> bool:
    """No pod of this run will run again, and we have not concluded it yet."""
    job = run.job
    over = job.finished is not None or _is_deleted(run)
    if attachments.is_attached(job):
        return False  # its end is that of the Job that it continues on
    return job.ids.name_a_run and over and job.phase not in TERMINAL


def _is_deleted(run: Run) -> bool:
    """Deleted and held by somebody's finalizer: Kubernetes never sets a condition on it (contract §3)."""
    return run.job.deleted_at is not None and all(pod.ended for pod in run.pods)


def awaited(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan | None:
    """What a run that is over waits for: certainty about its pods, its log. None: it can be concluded."""
    attempt = lifecycle.decisive(facts.gather(run), lifecycle.agent_container(run.job))
    if not run.pods_read_since(seen.first_seen(_over_mark(run), now)) and _looks_unfinished(run, attempt):
        return Plan((ReadPods(run.job.namespace, run.job.uid),), marks=_marks(run))
    if not lifecycle.unread(run, run.log(attempt.uid) if attempt else None):
        return None
    left = policy.log_drain_seconds - (now.mono - seen.first_seen(_drain_mark(run), now))
    return Plan(look_again=left, marks=_marks(run)) if left > 0 else None


def _over_mark(run: Run) -> str:
    return f"over:{run.job.uid}"


def _drain_mark(run: Run) -> str:
    return f"drain:{run.job.uid}"


def _marks(run: Run) -> tuple[str, ...]:
    """Named until the run is concluded: a write that fails must not begin the waiting anew."""
    return _over_mark(run), _drain_mark(run)


def _conclude(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    if (waits := awaited(seen, run, now, policy)) is not None:
        return waits
    known = facts.gather(run)
    attempt = lifecycle.decisive(known, lifecycle.agent_container(run.job))
    log = run.log(attempt.uid) if attempt else None
    if lifecycle.unread(run, log):
        log = _given_up(log)
    if attempt is not None and cursor.knows_more(run.job, attempt.uid, log):
        log = cursor.restored(run.job, attempt.uid)
    finding = verdict.conclude(run, log)
    ended = result.document(run, known, log, finding)
    standing = Standing(finding.phase, finding.reason, finding.message)
    lasting = facts.encode(replace(known, logs=telling.extent(run.logs)))
    extra = {Status.FACTS: lasting, Status.RESULT_REF: f"configmap/{_store_name(run.job)}"}
    patch = publishing.patch(run, standing, now, policy, why="result", extra=extra, ended=ended)
    patch = replace(patch, tally=tallying.of(run, known, log))
    actions = (*_kept(run, patch, ended, now, policy), _told(run.job, finding))
    return Plan(actions, marks=_marks(run))


def _kept(
    run: Run, patch: PatchJob, ended: result.Result, now: Now, policy: Policy
) -> tuple[StoreResult | PatchJob | TellJob, ...]:
    """The terminal patch, and before it what keeps the whole of a result that had to be cut for it."""
    job, keys, whole = run.job, keys_of(policy.domain), fitting.whole(ended)
    ref = keys.status(Status.RESULT_REF)
    alone = replace(patch, annotations={key: text for key, text in patch.annotations.items() if key != ref})
    if patch.annotations.get(keys.status(Status.RESULT)) in (None, whole):
        return (alone,)
    if (why := _unkept(run, now)) is not None:
        said = f"What did not fit into {keys.status(Status.RESULT)} is not kept with this run: {why}"
        return TellJob(job.namespace, job.name, job.uid, "ResultCut", said, warning=True), alone
    labels = {keys.run_id: job.ids.run, keys.agent_id: job.ids.agent}
    digest = contract.sha256(whole.encode())
    store = StoreResult(job.namespace, _store_name(job), job.name, job.uid, whole, digest, labels)
    return store, patch


def _store_name(job: Job) -> str:
    return f"run-{job.uid}"


def _unkept(run: Run, now: Now) -> str | None:
    """Why the whole of the result will not be kept; None if it may be."""
    found = run.unkept
    if found is None:
        return None
    given_up = found.at >= found.since + STORE_SECONDS and now.mono < found.at + _GIVEN_UP_SECONDS
    return found.why if found.final or given_up else None


def _told(job: Job, finding: verdict.Finding) -> TellJob:
    note = f"{finding.phase}/{finding.reason}: {finding.message}"
    warning = finding.phase is not Phase.SUCCEEDED
    return TellJob(job.namespace, job.name, job.uid, "ResultRecorded", note, warning=warning)


def _looks_unfinished(run: Run, attempt: Attempt | None) -> bool:
    """What is known of the pods does not fit a Job that is over: their watch may lag behind that of Jobs."""
    job = run.job
    if attempt is None or job.finished is None or any(not pod.ended for pod in run.pods):
        return True
    container = lifecycle.agent_in(attempt, lifecycle.agent_container(job))
    if container is None or container.exit_code is None:
        return True
    if len(facts.gather(run).attempts) < job.failed + job.succeeded:
        return True
    return job.condition("Complete") is not None and container.exit_code != 0


def _given_up(log: AttemptLog | None) -> AttemptLog | None:
    """A log that could not be read to its end in time: honest about what is missing of it."""
    if log is None:
        return None
    return replace(log, state=LogState.TRUNCATED if log.seen.lines else LogState.MISSING)
