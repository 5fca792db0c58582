"""The events of `claude --output-format stream-json --verbose`: the fields that are read, and no others.

What is not named here is skipped over without being decoded, so that a tool's megabytes cost little.
Every field has a default. Never decides what an event means.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct, field

from controller.core.agents.shapes import Reader

# Bounded because these numbers are summed up and go into protobuf, where an int has 64 bits.
Count = Annotated[int, Meta(ge=0, le=10**12)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
"""JavaScript numbers may come with a fraction, durations do."""


class Head(Struct, gc=False):
    """What tells an event's kind and identity, and whose it is."""

    type: str | None = None
    subtype: str | None = None
    uuid: str | None = None
    session_id: str | None = None


class Usage(Struct, gc=False):
    """`message.usage`. `output_tokens` is a placeholder in this stream: only 0 says something."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class OutputUsage(Struct, gc=False):
    """`usage` of a `message_delta`: the message's output up to now."""

    output_tokens: Count | None = None


class Block(Struct, gc=False):
    """One content block: text, tool_use or tool_result."""

    type: str | None = None
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    tool_use_id: str | None = None
    is_error: bool | None = None


class Message(Struct, gc=False):
    """`message` of an assistant or user event."""

    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    content: list[Block] | str | None = None

    @property
    def blocks(self) -> list[Block]:
        """The content as blocks; bare text is one."""
        if isinstance(self.content, str):
            return [Block(type="text", text=self.content)]
        return self.content or []

    @property
    def unanswered(self) -> bool:
        """No model has produced it: it has no tokens of output, and calls no tool."""
        nothing = self.usage is not None and self.usage.output_tokens == 0
        return nothing and not any(block.type == "tool_use" for block in self.blocks)


class Spoken(Head, gc=False):
    """One content block that the model produced, or what the model was told: mostly results of tools.

    Most lines are such, and large; so every line is first read in this shape, which says what it is as well.
    """

    parent_tool_use_id: str | None = None
    error: str | None = None
    aborted: bool | None = None
    """It broke off: what it asked for is not done."""
    request_id: str | None = None
    supersedes: list[Raw] | None = None
    """Blocks told before that it stands for: the same turn again."""
    message: Message | None = None
    tool_use_result: Raw = Raw()


class Init(Struct, gc=False):
    """The start of a turn."""

    session_id: str | None = None
    model: str | None = None
    claude_code_version: str | None = None


class Fault(Struct, gc=False):
    """An entry of `errors` that is an object."""

    message: str | None = None
    error: str | None = None
    code: str | int | None = None


class Spent(Struct, gc=False, rename="camel"):
    """An entry of `modelUsage`: the whole tree, cumulative."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cost: Amount | None = field(name="costUSD", default=None)


class Result(Struct, gc=False):
    """The end of a turn: what the agent claims."""

    session_id: str | None = None
    parent_tool_use_id: str | None = None
    subtype: str | None = None
    is_error: bool | None = None
    api_error_status: Count | None = None
    result: str | None = None
    errors: list[str | Fault] | None = None
    stop_reason: str | None = None
    terminal_reason: str | None = None
    num_turns: Count | None = None
    duration_ms: Amount | None = None
    duration_api_ms: Amount | None = None
    total_cost_usd: Amount | None = None
    model_usage: dict[str, Spent] | None = field(name="modelUsage", default=None)
    permission_denials: list[Raw] | None = None


class TaskStarted(Struct, gc=False):
    """A subagent or shell has begun. `tool_use_id`: the call that asked for it."""

    task_id: str | None = None
    tool_use_id: str | None = None
    task_type: str | None = None
    subagent_type: str | None = None
    is_backgrounded: bool | None = None


class Patch(Struct, gc=False):
    """What has changed about a task."""

    status: str | None = None


class TaskChanged(Struct, gc=False):
    """`task_updated` has a patch, `task_notification` says the status itself."""

    task_id: str | None = None
    tool_use_id: str | None = None
    status: str | None = None
    patch: Patch | None = None


class TasksLive(Struct, gc=False):
    """The full set of live background tasks."""

    tasks: list[TaskStarted] | None = None


class Stopped(Struct, gc=False):
    """`delta` of a `message_delta`."""

    stop_reason: str | None = None


class Streamed(Struct, gc=False):
    """A raw event of the model API. Only `message_delta` tells how much output a message has, so far."""

    type: str | None = None
    usage: OutputUsage | None = None
    delta: Raw = Raw()


class Status(Struct, gc=False):
    """What the agent is at, e.g. `requesting`: told only with partial messages, and not of whom."""

    status: str | None = None


class StreamEvent(Struct, gc=False):
    """A part of a message as it grows, for hosts that asked for partial messages."""

    parent_tool_use_id: str | None = None
    event: Streamed | None = None


class ConversationReset(Struct, gc=False):
    """The conversation was cleared: the agent's totals begin anew, and its next session may be another."""


class ToolOutcome(Struct, gc=False, rename="camel"):
    """`tool_use_result` of a call that starts a subagent."""

    status: str | None = None
    is_async: bool | None = None


class AgentInput(Struct, gc=False):
    """`input` of a call that starts a subagent."""

    subagent_type: str | None = None


ASSISTANT: Final = "assistant"
USER: Final = "user"
INIT: Final = "system/init"

HEAD: Final = Reader(Head)
SPOKEN: Final = Reader(Spoken)
OUTCOME: Final = Reader(ToolOutcome)
AGENT_INPUT: Final = Reader(AgentInput)
STOPPED: Final = Reader(Stopped)

_TASK_CHANGED: Final = Reader(TaskChanged)
_RESET: Final = Reader(ConversationReset)
READERS: Final[Mapping[str, Reader[Any]]] = {
    ASSISTANT: SPOKEN,
    USER: SPOKEN,
    "result": Reader(Result),
    INIT: Reader(Init),
    "system/status": Reader(Status),
    "system/task_started": Reader(TaskStarted),
    "system/task_updated": _TASK_CHANGED,
    "system/task_notification": _TASK_CHANGED,
    "system/background_tasks_changed": Reader(TasksLive),
    "stream_event": Reader(StreamEvent),
    # Documented without saying whether it is a subtype.
    "system/conversation_reset": _RESET,
    "conversation_reset": _RESET,
}
"""By kind, see `kind_of`."""


def kind_of(head: Head) -> str:
    """An event's `type`, or `system/` and its subtype."""
    return f"system/{head.subtype}" if head.type == "system" else head.type or ""
