"""The events of `opencode run --format json`: the fields that are read, and no others.

Its shapes are those of a recorded run (tests/data/opencode). What is not named here is skipped over without
being decoded. Every field has a default. Never decides what an event means.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from controller.core.agents.shapes import Reader

# Bounded because these numbers are summed up and go into protobuf, where an int has 64 bits.
Tokens = Annotated[int, Meta(ge=0, le=10**12)]
Dollars = Annotated[float, Meta(ge=0, le=1e9)]
Millis = Annotated[float, Meta(ge=0, le=1e15)]
"""Since the epoch, by the agent's own clock: only differences of two of one event mean anything."""


class Cache(Struct, gc=False):
    """Tokens read from and written to the provider's cache."""

    read: Tokens | None = None
    write: Tokens | None = None


class Spent(Struct, gc=False):
    """Tokens of one step. `output` is without `reasoning`, `input` without the cache's."""

    input: Tokens | None = None
    output: Tokens | None = None
    reasoning: Tokens | None = None
    cache: Cache | None = None


class Times(Struct, gc=False):
    """When a tool began and ended."""

    start: Millis | None = None
    end: Millis | None = None


class ToolInput(Struct, gc=False):
    """What the tool that starts a subagent is asked for."""

    subagent_type: str | None = None


class ToolMetadata(Struct, gc=False):
    """What the shell adds about its command."""

    exit: int | None = None


class ToolState(Struct, gc=False):
    """How a tool's call went."""

    status: str | None = None
    error: str | None = None
    input: ToolInput | None = None
    metadata: ToolMetadata | None = None
    time: Times | None = None


class Part(Struct, gc=False):
    """What the event is about: a step's start or end, a text, a tool's call that is over."""

    id: str | None = None
    message: str | None = field(name="messageID", default=None)
    text: str | None = None
    tool: str | None = None
    call: str | None = field(name="callID", default=None)
    state: ToolState | None = None
    reason: str | None = None
    tokens: Spent | None = None
    cost: Dollars | None = None


class FaultDetails(Struct, gc=False):
    """What is known about an error."""

    message: str | None = None
    status: Annotated[int, Meta(ge=0, le=999)] | None = field(name="statusCode", default=None)


class Fault(Struct, gc=False):
    """An error of the session."""

    name: str | None = None
    data: FaultDetails | None = None


class Event(Struct, gc=False):
    """One line."""

    type: str | None = None
    timestamp: Millis | None = None
    session: str | None = field(name="sessionID", default=None)
    part: Part | None = None
    error: Fault | None = None


EVENT: Final = Reader(Event)
