"""What a trace says of its run as a whole: the resource of all its spans, the attributes of its root.

Tokens, cost and turns are the agent's own claim, from its newest result and never summed over attempts: a
resumed session goes on from its earlier totals. Built from Job, facts and logs only.
"""

from collections.abc import Sequence
from typing import Final

from controller.core import history
from controller.core.contract import Phase, Reason, Status
from controller.core.model import Job
from controller.core.snapshot import Facts, Policy
from controller.core.spans import agent_part
from controller.core.spans import conventions as names
from controller.core.spans.attempt_part import Story
from controller.core.spans.shape import Attributes, Pair, attributes, name
from controller.core.transcript import LogState

_RESULTS: Final = {
    Phase.SUCCEEDED: names.RESULT_SUCCESS,
    Phase.TIMED_OUT: names.RESULT_TIMEOUT,
    Phase.CANCELLED: names.RESULT_CANCELLATION,
    Phase.REJECTED: names.RESULT_SKIP,
}
_WORK_FAILED: Final = frozenset(
    {
        Reason.AGENT_ERROR,
        Reason.MAX_TURNS,
        Reason.BUDGET_EXCEEDED,
        Reason.REFUSED,
        Reason.SESSION_UNAVAILABLE,
        Reason.NO_RESULT,
        Reason.TRUNCATED_OUTPUT,
        Reason.CONTAINER_ERROR,
    }
)
"""Reasons of Failed that are the work's own; the others are the system's: result `error`."""


def pipeline(job: Job) -> str:
    """What the runs of one agent have in common: its name, else its id."""
    return name(job.wishes.agent_name) or name(job.ids.agent)


def verdict(job: Job) -> tuple[str, str]:
    """(result, reason) as the phase on the Job has it. What is unknown is an error, never a success."""
    try:
        reason: str = Reason(job.status.get(Status.REASON, ""))
    except ValueError:
        reason = Reason.UNKNOWN
    phase = job.phase
    if phase is Phase.FAILED and reason in _WORK_FAILED:
        return names.RESULT_FAILURE, reason
    return _RESULTS.get(phase, names.RESULT_ERROR) if phase else names.RESULT_ERROR, reason


def about(job: Job, facts: Facts, stories: Sequence[Story]) -> Attributes:
    """Attributes of the root span."""
    logs = [story.log for story in stories if story.log]
    result, reason = verdict(job)
    claims = [log.seen.claim for log in logs if log.seen.claim]
    newest = claims[-1] if claims else None
    turns = next((log.seen.turns_told for log in reversed(logs) if log.seen.claim), None)
    sessions = [job.status.get(Status.SESSION_ID, ""), *(log.seen.session_id for log in reversed(logs))]
    models = [job.status.get(Status.MODEL, ""), *(log.seen.model for log in reversed(logs))]
    return attributes(
        (names.PIPELINE_ACTION, "RUN"),
        (names.PIPELINE_RESULT, result),
        (names.ERROR_TYPE, reason if result in names.BAD_RESULTS else None),
        (names.RUN_PHASE, job.phase or None),
        (names.RUN_REASON, reason),
        *_identity(job),
        (names.RUN_ATTEMPTS, len(stories) + facts.left_out),
        (names.FACTS_LEFT_OUT, facts.left_out or None),
        (names.LOG_STATE, _log_state(job, facts, stories)),
        (names.LOG_LINES, sum(log.seen.lines for log in logs) if logs else None),
        (names.CONVERSATION_ID, next(filter(None, sessions), None)),
        (names.REQUEST_MODEL, next(filter(None, models), None)),
        (names.TURNS, turns),
        (names.MODEL_CALLS, sum(log.seen.chat_count for log in logs) or None),
        (names.TOOL_CALLS, sum(log.seen.tool_calls for log in logs) if logs else None),
        (names.TOOL_CALLS_FAILED, sum(log.seen.tool_errors for log in logs) if logs else None),
        *agent_part.usage(newest),
    )


def _identity(job: Job) -> tuple[Pair, ...]:
    """Who ran. The run is the one that was submitted: the label follows one that continues on the Job."""
    return (
        (names.RUN_ID, history.submitted(job).best("run")),
        (names.AGENT_ID, job.ids.best("agent")),
        (names.ADAPTER_TYPE, job.ids.best("adapter")),
        (names.TASK_ID, job.ids.best("task")),
        (names.COMPANY_ID, job.ids.best("company")),
    )


def _log_state(job: Job, facts: Facts, stories: Sequence[Story]) -> LogState | None:
    """How much of all logs is known; None if no agent ever ran, so that there is nothing to know."""
    started = [story for story in stories if story.hosts_agent or story.log]
    if not started and not facts.left_out and (facts.attempts or job.started_at is None):
        return None
    states = {_state(story) for story in started} | ({LogState.MISSING} if facts.left_out else set())
    if not states or states == {LogState.MISSING}:
        return LogState.MISSING
    return LogState.COMPLETE if states == {LogState.COMPLETE} else LogState.TRUNCATED


def _state(story: Story) -> LogState:
    """Of a container that was started again only the last start has a log."""
    if (log := story.log) is None:
        return LogState.MISSING
    if log.state is LogState.READING or (log.state is LogState.COMPLETE and log.restarts > 0):
        return LogState.TRUNCATED
    return log.state


def resource(job: Job, policy: Policy) -> Attributes:
    """The same for every span of a run, and nothing that differs between two controllers."""
    return attributes(
        (names.SERVICE_NAME, policy.service_name),
        (names.CLUSTER_NAME, policy.cluster_name),
        (names.NAMESPACE_NAME, job.namespace),
        (names.JOB_NAME, job.name),
        (names.JOB_UID, job.uid),
        (names.PIPELINE_NAME, pipeline(job)),
        (names.PIPELINE_RUN_ID, job.uid),
    )
