"""The agent's part of a trace: startup, invoke_agent, shutdown; from one AgentLog.

    container
    ├── agent startup            container start -> the agent is ready
    ├── invoke_agent <agent>     -> its last result; API retries and the like are its events
    │   └── what it did          see step_part
    └── agent shutdown           last result -> container finish: shows an agent that hangs

What has no end is closed at the end of its container, with an error.type that says what killed it.
No prompt, no tool input, no output: names, counts and times only.
"""

import re
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from controller.core.spans import conventions as names
from controller.core.spans import ids
from controller.core.spans.shape import MAX_EVENTS, Attributes, Pair, attributes, fit, name
from controller.core.spantree import Span, SpanEvent, SpanKind
from controller.core.transcript import AgentLog, AttemptLog, Claim, LogState, Moment

_WORD: Final = re.compile(r"[\w.:/@+\[\]-]{1,64}", re.ASCII)
"""What an event's detail may look like. Free text, which could quote a prompt, does not."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """One container's worth of agent: whose it is, its log, and how it came to an end."""

    job_uid: str
    start: str
    """Which start of a container: the uid of its pod, and how many there were before."""
    agent: str
    """Name of the agent, for people."""
    log: AttemptLog
    died: bool
    """The attempt did not end well: what was open then was cut off."""
    death: str
    """error.type of what was cut off."""
    closes_turns: bool = True
    """The agent says when a turn is over (`agents.fold.Format`)."""
    provider: str = ""
    """Who serves its models, if that is known."""

    @property
    def seen(self) -> AgentLog:
        """What the log says."""
        return self.log.seen

    @property
    def finished(self) -> Claim | None:
        """The result that closed the agent's last turn, or with which the log ended."""
        last = not self.closes_turns and self.log.state is LogState.COMPLETE
        return self.seen.claim if last or not self.seen.turn_open else None

    def id(self, role: str, key: str = "") -> str:
        """A span id of this sitting."""
        return ids.of_span(self.job_uid, role, f"{self.start}/{key}")


def frame(sitting: Sitting, host: Span) -> list[Span]:
    """invoke_agent first, then startup and shutdown, inside `host`; empty if the agent never said a word."""
    if sitting.seen.first_at is None and sitting.seen.init_at is None:
        return []
    invoked = _invocation(sitting, host)
    found = [invoked]
    if sitting.seen.init_at is not None:
        found.append(_phase(sitting, "agent startup", host, (host.start, invoked.start)))
    if sitting.finished is not None and invoked.end < host.end:
        found.append(_phase(sitting, "agent shutdown", host, (invoked.end, host.end)))
    return found


def usage(claim: Claim | None) -> tuple[Pair, ...]:
    """Tokens and cost as the agent claims them; nothing where it says nothing."""
    if claim is None:
        return ()
    cost: tuple[Pair, ...] = ((names.COST_USD, claim.cost_usd),)
    if not claim.models:
        return cost
    read = sum(model.cache_read_tokens for model in claim.models)
    written = sum(model.cache_creation_tokens for model in claim.models)
    return (
        (names.USAGE_INPUT, sum(model.input_tokens for model in claim.models) + read + written),
        (names.USAGE_OUTPUT, sum(model.output_tokens for model in claim.models)),
        (names.USAGE_CACHE_READ, read),
        (names.USAGE_CACHE_WRITE, written),
        *cost,
    )


def _phase(sitting: Sitting, what: str, host: Span, times: tuple[int, int]) -> Span:
    return fit(Span(sitting.id(what), host.id, what, SpanKind.INTERNAL, *times), host)


def _invocation(sitting: Sitting, host: Span) -> Span:
    seen = sitting.seen
    start = seen.init_at if seen.init_at is not None else seen.first_at
    error = _failure(sitting)
    shown = seen.moments[:MAX_EVENTS]
    span = Span(
        id=sitting.id("agent"),
        parent=host.id,
        name=f"invoke_agent {name(sitting.agent)}".rstrip(),
        kind=SpanKind.INTERNAL,
        start=host.start if start is None else start,
        end=_invocation_end(sitting, host),
        attributes=_about(sitting, error),
        error=None if error is None else "",
    )
    within = fit(span, host)
    return replace(within, events=tuple(_event(moment, within) for moment in shown))


def _invocation_end(sitting: Sitting, host: Span) -> int:
    """The last result, or a background task that outlived it; without a result the container's end."""
    if (claim := sitting.finished) is None:
        return host.end
    ends = [call.ended_at for call in sitting.seen.tools if call.ended_at is not None]
    if len(ends) < len(sitting.seen.tools) and sitting.log.state is LogState.COMPLETE:
        return host.end
    return max([claim.at, *ends, *(chat.ended_at for chat in sitting.seen.chats)]) + 1


def _about(sitting: Sitting, error: str | None) -> Attributes:
    seen, claim = sitting.seen, sitting.seen.claim
    return attributes(
        (names.OPERATION, names.OPERATION_INVOKE_AGENT),
        (names.AGENT_NAME, name(sitting.agent)),
        (names.CONVERSATION_ID, seen.session_id),
        (names.REQUEST_MODEL, name(seen.model)),
        (names.AGENT_VERSION, name(seen.agent_version)),
        *usage(claim),
        (names.TURNS, seen.turns_told),
        (names.FINISH_REASONS, (claim.stop_reason,) if claim and claim.stop_reason else None),
        (names.TERMINAL_REASON, name(claim.terminal_reason) if claim else None),
        (names.PERMISSION_DENIALS, claim.permission_denials if claim else None),
        (names.MODEL_CALLS, seen.chat_count or None),
        (names.TOOL_CALLS, seen.tool_calls),
        (names.TOOL_CALLS_FAILED, seen.tool_errors),
        (names.SUBAGENTS, seen.subagents),
        (names.CONTENT_LEFT_OUT, seen.content_left_out or None),
        (names.API_RETRIES, seen.retries),
        (names.EVENTS_DROPPED, len(seen.moments) - MAX_EVENTS if len(seen.moments) > MAX_EVENTS else None),
        (
            names.TIMING,
            None if sitting.finished or sitting.log.state is LogState.COMPLETE else names.END_UNKNOWN,
        ),
        (names.ERROR_TYPE, error),
    )


def _failure(sitting: Sitting) -> str | None:
    """error.type of invoke_agent: what it says of itself, else what killed it; None if it ended well."""
    claim = sitting.finished
    if claim is None:
        return sitting.death if sitting.died else None
    if not claim.is_error and claim.subtype in ("", "success"):
        return None
    for word in (claim.terminal_reason, claim.subtype):
        if word not in ("", "completed", "success"):
            return name(word)
    return "api_error"


def _event(moment: Moment, within: Span) -> SpanEvent:
    what = name(moment.name)
    details = (
        (f"agent.{what}.{name(key)}", value)
        for key, value in moment.details
        if isinstance(value, int) or _WORD.fullmatch(value)
    )
    return SpanEvent(what, max(within.start, min(moment.at, within.end)), attributes(*details))
