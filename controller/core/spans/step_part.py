"""What an agent did, inside its invoke_agent: model and tool calls, subagents, in the order of their begin.

    invoke_agent <agent>
    ├── chat <model>             its start is derived: the stream does not tell when a request was made
    ├── execute_tool <name>
    └── execute_tool Agent       until its task ends: the tool itself returns at once (background)
        └── invoke_agent <type>
            ├── chat <model>
            └── execute_tool <name> ...

The order only grows at its end, and a step that is over never changes again: so a trace can be told while
its run goes on, see `Step.final`. Names, counts and times only; what tools were asked and answered is there
only if the settings ask for it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from controller.core.spans import conventions as names
from controller.core.spans.agent_part import Sitting
from controller.core.spans.shape import NAME_MAX, Attributes, attributes, fit, name, short
from controller.core.spantree import Span, SpanKind
from controller.core.transcript import Chat, LogState, ToolCall

_MCP: Final = re.compile(r"mcp__(.+?)__.+")


class Step:
    """One span of what the agent did, made when it is asked for: whoever knows its id may not need it."""

    def __init__(self, span_id: str, make: Callable[[], Span], *, final: bool, grows: bool = False) -> None:
        self.id = span_id
        self.final = final
        """Nothing that the log may still say changes it."""
        self.grows = grows
        """It may turn out to have started a subagent, whose span then comes next."""
        self._make = make
        self._span: Span | None = None

    @property
    def span(self) -> Span:
        """The same each time."""
        if self._span is None:
            self._span = self._make()
        return self._span


@dataclass(frozen=True, slots=True)
class _Closing:
    """When and how a tool call ends whose end was not seen."""

    at: int
    error: str
    timing: str = ""


class _Home(NamedTuple):
    """The step whose span holds what is done on behalf of one tool call."""

    step: Step
    settled: bool
    """It stays this span, and what is inside it by now stays inside."""


def steps(sitting: Sitting, invoked: Span) -> Iterator[Step]:
    """Every call inside `invoked`, with what its subagent did; parents before their children."""
    top = Step(invoked.id, lambda: invoked, final=False)
    homes = _Homes(_Home(top, sitting.seen.init_at is not None))
    closing = _closing(sitting, invoked)
    chats = iter(sitting.seen.chats)
    chat = next(chats, None)
    for number, call in enumerate(sitting.seen.tools):
        while chat is not None and chat.calls_before <= number:
            yield _asked(sitting, chat, homes.of(chat.parent))
            chat = next(chats, None)
        yield from _called(sitting, call, closing, homes)
    while chat is not None:
        yield _asked(sitting, chat, homes.of(chat.parent))
        chat = next(chats, None)


class _Homes:
    """What is inside of what, as far as calls have been looked at."""

    def __init__(self, top: _Home) -> None:
        self._top = top
        self._of: dict[str, _Home] = {}
        self._uses: Counter[str] = Counter()

    def of(self, call_id: str) -> _Home:
        """Where that is done which is done on behalf of a call."""
        return self._of.get(call_id, self._top) if call_id else self._top

    def put(self, call_id: str, home: _Home) -> None:
        """From now on, that is there."""
        self._of[call_id] = home

    def role(self, call_id: str) -> tuple[str, str]:
        """Role and key of a call's span, other ones each time."""
        uses = self._uses[call_id]
        self._uses[call_id] += 1
        return ("tool-again", f"{uses}/{call_id}") if uses else ("tool", call_id)


def _called(sitting: Sitting, call: ToolCall, closing: _Closing, homes: _Homes) -> Iterator[Step]:
    parent, (role, key) = homes.of(call.parent), homes.role(call.id)
    over = call.ended_at is not None
    span_id = sitting.id(role, key)
    tool = Step(
        span_id,
        lambda: fit(_tool(span_id, call, closing), parent.step.span),
        final=over and parent.settled,
        grows=not over and not call.subagent,
    )
    yield tool
    homes.put(call.id, _Home(tool, parent.settled and over))
    if call.subagent:
        within = _within(sitting.id(f"sub{role}", key), call, tool)
        yield within
        homes.put(call.id, _Home(within, parent.settled))


def _within(span_id: str, call: ToolCall, tool: Step) -> Step:
    return Step(span_id, lambda: fit(_subagent(span_id, call, tool.span), tool.span), final=tool.final)


def _asked(sitting: Sitting, chat: Chat, parent: _Home) -> Step:
    span_id = sitting.id("chat", chat.id)
    return Step(
        span_id,
        lambda: fit(_chat(span_id, sitting, chat), parent.step.span),
        final=parent.settled and not chat.under_way,
    )


def _chat(span_id: str, sitting: Sitting, chat: Chat) -> Span:
    return Span(
        id=span_id,
        parent="",
        name=f"chat {name(chat.model)}".rstrip(),
        kind=SpanKind.CLIENT,
        start=chat.started_at,
        end=chat.ended_at + 1,
        attributes=_of_model(sitting.provider, chat.model)
        + attributes(
            (names.RESPONSE_ID, short(chat.response_id, NAME_MAX)),
            (names.REQUEST_ID, short(chat.request_id, NAME_MAX)),
            (names.USAGE_INPUT, chat.input_tokens),
            (names.USAGE_OUTPUT, chat.output_tokens),
            (names.USAGE_CACHE_READ, chat.cache_read_tokens),
            (names.USAGE_CACHE_WRITE, chat.cache_write_tokens),
            (names.FINISH_REASONS, (chat.finish,) if chat.finish else None),
            (names.TIMING, names.DERIVED),
            (names.ERROR_TYPE, name(chat.error)),
        ),
        error="" if chat.error else None,
    )


@lru_cache(maxsize=256)  # the same for all requests to a model
def _of_model(provider: str, model: str) -> Attributes:
    return attributes(
        (names.OPERATION, names.OPERATION_CHAT),
        (names.PROVIDER, provider),
        (names.REQUEST_MODEL, name(model)),
        (names.RESPONSE_MODEL, name(model)),
    )


def _closing(sitting: Sitting, invoked: Span) -> _Closing:
    if sitting.log.state is not LogState.COMPLETE and sitting.finished is not None:
        return _Closing(invoked.end, "", names.END_UNKNOWN)
    if sitting.finished is None and not sitting.died:
        return _Closing(invoked.end, "", names.END_UNKNOWN)
    return _Closing(invoked.end, sitting.death)


def _tool(span_id: str, call: ToolCall, closing: _Closing) -> Span:
    unseen = call.ended_at is None
    error = names.TOOL_ERROR if call.failed else closing.error if unseen else ""
    server = _MCP.fullmatch(call.name)
    return Span(
        id=span_id,
        parent="",
        name=f"execute_tool {name(call.name)}".rstrip(),
        kind=SpanKind.INTERNAL,
        start=call.started_at,
        end=closing.at if call.ended_at is None else call.ended_at + 1,
        attributes=attributes(
            (names.OPERATION, names.OPERATION_EXECUTE_TOOL),
            (names.TOOL_NAME, name(call.name)),
            (names.TOOL_CALL_ID, short(call.id, 256)),
            (names.TOOL_ARGUMENTS, call.arguments),
            (names.TOOL_RESULT, call.result),
            (names.MCP_SERVER, name(server[1]) if server else None),
            (names.TIMING, closing.timing if unseen else None),
            (names.ERROR_TYPE, error),
        ),
        error="" if error else None,
    )


def _subagent(span_id: str, call: ToolCall, tool: Span) -> Span:
    """The subagent's own span. A failed Agent tool marks only itself; a death marks both."""
    cut_off = tool.error is not None and not call.failed
    return Span(
        id=span_id,
        parent=tool.id,
        name=f"invoke_agent {name(call.subagent)}",
        kind=SpanKind.INTERNAL,
        start=tool.start,
        end=tool.end,
        attributes=attributes(
            (names.OPERATION, names.OPERATION_INVOKE_AGENT),
            (names.AGENT_NAME, name(call.subagent)),
            (names.ERROR_TYPE, dict(tool.attributes).get(names.ERROR_TYPE) if cut_off else None),
        ),
        error=tool.error if cut_off else None,
    )
