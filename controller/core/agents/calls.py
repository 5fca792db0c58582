"""The tool calls and background tasks of one agent: who is busy with what, since when, until when.

Never reads a line. A call that starts a subagent in the background is over when its task is, not when the
tool returns: what it returns then is only that the work has begun.
"""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from controller.core.transcript import AgentLog, ToolCall

CALLS_MAX: Final = 5000
"""Tool calls kept; further ones are only counted. The same bound holds for tasks."""


class Calls:
    """A ledger in which a call is replaced, never changed, so that `read` is one copy of a list."""

    def __init__(self, begun: AgentLog) -> None:
        self.count = begun.tool_calls
        self.errors = begun.tool_errors
        self.subagents = begun.subagents
        self.dropped = 0
        self._kept: list[ToolCall] = []
        self._place: dict[str, int] = {}
        self._read: tuple[ToolCall, ...] | None = ()
        self._call_of: dict[str, str] = {}
        """Task id to the id of the call that started it."""
        self._in_background: set[str] = set()
        """Ids of calls whose subagent works on after the tool has returned."""
        self._live: set[str] = set()
        self._nameless = begun.tasks_live
        """Tasks that an earlier process knew as live; their ids are not known."""
        self._met: set[str] = set()
        """Ids of tasks whose start or end was seen: an end of them is none of a nameless one."""
        self._told = False
        """The agent itself lists its live tasks: starts and ends need not be counted any more."""

    @property
    def live(self) -> int:
        """Background tasks that have not ended."""
        return len(self._live) + self._nameless

    def read(self) -> tuple[ToolCall, ...]:
        """The calls in the order of their start."""
        if self._read is None:
            self._read = tuple(self._kept)
        return self._read

    def start(self, call: ToolCall) -> None:
        """A tool is used. The same id again is the same call."""
        if call.id in self._place:
            return
        self.count += 1
        self.subagents += bool(call.subagent)
        if len(self._kept) >= CALLS_MAX:
            self.dropped += 1
            return
        self._place[call.id] = len(self._kept)
        self._kept.append(call)
        self._read = None

    @property
    def kept(self) -> int:
        """How many calls are kept by now."""
        return len(self._kept)

    def began_at(self, call_id: str) -> int | None:
        """When that call was made; None if it is not known."""
        call = self._find(call_id)
        return call.started_at if call else None

    def subagent_of(self, call_id: str) -> str:
        """The type of the subagent that a call starts; empty for other and for unknown calls."""
        call = self._find(call_id)
        return call.subagent if call else ""

    def told(self, call_id: str, *, arguments: str = "", result: str = "") -> None:
        """What a call that has not ended was asked, or answers."""
        call = self._find(call_id)
        if call is not None and call.ended_at is None:
            kept = arguments or call.arguments, result or call.result
            self._put(replace(call, arguments=kept[0], result=kept[1]))

    def returned(self, at: int, call_id: str, *, failed: bool, launched: bool | None) -> str:
        """A tool returned. `launched`: its subagent has only begun; None: it said nothing of that.

        The id of the call if that ended a subagent.
        """
        call = self._find(call_id)
        if call is None:
            self.errors += failed
            return ""
        begun = call_id in self._in_background if launched is None else launched
        if call.subagent and begun and not failed:
            return ""
        self._end(at, call, failed=failed)
        return call_id if call.subagent else ""

    def task_started(self, task_id: str, call_id: str, subagent: str, *, background: bool) -> None:
        """A task began. `subagent`: its type, empty if the task is none (a shell)."""
        if self._nameless and len(self._met) < CALLS_MAX:
            self._met.add(task_id)
        if background and not self._told and len(self._live) < CALLS_MAX:
            self._live.add(task_id)
        call = self._find(call_id)
        if call is None or len(self._call_of) >= CALLS_MAX:
            return
        self._call_of[task_id] = call_id
        if subagent and not call.subagent and call.ended_at is None:
            self.subagents += 1
            self._put(replace(call, subagent=subagent))
        if subagent and background:
            self._in_background.add(call_id)

    def task_ended(self, at: int, task_id: str, call_id: str, *, failed: bool) -> str:
        """A task ended, and with it the call that started it, if that was for a subagent: its id."""
        if task_id in self._live:
            self._live.discard(task_id)
        elif self._nameless and task_id not in self._met:
            self._nameless -= 1
            self._met.add(task_id)
        call = self._find(self._call_of.get(task_id, call_id))
        if call is not None and call.subagent:
            self._in_background.discard(call.id)
            self._end(at, call, failed=failed)
            return call.id
        return ""

    def tasks_live(self, task_ids: Iterable[str]) -> None:
        """The agent tells the full set of its live background tasks."""
        self._live = set(list(task_ids)[:CALLS_MAX])
        self._nameless = 0
        self._told = True

    def _find(self, call_id: str) -> ToolCall | None:
        place = self._place.get(call_id)
        return None if place is None else self._kept[place]

    def _end(self, at: int, call: ToolCall, *, failed: bool) -> None:
        """The first word on an end stands: its span may have been sent."""
        if call.ended_at is not None:
            return
        self.errors += failed
        self._put(replace(call, ended_at=at, failed=failed))

    def _put(self, call: ToolCall) -> None:
        self._kept[self._place[call.id]] = call
        self._read = None
