"""Ids of traces and spans: pure functions of uids, so that every controller gives the same ones.

The rules: a trace is named by its Job's uid, a pod attempt by the second half of its Pod's uid (so that a
container can compute its own TRACEPARENT), everything else by a hash of the Job's uid, its role and a key.
"""

import re
from hashlib import sha256
from typing import NamedTuple

_UUID_HEX = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Remote(NamedTuple):
    """A span of somebody else's trace. Ids in hex: 32 and 16 digits, neither zero."""

    trace_id: str
    span_id: str


def of_trace(job_uid: str) -> str:
    """The Job's uid without dashes, 32 hex digits; a hash of it if it is no UUID."""
    return _uuid_hex(job_uid)


def is_trace(text: str) -> bool:
    """Whether this is the id of a trace: 32 hex digits, not zero."""
    return bool(_UUID_HEX.fullmatch(text)) and bool(int(text, 16))


def of_span(job_uid: str, role: str, key: str = "") -> str:
    """16 hex digits that depend on nothing but the arguments; never zero."""
    return _not_zero(_digest(f"{job_uid}/{role}/{key}")[:16])


def of_pod(pod_uid: str) -> str:
    """The last 16 hex digits of the Pod's uid; never zero."""
    return _not_zero(_uuid_hex(pod_uid)[16:])


def remote(traceparent: str) -> Remote | None:
    """The span that a W3C traceparent names, None if it is not a valid one (W3C Trace Context, §3.2)."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    if found is None:
        return None
    version, trace_id, span_id, _flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Remote(trace_id, span_id)


def _uuid_hex(uid: str) -> str:
    digits = uid.replace("-", "").lower()
    if is_trace(digits):
        return digits
    return _digest(uid)[:32]


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _not_zero(span_id: str) -> str:
    return span_id if int(span_id, 16) else f"{1:016x}"
