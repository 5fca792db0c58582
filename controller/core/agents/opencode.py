"""A fold for `opencode run --format json`: what the agent has said, concluded line by line.

This format has no event for the end of a run. Its last word is the end of the newest step: it is a claim of
success if the model had nothing more to do, and none if it was to go on. An error of the session stays one,
whatever follows. The turn stays open all the same, because a step that looks like the last may be followed
by another (the conversation is compacted, a queued message is answered): nobody may call such an agent done
before its container has ended, unless it says `done`, which newer versions do.

Events come when something is over, never when it begins. When a tool began is told by the agent's clock
only; what is taken from that is how long ago it was, and the kubelet's time of the line stays the anchor.
"""

from collections.abc import Callable, Mapping
from typing import Final

from controller.core.agents import opencode_claims as claims
from controller.core.agents import words
from controller.core.agents.calls import Calls
from controller.core.agents.chats import Chats, Said
from controller.core.agents.content import Content
from controller.core.agents.opencode_events import EVENT, Event, Part, Spent, ToolState
from controller.core.agents.words import Recent, Tail, word
from controller.core.transcript import AgentLog, Claim, Moment, Standing, ToolCall

MOMENTS_MAX: Final = 500
TAIL_BYTES: Final = 4 * 1024
RECENT: Final = 4096
"""Lines and messages remembered, to know a repeat; far more than a reader goes back after a lost stream."""
TEXT_MAX: Final = 768 * 1024
"""Characters of the newest message that are kept, and bytes of a closing line (contract §5)."""
MILLISECOND: Final = 1_000_000

SUBAGENT_TOOL: Final = "task"
DEFAULT_SUBAGENT: Final = "general"
NOT_ALLOWED: Final = ("The user rejected permission", "The user has specified a rule")
"""How the error of a tool begins that was not allowed."""
NO_SESSION: Final = "Error: Session not found"
"""All that is said, as plain text and before any event, when the session to resume is not known."""


class OpenCodeFold:
    """Lines of OpenCode's JSON events, folded into an AgentLog."""

    def __init__(self, begun: AgentLog | None = None, *, content: bool = False) -> None:
        begun = begun or AgentLog()
        self._content = Content() if content else None
        self._lines, self._bytes = begun.lines, begun.bytes
        self._odd, self._cut = begun.odd_lines, begun.cut_lines
        self._first, self._last, self._init_at = begun.first_at, begun.last_at, begun.init_at
        self._session, self._category, self._open = begun.session_id, begun.assistant_error, begun.turn_open
        self._message = begun.messages[0] if begun.messages else ""
        self._claim = begun.claim
        self._fault = begun.claim if begun.claim and claims.is_for_good(begun.claim) else None
        self._told, self._turns = begun.assistant_lines, begun.turns
        self._denials = (begun.claim.permission_denials if begun.claim else None) or 0
        self._denied = ""
        """The tool that was not allowed in the step that is going on."""
        self._spent = claims.Spending(begun)
        self._calls = Calls(begun)
        self._chats = Chats(begun)
        self._asked_at: int | None = None
        """When the step that goes on was asked for, as far as can be told."""
        self._answered_at: int | None = None
        """When the model was last seen to say something in it."""
        self._moments: list[Moment] = []
        self._moments_dropped = begun.dropped
        self._spoken: list[str] = []
        self._room = TEXT_MAX
        self._said = Tail(TAIL_BYTES)
        self._said.add(begun.tail)
        self._noise = Tail(TAIL_BYTES)
        self._met = Recent(RECENT)
        self._messages = Recent(RECENT)
        self._messages.first_time(self._message)
        self._seen: AgentLog | None = begun

    def feed(self, at: int, line: bytes, cut: bool = False) -> None:  # noqa: FBT001, FBT002 — the shape of Fold
        """One line. `at`: the kubelet's time (ns). `cut`: it was longer than the reader keeps."""
        if cut:
            self._count(at, line)
            self._cut += 1
            return
        event, odd = EVENT.read(line)
        # Every event has its own ids and time: the very same line is one that was read again.
        if event is not None and event.session and not self._met.first_time(hash(line)):
            return
        at = self._count(at, line)
        if event is None or not event.session or not event.type:
            self._overhear(at, line)
            odd = True
        elif self._session and event.session != self._session:
            odd = True  # an agent that was started by a tool and prints into this log
        else:
            self._session = self._session or word(event.session)
            self._open = True
            odd = (self._TAKE.get(event.type, OpenCodeFold._other)(self, at, line, event)) or odd
        self._odd += odd

    def seen(self) -> AgentLog:
        """All that is concluded so far; the same value until a line changes it."""
        if self._seen is None:
            self._seen = self._conclude()
        return self._seen

    def standing(self) -> Standing:
        """What of it is worth telling at once."""
        claim = self._fault or self._claim
        return Standing(self._session, claim=claim, turn_open=self._open, lines=bool(self._lines))

    def _conclude(self) -> AgentLog:
        return AgentLog(
            lines=self._lines,
            bytes=self._bytes,
            odd_lines=self._odd,
            cut_lines=self._cut,
            first_at=self._first,
            last_at=self._last,
            session_id=self._session,
            init_at=self._init_at,
            claim=self._fault or self._claim,
            turn_open=self._open,
            assistant_lines=self._told,
            assistant_error=self._category,
            turns=self._turns,
            tool_calls=self._calls.count,
            tool_errors=self._calls.errors,
            subagents=self._calls.subagents,
            input_tokens=self._spent.read,
            output_tokens=self._spent.written,
            messages=(self._message,) if self._message else (),
            tools=self._calls.read(),
            content_left_out=self._content.left_out if self._content else 0,
            chats=self._chats.read(),
            chat_count=self._chats.count,
            moments=tuple(self._moments),
            tail=self._said.read() or self._noise.read(),
            dropped=self._calls.dropped + self._moments_dropped,
        )

    def _count(self, at: int, line: bytes) -> int:
        """When it was said (ns): inside a log time never goes back, whatever the node's clock does."""
        self._lines += 1
        self._bytes += len(line)
        self._first = at if self._first is None else min(self._first, at)
        self._last = at if self._last is None else max(self._last, at)
        self._seen = None
        return self._last

    def _overhear(self, at: int, line: bytes) -> None:
        """Plain text: stderr shares the log."""
        if self._said.read():
            return
        text = line[-2 * TAIL_BYTES :].decode("utf-8", "replace")
        self._noise.add(text)
        if not self._session and words.shown(text).strip() == NO_SESSION:
            self._fault = claims.of_unknown_session(self._totals(at, line))

    def _other(self, _at: int, _line: bytes, _event: Event) -> bool:
        """Any other event is none of our business, but shows that the agent works."""
        return False

    def _done(self, _at: int, _line: bytes, _event: Event) -> bool:
        self._open = False
        return False

    def _enter(self, at: int, part: Part) -> None:
        """Another message of the model begins, unless it is the one that is going on."""
        self._init_at = at if self._init_at is None else self._init_at
        identity = word(part.message)
        if not identity or identity == self._message:
            return
        self._message = identity
        self._claim = None
        self._denied = ""
        self._spoken.clear()
        self._room = TEXT_MAX
        self._turns += self._messages.first_time(identity)

    def _step_start(self, at: int, _line: bytes, event: Event) -> bool:
        self._claim = None
        self._enter(at, event.part or Part())
        self._asked_at = at if self._asked_at is None else self._asked_at
        return event.part is None

    def _text(self, at: int, _line: bytes, event: Event) -> bool:
        if event.part is None:
            return True
        self._enter(at, event.part)
        self._told += 1
        self._answered_at = at
        if text := event.part.text:
            self._said.add(text)
            self._speak(text)
        return False

    def _speak(self, text: str) -> None:
        if kept := text[: self._room]:
            self._spoken.append(kept)
            self._room -= len(kept)

    def _tool_use(self, at: int, line: bytes, event: Event) -> bool:
        part, state = event.part, event.part.state if event.part else None
        identity = word(part.call or part.id) if part else ""
        if part is None or state is None or not identity:
            return True
        self._enter(at, part)
        self._told += 1
        tool = word(part.tool)
        subagent = word(state.input.subagent_type if state.input else None) or DEFAULT_SUBAGENT
        began, ended = self._times(at, event.timestamp, state)
        self._answered_at = max(began, self._answered_at or 0)
        call = ToolCall(identity, tool, "", began, subagent=subagent if tool == SUBAGENT_TOOL else "")
        self._calls.start(call)
        if self._content:
            arguments, result = self._content.both(line)
            self._calls.told(identity, arguments=arguments, result=result)
        self._calls.returned(ended, identity, failed=_went_wrong(state), launched=False)
        if (state.error or "").startswith(NOT_ALLOWED):
            self._deny(at, tool)
        return False

    def _deny(self, at: int, tool: str) -> None:
        self._denials += 1
        self._denied = tool or "a tool"
        if len(self._moments) < MOMENTS_MAX:
            self._moments.append(Moment(at, "permission_denied", (("tool", tool),) if tool else ()))
        else:
            self._moments_dropped += 1

    def _times(self, at: int, told: float | None, state: ToolState) -> tuple[int, int]:
        """When a call began and ended, in ns of the kubelet's clock."""
        ago = state.time
        if told is None or ago is None or ago.start is None:
            return at, at
        ended = self._before(at, told - (told if ago.end is None else ago.end))
        return min(self._before(at, told - ago.start), ended), ended

    def _before(self, at: int, milliseconds: float) -> int:
        """So long before `at`, but neither later nor before the log's first line."""
        first = at if self._first is None else min(self._first, at)
        return max(first, at - max(0, int(milliseconds * MILLISECOND)))

    def _step_finish(self, at: int, line: bytes, event: Event) -> bool:
        if event.part is None:
            return True
        self._enter(at, event.part)
        self._spent.add(event.part.tokens, event.part.cost)
        reason = word(event.part.reason)
        self._ask(at, word(event.part.id or event.part.message), event.part.tokens or Spent(), reason)
        self._claim = None
        if reason not in claims.GOES_ON or self._denied:
            said = "\n".join(self._spoken)
            self._claim = claims.of_step(self._totals(at, line), reason, said, self._denied)
        return False

    def _ask(self, at: int, identity: str, tokens: Spent, reason: str) -> None:
        """A step is one request, and what its tools did; the next one is made when that is done."""
        cache = (tokens.cache.read, tokens.cache.write) if tokens.cache else (None, None)
        told = [count for count in (tokens.input, *cache) if count is not None]
        ended = at if self._answered_at is None else self._answered_at
        self._chats.add(
            Said(
                id=identity,
                parent="",
                model="",
                started_at=min(ended, at if self._asked_at is None else self._asked_at),
                ended_at=ended,
                calls_before=self._calls.kept,
                input_tokens=sum(told) if told else None,
                cache_read_tokens=cache[0],
                cache_write_tokens=cache[1],
                output_tokens=tokens.output,
                finish=reason,
                under_way=False,
            )
        )
        self._asked_at, self._answered_at = at, None

    def _error(self, at: int, line: bytes, event: Event) -> bool:
        if event.error is None:
            return True
        self._fault, self._category = claims.of_fault(self._totals(at, line), event.error)
        return False

    def _totals(self, at: int, line: bytes) -> Claim:
        """A claim that does not yet say how it went."""
        claim = Claim(
            at=at,
            raw=line if len(line) <= TEXT_MAX else b"",
            turns=self._turns or None,
            duration_ms=None if self._init_at is None else (at - self._init_at) // MILLISECOND,
            permission_denials=self._denials,
        )
        # Of what its subagents use an agent tells nothing, and a part is not the whole.
        return claim if self._calls.subagents else self._spent.on(claim)

    _TAKE: Final[Mapping[str, Callable[["OpenCodeFold", int, bytes, Event], bool]]] = {
        "step_start": _step_start,
        "text": _text,
        "tool_use": _tool_use,
        "step_finish": _step_finish,
        "error": _error,
        "done": _done,
    }


def _went_wrong(state: ToolState) -> bool:
    """A shell command that fails is a call that is completed: its exit code tells."""
    return state.status == "error" or bool(state.metadata and state.metadata.exit)
