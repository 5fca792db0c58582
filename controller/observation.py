"""Tells metrics and the log what the engine does. The only place where an engine event becomes words.

Ids of runs go into log lines, never into labels of metrics. Nothing of a prompt, a log line or a secret is
ever passed here.
"""

import json
import time
from collections.abc import Callable
from typing import Final

from loguru import logger

from controller.core import actions, orphans
from controller.core.actions import Action, FollowLog, OwnObject, PatchJob, PatchPod, ReadEvents, TellJob
from controller.core.contract import SECOND, Keys, Phase, Reason, Status
from controller.core.model import Job, Owned, Slot, Unreadable
from controller.core.orphans import Decision
from controller.core.snapshot import Ownership
from controller.kube import errors
from controller.telemetry.answers import ADVICE
from controller.telemetry.metrics import Metrics
from controller.telemetry.spool import Tried

_TOLD_OF: Final = (
    "admit", "queue", "reject", "attach", "relabel", "cancel", "stop", "stop-again", "result", "copy",
    "trace", "live", "retire",
)  # fmt: skip
"""Purposes of patches that are worth a line in the log at INFO."""
_SAID: Final = (Status.PHASE, Status.REASON, Status.STOP)


class Observation:
    """One for each process. Implements what the engine and the log follower want to be told to."""

    def __init__(self, metrics: Metrics, keys: Keys, wall: Callable[[], int] = time.time_ns) -> None:
        self._metrics = metrics
        self._wall = wall
        self._keys = keys
        self._streams = 0
        self._events_refused = False

    # The engine's loops

    def unreadable(self, found: Unreadable) -> None:
        """An object came that is not what its kind promises."""
        self._metrics.cluster.object_unreadable(found.kind)
        logger.warning(
            "{} {}/{} can't be read and is left alone: {}", found.kind, found.namespace, found.name, found.why
        )

    def odd(self, job: Job) -> None:
        """A Job with labels or annotations of the wrong shape was seen."""
        for oddity in job.oddities:
            self._metrics.cluster.odd_input(oddity.where)
            logger.warning("Job {}/{}: {}: {}", job.namespace, job.name, oddity.where, oddity.what)

    def vanished(self, job: Job) -> None:
        """A live Job was deleted by somebody."""
        self._metrics.runs.finished(Phase.CANCELLED, Reason.JOB_DELETED)
        logger.warning("Job {}/{} ({}) was deleted while it ran", job.namespace, job.name, job.uid)

    def handled(self, seconds: float) -> None:
        """A change of the watch has been acted on, this long after it came."""
        self._metrics.work.event_handled(seconds)

    def reconciled(self, outcome: str, seconds: float) -> None:
        """One round of work on a slot has ended."""
        self._metrics.work.ended(outcome, seconds)

    def owned(self, action: OwnObject, answer: Ownership, why: str) -> None:
        """An object of a run was asked for."""
        self._metrics.runs.object_owned(answer)
        level = "WARNING" if answer in (Ownership.REFUSED, Ownership.FORBIDDEN) else "DEBUG"
        said = f"{action.namespace}/{Owned(action.kind, action.name)} of {action.job_name}: {answer}"
        logger.log(level, "{}", f"{said}: {why}" if why else said)

    def events_read(self, action: ReadEvents, outcome: str, why: str = "") -> None:
        """Events were listed, or not: a role without the verb is told once."""
        self._metrics.cluster.events_listed(outcome)
        level = "WARNING" if outcome == "refused" and not self._events_refused else "DEBUG"
        self._events_refused |= outcome == "refused"
        logger.log(level, "{}", f"Events about {action.namespace}/{action.about}: {outcome} {why}".rstrip())

    def performed(self, action: Action) -> None:
        """An action was carried out."""
        match action:
            case PatchJob():
                self._patched(action)
            case TellJob():
                self._metrics.cluster.event("told")
            case PatchPod():
                logger.debug("{}", _named(action))
            case actions.StoreResult():
                self._metrics.runs.result_stored("stored")
                logger.info("{}", _named(action))
            case actions.ConfirmGone():
                logger.debug("asked whether {}/{} is gone", action.namespace, action.name)
            case _:
                return

    def refused(self, action: Action, error: errors.Refused) -> None:
        """The API server will not accept this action."""
        if isinstance(action, TellJob):
            self._metrics.cluster.event("failed")
        if isinstance(action, actions.StoreResult):
            self._metrics.runs.result_stored("refused")
        if isinstance(error, errors.TooLarge):
            self._metrics.runs.write_squeezed("refused")
        level = "DEBUG" if isinstance(action, TellJob) and error.code != 403 else "ERROR"
        logger.log(level, "{} was refused ({} {}): {}", _named(action), error.code, error.reason, error)

    def failed(self, slot: Slot, error: Exception) -> None:
        """A round of work ended in a mistake of this program: told with its trace, tried again later."""
        logger.opt(exception=error).error("work on {}/{} failed", slot.namespace, slot.agent)

    # The log follower

    def log_stream(self, change: int) -> None:
        """A stream was opened or has ended."""
        self._streams += change
        self._metrics.logs.streams_are(self._streams)

    def logs_waiting(self, count: int) -> None:
        """So many logs have to do without a stream."""
        self._metrics.logs.waiting_are(count)

    def log_read(self, outcome: str) -> None:
        """One connection for a log ended."""
        self._metrics.logs.ended(outcome)

    def log_lines(self, lines: int, size: int, newest: int) -> None:
        """Lines were folded, the newest of that time."""
        if lines:
            self._metrics.logs.read(lines, size, (self._wall() - newest) / SECOND)

    def log_failed(self, action: FollowLog, error: Exception) -> None:
        """A log could not be folded: told with its trace; its run goes on without."""
        self._metrics.logs.ended("failed")
        logger.opt(exception=error).error("the log of {}/{} can't be read", action.namespace, action.pod)

    # Traces

    def trace_export(self, tried: Tried) -> None:
        """Something happened to a trace on its way to the collector."""
        numbers, answer = self._metrics.exports, tried.answer
        numbers.tried(tried.outcome, tried.seconds, tried.spans)
        if answer is not None and not answer.accepted:
            numbers.failed(answer.verdict)
            said = f"{answer.verdict}: {answer.said}. {ADVICE[answer.verdict]}"
            logger.warning("{}", f"the collector did not take a trace of {tried.spans} spans: {said}")
        if tried.rejected:
            numbers.rejected(tried.rejected)
            said = answer.said if answer else ""
            logger.warning("{}", f"the collector left out {tried.rejected} of {tried.spans} spans: {said}")
        if tried.outcome == "gave_up":
            logger.error("a trace of {} spans is given up after {:.0f} s", tried.spans, tried.seconds)

    def _patched(self, action: PatchJob) -> None:
        said = {name: action.annotations.get(self._keys.status(name)) or "" for name in _SAID}
        phase, reason = said[Status.PHASE], said[Status.REASON]
        purposes = set(action.why.split("+"))
        self._count_decision(action, purposes)
        if "stop" in purposes and said[Status.STOP]:
            self._metrics.runs.stopped(json.loads(said[Status.STOP])["reason"])
        if not purposes.isdisjoint(("result", "reject", "cancel")):
            self._metrics.runs.finished(phase, reason)
        if action.tally is not None:
            self._metrics.runs.took(phase, action.tally)
            self._metrics.agents.used(action.tally)
        if "squeezed" in purposes:
            self._metrics.runs.write_squeezed("planned")
            logger.warning("the annotations of Job {}/{} are full", action.namespace, action.name)
        level = "INFO" if any(purpose in _TOLD_OF for purpose in purposes) else "DEBUG"
        logger.log(level, "{}", " ".join(part for part in (_named(action), phase, reason) if part))

    def _count_decision(self, action: PatchJob, purposes: set[str]) -> None:
        """A start that nothing stood in the way of has no record."""
        record = orphans.read(action.annotations.get(self._keys.status(Status.DECISION)) or "")
        if "admit" in purposes:
            self._metrics.runs.decided(Decision.ADMIT)
        elif record is not None:
            self._metrics.runs.decided(record.decision)


def _named(action: Action) -> str:
    match action:
        case PatchJob():
            return f"{action.why} {action.namespace}/{action.name}"
        case PatchPod():
            return f"{action.why} pod {action.namespace}/{action.name}"
        case TellJob():
            return f"Event {action.reason} on {action.namespace}/{action.name}"
        case actions.StoreResult():
            return f"whole result of {action.namespace}/{action.job_name} in ConfigMap {action.name}"
        case actions.FollowLog():
            return f"log of {action.namespace}/{action.pod}"
        case _:
            return f"{type(action).__name__} {action.job_uid}"
