"""A run that is over -> its numbers. They agree with its result: the same attempt's log, the same claim.

Pure. What is not known is left out, never 0 and never guessed. Clocks that disagree give no negative time.
"""

from collections import Counter
from collections.abc import Iterable

from controller.core import history, lifecycle
from controller.core.agents.fold import format_of
from controller.core.contract import SECOND
from controller.core.model import Job
from controller.core.result import counted, priced
from controller.core.snapshot import Attempt, Facts, Run
from controller.core.tally import Stage, Tally, ToolUse
from controller.core.transcript import AgentLog, AttemptLog, ModelUsage


def of(run: Run, known: Facts, log: AttemptLog | None) -> Tally:
    """`log`: of the decisive attempt, None if there is none."""
    job, name = run.job, lifecycle.agent_container(run.job)
    seen = log.seen if log else AgentLog()
    claim = seen.claim
    began, ended = _span(known, name)
    return Tally(
        queued=_between(job.created_at, job.started_at),
        started=_between(job.started_at, began),
        stages=tuple(_stages(known, name, run.logs)),
        ran=_between(began, ended),
        attempts=len(known.attempts) + known.left_out,
        claimed=claim is not None,
        session=seen.session_id,
        resumed=history.asked_session(job) if format_of(job.wishes.output).sums_sessions else "",
        model=seen.model,
        cost_usd=priced(claim.cost_usd) if claim else None,
        usage=tuple(map(_sane, claim.models)) if claim else (),
        turns=counted(seen.turns_told) or seen.turns,
        retries=seen.retries,
        subagents=seen.subagents,
        denials=(counted(claim.permission_denials) or 0) if claim else 0,
        odd_lines=seen.odd_lines if _reports(job) else 0,
        tools=_tools(seen),
    )


def _reports(job: Job) -> bool:
    return format_of(job.wishes.output).reports


def _sane(used: ModelUsage) -> ModelUsage:
    """What no agent can mean counts as nothing."""
    return ModelUsage(
        used.model,
        counted(used.input_tokens) or 0,
        counted(used.output_tokens) or 0,
        counted(used.cache_read_tokens) or 0,
        counted(used.cache_creation_tokens) or 0,
        priced(used.cost_usd),
    )


def _between(begin: int | None, end: int | None) -> float | None:
    """Seconds; the epoch is what the kubelet reports for a time that nobody knows."""
    return max(0, end - begin) / SECOND if begin and end else None


def _span(known: Facts, name: str) -> tuple[int | None, int | None]:
    """First start and last end of the agent's container over all attempts."""
    found = [lifecycle.agent_in(attempt, name) for attempt in known.attempts]
    ran = [container for container in found if container and lifecycle.has_started(container)]
    starts = [container.started_at for container in ran if container.started_at]
    ends = [container.finished_at for container in ran if container.finished_at]
    return min(starts, default=None), max(ends, default=None)


def _stages(known: Facts, name: str, logs: Iterable[AttemptLog]) -> Iterable[tuple[Stage, float]]:
    if not known.attempts or known.left_out:
        return
    first: Attempt = known.attempts[0]
    container = lifecycle.agent_in(first, name)
    began = container.started_at if container and lifecycle.has_started(container) else None
    ready = next((log.seen.init_at for log in logs if log.pod_uid == first.uid), None)
    pulls = [pull for pull in first.pulls if pull.started_at and pull.finished_at]
    times = {
        Stage.SCHEDULING: (first.created_at, first.scheduled_at),
        Stage.PULLING: (
            min((pull.started_at for pull in pulls if pull.started_at), default=None),
            max((pull.finished_at for pull in pulls if pull.finished_at), default=None),
        ),
        Stage.CONTAINER: (first.scheduled_at, began),
        Stage.AGENT: (began, ready),
    }
    for stage, (begin, end) in times.items():
        if (seconds := _between(begin, end)) is not None:
            yield stage, seconds


def _tools(seen: AgentLog) -> tuple[ToolUse, ...]:
    """By name; calls that are only counted (beyond the caps, or before a checkpoint) have none."""
    calls = Counter(call.name for call in seen.tools)
    errors = Counter(call.name for call in seen.tools if call.failed)
    rest = ToolUse("", max(0, seen.tool_calls - calls.total()), max(0, seen.tool_errors - errors.total()))
    named = tuple(ToolUse(name, count, errors[name]) for name, count in sorted(calls.items()))
    return (*named, rest) if rest.calls or rest.errors else named
