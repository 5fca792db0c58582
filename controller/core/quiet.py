"""An agent that says nothing: which kind of quiet it is, and when it is told or stopped for (contract §4).

Only time in which its log could be read counts, from when this controller first saw the state. Whether
anything is done about it is for the rules to say; nothing is believed here that was not made certain.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.core import lifecycle
from controller.core.contract import SECOND, Phase, Reason, Status, instant, rfc3339
from controller.core.model import Container, Now, Pod, RunState
from controller.core.snapshot import Policy, Run, Snapshot, Standing
from controller.core.transcript import AgentLog, AttemptLog, LogState


class Kind(StrEnum):
    """What is quiet about it."""

    FINISHED = "finished"
    """A result closed its last turn, no background task is live, and its container goes on."""
    OUTLIVED = "outlived"
    """Its container has ended, and its pod has not: a sidecar runs on."""
    SILENT = "silent"
    """It is at work, and no line comes."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A state that begins anew with each line, and in each pod."""

    kind: Kind
    mark: str
    pod: Pod
    log: AttemptLog | None

    def is_certain(self, mono: float) -> bool:
        """Whether the log has been read to its end since that monotonic second, and brought nothing new."""
        if self.kind is Kind.OUTLIVED:
            return True
        return self.log is not None and self.log.read_at is not None and self.log.read_at >= mono


_PHASES: Final = (Phase.RUNNING, Phase.FINISHING)
_AT_WORK: Final = (Reason.AGENT_STARTING, Reason.AGENT_WORKING, Reason.AGENT_RETRYING)
_TOLD: Final = (Reason.AGENT_SILENT, Reason.AGENT_HANGING)


def of(run: Run) -> Quiet | None:
    """The quiet that this run's agent is in. None: it may be speaking, or nobody could hear it."""
    pod = lifecycle.newest_pod(run)
    if pod is None or not _is_alone(run, pod):
        return None
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job))
    if container is None or not lifecycle.has_started(container):
        return None
    log = run.log(pod.uid)
    if container.state is RunState.TERMINATED:
        return Quiet(Kind.OUTLIVED, f"outlived:{pod.uid}:{container.restarts}", pod, log)
    if container.state is not RunState.RUNNING or log is None or log.restarts < container.restarts:
        return None
    if log.state is not LogState.READING or not log.works:
        return None
    kind = Kind.FINISHED if _has_finished(container, log.seen) else Kind.SILENT
    return Quiet(kind, f"{kind}:{pod.uid}:{container.restarts}:{log.seen.lines}", pod, log)


def _is_alone(run: Run, pod: Pod) -> bool:
    """The pod goes on, and no other of the run does: what ends its Job ends nobody else's work."""
    others = (other for other in run.pods if other.uid != pod.uid and other.deleted_at is None)
    return not pod.ended and pod.deleted_at is None and all(other.ended for other in others)


def _has_finished(container: Container, seen: AgentLog) -> bool:
    """The result is that of the process that runs, not of one before a restart of its container."""
    if not lifecycle.is_done(seen) or seen.claim is None:
        return False
    return not container.restarts or container.started_at is None or container.started_at <= seen.claim.at


def told_after(kind: Kind, policy: Policy) -> float:
    """Seconds of quiet after which it is told. Who hangs is told of while there is still time to look."""
    return policy.silent_after_seconds if kind is Kind.SILENT else policy.hang_timeout_seconds / 2


def stopped_after(kind: Kind, policy: Policy) -> float:
    """Seconds of quiet after which the run is stopped; infinite: never."""
    seconds = policy.stall_stop_seconds if kind is Kind.SILENT else policy.hang_timeout_seconds
    return seconds or math.inf


def standing(seen: Snapshot, run: Run, found: Standing, now: Now, policy: Policy) -> Standing:
    """Where the run stands, if `found` is what is to be seen of it: the same, or that its agent is quiet."""
    if found.phase not in _PHASES or found.reason is Reason.STOPPING or run.job.finished:
        return found
    state = of(run)
    if state is not None and _is_told(seen, state, now, policy):
        return _told(state, found, policy)
    return _as_told(run, found)


def _is_told(seen: Snapshot, state: Quiet, now: Now, policy: Policy) -> bool:
    due = seen.first_seen(state.mark, now) + told_after(state.kind, policy)
    return now.mono >= due and state.is_certain(due)


def _told(state: Quiet, found: Standing, policy: Policy) -> Standing:
    if state.kind is not Kind.SILENT:
        said = f"{found.message} It is stopped if that goes on for {policy.hang_timeout_seconds} s."
        return Standing(found.phase, Reason.AGENT_HANGING, said)
    if found.reason not in _AT_WORK:
        return found
    last = state.log.seen.last_at if state.log else None
    since = "it has said nothing yet" if last is None else f"its last line is of {rfc3339(last)}"
    return Standing(
        found.phase, Reason.AGENT_SILENT, f"No output for {policy.silent_after_seconds} s: {since}."
    )


def _as_told(run: Run, found: Standing) -> Standing:
    """What has been told stands until a line comes, also while the log can't be read, or is read anew."""
    status, pod = run.job.status, lifecycle.newest_pod(run)
    told = next((reason for reason in _TOLD if reason == status.get(Status.REASON)), None)
    if told is None or pod is None or not _is_alone(run, pod) or _has_spoken(run, pod):
        return found
    if told is Reason.AGENT_SILENT and found.reason not in _AT_WORK:
        return found
    return Standing(found.phase, told, status.get(Status.MESSAGE, ""))


def _has_spoken(run: Run, pod: Pod) -> bool:
    """A line has come since the last write, as far as whole seconds of its time can tell."""
    status, log = run.job.status, run.log(pod.uid)
    if status.get(Status.POD) != f"{pod.name}/{pod.uid}":
        return True
    if log is None or log.seen.last_at is None:
        return False
    before = instant(status.get(Status.LAST_OUTPUT_AT, ""))
    return before is None or log.seen.last_at // SECOND > before // SECOND
