"""The events of Claude Code that are mere moments of a run: retries, limits, compactions, refusals, hooks.

Never concludes anything from them, it only names them.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from controller.core.agents.claude_events import Amount, Count
from controller.core.agents.shapes import Reader
from controller.core.agents.words import word
from controller.core.transcript import Moment

Details = Mapping[str, str | float | None]


class Retry(Struct, gc=False):
    """A request to the model failed and will be repeated."""

    error: str | None = None
    error_status: Count | None = None
    attempt: Count | None = None
    max_retries: Count | None = None
    retry_delay_ms: Amount | None = None


class Compaction(Struct, gc=False):
    """The numbers of a compaction, on the event itself or in `compact_metadata`, by version."""

    trigger: str | None = None
    pre_tokens: Count | None = None
    post_tokens: Count | None = None


class Compacted(Compaction, gc=False):
    """The conversation was summarised to make room."""

    compact_metadata: Compaction | None = None


class HookResponse(Struct, gc=False):
    """A hook has run."""

    hook_name: str | None = None
    hook_event: str | None = None
    exit_code: Annotated[int, Meta(ge=-(2**31), lt=2**32)] | None = None


class Limit(Struct, gc=False, rename="camel"):
    """State of a subscription's limit. `resets_at` in seconds since the epoch."""

    status: str | None = None
    resets_at: Annotated[float, Meta(ge=0, le=2**33)] | None = None
    rate_limit_type: str | None = None


class RateLimit(Struct, gc=False):
    """The state of a subscription's limit has changed."""

    rate_limit_info: Limit | None = None


class Denied(Struct, gc=False):
    """A tool was not allowed."""

    tool_name: str | None = None


class Fallback(Struct, gc=False):
    """A model refused and another took over."""

    original_model: str | None = None
    fallback_model: str | None = None


_DENIED: Final = Reader(Denied)
_FALLBACK: Final = Reader(Fallback)
READERS: Final[Mapping[str, Reader[Any]]] = {
    "rate_limit_event": Reader(RateLimit),
    "system/api_retry": Reader(Retry),
    "system/compact_boundary": Reader(Compacted),
    "system/hook_response": Reader(HookResponse),
    # Both are documented without saying whether they are subtypes.
    "system/permission_denied": _DENIED,
    "permission_denied": _DENIED,
    "system/model_refusal_fallback": _FALLBACK,
    "model_refusal_fallback": _FALLBACK,
}
"""By kind, see `claude_events.kind_of`."""


def moment_of(at: int, event: Any) -> Moment | None:
    """The moment that an event of READERS is, at `at` (ns); None if it is not worth telling."""
    match event:
        case Retry():
            name, details = "api_retry", _retry(event)
        case RateLimit(rate_limit_info=Limit() as limit):
            name, details = "rate_limit", _limit(limit)
        case Compacted():
            name, details = "compaction", _compaction(event.compact_metadata or event)
        case HookResponse(exit_code=int(code)) if code:
            name, details = "hook_failure", {"hook": event.hook_name, "exit_code": code}
        case Denied():
            name, details = "permission_denied", {"tool": event.tool_name}
        case Fallback():
            models = {"original_model": event.original_model, "fallback_model": event.fallback_model}
            name, details = "model_fallback", models
        case _:
            return None
    return Moment(at, name, tuple(_known(details)))


def _retry(event: Retry) -> Details:
    return {
        "error": event.error,
        "status": event.error_status,
        "attempt": event.attempt,
        "max_retries": event.max_retries,
        "delay_ms": event.retry_delay_ms,
    }


def _limit(limit: Limit) -> Details:
    kind = limit.rate_limit_type
    return {"status": limit.status, "type": kind, "resets_at_seconds": limit.resets_at}


def _compaction(told: Compaction) -> Details:
    return {"trigger": told.trigger, "pre_tokens": told.pre_tokens, "post_tokens": told.post_tokens}


def _known(details: Details) -> Iterator[tuple[str, str | int]]:
    for name, value in details.items():
        if value is not None and value != "":
            yield name, word(value) if isinstance(value, str) else int(value)
