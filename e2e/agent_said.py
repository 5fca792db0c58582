"""What a log of the real Claude Code says, read with nothing but `json`: an opinion of our own.

Owns: the reading that the controller's is compared with. Never: uses the controller's code.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SYNTHETIC = "<synthetic>"
"""The model of messages that the agent's program made up itself, e.g. to tell an error of the API."""
SUBAGENT_TOOLS = ("Agent", "Task")
TOKENS = {
    "inputTokens": "inputTokens",
    "cacheReadInputTokens": "cachedInputTokens",
    "cacheCreationInputTokens": "cacheCreationInputTokens",
    "outputTokens": "outputTokens",
}
"""The agent's names for kinds of tokens, and ours."""
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A use of a tool. `parent`: the call whose subagent made it; `subagent`: the type that it started."""

    id: str
    name: str
    parent: str = ""
    subagent: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A whole log. Without a result event `result` is empty."""

    session: str
    model: str
    version: str
    turns: int
    """As a host counts them: of the whole run, though each result counts only since the one before it."""
    calls: Sequence[Call]
    retries: Sequence[tuple[str, int]]
    """(error, status) of each request that was repeated."""
    results: Sequence[Event]
    lines: int
    size: int
    """Bytes, without the ends of lines."""

    @property
    def result(self) -> Event:
        """The last result event."""
        return self.results[-1] if self.results else {}

    @property
    def succeeded(self) -> bool:
        """Whether the agent says so."""
        return self.result.get("subtype") == "success" and not self.result.get("is_error")

    @property
    def text(self) -> str:
        """The last result's text."""
        return str(self.result.get("result") or "\n".join(self.result.get("errors") or ()))

    @property
    def models(self) -> dict[str, dict[str, float]]:
        """Tokens and cost by model, in our names; the last result has those of the whole run."""
        return {
            model: {ours: spent[theirs] for theirs, ours in TOKENS.items()} | {"costUsd": spent["costUSD"]}
            for model, spent in (self.result.get("modelUsage") or {}).items()
        }

    def tokens(self, kind: str) -> int:
        """Of all models; `kind` in our names."""
        return sum(int(spent[kind]) for spent in self.models.values())


def said(log: bytes) -> Said:
    """The log of one container; lines that are not the agent's are counted, no more."""
    lines = log.split(b"\n")[: -1 if log.endswith(b"\n") else None] if log else []
    events = [event for event in map(_event, lines) if event]
    init = next((event for event in events if _kind(event) == "system/init"), {})
    results = [event for event in events if event["type"] == "result"]
    return Said(
        session=str(init.get("session_id", "")),
        model=str(init.get("model", "")),
        version=str(init.get("claude_code_version", "")),
        turns=max(len(_messages(events)), int(results[-1].get("num_turns", 0)) if results else 0),
        calls=list(_calls(events)),
        retries=[(e["error"], e["error_status"]) for e in events if _kind(e) == "system/api_retry"],
        results=results,
        lines=len(lines),
        size=sum(map(len, lines)),
    )


def _event(line: bytes) -> Event:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "type" in found else {}


def _kind(event: Event) -> str:
    return f"{event['type']}/{event.get('subtype', '')}"


def _messages(events: Sequence[Event]) -> set[str]:
    """Ids of the main agent's messages: each is told a block at a time."""
    own = [e for e in events if e["type"] == "assistant" and not e.get("parent_tool_use_id")]
    return {e["message"]["id"] for e in own if e["message"]["model"] != SYNTHETIC}


def _calls(events: Sequence[Event]) -> Iterator[Call]:
    failed = {block["tool_use_id"] for _, block in _blocks(events, "tool_result") if block.get("is_error")}
    failed |= {e.get("tool_use_id") for e in events if e.get("status") == "failed"}
    for event, block in _blocks(events, "tool_use"):
        delegates = block["name"] in SUBAGENT_TOOLS
        yield Call(
            id=block["id"],
            name=block["name"],
            parent=event.get("parent_tool_use_id") or "",
            subagent=block["input"].get("subagent_type", "general-purpose") if delegates else "",
            failed=block["id"] in failed,
        )


def _blocks(events: Sequence[Event], kind: str) -> Iterator[tuple[Event, Event]]:
    """(event, content block) of all blocks of a kind."""
    for event in events:
        content = (event.get("message") or {}).get("content")
        if event["type"] in {"assistant", "user"} and isinstance(content, list):
            yield from ((event, block) for block in content if block.get("type") == kind)
