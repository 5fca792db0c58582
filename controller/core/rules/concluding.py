"""Ends a run: once its Job is over and its log is read, terminal phase and result are written, once."""

from dataclasses import replace

from controller.core import admission, attachments, cursor, facts, fitting, lifecycle, result, verdict
from controller.core.actions import Plan, ReadPods, TellJob
from controller.core.contract import TERMINAL, Phase, Status
from controller.core.model import Job, Now
from controller.core.rules import keeping, publishing, retiring
from controller.core.rules.merging import merge
from controller.core.snapshot import Attempt, Policy, Run, Snapshot, Standing
from controller.core.transcript import AttemptLog, LogState


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
    if attempt is not None and (log is None or not log.seen.lines):
        log = cursor.restored(run.job, attempt.uid) or log
    finding = verdict.conclude(run, log)
    extra = {
        Status.RESULT: fitting.fit(result.document(run, known, log, finding)),
        Status.FACTS: facts.encode(known),
    }
    standing = Standing(finding.phase, finding.reason, finding.message)
    patch = publishing.patch(run, standing, now, policy, why="result", extra=extra)
    return Plan((patch, _told(run.job, finding)), marks=_marks(run))


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
