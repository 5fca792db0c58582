"""The events of Claude Code that are mere moments of a run: retries, limits, compactions, refusals, hooks.

Never concludes anything from them, it only names them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from controller.core.agents.claude_events import Amount, ConversationReset, Count
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
    utilization: Amount | None = None
    """Of the limit; 1 is all of it."""


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


class Shutdown(Struct, gc=False):
    """The agent's process says that it is going down."""

    reason: str | None = None


class WritesLost(Struct, gc=False):
    """The agent could not save its session: resuming it may miss what was said."""


_DENIED: Final = Reader(Denied)
_FALLBACK: Final = Reader(Fallback)
_SHUTDOWN: Final = Reader(Shutdown)
_LOST: Final = Reader(WritesLost)
READERS: Final[Mapping[str, Reader[Any]]] = {
    "rate_limit_event": Reader(RateLimit),
    "system/api_retry": Reader(Retry),
    "system/compact_boundary": Reader(Compacted),
    "system/hook_response": Reader(HookResponse),
    # These are documented without saying whether they are subtypes.
    "system/permission_denied": _DENIED,
    "permission_denied": _DENIED,
    "system/model_refusal_fallback": _FALLBACK,
    "model_refusal_fallback": _FALLBACK,
    "system/worker_shutting_down": _SHUTDOWN,
    "worker_shutting_down": _SHUTDOWN,
    "system/session_writes_lost": _LOST,
    "session_writes_lost": _LOST,
}
"""By kind, see `claude_events.kind_of`."""


def moment_of(at: int, event: Any) -> Moment | None:
    """The moment that an event of READERS is, at `at` (ns); None if it is not worth telling."""
    name, details_of = _MOMENTS.get(type(event), ("", None))
    if details_of is None or (details := details_of(event)) is None:
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


def _limit(event: RateLimit) -> Details | None:
    if (limit := event.rate_limit_info) is None:
        return None
    used = None if limit.utilization is None else round(100 * limit.utilization)
    return {
        "status": limit.status,
        "type": limit.rate_limit_type,
        "resets_at_seconds": limit.resets_at,
        "used_percent": used,
    }


def _compaction(event: Compacted) -> Details:
    told: Compaction = event.compact_metadata or event
    return {"trigger": told.trigger, "pre_tokens": told.pre_tokens, "post_tokens": told.post_tokens}


def _hook(event: HookResponse) -> Details | None:
    return {"hook": event.hook_name, "exit_code": event.exit_code} if event.exit_code else None


def _denied(event: Denied) -> Details:
    return {"tool": event.tool_name}


def _fallback(event: Fallback) -> Details:
    return {"original_model": event.original_model, "fallback_model": event.fallback_model}


def _shutdown(event: Shutdown) -> Details:
    return {"reason": event.reason}


def _bare(_event: Any) -> Details:
    return {}


_MOMENTS: Final[Mapping[type, tuple[str, Callable[[Any], Details | None]]]] = {
    Retry: ("api_retry", _retry),
    RateLimit: ("rate_limit", _limit),
    Compacted: ("compaction", _compaction),
    HookResponse: ("hook_failure", _hook),
    Denied: ("permission_denied", _denied),
    Fallback: ("model_fallback", _fallback),
    Shutdown: ("worker_shutting_down", _shutdown),
    WritesLost: ("session_writes_lost", _bare),
    ConversationReset: ("conversation_reset", _bare),
}


def _known(details: Details) -> Iterator[tuple[str, str | int]]:
    for name, value in details.items():
        if value is not None and value != "":
            yield name, word(value) if isinstance(value, str) else int(value)
