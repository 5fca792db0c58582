"""What an answer of the API server that is not a success means: its Status, as a class of `errors`.

Owns the table from status codes to errors. It reads nothing but Status objects and never raises by itself.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from controller.kube import errors

AFTER_MAX: Final = 300.0
"""Seconds: the longest that a Retry-After is believed."""


_TOO_LARGE: Final = ("metadata.annotations: Too long", "etcdserver: request is too large")
"""How a 422 says that all annotations of an object are too much, and a 500 that the object is."""


class _Cause(msgspec.Struct):
    reason: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None
    after: float = msgspec.field(name="retryAfterSeconds", default=0)


class Status(msgspec.Struct):
    """The parts of a Status that decide."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_STATUS = msgspec.json.Decoder(Status)


def status(body: bytes) -> Status:
    """What the body says. Proxies and flow control answer with text, with JSON of their own, or nothing."""
    try:
        return _STATUS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(message=body[:500].decode("utf-8", "replace").strip())


def failure(code: int, headers: Mapping[str, str], body: bytes, what: str) -> errors.KubeError:
    """The error that an answer means; `what` was asked for."""
    return error(code, status(body), what, _after(headers))


def _after(headers: Mapping[str, str]) -> float:
    """Seconds of Retry-After, 0 if there is none. Kubernetes never sends the form with a date."""
    told = headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else 0.0


def error(code: int, told: Status, what: str, after: float) -> errors.KubeError:
    """The class that says what to do next."""
    message = f"{what}: {code} {told.message or told.reason}".strip()
    after = min(after or (told.details.after if told.details else 0.0), AFTER_MAX)
    if code == 504 and _has_cause(told, "ResourceVersionTooLarge"):
        return errors.Expired(message)
    if code == 429 or (code >= 500 and after):
        return errors.Throttled(message, after or 1.0)
    if code == 409:
        return (errors.AlreadyExists if told.reason == "AlreadyExists" else errors.Conflict)(message)
    if (named := {404: errors.NotFound, 410: errors.Expired}.get(code)) is not None:
        return named(message)
    return _refusal(code, told, message)


def _refusal(code: int, told: Status, message: str) -> errors.KubeError:
    if code == 413 or any(words in told.message for words in _TOO_LARGE):
        return errors.TooLarge(message, code, told.reason)
    refused = 400 <= code < 500 and code not in (401, 408)
    return errors.Refused(message, code, told.reason) if refused else errors.Unavailable(message, code)


def _has_cause(told: Status, reason: str) -> bool:
    causes = told.details.causes if told.details else None
    return any(cause.reason == reason for cause in causes or ())
