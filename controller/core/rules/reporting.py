"""Says where a live run stands: phase changes at once, reasons when they last, heartbeats in between.

Keeps the number of writes small: 4 to 5 patches for a normal run besides heartbeats (contract §2).
"""

from dataclasses import replace
from typing import Final

from controller.core import admission, cursor, facts, heartbeat, lifecycle, quiet
from controller.core.actions import Action, Plan, TellJob
from controller.core.contract import LIVE, RANK, TERMINAL, Phase, Reason, Status, sha256
from controller.core.model import Now
from controller.core.rules import concluding, publishing
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot, Standing
from controller.core.transcript import AttemptLog

_SECURED_AFTER_SECONDS: Final = 2.0
"""A result that was seen is secured this long after, if no terminal patch has come by then (contract §2)."""


def report(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Every live run says its phase, reason, session and model, and that it has been seen alive."""
    live = [run for run in seen.runs if _is_reported(run) and not _ends_now(seen, run, now, policy)]
    return merge(_report(seen, run, now, policy) for run in live)


def _ends_now(seen: Snapshot, run: Run, now: Now, policy: Policy) -> bool:
    """The terminal patch is due, and takes the heartbeat away: nothing else may ride on it."""
    return concluding.is_over(run) and concluding.awaited(seen, run, now, policy) is None


def _is_reported(run: Run) -> bool:
    job = run.job
    if not job.ids.name_a_run or job.phase in TERMINAL or job.phase is Phase.ATTACHED:
        return False
    if job.external_queue and job.suspended:
        return True
    return not admission.is_waiting(job) and not job.suspended


def _report(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    standing = _forward(run, quiet.standing(seen, run, _standing(run), now, policy))
    if _at_once(run, standing):
        return Plan(_said(run, standing, now, policy))
    waits = [_settled_in(seen, run, standing, now, policy), _secured_in(seen, run, now)]
    marks = tuple(mark for _, mark in waits if mark)
    lasting = [left for left, _ in waits if left is not None]
    if any(left <= 0 for left in lasting):
        return Plan(_said(run, standing, now, policy), marks=marks)
    if standing.phase in LIVE:
        lasting.append(heartbeat.due_in(run.job, now, policy.heartbeat_seconds))
    if any(left <= 0 for left in lasting):
        lasting = [left for left in lasting if left > 0]  # though the heartbeat may have to wait
        return Plan(_said(run, standing, now, policy, beat=True), min(lasting, default=None), marks)
    return Plan(look_again=min(lasting, default=None), marks=marks)


def _said(
    run: Run, standing: Standing, now: Now, policy: Policy, *, beat: bool = False
) -> tuple[Action, ...]:
    """The patch, and an Event where somebody may want to look what the agent is doing."""
    job, why = run.job, "heartbeat" if beat else "report"
    patch = replace(publishing.patch(run, standing, now, policy, why=why), beat=beat)
    if standing.reason is not Reason.AGENT_SILENT or job.status.get(Status.REASON) == standing.reason:
        return (patch,)
    return patch, TellJob(job.namespace, job.name, job.uid, "Silent", standing.message, warning=True)


def _standing(run: Run) -> Standing:
    job = run.job
    if not (job.external_queue and job.suspended):
        return lifecycle.standing(run)
    said = f"Waits in the queue {job.external_queue}, which is not ours."
    return Standing(job.phase or Phase.QUEUED, Reason.EXTERNAL_QUEUE, said)


def _forward(run: Run, standing: Standing) -> Standing:
    """A phase never goes back: what looks like it is told as the phase that was already reached."""
    written = run.job.phase
    if written is None or RANK[standing.phase] >= RANK[written]:
        return standing
    if standing.reason is Reason.STOPPING:
        return Standing(written, Reason.STOPPING, standing.message)
    if written is Phase.FINISHING:
        hangs = standing.reason is Reason.AGENT_HANGING
        reason = Reason.AGENT_HANGING if hangs else Reason.AGENT_FINISHED
        return Standing(Phase.FINISHING, reason, standing.message)
    return Standing(written, Reason.NEW_ATTEMPT, standing.message)


def _at_once(run: Run, standing: Standing) -> bool:
    if run.job.phase is None:
        return True
    if standing.phase is Phase.RUNNING and run.job.phase is not Phase.RUNNING:
        return True
    return any(name not in run.job.status for name in publishing.identity(run))


def _settled_in(
    seen: Snapshot, run: Run, standing: Standing, now: Now, policy: Policy
) -> tuple[float | None, str]:
    mark = f"standing:{run.job.uid}:{standing.phase}:{standing.reason}"
    if (run.job.phase, run.job.status.get(Status.REASON)) == (standing.phase, standing.reason):
        if standing.phase is not Phase.STARTING or publishing.says_so(run.job, standing):
            return None, ""
        mark = f"{mark}:{sha256(standing.message.encode())[:16]}"  # another obstacle has a time of its own
    return policy.settle_seconds - (now.mono - seen.first_seen(mark, now)), mark


def _secured_in(seen: Snapshot, run: Run, now: Now) -> tuple[float | None, str]:
    """A result that was seen is not lost with its pod: facts and cursor know of it."""
    claimed = [log for log in run.logs if log.seen.claim]
    if not claimed or (_knows_facts(run) and all(_knows_claim(run, log) for log in claimed)):
        return None, ""
    # Another mark for each result that is on the Job: an agent that gives one after the other has none of
    # them written in less than this time.
    pod = lifecycle.newest_pod(run)
    written = cursor.of(run.job, pod.uid) if pod else None
    claim = written.seen.claim if written else None
    mark = f"claimed:{run.job.uid}:{claim.at if claim else ''}"
    return _SECURED_AFTER_SECONDS - (now.mono - seen.first_seen(mark, now)), mark


def _knows_facts(run: Run) -> bool:
    known = facts.gather(run)
    return not known.attempts or run.job.status.get(Status.FACTS) == facts.encode(known)


def _knows_claim(run: Run, log: AttemptLog) -> bool:
    """Whether the cursor has this result; only that of the newest pod is ever written."""
    pod = lifecycle.newest_pod(run)
    known = log.place is None or log.seen.unsettled or cursor.is_behind(run.job, log)
    if pod is None or pod.uid != log.pod_uid or known:
        return True
    found = cursor.of(run.job, pod.uid)
    claim = found.seen.claim if found else None
    return claim is not None and log.seen.claim is not None and claim.at == log.seen.claim.at
