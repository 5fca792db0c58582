"""A result event of Claude Code as a Claim.

Never decides whether the claim is true, or what a failed one means.
"""

from typing import Final

from controller.core.agents.claude_events import Fault, Result, Spent
from controller.core.agents.words import word
from controller.core.transcript import Claim, ModelUsage

RAW_MAX: Final = 768 * 1024
"""Bytes of a result line that are kept whole: what a ConfigMap has room for (contract §5)."""
MODELS_MAX: Final = 100


def claim_of(at: int, line: bytes, event: Result) -> Claim:
    """The claim that `event`, decoded from `line`, makes at `at` (ns)."""
    subtype = word(event.subtype)
    return Claim(
        at=at,
        raw=line if len(line) <= RAW_MAX else b"",
        subtype=subtype,
        is_error=subtype != "success" if event.is_error is None else event.is_error,
        api_error_status=event.api_error_status,
        text=_text(event)[:RAW_MAX],
        stop_reason=word(event.stop_reason),
        terminal_reason=word(event.terminal_reason),
        turns=event.num_turns,
        duration_ms=_whole(event.duration_ms),
        duration_api_ms=_whole(event.duration_api_ms),
        cost_usd=event.total_cost_usd,
        models=tuple(_usage(name, spent) for name, spent in _by_name(event.model_usage or {})),
        permission_denials=None if event.permission_denials is None else len(event.permission_denials),
    )


def _by_name(models: dict[str, Spent]) -> list[tuple[str, Spent]]:
    # Key order is arbitrary in this stream, but the same run must give the same bytes.
    return sorted(models.items())[:MODELS_MAX]


def _text(event: Result) -> str:
    if event.result:
        return event.result
    return "\n".join(filter(None, map(_told, event.errors or ())))


def _told(error: str | Fault) -> str:
    return error if isinstance(error, str) else error.message or error.error or str(error.code or "")


def _whole(amount: float | None) -> int | None:
    return None if amount is None else int(amount)


def _usage(name: str, spent: Spent) -> ModelUsage:
    return ModelUsage(
        model=word(name),
        input_tokens=spent.input_tokens or 0,
        output_tokens=spent.output_tokens or 0,
        cache_read_tokens=spent.cache_read_input_tokens or 0,
        cache_creation_tokens=spent.cache_creation_input_tokens or 0,
        cost_usd=spent.cost,
    )
