"""What of a run's result and spans is not what its agent said; each difference is a sentence.

Owns: which field and which span has to say what. Never: uses the controller's code.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from devcluster.otlp import Span
from e2e.agent_said import TOKENS, Call, Said

COST_ERROR = 1e-9
SECOND_MS = 1000
Pairs = dict[str, tuple[Any, Any]]
"""What is compared: name -> (what the agent said, what is there)."""


def differences_of_result(said: Said, result: Mapping[str, Any]) -> list[str]:
    """Of the document in `status.D/result`. `said` has a result event."""
    told = said.result
    log = result.get("log") or {}
    pairs = {
        "sessionId": (said.session, result.get("sessionId")),
        "model": (said.model, result.get("model")),
        "numTurns": (said.turns, result.get("numTurns")),
        "durationApiMs": (int(told["duration_api_ms"]), result.get("durationApiMs")),
        "costUsd": (told["total_cost_usd"], result.get("costUsd")),
        "modelUsage": (said.models, result.get("modelUsage", {})),
        "usage": (_usage(said), result.get("usage")),
        "usageBasis": ("per_run", result.get("usageBasis")),
        "toolCalls": (len(said.calls), result.get("toolCalls")),
        "subagents": (sum(bool(call.subagent) for call in said.calls), result.get("subagents")),
        "permissionDenials": (len(told["permission_denials"]), result.get("permissionDenials")),
        "stopReason": (told.get("stop_reason"), result.get("stopReason")),
        "summary": (said.text, result.get("summary")),
        "resultJson": (told, result.get("resultJson")),
        "log": (("complete", said.lines, said.size), (log.get("state"), log.get("lines"), log.get("bytes"))),
        "success": (said.succeeded, result["phase"] == "Succeeded"),
        "errorMessage": (not said.succeeded, bool(result.get("errorMessage"))),
        "errorCode": (not said.succeeded, bool(result.get("errorCode"))),
    }
    return [*_unequal("result", pairs), *_duration(said, result)]


def _usage(said: Said) -> dict[str, int] | None:
    """Nothing is known, not even that it is 0, when no model was asked with success."""
    return {kind: said.tokens(kind) for kind in TOKENS.values()} if said.models else None


def _duration(said: Said, result: Mapping[str, Any]) -> Iterator[str]:
    """At least the last turn's, at most the container's life (in whole seconds) or a longer turn's."""
    turns = [int(told["duration_ms"]) for told in said.results]
    pod = result["pod"]
    started, finished = (datetime.fromisoformat(pod[key]) for key in ("startedAt", "finishedAt"))
    most = max(*turns, int((finished - started).total_seconds() * SECOND_MS) + SECOND_MS)
    if not turns[-1] <= result.get("durationMs", -1) <= most:
        yield f"result: durationMs is {result.get('durationMs')}, not within {turns[-1]}..{most}"


def differences_of_spans(said: Said, spans: Sequence[Span]) -> list[str]:
    """Of all spans of the run's trace. `said` has a result event."""
    agents = [span for span in spans if "gen_ai.conversation.id" in span.attributes and span.parent_id]
    roots = [span for span in spans if not span.parent_id]
    if len(agents) != 1 or len(roots) != 1:
        return [f"spans: {len(roots)} roots and {len(agents)} main agents, not one of each"]
    (agent,), (root,) = agents, roots
    return [
        *_unequal(root.name, _totals(said, root)),
        *_unequal(agent.name, _totals(said, agent) | _about(said, agent)),
        *_retries(said, agent),
        *_tools(said, spans, agent),
        *_frames(spans),
    ]


def _totals(said: Said, span: Span) -> Pairs:
    """What the root and the main agent's span both say."""
    read, written = said.tokens("cachedInputTokens"), said.tokens("cacheCreationInputTokens")
    told: dict[str, Any] = {
        "gen_ai.conversation.id": said.session,
        "gen_ai.request.model": said.model,
        "agent.turns": said.turns,
        "agent.tool_calls.count": len(said.calls),
        "agent.tool_calls.failed": sum(call.failed for call in said.calls),
        "agent.cost.usd": said.result["total_cost_usd"],
    }
    if said.models:
        told |= {
            "gen_ai.usage.input_tokens": said.tokens("inputTokens") + read + written,
            "gen_ai.usage.output_tokens": said.tokens("outputTokens"),
            "gen_ai.usage.cache_read.input_tokens": read,
            "gen_ai.usage.cache_write.input_tokens": written,
        }
    status = "UNSET" if said.succeeded else "ERROR"
    return {key: (value, span.attributes.get(key)) for key, value in told.items()} | {
        "status": (status, span.status_code)
    }


def _about(said: Said, agent: Span) -> Pairs:
    """What only the main agent's span says."""
    stop = said.result.get("stop_reason")
    told = {
        "gen_ai.operation.name": "invoke_agent",
        "agent.version": said.version,
        "gen_ai.response.finish_reasons": [stop] if stop else None,
        "agent.terminal_reason": said.result.get("terminal_reason"),
        "agent.permission_denials": len(said.result["permission_denials"]),
        "agent.subagents": sum(bool(call.subagent) for call in said.calls),
        "agent.api_retries": len(said.retries),
    }
    seen = dict(agent.attributes)
    if reasons := seen.get("gen_ai.response.finish_reasons"):
        seen["gen_ai.response.finish_reasons"] = list(reasons)
    return {key: (value, seen.get(key)) for key, value in told.items()}


def _retries(said: Said, agent: Span) -> Iterator[str]:
    retries = [event.attributes for event in agent.events if event.name == "api_retry"]
    seen = [(retry.get("agent.api_retry.error"), retry.get("agent.api_retry.status")) for retry in retries]
    yield from _unequal(agent.name, {"api_retry": (list(said.retries), seen)})


def _tools(said: Said, spans: Sequence[Span], agent: Span) -> Iterator[str]:
    """Each call has one span below the agent that made it, and one below that for its subagent."""
    found = {span.attributes.get("gen_ai.tool.call.id"): span for span in spans if _is_tool(span)}
    shown = sum(map(_is_tool, spans))
    yield from _unequal("spans", {"execute_tool": (len(said.calls), shown)})
    started: dict[str, Span] = {"": agent}
    for call in said.calls:
        span = found.get(call.id)
        if span is None:
            yield f"spans: none for the call {call.id} of {call.name}"
            continue
        yield from _unequal(span.name, _call(call, span, started.get(call.parent)))
        if call.subagent:
            below = [s for s in spans if s.parent_id == span.span_id and s.name.startswith("invoke_agent ")]
            yield from _unequal(span.name, {"subagents": ([call.subagent], [_agent_of(s) for s in below])})
            started[call.id] = below[0] if below else span


def _is_tool(span: Span) -> bool:
    return span.attributes.get("gen_ai.operation.name") == "execute_tool"


def _agent_of(span: Span) -> Any:
    return span.attributes.get("gen_ai.agent.name")


def _call(call: Call, span: Span, parent: Span | None) -> Pairs:
    return {
        "name": (f"execute_tool {call.name}", span.name),
        "gen_ai.tool.name": (call.name, span.attributes.get("gen_ai.tool.name")),
        "parent": (parent.span_id if parent else "that of its subagent", span.parent_id),
        "error.type": ("tool_error" if call.failed else None, span.attributes.get("error.type")),
        "status": ("ERROR" if call.failed else "UNSET", span.status_code),
    }


def _frames(spans: Sequence[Span]) -> Iterator[str]:
    """Every span lies within its parent, and each id is there once."""
    by_id = {span.span_id: span for span in spans}
    if len(by_id) != len(spans):
        yield f"spans: {len(spans)} of them have {len(by_id)} ids"
    for span in spans:
        parent = by_id.get(span.parent_id)
        if span.parent_id and parent is None:
            yield f"{span.name}: its parent {span.parent_id} is not there"
        elif parent and not parent.start_ns <= span.start_ns <= span.end_ns <= parent.end_ns:
            yield f"{span.name}: not within {parent.name}"


def _unequal(what: str, pairs: Pairs) -> Iterator[str]:
    for name, (told, seen) in pairs.items():
        if not _same(told, seen):
            yield f"{what}: {name} is {seen!r}, the agent said {told!r}"


def _same(told: Any, seen: Any) -> bool:
    if isinstance(told, float) and isinstance(seen, int | float):
        return abs(told - seen) <= COST_ERROR
    return bool(told == seen)
