"""What Claude Code prints with `--output-format stream-json --verbose`: a session of so many tool calls.

Made, not recorded: the shapes and sizes of a session at work (a few hundred bytes a thought, kilobytes a file
that was read, now and then a large one), so that any length can be had. Always the same for the same length.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

from bench.shapes import MODEL, SESSION
from controller.core.contract import SECOND

JSON = dict[str, Any]
BEGAN: Final = 1_795_348_800 * SECOND
_SESSION: Final = SESSION.replace("@RUN@", "00000000")
_TOOLS: Final = ("Bash", "Read", "Edit", "Grep", "Read", "Bash", "Write")
_WORDS: Final = (
    *("the", "parser", "reads", "one", "line", "of", "the", "log", "and", "returns", "what", "it"),
    *("says", "about", "a", "run", "of", "an", "agent"),
)


def lines(tool_calls: int) -> list[tuple[int, bytes]]:
    """Kubelet's time and line of a session that ends well."""
    rng = random.Random(tool_calls)
    return [
        (BEGAN + (10 + index) * SECOND, json.dumps(event, separators=(",", ":")).encode())
        for index, event in enumerate(_session(rng, tool_calls))
    ]


def _session(rng: random.Random, tool_calls: int) -> Iterator[JSON]:
    yield _said(rng, "system", subtype="init", model=MODEL, cwd="/workspace", tools=[*_TOOLS] * 4)
    for number in range(tool_calls):
        message = f"msg_{number:06d}"
        if number % 3 == 0:
            yield _assistant(rng, message, {"type": "text", "text": _prose(rng, 60)})
        call = f"toolu_{number:08d}"
        tool = _TOOLS[number % len(_TOOLS)]
        asked = {"file_path": f"/workspace/src/module_{number}.py", "description": _prose(rng, 12)}
        if tool in ("Edit", "Write"):
            asked["content"] = _prose(rng, 220)
        yield _assistant(rng, message, {"type": "tool_use", "id": call, "name": tool, "input": asked})
        answer = _prose(rng, 6000 if number % 40 == 0 else rng.randint(20, 700))
        yield _user(rng, call, answer, failed=number % 25 == 7)
    yield _result(rng, tool_calls)


def _said(rng: random.Random, kind: str, **fields: Any) -> JSON:
    identity = f"{rng.getrandbits(128):032x}"
    return {"type": kind, **fields, "session_id": _SESSION, "uuid": identity}


def _assistant(rng: random.Random, message: str, block: JSON) -> JSON:
    usage = {
        "input_tokens": 11,
        "cache_creation_input_tokens": 812,
        "cache_read_input_tokens": 48_211,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    body = {
        "id": message,
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [block],
        "stop_reason": None,
        "usage": usage,
    }
    return _said(rng, "assistant", message=body, parent_tool_use_id=None)


def _user(rng: random.Random, call: str, answer: str, *, failed: bool) -> JSON:
    block = {"tool_use_id": call, "type": "tool_result", "content": answer, "is_error": failed}
    told = {"stdout": answer, "stderr": "", "interrupted": False, "isImage": False}
    return _said(rng, "user", message={"role": "user", "content": [block]}, tool_use_result=told)


def _result(rng: random.Random, tool_calls: int) -> JSON:
    spent = {
        "inputTokens": 2200,
        "outputTokens": 51_300,
        "cacheReadInputTokens": 9_642_200,
        "cacheCreationInputTokens": 162_400,
        "costUSD": 6.41,
    }
    return _said(
        rng,
        "result",
        subtype="success",
        is_error=False,
        duration_ms=610_000,
        duration_api_ms=402_000,
        num_turns=tool_calls,
        result=_prose(rng, 180),
        total_cost_usd=6.41,
        modelUsage={MODEL: spent},
        permission_denials=[],
    )


def _prose(rng: random.Random, words: int) -> str:
    """Text as tools answer it: lines, quotes and indents that JSON has to escape."""
    chosen = rng.choices(_WORDS, k=words)
    for index in range(11, words, 12):
        chosen[index] += '\n    "line":'
    return " ".join(chosen)
