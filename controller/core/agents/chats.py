"""The model requests of one agent and its subagents: which message, from when to when, at what price.

Never reads a line. When a request was made is not told: it is taken to be when the one who makes it heard or
said anything before. A message is over when its speaker begins the next one, or is done, or the agent's turn
is; what comes of it later changes nothing any more.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import astuple

from controller.core.transcript import AgentLog, Chat

CHATS_MAX: Final = 2500
"""Requests kept; further ones are only counted."""
VOICES_MAX: Final = 1000
"""Speakers at once: the agent, and its subagents that are at work. What others say is only counted."""


class Said(Struct, gc=False):
    """A Chat that may still grow: the same fields in the same order. One is made for each message."""

    id: str
    parent: str
    model: str
    started_at: int
    """At first when its speaker began: that counts if it has neither heard nor said anything before."""
    ended_at: int
    calls_before: int
    response_id: str = ""
    request_id: str = ""
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    finish: str = ""
    error: str = ""
    under_way: bool = True


class _Voice(Struct, gc=False):
    """Who speaks: when it last heard or said anything, and the message that is under way."""

    heard_at: int
    said: Said | None = None


class Chats:
    """A ledger whose entries are finished when they are read."""

    def __init__(self, begun: AgentLog) -> None:
        self.count = begun.chat_count
        self._ids = set(begun.messages)
        """Messages that are kept, and those that an earlier process has counted."""
        self._kept: list[Said | Chat] = []
        self._voices: dict[str, _Voice] = {}
        """By the call whose subagent speaks; empty for the agent itself."""

    @property
    def alone(self) -> bool:
        """Whether nobody but the agent itself is known to speak."""
        return not self._voices or (len(self._voices) == 1 and "" in self._voices)

    def read(self) -> tuple[Chat, ...]:
        """The requests in the order in which they were answered first."""
        for place, said in enumerate(self._kept):
            if isinstance(said, Said) and not said.under_way:
                self._kept[place] = Chat(*astuple(said))
        return tuple(said if isinstance(said, Chat) else Chat(*astuple(said)) for said in self._kept)

    def heard(self, parent: str, at: int) -> None:
        """The speaker got an answer from a tool, or was told something: its next request comes later."""
        voice = self._voices.get(parent)
        if voice is not None:
            voice.heard_at = at
        elif not parent:
            self._voices[parent] = _Voice(at)

    def goes_on(self, at: int, parent: str, identity: str) -> bool:
        """A part of that message. False: it is the first one, `begin` has to be told."""
        voice = self._voices.get(parent)
        if voice is None or voice.said is None or voice.said.id != identity:
            return False
        voice.said.ended_at = voice.heard_at = at
        return True

    def begin(self, said: Said) -> None:
        """The first part of a message, at its `ended_at`."""
        voice = self._voices.get(said.parent)
        if voice is not None:
            if voice.said is not None:
                voice.said.under_way = False
            said.started_at, voice.heard_at = voice.heard_at, said.ended_at
            voice.said = said
        elif len(self._voices) < VOICES_MAX:
            self._voices[said.parent] = _Voice(said.ended_at, said)
        else:
            said.under_way = False
        self.add(said)

    def add(self, said: Said) -> None:
        """Count a request, and keep it if it is new and there is room."""
        if said.id in self._ids:
            return
        self.count += 1
        if len(self._kept) < CHATS_MAX:
            self._ids.add(said.id)
            self._kept.append(said)

    def failed(self, parent: str, error: str) -> None:
        """The message under way has an error of that category."""
        if (said := self._said(parent)) is not None:
            said.error = error

    def streams(self, parent: str) -> None:
        """A message begins to be told bit by bit: the one before it is over."""
        if (said := self._said(parent)) is not None:
            said.under_way = False
            self._voices[parent].said = None

    def output(self, at: int, parent: str, tokens: int, finish: str) -> None:
        """The message under way has so many tokens of output; only streams with partial messages tell."""
        if (said := self._said(parent)) is not None:
            said.output_tokens, said.finish = tokens, finish
            said.ended_at = self._voices[parent].heard_at = at

    def over(self, parent: str) -> None:
        """Who spoke on behalf of this call is done, or the agent's own turn is."""
        voice = self._voices.pop(parent, None)
        if voice is not None and voice.said is not None:
            voice.said.under_way = False

    def _said(self, parent: str) -> Said | None:
        voice = self._voices.get(parent)
        return voice.said if voice is not None else None
