"""When a run's trace is handed over, and when its acceptance is written down. `spans` builds it."""

from dataclasses import replace

from controller.core import facts
from controller.core.actions import CloseVanished, ExportTrace, PatchJob, Plan, TellJob
from controller.core.contract import TERMINAL, Phase, Reason, Status, keys_of, rfc3339
from controller.core.model import Now
from controller.core.rules import following, telling
from controller.core.rules.merging import merge
from controller.core.snapshot import Export, Policy, Run, Snapshot
from controller.core.spans import tree
from controller.core.transcript import LogState


def export(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A concluded run whose logs have all been read hands its whole trace over, once."""
    return merge(_export(seen, run, now, policy) for run in seen.runs if _is_due(run, policy))


def _export(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    mark = f"trace:{run.job.uid}"
    left = policy.log_drain_seconds - (now.mono - seen.first_seen(mark, now))
    if left > 0 and not _logs_are_read(run, policy):
        return Plan(look_again=left, marks=(mark,))
    known = facts.decode(run.job.status.get(Status.FACTS, ""))
    return Plan(
        (ExportTrace(run.job.uid, telling.untold(run, tree.build(run, known, policy))),), marks=(mark,)
    )


def _is_due(run: Run, policy: Policy) -> bool:
    concluded = run.job.phase in TERMINAL and Status.RESULT in run.job.status
    unsent = Status.TRACE_EXPORTED not in run.job.status and run.export is Export.NONE
    return policy.tracing and concluded and unsent


def _logs_are_read(run: Run, policy: Policy) -> bool:
    """No log is being read, and none of a pod that is still there remains to be asked for."""
    return not following.is_unasked(run, policy) and all(
        log.state is not LogState.READING for log in run.logs
    )


def record(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """`trace-exported` is written only after the collector accepted the trace."""
    keys = keys_of(policy.domain)
    actions: list[PatchJob | TellJob] = []
    for run in seen.runs:
        job = run.job
        if run.export is not Export.ACCEPTED or Status.TRACE_EXPORTED in job.status:
            continue
        at = {keys.status(Status.TRACE_EXPORTED): rfc3339(now.wall)}
        actions.append(PatchJob(job.namespace, job.name, job.uid, annotations=at, why="trace"))
        told = f"Trace {job.uid.replace('-', '')} was accepted by the collector."
        actions.append(TellJob(job.namespace, job.name, job.uid, "TraceExported", told))
    return Plan(tuple(actions))


def close_vanished(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A run whose Job was deleted in mid-run is told where its Job can't: Event, metric, trace."""
    return merge(_close(run, now, policy) for run in seen.vanished)


def _close(run: Run, now: Now, policy: Policy) -> Plan:
    job = run.job
    ended = {
        Status.PHASE: Phase.CANCELLED,
        Status.REASON: Reason.JOB_DELETED,
        Status.SINCE: rfc3339(now.wall),
    }
    closed = replace(run, job=replace(job, status={**job.status, **ended}))
    built = tree.build(closed, facts.gather(run), policy) if policy.tracing else None
    rest = telling.untold(run, built) if built else None
    said = "The Job was deleted before its run had ended: its result can't be kept."
    told = TellJob(job.namespace, job.name, job.uid, Reason.JOB_DELETED, said, warning=True)
    return Plan((told, CloseVanished(job.uid, rest)))
