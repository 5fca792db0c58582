"""A fold for `claude --output-format stream-json --verbose`: what the agent has said, concluded line by line.

Never judges a failure (`outcomes` does) and never orders by the process's own timestamps: the kubelet's
time of a line is the only clock. Lines that are not the agent's (stderr shares the log) are counted, no more.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw

from controller.core.agents import claude_events as events
from controller.core.agents import claude_moments as moments
from controller.core.agents.calls import Calls
from controller.core.agents.chats import Chats, Said
from controller.core.agents.claims import claim_of
from controller.core.agents.content import Content
from controller.core.agents.sessions import Sessions
from controller.core.agents.spending import Spending
from controller.core.agents.words import Recent, Tail, word
from controller.core.contract import SECOND
from controller.core.transcript import AgentLog, Moment, Standing, ToolCall

MOMENTS_MAX: Final = 500
TAIL_BYTES: Final = 4 * 1024
RECENT: Final = 4096
"""Lines remembered, to know a repeat; far more than a reader goes back after a lost stream."""
WHOLE: Final = 1024
"""Bytes of a line that is compared as it is; of a longer one its end must do, with its uuid and length."""

SUBAGENT_TOOLS: Final = frozenset({"Agent", "Task"})
DEFAULT_SUBAGENT: Final = "general-purpose"
TASK_OVER: Final = frozenset({"completed", "failed", "stopped", "killed", "cancelled"})
READERS: Final = {**events.READERS, **moments.READERS}
"""Every other kind of event is none of our business."""
_UNTOLD: Final = events.Usage()
SYNTHETIC: Final = "<synthetic>"
"""The model of messages that the client made up itself, e.g. to tell an API error."""


class ClaudeFold:
    """Lines of Claude Code's stream-json, folded into an AgentLog."""

    def __init__(self, begun: AgentLog | None = None, *, content: bool = False) -> None:
        begun = begun or AgentLog()
        self._content = Content() if content else None
        self._lines, self._bytes = begun.lines, begun.bytes
        self._odd, self._cut = begun.odd_lines, begun.cut_lines
        self._first, self._last, self._init_at = begun.first_at, begun.last_at, begun.init_at
        self._session = Sessions(begun)
        self._assistant_lines, self._retries = begun.assistant_lines, begun.retries
        self._assistant_error, self._retrying = begun.assistant_error, begun.retrying
        self._limited_until = begun.limited_until
        self._spent = Spending(begun.turns, begun.input_tokens, begun.output_tokens, begun.messages)
        self._calls = Calls(begun)
        self._chats = Chats(begun)
        self._model = ""
        """Of the newest message: one text for all that have it."""
        self._unanswered, self._headless = begun.unanswered, begun.headless
        self._moments: list[Moment] = []
        self._moments_dropped = begun.dropped
        self._said = Tail(TAIL_BYTES)
        self._said.add(begun.tail)
        self._noise = Tail(TAIL_BYTES)
        self._met = Recent(RECENT)
        self._seen: AgentLog | None = begun

    def feed(self, at: int, line: bytes, cut: bool = False) -> None:  # noqa: FBT001, FBT002 — the shape of Fold
        """One line. `at`: the kubelet's time (ns). `cut`: it was longer than the reader keeps."""
        if cut:
            self._count(at, line)
            self._cut += 1
            # What is lost may have been anything, a result too: nothing is closed before the next result.
            self._session.turn_open = self._session.turn_open or line.lstrip()[:1] == b"{"
            return
        # Most lines are read once; what is odd about the others is looked at part by part.
        spoken, odd = events.SPOKEN.quick(line), False
        head: events.Head | None = spoken
        if spoken is None:
            head, odd = events.HEAD.read(line)
        if head is not None and head.uuid and not self._met.first_time(_identity(head.uuid, line)):
            return
        at = self._count(at, line)
        if head is None:
            self._overhear(line)
        else:
            odd = self._read(at, line, head, spoken) or odd or head.type is None
        self._odd += odd

    def seen(self) -> AgentLog:
        """All that is concluded so far; the same value until a line changes it."""
        if self._seen is None:
            self._seen = self._conclude()
        return self._seen

    def standing(self) -> Standing:
        """What of it is worth telling at once."""
        it = self._session
        tasks, lines = bool(self._calls.live), bool(self._lines)
        return Standing(it.id, it.model, it.claim, it.turn_open, self._retrying, tasks, lines)

    def _conclude(self) -> AgentLog:
        session, spent, calls = self._session, self._spent, self._calls
        return AgentLog(
            lines=self._lines,
            bytes=self._bytes,
            odd_lines=self._odd,
            cut_lines=self._cut,
            first_at=self._first,
            last_at=self._last,
            session_id=session.id,
            model=session.model,
            agent_version=session.version,
            init_at=self._init_at,
            claim=session.claim,
            turn_open=session.turn_open,
            tasks_live=calls.live,
            assistant_lines=self._assistant_lines,
            assistant_error=self._assistant_error,
            unsettled=session.unsettled,
            headless=self._headless,
            unanswered=self._unanswered,
            retrying=self._retrying,
            retries=self._retries,
            turns=spent.turns,
            tool_calls=calls.count,
            tool_errors=calls.errors,
            subagents=calls.subagents,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            messages=spent.newest(),
            tools=calls.read(),
            content_left_out=self._content.left_out if self._content else 0,
            chats=self._chats.read(),
            chat_count=self._chats.count,
            moments=tuple(self._moments),
            tail=self._said.read() or self._noise.read(),
            dropped=calls.dropped + self._moments_dropped,
            limited_until=self._limited_until,
        )

    def _count(self, at: int, line: bytes) -> int:
        """When it was said (ns): inside a log time never goes back, whatever the node's clock does."""
        self._lines += 1
        self._bytes += len(line)
        self._first = at if self._first is None else min(self._first, at)
        self._last = at if self._last is None else max(self._last, at)
        self._seen = None
        return self._last

    def _overhear(self, line: bytes) -> None:
        if not self._said:
            self._noise.add(line[-2 * TAIL_BYTES :].decode("utf-8", "replace"))

    def _read(self, at: int, line: bytes, head: events.Head, spoken: events.Spoken | None) -> bool:
        """What the line means; True if it is odd."""
        kind = events.kind_of(head)
        if (reader := READERS.get(kind)) is None:
            return False
        speaks = kind in (events.ASSISTANT, events.USER)
        if not self._session.owns(word(head.session_id), begins=kind == events.INIT):
            # Whoever it is: nothing is taken for finished while an agent speaks.
            self._session.turn_open = self._session.turn_open or speaks
            return True
        if speaks and spoken is not None:
            return self._spoken(at, spoken, line)
        event, odd = reader.read(line)
        if isinstance(event, events.Spoken):
            return self._spoken(at, event, line) or odd
        if isinstance(event, events.Result):
            return self._result(at, line, event) or odd
        return bool(self._TAKE.get(type(event), ClaudeFold._moment)(self, at, event)) or odd

    def _opened(self) -> None:
        self._session.turn_open = True
        self._retrying = ""

    def _init(self, at: int, event: events.Init) -> None:
        self._session.begin(word(event.session_id), word(event.model), word(event.claude_code_version))
        self._init_at = at if self._init_at is None else self._init_at
        self._retrying = ""
        self._chats.heard("", at)

    def _spoken(self, at: int, event: events.Spoken, line: bytes) -> bool:
        if event.type != events.ASSISTANT:
            for call, text in self._content.answered(line).items() if self._content else ():
                self._calls.told(word(call), result=text)
            return self._user(at, event)
        odd = self._assistant(at, event)
        for call, text in self._content.asked(line).items() if self._content else ():
            self._calls.told(word(call), arguments=text)
        return odd

    def _assistant(self, at: int, event: events.Spoken) -> bool:
        self._opened()
        self._assistant_lines += 1
        self._headless = self._headless or self._init_at is None  # every turn begins with one
        # A log whose beginning is gone still tells its session, which a host needs to resume it.
        self._session.id = self._session.id or word(event.session_id)
        parent = word(event.parent_tool_use_id)
        if not parent:
            self._assistant_error = word(event.error)
        if event.message is None:
            return True
        self._message(at, parent, event, event.message)
        if not parent:
            self._unanswered = event.message.unanswered
        odd = False
        for block in event.message.blocks:
            if block.type == "tool_use" and not event.aborted:
                odd = self._tool_use(at, parent, block) or odd
            elif block.type == "text" and block.text and not parent:
                self._said.add(block.text)
        return odd

    def _message(self, at: int, parent: str, event: events.Spoken, message: events.Message) -> None:
        """Turns and tokens once for each message, whose blocks come one a line and repeat its usage.

        One that `supersedes` others stands for what was counted already. Its tokens were spent all the same.
        """
        identity = word(message.id)
        if not identity or message.model == SYNTHETIC:
            return
        main, usage, tokens = not parent, message.usage, None
        if main and not self._session.model:
            self._session.model = word(message.model)
        if usage is not None:
            tokens = usage.input_tokens or 0
            tokens += (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        self._spent.message(identity, turn=main and not event.supersedes, tokens=tokens)
        if not self._chats.goes_on(at, parent, identity):
            self._ask(at, parent, identity, event, tokens)
        if event.error:
            self._chats.failed(parent, word(event.error))

    def _ask(self, at: int, parent: str, identity: str, event: events.Spoken, tokens: int | None) -> None:
        """What was asked of the model is known once the first part of its message is there."""
        message = event.message or events.Message()
        usage, model = message.usage or _UNTOLD, message.model or ""
        if model != self._model:
            self._model = word(model)
        began = self._calls.began_at(parent) if parent else None
        self._chats.begin(
            Said(
                identity,
                parent,
                self._model,
                at if began is None else began,
                at,
                self._calls.kept,
                identity,
                word(event.request_id) if event.request_id else "",
                tokens,
                usage.cache_read_input_tokens,
                usage.cache_creation_input_tokens,
            )
        )

    def _streamed(self, at: int, event: events.StreamEvent) -> None:
        if (part := event.event) is None:
            return
        if part.type == "message_start":
            parent = word(event.parent_tool_use_id)
            self._spent.message_begins(parent)
            self._chats.streams(parent)
        elif part.type == "message_delta" and part.usage is not None:
            parent, tokens = word(event.parent_tool_use_id), part.usage.output_tokens or 0
            self._spent.output(parent, tokens)
            stopped, _ = events.STOPPED.read(part.delta)
            self._chats.output(at, parent, tokens, word(stopped.stop_reason) if stopped else "")

    def _status(self, at: int, event: events.Status) -> None:
        # Whose request it is it does not say: with subagents at work it may be any one's.
        if event.status == "requesting" and self._chats.alone:
            self._chats.heard("", at)

    def _tool_use(self, at: int, parent: str, block: events.Block) -> bool:
        identity, name, subagent = word(block.id), word(block.name), ""
        if not identity:
            return True
        if name in SUBAGENT_TOOLS:
            asked, _ = events.AGENT_INPUT.read(block.input)
            subagent = word(asked.subagent_type if asked else None) or DEFAULT_SUBAGENT
        self._calls.start(ToolCall(identity, name, parent, at, subagent=subagent))
        return False

    def _user(self, at: int, event: events.Spoken) -> bool:
        self._opened()
        if event.message is None:
            return True
        self._chats.heard(event.parent_tool_use_id or "", at)
        for block in event.message.blocks:
            if block.type == "tool_result":
                identity = word(block.tool_use_id)
                launched = _launched(event.tool_use_result) if self._calls.subagent_of(identity) else None
                failed = bool(block.is_error)
                self._subagent_over(self._calls.returned(at, identity, failed=failed, launched=launched))
        return False

    def _result(self, at: int, line: bytes, event: events.Result) -> bool:
        # Every event of the agent's own names its session; what knows none was printed by something else.
        if event.parent_tool_use_id or (self._session.id and not event.session_id):
            return True
        self._session.end(word(event.session_id), claim_of(at, line, event))
        self._chats.over("")
        self._retrying = ""
        return False

    def _reset(self, at: int, event: events.ConversationReset) -> None:
        self._session.begin_anew()
        self._spent.begin_anew()
        self._moment(at, event)

    def _task_started(self, _at: int, event: events.TaskStarted) -> None:
        subagent = word(event.subagent_type)
        if event.task_type == "local_agent":
            subagent = subagent or DEFAULT_SUBAGENT
        self._calls.task_started(
            word(event.task_id),
            word(event.tool_use_id),
            subagent,
            background=event.is_backgrounded is not False,
        )

    def _task_changed(self, at: int, event: events.TaskChanged) -> None:
        status = event.status or (event.patch.status if event.patch else None)
        if status in TASK_OVER:
            task, call = word(event.task_id), word(event.tool_use_id)
            self._subagent_over(self._calls.task_ended(at, task, call, failed=status == "failed"))

    def _subagent_over(self, call_id: str) -> None:
        if call_id:
            self._chats.over(call_id)

    def _tasks_live(self, _at: int, event: events.TasksLive) -> bool:
        if event.tasks is None:
            return True
        self._calls.tasks_live(word(task.task_id) for task in event.tasks)
        return False

    def _moment(self, at: int, event: Any) -> None:
        if isinstance(event, moments.Retry):
            self._retries += 1
            self._retrying = word(event.error) or "unknown"
        elif isinstance(event, moments.RateLimit) and (limit := event.rate_limit_info) is not None:
            rejected = limit.status == "rejected" and limit.resets_at
            self._limited_until = int(limit.resets_at or 0) * SECOND if rejected else None
        if (moment := moments.moment_of(at, event)) is None:
            return
        if len(self._moments) < MOMENTS_MAX:
            self._moments.append(moment)
        else:
            self._moments_dropped += 1

    _TAKE: Final[Mapping[type, Callable[["ClaudeFold", int, Any], bool | None]]] = {
        events.Init: _init,
        events.TaskStarted: _task_started,
        events.TaskChanged: _task_changed,
        events.TasksLive: _tasks_live,
        events.StreamEvent: _streamed,
        events.Status: _status,
        events.ConversationReset: _reset,
    }


def _identity(uuid: str, line: bytes) -> int:
    return hash(line) if len(line) <= WHOLE else hash((uuid, len(line), line[-WHOLE:]))


def _launched(told: Raw) -> bool | None:
    """Whether an Agent tool returned because its subagent has begun; None if it does not say."""
    outcome, _ = events.OUTCOME.read(told)
    if outcome is None or (outcome.status is None and outcome.is_async is None):
        return None
    return bool(outcome.is_async) or (outcome.status or "").endswith("_launched")
