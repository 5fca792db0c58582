"""Runs that continue on another Job: how they are attached, what they show meanwhile, and how they end.

The run's own patch is the commit point. Whatever follows is decided anew each time from what is written on
both Jobs. It never writes on the Job that does the work: that is `relabelling`'s.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from controller.core import admission, attachments, orphans, result, room
from controller.core.actions import Plan, ReadResult, TellJob, answer_mark
from controller.core.attachments import Target
from controller.core.contract import TERMINAL, ErrorCode, Phase, Reason, Status
from controller.core.model import Job, Now
from controller.core.result import Result
from controller.core.rules import publishing, relabelling
from controller.core.rules.merging import merge
from controller.core.snapshot import Answer, Policy, Run, Snapshot, Standing
from controller.core.spans import ids

_UNSEEN_AGAIN_SECONDS: Final = 60.0
"""Between two looks at a Job that exists but is not in the caches: it has lost the labels we watch by."""
_UNFINISHED_AGAIN_SECONDS: Final = 2.0
"""After an answer that is older than what is known already."""

_COPIED: Final = (Status.SESSION_ID, Status.MODEL, Status.RESULT_REF)
"""The whole of a result is kept once, and goes with the Job that did the work."""


class _Ending(NamedTuple):
    """How an attached run ends. `told`: what else its Job said that the run's host wants to know."""

    standing: Standing
    result: Result
    told: Mapping[str, str] = {}


def attach(seen: Snapshot, run: Run, verdict: admission.Verdict, now: Now, policy: Policy) -> Plan:
    """A waiting run that is the same as, or the continuation of, one that has a Job is attached to that."""
    ruling = verdict.ruling
    if ruling is None or (other := ruling.other) is None:
        return Plan()
    on = attachments.known(seen, other.uid)
    conflict = admission.on_conflict(run.job, policy)
    decision = orphans.record(run.job.ids, ruling, conflict, now.wall, _own_trace(on))
    extra = {
        Status.ATTACHED_TO: f"{other.name}/{other.uid}",
        Status.ATTACHED_PHASE: on.phase if on else None,
        Status.DECISION: decision,
    }
    patch = publishing.patch(run, verdict, now, policy, why="attach", extra=extra, spec={"parallelism": 0})
    job = run.job
    return Plan((patch, TellJob(job.namespace, job.name, job.uid, "Attached", verdict.message)))


def _own_trace(on: Job | None) -> str:
    """The trace id of the Job that does the work, if it does not follow from its uid."""
    traced = on.status.get(Status.TRACE_ID, "") if on else ""
    return "" if on is None or traced == ids.of_trace(on.uid) else traced


def accompany(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """An attached run shows the phase of the Job that does its work, and ends as that one does."""
    attached = ((run, attachments.target(run.job)) for run in seen.runs if attachments.is_attached(run.job))
    return merge(_accompany(seen, run, on, now, policy) for run, on in attached if on)


def _accompany(seen: Snapshot, run: Run, on: Target, now: Now, policy: Policy) -> Plan:
    job = attachments.known(seen, on.uid)
    if job is None:
        return _unseen(seen, run, on, now, policy)
    if not _has_result(job):
        return _mirror(run, job, now, policy)
    if relabelling.is_due(seen, on.uid, run.job) and room.full(on.uid) not in seen.since:
        # First its Job is told, and the answer to that comes back here. Its result is read all the same: the
        # Job may be deleted meanwhile.
        return Plan(marks=(answer_mark(on.uid),)) if on.uid in seen.answers else _ask(run, on)
    return _take(seen, run, on, now, policy)


def _has_result(job: Job) -> bool:
    return job.phase in TERMINAL and Status.RESULT in job.status


def _mirror(run: Run, job: Job, now: Now, policy: Policy) -> Plan:
    if job.phase is None or run.job.status.get(Status.ATTACHED_PHASE) == job.phase:
        return Plan()
    extra = {Status.ATTACHED_PHASE: job.phase}
    return Plan((publishing.patch(run, _standing(run.job), now, policy, why="mirror", extra=extra),))


def _standing(job: Job) -> Standing:
    """Where it stands already."""
    reasons = {str(reason): reason for reason in (Reason.REATTACHED, Reason.DUPLICATE_RUN)}
    reason = reasons.get(job.status.get(Status.REASON, ""), Reason.REATTACHED)
    return Standing(Phase.ATTACHED, reason, job.status.get(Status.MESSAGE, ""))


def _take(seen: Snapshot, run: Run, on: Target, now: Now, policy: Policy) -> Plan:
    """The result's text is kept nowhere: it is read when it is needed."""
    answer = seen.answers.get(on.uid)
    if answer is None:
        return _ask(run, on)
    if answer.job is None:
        return _end_without(run, on, now, policy)
    if _has_result(answer.job) and answer.result:
        return _end(run, on, answer, now, policy)
    return _ask_again(run, on, answer, now, _UNFINISHED_AGAIN_SECONDS)


def _unseen(seen: Snapshot, run: Run, on: Target, now: Now, policy: Policy) -> Plan:
    """The Job is not in the caches: deleted, perhaps, or it has lost its labels. Only a read can tell."""
    if any(ghost.uid == on.uid for ghost in seen.ghosts):
        return Plan()
    if any(pod.job_uid == on.uid and not pod.ended for pod in seen.strays):
        return Plan()
    answer = seen.answers.get(on.uid)
    if answer is None or answer.job is None or _has_result(answer.job):
        return _take(seen, run, on, now, policy)
    if answer.job.finished is not None:
        return _wait_for_result(seen, run, on, now, policy)
    again = _ask_again(run, on, answer, now, _UNSEEN_AGAIN_SECONDS)
    return merge((_mirror(run, answer.job, now, policy), again))


def _wait_for_result(seen: Snapshot, run: Run, on: Target, now: Now, policy: Policy) -> Plan:
    """It has ended where nobody watches it: a result will hardly come, and is waited for within bounds."""
    mark = f"unseen:{run.job.uid}"
    if now.mono < seen.first_seen(mark, now) + policy.start_timeout_seconds:
        again = _ask_again(run, on, seen.answers[on.uid], now, _UNSEEN_AGAIN_SECONDS)
        return merge((Plan(marks=(mark,)), again))
    said = f"Job {on.name}, on which this run continued, has ended without a result that could be had."
    standing = Standing(Phase.FAILED, Reason.UNKNOWN, said)
    found = result.cut_off(run.job, standing, ErrorCode.ADAPTER_FAILED)
    return merge((_conclude(run, _Ending(standing, found), now, policy), Plan(marks=(mark,))))


def _ask(run: Run, on: Target) -> Plan:
    return Plan((ReadResult(run.job.namespace, on.name, on.uid),), marks=(answer_mark(on.uid),))


def _ask_again(run: Run, on: Target, answer: Answer, now: Now, pause: float) -> Plan:
    left = answer.at + pause - now.mono
    return Plan(look_again=left, marks=(answer_mark(on.uid),)) if left > 0 else _ask(run, on)


def _end(run: Run, on: Target, answer: Answer, now: Now, policy: Policy) -> Plan:
    """Phase, reason, session and result of the Job that did the work, as this run's own."""
    job = answer.job
    if job is None or job.phase is None:
        return Plan()
    reason = _reason(job)
    found = result.attached(answer.result, run.job)
    if found is None:
        said = f"Job {on.name}, on which this run continued, has ended; its result can't be read."
        found = result.cut_off(run.job, Standing(job.phase, reason, said), ErrorCode.ADAPTER_FAILED)
    found.phase, found.reason = job.phase, reason
    told = {name: job.status[name] for name in _COPIED if name in job.status}
    said = job.status.get(Status.MESSAGE, "") or f"Ended as Job {on.name} did, on which it continued."
    return _conclude(run, _Ending(Standing(job.phase, reason, said), found, told), now, policy)


def _end_without(run: Run, on: Target, now: Now, policy: Policy) -> Plan:
    said = f"Job {on.name}, on which this run continued, was deleted; there is no result of it."
    standing = Standing(Phase.CANCELLED, Reason.JOB_DELETED, said)
    found = result.cut_off(run.job, standing, ErrorCode.JOB_DELETED_EXTERNALLY)
    return _conclude(run, _Ending(standing, found), now, policy)


def _conclude(run: Run, ending: _Ending, now: Now, policy: Policy) -> Plan:
    job, on, standing = run.job, attachments.target(run.job), ending.standing
    told = {**ending.told, Status.ATTACHED_PHASE: standing.phase}
    patch = publishing.patch(run, standing, now, policy, why="copy", extra=told, ended=ending.result)
    note = f"{standing.phase}/{standing.reason}: {standing.message}"
    warning = standing.phase is not Phase.SUCCEEDED
    event = TellJob(job.namespace, job.name, job.uid, "ResultRecorded", note, warning=warning)
    # Named once more: a write that fails must not have the result read again.
    return Plan((patch, event), marks=(answer_mark(on.uid),) if on else ())


def _reason(job: Job) -> Reason:
    try:
        return Reason(job.status.get(Status.REASON, ""))
    except ValueError:
        return Reason.UNKNOWN
