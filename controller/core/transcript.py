"""What is concluded from an agent's log: the frozen outcome of folding its lines.

The folds themselves are `agents/`; how much of a log could be read is said by LogState.
Instants are ints of nanoseconds since the epoch, taken from the kubelet's timestamps, one clock for all.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """One use of a tool. `ended_at` None: no end was seen (still running, or it died with its agent).

    A Struct, as Chat is: two are made for each call of every log, and a dataclass takes ten times as long.
    """

    id: str
    name: str
    parent: str
    """Id of the Agent tool call whose subagent made this call; empty for the main agent."""
    started_at: int
    ended_at: int | None = None
    failed: bool = False
    subagent: str = ""
    """For a tool that starts a subagent: its type. Such a call ends when its task ends."""
    arguments: str = ""
    """What it was asked, cut, without credentials; kept only if the settings ask for it, as is `result`."""
    result: str = ""


class Chat(msgspec.Struct, frozen=True, gc=False):
    """One request to a model that was answered. Its start is derived, its end is that of its last part."""

    id: str
    """Of the message that came back, unique in its log."""
    parent: str
    """Id of the Agent tool call whose subagent made it; empty for the main agent."""
    model: str
    started_at: int
    ended_at: int
    calls_before: int
    """Tool calls kept when it was first heard of: what orders the two."""
    response_id: str = ""
    """The provider's name of the answer."""
    request_id: str = ""
    input_tokens: int | None = None
    """All that was read, from the cache and into it included."""
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    """None: not told, or only by a placeholder."""
    finish: str = ""
    """Why the model stopped, if that is told."""
    error: str = ""
    """Category of the error that the agent put on it."""
    under_way: bool = False
    """More of it may come."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at one instant: an API retry, a compaction, a rate limit."""

    at: int
    name: str
    details: tuple[tuple[str, str | int], ...] = ()


class Standing(NamedTuple):
    """What somebody waits for in a log: a change of it is news, whereas counters can wait.

    Cheap to ask for after every few lines, which all of an AgentLog is not.
    """

    session_id: str = ""
    model: str = ""
    claim: "Claim | None" = None
    turn_open: bool = False
    retrying: str = ""
    tasks: bool = False
    """There are live background tasks."""
    lines: bool = False
    """There is any line at all."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Tokens and cost of one model, as the agent claims them."""

    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    cost_usd: float | None


ANSWER_CUT: Final = "error_answer"
"""`subtype` of a claim whose text is not an error's, but the model's answer, which broke off."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The agent's last result event: its claim, not the controller's finding. None: it did not say."""

    at: int
    raw: bytes
    """The event's line as it came; empty if it was longer than the fold keeps."""
    subtype: str = ""
    is_error: bool = False
    api_error_status: int | None = None
    text: str = ""
    """`result`, else the errors, one a line."""
    stop_reason: str = ""
    terminal_reason: str = ""
    turns: int | None = None
    duration_ms: int | None = None
    duration_api_ms: int | None = None
    cost_usd: float | None = None
    models: tuple[ModelUsage, ...] = ()
    permission_denials: int | None = None
    lost: tuple[str, ...] = ()
    """Parts of it that a checkpoint had no room for: `text`, `models`."""


@dataclass(frozen=True, slots=True)
class AgentLog:
    """All that is concluded from the lines of one container's log so far. Times are the kubelet's."""

    lines: int = 0
    bytes: int = 0
    odd_lines: int = 0
    """Lines that are not what the agent's format promises (stderr shares the log)."""
    cut_lines: int = 0
    first_at: int | None = None
    last_at: int | None = None
    session_id: str = ""
    model: str = ""
    agent_version: str = ""
    init_at: int | None = None
    """First time the agent said that it is ready."""
    claim: Claim | None = None
    turn_open: bool = False
    """The agent has said something since its last result (or has given none yet)."""
    tasks_live: int = 0
    """Background tasks (subagents, shells) that have not ended."""
    assistant_lines: int = 0
    assistant_error: str = ""
    """Category of the newest error that the agent put on an assistant message."""
    unsettled: bool = False
    """Whose lines come next is not certain: a checkpoint would not know how to go on."""
    headless: bool = False
    """The agent was at work before the first line: its beginning is missing."""
    unanswered: bool = False
    """The newest message of the main agent has no tokens of output: the model never answered."""
    retrying: str = ""
    """Error category while the newest event is an API retry; empty otherwise."""
    retries: int = 0
    turns: int = 0
    """Model messages of the main agent seen so far (distinct ids)."""
    tool_calls: int = 0
    tool_errors: int = 0
    subagents: int = 0
    input_tokens: int = 0
    """As far as the stream tells: input plus cache reads and writes, once per message id."""
    output_tokens: int = 0
    """Likewise, once per message; only a stream with partial messages tells them at all."""
    messages: tuple[str, ...] = ()
    """Ids of the newest messages that are counted in turns and tokens: their further blocks don't count."""
    tools: tuple[ToolCall, ...] = ()
    chats: tuple[Chat, ...] = ()
    chat_count: int = 0
    """Requests that were answered, at any depth, the kept ones and the others."""
    content_left_out: int = 0
    """Arguments and results of tools that were to be kept, and for which there was no room."""
    moments: tuple[Moment, ...] = ()
    tail: str = ""
    """The last words: the newest assistant texts, or the last lines of a text log; capped."""
    dropped: int = 0
    """Tool calls and moments beyond the caps, counted but not kept."""
    limited_until: int | None = None
    """When the provider's quota resets (ns), while the newest word on it is a rejection."""

    @property
    def turns_told(self) -> int | None:
        """Turns of the whole run: a result event counts those since the one before it. None: it told none."""
        if self.claim is None or self.claim.turns is None:
            return None
        return max(self.claim.turns, self.turns)


class LogState(StrEnum):
    """How much of a log is known. READING: more may come."""

    READING = "reading"
    COMPLETE = "complete"
    TRUNCATED = "truncated"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log has been read. The anchor is the newest timestamp; times in ns."""

    first: int
    """Timestamp of the first line there was: a log that begins later has lost its beginning."""
    newest: int
    same: int
    """Lines with the newest timestamp."""
    after: int
    """Lines after the last of those; they are older."""
    oldest: int
    """The oldest timestamp from the anchor on."""
    mark: str
    """Tells the last line with the newest timestamp from others, in every process alike."""
    gap: bool = False
    """Lines before it may be missing."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log as far as it was read once. Single calls, requests, moments and the raw line are gone."""

    pod_uid: str
    place: Place
    seen: AgentLog


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """The log of the agent's container in one pod."""

    pod_uid: str
    state: LogState
    seen: AgentLog
    streaming: bool = False
    """A stream is open, or was open until the log's end; what is only asked for now and then has none."""
    final: bool = False
    """The follower has been told that the container has ended: the next end of the log is its last."""
    urgent: bool = False
    """The follower has been told that the container is about to end, so that a stream is needed at once."""
    works: bool = False
    """The newest connection could read it: time without a line is the agent's, not a lost connection's."""
    restarts: int = 0
    """Of the container when its log was asked for: that of a later start is another log."""
    read_at: float | None = None
    """Monotonic second at which a read began that then came to the end of what there was; None: none has.

    A stream never comes to an end while its container runs: `FollowLog.check` asks for such a read.
    """
    resumed: bool = False
    """What was said before some place is known from a checkpoint only: its single calls are gone."""
    place: Place | None = None
    """How far it has been read; None: not at all, or nobody can tell."""
