"""The shapes of the Messages API: what a request asks, and how a message, its stream or an error is written.

Owns the protocol's names. Never decides what is answered.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]
CHUNK = 40
"""Characters of one delta of a stream."""


class BadRequestError(Exception):
    """What came is no request of the Messages API; the text says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """A block of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A block that asks for a tool."""

    name: str
    input: Mapping[str, Any]


Block = Text | ToolUse


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as it matters here."""

    model: str
    stream: bool
    messages: Sequence[JSON]
    tools: tuple[str, ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        """The texts of the first user message: reminders by the agent's program, and the prompt."""
        first = next((m for m in self.messages if m.get("role") == "user"), {})
        return tuple(str(block.get("text") or "") for block in blocks_of(first))

    @property
    def turns(self) -> int:
        """How often the model has already spoken in this conversation."""
        return sum(message.get("role") == "assistant" for message in self.messages)


def blocks_of(message: JSON) -> list[JSON]:
    """The content blocks of a message; bare text is one."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return _objects(content)


def _objects(found: Any) -> list[JSON]:
    """The objects of a list; of anything else there are none."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def asked(body: bytes) -> Asked:
    """The request in `body`. Raises BadRequestError."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("messages"), list):
        raise BadRequestError("messages: Field required")
    tools = told.get("tools")
    return Asked(
        model=str(told.get("model") or ""),
        stream=bool(told.get("stream")),
        messages=_objects(told["messages"]),
        tools=tuple(str(tool.get("name", "")) for tool in _objects(tools)),
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one message."""

    input: int
    cache_creation: int
    cache_read: int
    output: int

    def shown(self, output: int) -> JSON:
        """As the API writes it; the start of a stream does not know all of `output` yet."""
        return {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_creation,
            "cache_read_input_tokens": self.cache_read,
            "output_tokens": output,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """What the model says."""

    id: str
    model: str
    blocks: Sequence[Block]
    usage: Usage
    stops: str = ""
    """Why it ends here, if for no reason that its blocks tell."""

    @property
    def stop_reason(self) -> str:
        """Why it ends here."""
        if self.stops:
            return self.stops
        return "tool_use" if any(isinstance(block, ToolUse) for block in self.blocks) else "end_turn"

    def shown(self) -> JSON:
        """The answer to a request that does not ask for a stream."""
        content = [self._block(number) | self._filled(block) for number, block in enumerate(self.blocks)]
        return self._head() | {
            "content": content,
            "stop_reason": self.stop_reason,
            "usage": self.usage.shown(self.usage.output),
        }

    def events(self) -> Iterator[JSON]:
        """The answer as the events of a stream."""
        yield {"type": "message_start", "message": self._head()}
        yield {"type": "ping"}
        for number, block in enumerate(self.blocks):
            yield {"type": "content_block_start", "index": number, "content_block": self._block(number)}
            for delta in _deltas(block):
                yield {"type": "content_block_delta", "index": number, "delta": delta}
            yield {"type": "content_block_stop", "index": number}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": None},
            "usage": self.usage.shown(self.usage.output),
        }
        yield {"type": "message_stop"}

    def _head(self) -> JSON:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self.usage.shown(1),
        }

    def _block(self, number: int) -> JSON:
        """A block before its first delta."""
        match self.blocks[number]:
            case Text():
                return {"type": "text", "text": ""}
            case ToolUse(name=name):
                return {
                    "type": "tool_use",
                    "id": f"toolu_{self.id.removeprefix('msg_')}_{number}",
                    "name": name,
                    "input": {},
                }

    @staticmethod
    def _filled(block: Block) -> JSON:
        return {"text": block.text} if isinstance(block, Text) else {"input": dict(block.input)}


def _deltas(block: Block) -> Iterator[JSON]:
    if isinstance(block, Text):
        for part in _parts(block.text):
            yield {"type": "text_delta", "text": part}
    else:
        for part in _parts(json.dumps(block.input)):
            yield {"type": "input_json_delta", "partial_json": part}


def _parts(text: str) -> list[str]:
    return [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]


def sse(event: JSON) -> bytes:
    """One server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def error(kind: str, message: str) -> JSON:
    """The body of a refusal."""
    return {"type": "error", "error": {"type": kind, "message": message}}
