"""Makes a result small enough for where it is kept: its annotation, and the ConfigMap that holds the whole.

Owns what leaves a result, in which order, and what is said about it (contract §5). It never changes a Result
that it is given, and decides nothing about how a run has ended.
"""

from collections.abc import Callable
from copy import copy
from typing import Final

import msgspec

from controller.core.contract import RESULT_INLINE_MAX, RESULT_STORED_MAX, clip, sha256
from controller.core.result import Result

EVERYTHING: Final = "*"
"""In `truncated` of a result that says how the run ended and nothing else."""
_ENVELOPE: Final = (
    *("run_id", "job_uid", "phase", "reason", "exit_code", "timed_out", "error_code", "error_family"),
    *(
        "error_message",
        "error_meta",
        "retry_not_before",
        "session_id",
        "clear_session",
        "sha256",
        "truncated",
    ),
)
"""What a host needs to go on, if there is room for no more."""
_MESSAGE_SHORT: Final = 256
_MESSAGE_BARE: Final = 64
"""Bytes of `errorMessage`, which is never empty where the outcome is no clean success."""
_JSON_NAMES: Final = {each.name: each.encode_name for each in msgspec.structs.fields(Result)}

_text = msgspec.json.encode


def whole(found: Result) -> str:
    """The result as the ConfigMap holds it: all of it, unless that is more than RESULT_STORED_MAX bytes."""
    return _cut(found, RESULT_STORED_MAX).decode()


def fit(found: Result, limit: int = RESULT_INLINE_MAX) -> str:
    """The result as JSON of at most so many bytes, or as few as can be. What left is named in `truncated`.

    Then `sha256` is that of `whole`. Order of leaving: the agent's own result event, usage by model, the tail
    of the summary, all that is not needed to go on, all but phase, reason and code.
    """
    if len(text := _text(found)) > limit:
        named = copy(found)
        named.sha256 = found.sha256 or sha256(whole(found).encode())
        text = _cut(named, limit)
    return text.decode()


def _cut(found: Result, limit: int) -> bytes:
    found = copy(found)
    found.truncated = list(found.truncated)
    for shorten in _STEPS:
        if len(text := _text(found)) <= limit:
            return text
        shorten(found, limit)
    text = _text(found)
    return text if len(text) <= limit else _bare(found, limit)


def _without_event(found: Result, _limit: int) -> None:
    _leave(found, "result_json", None)


def _without_models(found: Result, _limit: int) -> None:
    _leave(found, "model_usage", {})


def _short_summary(found: Result, limit: int) -> None:
    """As much of its beginning as there is room for."""
    if not found.summary:
        return
    _name(found, "summary")
    said = found.summary.encode()[:limit]
    least, most = 0, len(said)
    while least < most:
        size = (least + most + 1) // 2
        found.summary = said[:size].decode("utf-8", "ignore")
        if len(_text(found)) <= limit:
            least = size
        else:
            most = size - 1
    found.summary = said[:least].decode("utf-8", "ignore")


def _envelope(found: Result, _limit: int) -> None:
    blank = Result(phase="", reason="")
    for name in _JSON_NAMES:
        if name not in _ENVELOPE:
            _leave(found, name, getattr(blank, name))
    if len(found.error_message.encode()) > _MESSAGE_SHORT:
        _name(found, "error_message")
        found.error_message = clip(found.error_message, _MESSAGE_SHORT)


_STEPS: Final[tuple[Callable[[Result, int], None], ...]] = (
    _without_event,
    _without_models,
    _short_summary,
    _envelope,
)


def _bare(found: Result, limit: int) -> bytes:
    """How the run ended and nothing else: with the checksum, and in words, if there is room for them."""
    said = clip(found.error_message, _MESSAGE_BARE)
    least = found.reason if said else ""
    for message, digest in ((said, found.sha256), (said, ""), (least, found.sha256)):
        if len(text := _text(_ended(found, message, digest))) <= limit:
            return text
    return _text(_ended(found, least, ""))


def _ended(found: Result, message: str, digest: str) -> Result:
    return Result(
        phase=found.phase,
        reason=found.reason,
        error_code=found.error_code,
        error_message=message,
        sha256=digest,
        truncated=[EVERYTHING],
    )


def _leave(found: Result, name: str, empty: object) -> None:
    if getattr(found, name) not in (empty, None):
        setattr(found, name, empty)
        _name(found, name)


def _name(found: Result, name: str) -> None:
    if _JSON_NAMES[name] not in found.truncated:
        found.truncated.append(_JSON_NAMES[name])
