"""Starts or attaches the runs that may be, tells the others what they wait for, turns away what is no run."""

from collections.abc import Iterable
from typing import Final

from controller.core import admission, orphans, result
from controller.core.actions import PatchJob, Plan, TellJob
from controller.core.admission import Verdict
from controller.core.contract import ErrorCode, Keys, Phase, Reason, Status, keys_of
from controller.core.model import Job, Now
from controller.core.rules import attaching, publishing
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot, Standing

_REFUSED_AGAIN_SECONDS: Final = 60.0
"""When a Job whose start the API server refused is tried again."""


def reject_invalid(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A suspended Job that is no run gets phase and result, and parallelism 0 so that nobody can start it."""
    actions: list[PatchJob | TellJob] = []
    for run in seen.runs:
        if not admission.is_waiting(run.job) or not (said := admission.problem(run.job)):
            continue
        code = ErrorCode.ADAPTER_FAILED if run.job.ids.agent else ErrorCode.AGENT_ID_INVALID
        actions += _reject(run, Standing(Phase.REJECTED, Reason.INVALID_RUN, said), code, now, policy)
    return Plan(tuple(actions))


def _reject(
    run: Run, standing: Standing, code: ErrorCode, now: Now, policy: Policy
) -> Iterable[PatchJob | TellJob]:
    ended = result.rejected(run.job, standing.reason, standing.message, code)
    record = _decision(run.job, standing, now, policy)
    patch = publishing.closing(run, standing, now, policy, why="reject", ended=ended, extra=record)
    return patch, _tell(run.job, "Rejected", standing.message, warning=True)


def admit_or_queue(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Each waiting run is started if its slot has a place, else told at once what it waits for.

    One that may not wait is turned away; one whose work is done by another Job is attached to that.
    """
    verdicts = admission.decide(seen, policy)
    if not verdicts and not seen.refused:
        return Plan()
    plans = [Plan(look_again=_REFUSED_AGAIN_SECONDS if seen.refused else None)]
    for run in sorted(seen.runs, key=lambda run: (run.job.created_at, run.job.name)):
        verdict = verdicts.get(run.job.uid)
        if verdict is not None:
            plans.append(_follow(seen, run, verdict, now, policy))
    return merge(plans)


def _follow(seen: Snapshot, run: Run, verdict: Verdict, now: Now, policy: Policy) -> Plan:
    match verdict.phase:
        case Phase.STARTING:
            return Plan(tuple(_admit(run, verdict, now, policy)))
        case Phase.QUEUED:
            return _queue(seen, run, verdict, now, policy)
        case Phase.ATTACHED:
            events = tuple(_tell_oddities(run.job))
            return merge((attaching.attach(seen, run, verdict, now, policy), Plan(events)))
        case Phase.REJECTED if verdict.ruling:
            code = orphans.CODES[verdict.ruling.decision]
            return Plan((*_tell_oddities(run.job), *_reject(run, verdict, code, now, policy)))
        case _:
            return Plan()


def _admit(run: Run, verdict: Verdict, now: Now, policy: Policy) -> Iterable[PatchJob | TellJob]:
    patch = publishing.patch(
        run,
        verdict,
        now,
        policy,
        why="admit",
        extra=_decision(run.job, verdict, now, policy),
        spec={"suspend": False},
        template_labels=_wrong_labels(run.job, keys_of(policy.domain)),
    )
    return patch, *_tell_oddities(run.job), _tell(run.job, "Admitted", "The run has been started.")


def _queue(seen: Snapshot, run: Run, verdict: Verdict, now: Now, policy: Policy) -> Plan:
    """The first verdict is told at once; another reason when it has lasted (contract §2)."""
    job, mark = run.job, ""
    if job.phase is not None:
        if job.status.get(Status.REASON) == verdict.reason:
            return Plan()
        mark = f"queued:{job.uid}:{verdict.reason}"
        left = policy.settle_seconds - (now.mono - seen.first_seen(mark, now))
        if left > 0:
            return Plan(look_again=left, marks=(mark,))
    extra = _decision(job, verdict, now, policy)
    patch = publishing.patch(run, verdict, now, policy, why="queue", extra=extra)
    events = (*_tell_oddities(job), _tell(job, "Queued", verdict.message))
    return Plan((patch, *events), marks=(mark,) if mark else ())


def _decision(job: Job, standing: Standing, now: Now, policy: Policy) -> dict[str, str | None]:
    """The record of the verdict, if another Job, or the lack of a place, has to do with it."""
    if not isinstance(standing, Verdict) or standing.ruling is None:
        return {}
    conflict = admission.on_conflict(job, policy)
    return {Status.DECISION: orphans.record(job.ids, standing.ruling, conflict, now.wall)}


def _tell_oddities(job: Job) -> list[TellJob]:
    """What is odd about a Job is told once, with its first phase."""
    if job.phase is not None:
        return []
    return [_tell(job, "OddInput", f"{odd.where}: {odd.what}", warning=True) for odd in job.oddities]


def _wrong_labels(job: Job, keys: Keys) -> dict[str, str]:
    """Identity labels that the pod template lacks, or has otherwise than its Job.

    Pods of a run carry its labels: with another agent's, one would hold that agent's place without its Job.
    """
    present = dict(job.template_labels)
    return {key: value for key, value in job.ids.labels(keys).items() if present.get(key) != value}


def _tell(job: Job, reason: str, note: str, *, warning: bool = False) -> TellJob:
    return TellJob(job.namespace, job.name, job.uid, reason, note, warning)
