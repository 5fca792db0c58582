"""What tools were asked and what they answered: only where the settings ask for it, cut, without credentials.

Never keeps more than `ROOM` of one log. Without the setting none of this is made, and no line is read for it.
"""

import re
from typing import Final

from msgspec import Raw, Struct

from controller.core import redaction
from controller.core.agents.shapes import BAD, Reader
from controller.core.contract import clip

TEXT_MAX: Final = 1024
"""Bytes kept of what a tool was asked, and of what it answered."""
ROOM: Final = 256 * 1024
"""Bytes kept of one log."""
_LOOKED_AT: Final = 8 * TEXT_MAX
"""Characters in which credentials are looked for: one that the cut breaks in two is still known."""
_CUT_WORD: Final = re.compile(r"\S{0,512}\Z")


class _Text(Struct, gc=False):
    text: str | None = None


class _Block(Struct, gc=False):
    type: str | None = None
    id: str | None = None
    tool_use_id: str | None = None
    input: Raw = Raw()
    content: str | list[_Text] | None = None


class _Message(Struct, gc=False):
    content: list[_Block] | str | None = None


class _Spoken(Struct, gc=False):
    message: _Message | None = None


class _State(Struct, gc=False):
    input: Raw = Raw()
    output: str | None = None
    error: str | None = None


class _Part(Struct, gc=False):
    state: _State | None = None


class _Event(Struct, gc=False):
    part: _Part | None = None


_CLAUDE: Final = Reader(_Spoken)
_OPENCODE: Final = Reader(_Event)


class Content:
    """Reads lines a second time, for what is said to tools and by them."""

    def __init__(self) -> None:
        self._room = ROOM
        self.left_out = 0
        """Texts for which there was no room."""

    def asked(self, line: bytes) -> dict[str, str]:
        """Arguments by the id of the call, of an assistant's line of Claude Code."""
        return {block.id: self._json(block.input) for block in _blocks(line, "tool_use") if block.id}

    def answered(self, line: bytes) -> dict[str, str]:
        """Results by the id of the call, of a user's line of Claude Code."""
        return {
            block.tool_use_id: self._kept(_said(block))
            for block in _blocks(line, "tool_result")
            if block.tool_use_id
        }

    def both(self, line: bytes) -> tuple[str, str]:
        """Arguments and result of a line of OpenCode about a tool."""
        event, _ = _OPENCODE.read(line)
        state = event.part.state if event is not None and event.part is not None else None
        if state is None:
            return "", ""
        return self._json(state.input), self._kept(state.output or state.error or "")

    def _json(self, raw: Raw) -> str:
        text = _beginning(bytes(raw)[: 4 * _LOOKED_AT].decode("utf-8", "replace"))
        try:
            return self._kept(redaction.hidden_json(text))
        except BAD:  # half an emoji: what stands in its strings is then looked for in the text as it is
            return self._kept(text)

    def _kept(self, text: str) -> str:
        kept = clip(redaction.hidden(_beginning(text)), TEXT_MAX)
        size = len(kept.encode("utf-8", "replace"))
        if size > self._room:
            self.left_out += 1
            return ""
        self._room -= size
        return kept


def _blocks(line: bytes, kind: str) -> list[_Block]:
    spoken, _ = _CLAUDE.read(line)
    message = spoken.message if spoken is not None else None
    content = message.content if message is not None else None
    return [block for block in content if block.type == kind] if isinstance(content, list) else []


def _said(block: _Block) -> str:
    if isinstance(block.content, str):
        return block.content
    return "\n".join(part.text for part in block.content or () if part.text)


def _beginning(text: str) -> str:
    """No more than is looked at, and no word of which the end is missing."""
    return text if len(text) <= _LOOKED_AT else _CUT_WORD.sub("", text[:_LOOKED_AT], count=1)
