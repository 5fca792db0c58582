"""Which telling of a run its spans belong to, so that no span is ever told twice with different content.

Another process may have told spans of the same run before, and nothing says how many. It made them of the
same Job, facts and log; so what is told again is the same as long as the log is, and the settings are. Where
that is not certain a span is left out, or has another id. Looks at values only, and never raises.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from controller.core import attachments, lifecycle
from controller.core.contract import Status, rfc3339, sha256
from controller.core.model import Job
from controller.core.snapshot import Facts, Policy
from controller.core.spans import ids
from controller.core.spans.attempt_part import Story
from controller.core.spantree import Span
from controller.core.transcript import AttemptLog, LogState


class _LogEnd(msgspec.Struct):
    state: str = LogState.MISSING
    lines: int = 0
    bytes: int = 0


class _Result(msgspec.Struct):
    log: _LogEnd | None = None


_RESULT: Final = msgspec.json.Decoder(_Result)


# ── While the run goes on ────────────────────────────────────────────────────────────────────────


def note(wall: int, policy: Policy) -> str:
    """What `trace-live` says from then on: since when, and how spans look that are told."""
    return f"{rfc3339(wall)} {_manner(policy)}"


def is_live(job: Job) -> bool:
    """Spans of this run may have been told while it went on, by this process or another."""
    return Status.TRACE_LIVE in job.status


def goes_on(job: Job, policy: Policy) -> bool:
    """Spans are told as they were when that began; with other settings they would look otherwise."""
    return job.status.get(Status.TRACE_LIVE, "").rpartition(" ")[2] == _manner(policy)


@lru_cache(maxsize=8)
def _manner(policy: Policy) -> str:
    """What all spans of a run depend on besides the run."""
    told = (policy.service_name, policy.cluster_name, policy.trace_parent, policy.trace_content)
    return sha256(repr(told).encode())[:8]


def is_whole(log: AttemptLog | None) -> bool:
    """It has been read from its first line on: who reads it again makes the same of it."""
    if log is None or log.resumed or log.seen.headless:
        return False
    return log.place is None or not log.place.gap


def may_tell(job: Job, log: AttemptLog | None, *, final: bool) -> bool:
    """Whether a step that the log tells of is certain to be the same in every telling.

    One that the end of its container cuts off is, if the log has been read to its end: else another process
    may have read on, and have told how it went on.
    """
    if not is_live(job):
        return True
    return is_whole(log) and (final or (log is not None and log.state is LogState.COMPLETE))


# ── After its end ────────────────────────────────────────────────────────────────────────────────


def version(job: Job, facts: Facts, stories: Iterable[Story]) -> str:
    """What tells this telling from others: empty as long as its logs are what the result rests on.

    A log that is gone by now, or lost its beginning, makes other spans than it did when the run was
    concluded; and whether these have been sent is not known.
    """
    if attachments.was_attached(job) or (said := _said(job.status.get(Status.RESULT, ""))) is None:
        return ""
    decisive = lifecycle.decisive(facts, lifecycle.agent_container(job))
    now = {story.attempt.uid: _extent(story.log) for story in stories}
    if decisive is None or now.get(decisive.uid) == said:
        return ""
    return repr(sorted(now.items()))


def renamed(spans: Iterable[Span], version: str) -> tuple[Span, ...]:
    """The same spans under ids of their own. The first is the root; its parent is somebody else's."""
    root, *others = spans
    again = {span.id: ids.of_span(span.id, "again", version) for span in (root, *others)}
    moved = (replace(span, id=again[span.id], parent=again.get(span.parent, span.parent)) for span in others)
    return (replace(root, id=again[root.id]), *moved)


@lru_cache(maxsize=64)
def _said(result: str) -> tuple[str, int, int] | None:
    """How much of the decisive log the result rests on; None if it does not say."""
    try:
        log = _RESULT.decode(result).log
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    return (log.state, log.lines, log.bytes) if log else None


def _extent(log: AttemptLog | None) -> tuple[str, int, int]:
    if log is None or (log.state is LogState.MISSING and not log.seen.lines):
        return (LogState.MISSING, 0, 0)
    return (log.state, log.seen.lines, log.seen.bytes)
