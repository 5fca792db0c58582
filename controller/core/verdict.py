"""How a run that is over has ended: evidence of Job, pods and log -> phase, reason and a sentence.

The ordered list JUDGES is the table: the first that knows an answer gives it. Unknown is never success.
It writes nothing; `result` makes the document for the host out of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgspec

from controller.core import diagnosis, disruption, exits, facts, lifecycle
from controller.core.agents import outcomes, words
from controller.core.agents.fold import format_of
from controller.core.contract import (
    SECOND,
    ErrorCode,
    ErrorFamily,
    Phase,
    Reason,
    Status,
    clip,
    instant,
)
from controller.core.model import Container, Job, Pod, PodEvent
from controller.core.snapshot import Attempt, Run
from controller.core.transcript import ANSWER_CUT, AgentLog, AttemptLog, LogState


@dataclass(frozen=True, slots=True)
class Finding:
    """The controller's finding on a run that is over."""

    reason: Reason
    message: str
    code: ErrorCode | None = None
    outcome: outcomes.Outcome | None = None
    """What the agent's own words were classified as, if they decided."""

    @property
    def phase(self) -> Phase:
        """The terminal phase that belongs to the reason."""
        return _PHASES.get(self.reason, Phase.FAILED)

    @property
    def error_code(self) -> ErrorCode | None:
        """The code that hosts know; None for a success."""
        if self.phase is Phase.SUCCEEDED:
            return None
        return self.code or _CODES.get(self.reason, ErrorCode.ADAPTER_FAILED)

    @property
    def family(self) -> ErrorFamily | None:
        """What a host bases retries on."""
        return self.outcome.family if self.outcome else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to judge by. `attempt`: the decisive one, else the last; `pod`: the newest, if seen.

    `last_seen`: the attempt's pod, also if it is gone; `events`: what was said about it, or about the Job.
    """

    job: Job
    attempt: Attempt | None
    container: Container | None
    pod: Pod | None
    log: LogState
    seen: AgentLog
    last_seen: Pod | None = None
    events: tuple[PodEvent, ...] = ()
    later: bool = False
    """A further attempt was there, whose agent never started: the decisive one is not the last."""


_SAID_MAX: Final = 512
"""Bytes of an agent's own error text that a message quotes."""

_PHASES: Final[Mapping[Reason, Phase]] = {
    Reason.COMPLETED: Phase.SUCCEEDED,
    Reason.COMPLETED_HUNG: Phase.SUCCEEDED,
    Reason.DEADLINE_EXCEEDED: Phase.TIMED_OUT,
    Reason.STALLED_TOO_LONG: Phase.TIMED_OUT,
    Reason.CANCELLED_BY_HOST: Phase.CANCELLED,
    Reason.JOB_DELETED: Phase.CANCELLED,
    Reason.EXTERNALLY_SUSPENDED: Phase.CANCELLED,
    Reason.INVALID_RUN: Phase.REJECTED,
}

_CODES: Final[Mapping[Reason, ErrorCode]] = {
    Reason.DEADLINE_EXCEEDED: ErrorCode.TIMEOUT,
    Reason.STALLED_TOO_LONG: ErrorCode.TIMEOUT,
    Reason.CANCELLED_BY_HOST: ErrorCode.CANCELLED,
    Reason.EXTERNALLY_SUSPENDED: ErrorCode.CANCELLED,
    Reason.JOB_DELETED: ErrorCode.JOB_DELETED_EXTERNALLY,
    Reason.TRUNCATED_OUTPUT: ErrorCode.CLAUDE_TRUNCATED,
    Reason.IMAGE_PULL_FAILED: ErrorCode.POD_SCHEDULE_FAILED,
    Reason.CONFIG_ERROR: ErrorCode.POD_SCHEDULE_FAILED,
    Reason.INIT_FAILED: ErrorCode.POD_SCHEDULE_FAILED,
    Reason.UNSCHEDULABLE: ErrorCode.POD_SCHEDULE_FAILED,
    Reason.START_TIMEOUT: ErrorCode.POD_SCHEDULE_FAILED,
    Reason.POD_MISSING: ErrorCode.POD_SCHEDULE_FAILED,
}

_DISRUPTIONS: Final[Mapping[str, Reason]] = {
    "Evicted": Reason.EVICTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "Preempting": Reason.PREEMPTED,
    "PreemptionByScheduler": Reason.PREEMPTED,
    "NodeLost": Reason.NODE_LOST,
    "NodeShutdown": Reason.NODE_LOST,
    "Terminated": Reason.NODE_LOST,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
}
"""`reason` of a pod, or of its DisruptionTarget condition -> ours. The words are Kubernetes'."""


class _Stop(msgspec.Struct):
    reason: str = ""
    at: str = ""
    ended: str = ""


class Stop(NamedTuple):
    """Our own stop as it is recorded on a Job."""

    reason: Reason
    at: int
    ended: str
    """Uid of the pod in which the agent's container had already ended by then; empty if it had not."""


def conclude(run: Run, log: AttemptLog | None) -> Finding:
    """The finding on a run whose Job is over. `log`: that of the decisive attempt, None if it never began."""
    known = facts.gather(run)
    name = lifecycle.agent_container(run.job)
    attempt = lifecycle.decisive(known, name) or (known.attempts[-1] if known.attempts else None)
    container = lifecycle.agent_in(attempt, name) if attempt else None
    evidence = Evidence(
        job=run.job,
        attempt=attempt,
        container=exits.known(container) if container else None,
        pod=lifecycle.newest_pod(run),
        log=log.state if log else LogState.MISSING,
        seen=exits.said_by(container, log.seen) if log else AgentLog(),
        last_seen=_last_seen(run, attempt),
        events=run.events(attempt.uid if attempt else run.job.uid),
        later=bool(known.attempts) and known.attempts[-1] is not attempt,
    )
    for judge in JUDGES:
        if (finding := judge.find(evidence)) is not None:
            return finding
    return Finding(Reason.UNKNOWN, "The Job is over, but how its agent ended could not be observed.")


def _last_seen(run: Run, attempt: Attempt | None) -> Pod | None:
    if attempt is None:
        return None
    return next((pod for pod in (*run.pods, *reversed(run.gone)) if pod.uid == attempt.uid), None)


def stop_of(job: Job) -> Stop | None:
    """Our own recorded stop of this Job; None if there is none that can be read."""
    try:
        stop = msgspec.json.decode(job.status.get(Status.STOP, "{}"), type=_Stop)
        return Stop(Reason(stop.reason), instant(stop.at) or 0, stop.ended)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def hung(seen: AgentLog) -> Finding:
    """What becomes of an agent that gave a result and has to be stopped: the result decides."""
    return _own_failure(seen) or Finding(Reason.COMPLETED_HUNG, _completed(seen))


def _own_failure(seen: AgentLog) -> Finding | None:
    outcome = outcomes.classify(seen)
    return Finding(outcome.reason, _failed(seen, outcome), outcome.code, outcome) if outcome else None


def _stopped(seen: Evidence) -> Finding | None:
    """Our stop decides, unless the agent had ended by itself before it (contract §3)."""
    if (stop := stop_of(seen.job)) is None or stop.reason is Reason.AGENT_HANGING:
        return None  # what was stopped then was a sidecar: its agent had ended
    if stop.ended and seen.attempt is not None and seen.attempt.uid == stop.ended:
        return None
    ended = seen.container.finished_at if seen.container and not seen.later else None
    if ended is not None and ended // SECOND < stop.at // SECOND:
        return None
    said, own = _stop_said(seen.job, stop.reason), _own_failure(seen.seen)
    if own is not None and own.reason is stop.reason:
        return replace(own, message=said)  # that of a hanging agent
    return _as_stopped(stop.reason, said)


def _as_stopped(reason: Reason, said: str) -> Finding:
    """What a stop was for, though the log that showed it can't be had any more."""
    if reason in (Reason.NODE_LOST, Reason.CONTAINER_ERROR):  # only starts are stopped for these
        return Finding(reason, said, ErrorCode.POD_SCHEDULE_FAILED)
    known = next((rule.outcome for rule in outcomes.RULES if rule.outcome.reason is reason), None)
    if known is not None and reason is not Reason.AGENT_ERROR:
        return Finding(reason, said, known.code, known)
    return Finding(reason, said)


def _stop_said(job: Job, reason: Reason) -> str:
    """What was said with the stop, as long as nothing else has been said since."""
    said = job.status.get(Status.MESSAGE, "").strip()
    if said and job.status.get(Status.REASON) in (None, Reason.STOPPING):
        return said
    asked = job.wishes.cancel_requested if reason is Reason.CANCELLED_BY_HOST else ""
    return cancel_said(asked) if asked else f"The run was stopped: {reason}."


def cancel_said(asked: str) -> str:
    """That the host wanted the run to end, and what it gave as its reason."""
    return f"The host asked to cancel the run: {clip(asked, _SAID_MAX)}"


def _deleted(seen: Evidence) -> Finding | None:
    """Somebody deleted the Job, unless the agent had ended by itself before that."""
    deleted = seen.job.deleted_at
    if deleted is None or seen.job.finished is not None:
        return None
    ended = seen.container.finished_at if seen.container and not seen.later else None
    if ended is not None and ended // SECOND < deleted // SECOND:
        return None
    return Finding(Reason.JOB_DELETED, "The Job was deleted before its agent had ended.")


def _timed_out(seen: Evidence) -> Finding | None:
    finished = seen.job.finished
    if finished is None or finished.reason != "DeadlineExceeded":
        return None
    if stop_of(seen.job) is not None:
        return None  # The deadline was our own stop, which came after the agent's end.
    limit = seen.job.deadline_seconds
    said = f"The run took longer than its activeDeadlineSeconds ({limit} s) and was ended by Kubernetes."
    return Finding(Reason.DEADLINE_EXCEEDED, said)


def _disrupted(seen: Evidence) -> Finding | None:
    if seen.attempt is None or (seen.container is not None and seen.container.exit_code == 0):
        return None
    reason = _DISRUPTIONS.get(seen.attempt.reason)
    if reason is None:
        return None
    return Finding(reason, disruption.said(reason, seen.attempt, seen.last_seen))


def _never_started(seen: Evidence) -> Finding | None:
    if seen.attempt is None:
        return _no_pod_seen(seen)
    if seen.container is not None and lifecycle.has_started(seen.container):
        return None
    lost = seen.container is not None and seen.container.reason == diagnosis.STATUS_LOST
    if seen.container is not None and not lost:
        not_run = diagnosis.of_not_run(seen.container, seen.last_seen)
        return Finding(not_run.failure, not_run.message)
    failed = next((c for c in seen.attempt.containers if c.init and c.exit_code), None)
    if failed is not None:
        return Finding(Reason.INIT_FAILED, diagnosis.init_failed(failed))
    if seen.pod is not None and seen.pod.uid == seen.attempt.uid and not lost:
        found = diagnosis.of_start(seen.pod, seen.events)
        return Finding(found.failure, found.message)
    return Finding(Reason.UNKNOWN, "The pod went before its agent's container was seen to start.")


def _no_pod_seen(seen: Evidence) -> Finding:
    """What was not observed is unknown, not gone: Kubernetes may have counted pods that we never saw."""
    job = seen.job
    if job.failed or job.succeeded or job.condition("Complete"):
        return Finding(Reason.UNKNOWN, "The Job is over, and its pods went before they could be seen.")
    said = diagnosis.of_no_pod(seen.events)
    return Finding(Reason.POD_MISSING, said or "The Job is over and no pod of it has ever been seen.")


def _out_of_memory(seen: Evidence) -> Finding | None:
    container = seen.container
    if container is None or container.reason != "OOMKilled" or container.exit_code == 0:
        return None
    return Finding(Reason.OOM_KILLED, f"Container {container.name} was killed for using too much memory.")


def _exit_unknown(seen: Evidence) -> Finding | None:
    if seen.container is None or seen.attempt is None or seen.container.exit_code is not None:
        return None
    reports = format_of(seen.job.wishes.output).reports
    if reports and seen.seen.claim is not None and (own := _own_failure(seen.seen)) is not None:
        return own  # a failure needs no exit code
    there = seen.pod is not None and seen.pod.uid == seen.attempt.uid
    said = exits.unknown(seen.attempt.pod, there=there)
    if format_of(seen.job.wishes.output).reports and _broke_off(seen):
        return Finding(
            Reason.TRUNCATED_OUTPUT, f"The agent's output breaks off in the middle of its work. {said}"
        )
    return Finding(Reason.UNKNOWN, said)


def _broke_off(seen: Evidence) -> bool:
    """The agent was at work, and no result of it has come though its log could be read."""
    return seen.seen.claim is None and seen.seen.assistant_lines > 0 and seen.log is not LogState.MISSING


def _agent_said(seen: Evidence) -> Finding | None:
    said = format_of(seen.job.wishes.output)
    if not said.reports:
        return None
    if (own := _own_failure(seen.seen)) is not None:
        return own
    if seen.seen.claim is None or _exit_code(seen) != 0:
        return None
    if said.closes_turns and seen.seen.turn_open and seen.log is not LogState.COMPLETE:
        lost = "The agent reported success, and its log breaks off in a later turn."
        return Finding(Reason.TRUNCATED_OUTPUT, lost)
    return Finding(Reason.COMPLETED, _completed(seen.seen))


def _never_began(seen: Evidence) -> Finding | None:
    if not format_of(seen.job.wishes.output).reports or _exit_code(seen) in (0, None):
        return None
    outcome = outcomes.of_start(seen.seen)
    if outcome is None:
        return None
    said = f"The agent gave up before its first word: {outcome.reason}. {_exit_said(seen)}."
    return Finding(outcome.reason, said, outcome.code, outcome)


def _gave_no_result(seen: Evidence) -> Finding | None:
    if not format_of(seen.job.wishes.output).reports or seen.seen.claim is not None:
        return None
    said = _exit_said(seen)
    if seen.log is LogState.MISSING:
        return Finding(Reason.NO_RESULT, f"{said}; its log can't be had, so its result is unknown.")
    if _broke_off(seen):
        return Finding(Reason.TRUNCATED_OUTPUT, f"{said} in the middle of its work, without a result.")
    if seen.seen.lines > seen.seen.odd_lines or _exit_code(seen) == 0:
        return Finding(Reason.NO_RESULT, f"{said} without having given a result.")
    return None


def _container_said(seen: Evidence) -> Finding:
    if _exit_code(seen) == 0:
        return Finding(Reason.COMPLETED, "The program exited with 0.")
    claimed = ", though the agent had reported success" if seen.seen.claim is not None else ""
    return Finding(Reason.CONTAINER_ERROR, f"{_exit_said(seen)}{claimed}.")


class Judge(NamedTuple):
    """One line of the table."""

    when: str
    """What it is sure of, in words for docs/outcomes.md."""
    find: Callable[[Evidence], Finding | None]


JUDGES: Final = (
    Judge("We stopped the run, and its agent had not ended before: the stop's own reason", _stopped),
    Judge("Somebody deleted the Job before its agent had ended", _deleted),
    Judge("The Job is over by the deadline that its host set", _timed_out),
    Judge("The cluster took the pod away, and the agent's container did not exit with 0", _disrupted),
    Judge("The agent's container never started: what held it up", _never_started),
    Judge("The kernel killed it for memory, and it did not exit with 0", _out_of_memory),
    Judge("Its exit code can't be known any more. Unknown is never success", _exit_unknown),
    Judge("The agent's own last result, its failure as below; success with exit code 0 only", _agent_said),
    Judge("It exited with an error before its first word, and said why (below)", _never_began),
    Judge("It promised a result and gave none", _gave_no_result),
    Judge("Its exit code alone, for `text` output or if nothing but complaints came", _container_said),
)
"""In this order: the first that knows an answer gives it."""


def _exit_code(seen: Evidence) -> int | None:
    return seen.container.exit_code if seen.container else None


def _exit_said(seen: Evidence) -> str:
    return exits.said(seen.container) if seen.container else "The agent's container ended"


def _completed(seen: AgentLog) -> str:
    if not seen.turns:
        return "The agent reported success."
    return f"The agent reported success after {seen.turns} turn{'' if seen.turns == 1 else 's'}."


def _failed(seen: AgentLog, outcome: outcomes.Outcome) -> str:
    """Only an error's own words are quoted: what a model said, in a refusal say, may tell of its task."""
    claim, told = seen.claim, f"The agent reported {outcome.reason}"
    own_words = claim is not None and claim.is_error and claim.subtype != ANSWER_CUT
    said = words.shown(claim.text[: _SAID_MAX * 4]) * own_words if claim else seen.assistant_error
    return clip(f"{told}: {said}", _SAID_MAX) if said else f"{told}."
