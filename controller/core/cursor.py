"""The checkpoint of a log's fold, so that what was read is known after its lines were rotated away.

Owns the encoding of `status.D/log-cursor`: how far the log was read, and the totals up to there. Single tool
calls, requests, moments and the agent's own result line are not in it; what else does not fit leaves in the
order of `LEAVING`, and is named. It reads no line and decides nothing.
"""

from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from controller.core import redaction
from controller.core.contract import LOG_CURSOR_MAX, Status
from controller.core.model import Job
from controller.core.transcript import AgentLog, AttemptLog, Checkpoint, Claim, LogState, ModelUsage, Place

VERSION: Final = 1
TEXT_MAX: Final = 600
"""Bytes of a claim's text, or of the last words, that are kept: enough to tell what a failure was."""
LEAVING: Final = (
    *("tail", "text", "models", "messages", "agent_version", "terminal_reason", "stop_reason"),
    *("assistant_error", "retrying", "model", "session_id"),
)
"""What leaves first, and so on. Models leave together: the sum over some of them would be a wrong one."""

_MOST: Final = 2**63 - 1
Count = Annotated[int, Meta(ge=0, le=_MOST)]
Cost = Annotated[float, Meta(ge=0)]


class _Place(Struct, omit_defaults=True):
    first: Count = 0
    newest: Count = 0
    same: Count = 0
    after: Count = 0
    oldest: Count = 0
    mark: str = ""
    gap: bool = False


class _Model(Struct, array_like=True):
    model: str
    input_tokens: Count
    output_tokens: Count
    cache_read_tokens: Count
    cache_creation_tokens: Count
    cost_usd: Cost | None = None


class _Claim(Struct, omit_defaults=True, rename="camel"):
    at: Count = 0
    subtype: str = ""
    is_error: bool = False
    api_error_status: Count | None = None
    text: str = ""
    stop_reason: str = ""
    terminal_reason: str = ""
    turns: Count | None = None
    duration_ms: Count | None = None
    duration_api_ms: Count | None = None
    cost_usd: Cost | None = None
    models: list[_Model] = []
    permission_denials: Count | None = None


class _Seen(Struct, omit_defaults=True, rename="camel"):
    lines: Count = 0
    bytes: Count = 0
    odd_lines: Count = 0
    cut_lines: Count = 0
    first_at: Count | None = None
    last_at: Count | None = None
    session_id: str = ""
    model: str = ""
    agent_version: str = ""
    init_at: Count | None = None
    turn_open: bool = False
    tasks_live: Count = 0
    assistant_lines: Count = 0
    assistant_error: str = ""
    headless: bool = False
    unanswered: bool = False
    retrying: str = ""
    retries: Count = 0
    turns: Count = 0
    tool_calls: Count = 0
    tool_errors: Count = 0
    subagents: Count = 0
    chat_count: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    dropped: Count = 0
    limited_until: Count | None = None
    tail: str = ""
    messages: list[str] = []


class _Cursor(Struct, omit_defaults=True, rename="camel"):
    v: int = 0
    pod: str = ""
    place: _Place = msgspec.field(default_factory=_Place)
    seen: _Seen = msgspec.field(default_factory=_Seen)
    claim: _Claim | None = None
    left_out: list[str] = []


S = TypeVar("S", bound=Struct)
_DECODER: Final = msgspec.json.Decoder(_Cursor)


def encode(log: AttemptLog) -> str:
    """What is known of this log, as JSON of at most LOG_CURSOR_MAX bytes; empty if nothing was read of it."""
    if log.place is None or not log.seen.lines or log.seen.unsettled:
        return ""
    found = _Cursor(VERSION, log.pod_uid, _wire(_Place, log.place), _wire(_Seen, log.seen))
    if (claim := log.seen.claim) is not None:
        found.claim, found.left_out = _wire(_Claim, claim), list(claim.lost)
        found.claim.models = [_wire(_Model, model) for model in claim.models]
        _clip(found, found.claim, "text")
        found.seen.tail = ""  # the claim's own words are better ones
    _clip(found, found.seen, "tail")
    waiting = list(LEAVING)
    while len((text := _json(found)).encode()) > LOG_CURSOR_MAX and waiting:
        _leave(found, waiting.pop(0))
    return text


def _json(found: _Cursor) -> str:
    return redaction.hidden_json(msgspec.json.encode(found).decode())


@lru_cache(maxsize=256)  # a plan asks several times, and the next plan again
def decode(text: str) -> Checkpoint | None:
    """The checkpoint of its JSON; None if it is none, or of a version that is not known. Never raises."""
    if not text or len(text) > LOG_CURSOR_MAX:
        return None
    try:
        found = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    if found.v != VERSION or not found.pod or not found.seen.lines or not found.place.same:
        return None
    seen = AgentLog(**{**_fields(found.seen), "messages": tuple(found.seen.messages)}, claim=_claim(found))
    return Checkpoint(found.pod, Place(**_fields(found.place)), seen)


def of(job: Job, pod_uid: str) -> Checkpoint | None:
    """The checkpoint of that pod's log that is written on this Job."""
    found = decode(job.status.get(Status.LOG_CURSOR, ""))
    return found if found is not None and found.pod_uid == pod_uid else None


def restored(job: Job, pod_uid: str) -> AttemptLog | None:
    """A log that can't be read any more, as far as the checkpoint knows it."""
    if (found := of(job, pod_uid)) is None:
        return None
    state = state_without_end(found.seen, gap=found.place.gap)
    return AttemptLog(pod_uid, state, found.seen, place=found.place, resumed=True)


def state_without_end(seen: AgentLog, *, gap: bool) -> LogState:
    """Of a log that went before its end was seen: only the agent's own closing word makes it whole."""
    lost = gap or seen.headless
    if seen.claim is not None and not seen.turn_open and not seen.tasks_live and not lost:
        return LogState.COMPLETE
    return LogState.TRUNCATED if seen.lines else LogState.MISSING


def is_behind(job: Job, log: AttemptLog) -> bool:
    """More of this log was known once: it is being read again. What is written must not go back."""
    found = of(job, log.pod_uid)
    return found is not None and log.seen.lines <= found.seen.lines


def knows_more(job: Job, pod_uid: str, log: AttemptLog | None) -> bool:
    """Whether the checkpoint saw more of this log than could be read of it now."""
    if (found := of(job, pod_uid)) is None:
        return False
    if log is None or not log.seen.lines:
        return True
    return log.state is not LogState.COMPLETE and log.seen.lines < found.seen.lines


def _claim(found: _Cursor) -> Claim | None:
    if found.claim is None:
        return None
    models = tuple(ModelUsage(**_fields(model)) for model in found.claim.models)
    lost = tuple(name for name in ("models", "text") if name in found.left_out)
    return Claim(**{**_fields(found.claim), "models": models}, raw=b"", lost=lost)


def _clip(found: _Cursor, part: Struct, name: str) -> None:
    whole: str = getattr(part, name)
    kept = whole.encode("utf-8", "replace")[:TEXT_MAX].decode("utf-8", "ignore")
    setattr(part, name, kept)
    if len(kept) < len(whole):
        _say_left(found, part, name)


def _leave(found: _Cursor, name: str) -> None:
    part = next((p for p in (found.claim, found.seen) if name in getattr(p, "__struct_fields__", ())), None)
    if part is None or not (value := getattr(part, name)):
        return
    setattr(part, name, type(value)())
    _say_left(found, part, name)


def _say_left(found: _Cursor, part: Struct, name: str) -> None:
    spelt = dict(zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True))[name]
    if spelt not in found.left_out:
        found.left_out.append(spelt)


def _fields(part: Struct) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__struct_fields__}


def _wire(shape: type[S], value: object) -> S:
    """The fields that both have; numbers within what a reader of JSON takes."""
    return shape(**{name: _bounded(getattr(value, name)) for name in shape.__struct_fields__})


def _bounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return min(max(value, 0), _MOST) if type(value) is int else value
