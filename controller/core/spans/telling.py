"""Which telling of a run its spans belong to, so that no span is ever told twice with different content.

Another process may have told spans of the same run before, and nothing says how many. It made them of the
same Job, facts and log; so what is told again is the same as long as the log is, and the settings are. Where
that is not certain a span is left out, or has another id. Looks at values only, and never raises.
"""

from collections.abc import Iterable
from functools import lru_cache

from msgspec.structs import replace

from controller.core import attachments
from controller.core.contract import Status, rfc3339, sha256
from controller.core.model import Job, Wishes
from controller.core.snapshot import Facts, Policy, Run
from controller.core.spans import ids
from controller.core.spantree import Span
from controller.core.transcript import AttemptLog, LogState

# ── While the run goes on ────────────────────────────────────────────────────────────────────────


def note(wall: int, job: Job, policy: Policy) -> str:
    """What `trace-live` says from then on: since when, and how spans look that are told."""
    return f"{rfc3339(wall)} {_manner(job.wishes, policy)}"


def is_live(job: Job) -> bool:
    """Spans of this run may have been told while it went on, by this process or another."""
    return Status.TRACE_LIVE in job.status


def goes_on(job: Job, policy: Policy) -> bool:
    """Spans are told as they were when that began; with other settings or wishes they look otherwise."""
    return job.status.get(Status.TRACE_LIVE, "").rpartition(" ")[2] == _manner(job.wishes, policy)


@lru_cache(maxsize=1024)
def _manner(wishes: Wishes, policy: Policy) -> str:
    """What all spans of a run depend on that may change while it goes on."""
    settings = (policy.service_name, policy.cluster_name, policy.trace_parent, policy.trace_content)
    told = (*settings, wishes.agent_name, wishes.traceparent, wishes.output)
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


def extent(logs: Iterable[AttemptLog]) -> str:
    """How much has been read of the logs of a run: a checksum of each, and lines and bytes of all."""
    read = sorted(
        (log.pod_uid, str(log.state), log.seen.lines, log.seen.bytes) for log in logs if log.seen.lines
    )
    lines, size = sum(log[2] for log in read), sum(log[3] for log in read)
    return f"{sha256(repr(read).encode())[:8]} {lines} {size}"


def version(run: Run, facts: Facts) -> str:
    """What tells this telling from others: empty as long as the logs are what they were at the run's end.

    A log that is gone by now, or lost its beginning, makes other spans than it did when the run was
    concluded; and whether these have been sent is not known. If spans were told while the run went on, these
    are out: they stay as they are, as long as nothing has been lost of what they were made of.
    """
    now = extent(run.logs)
    if not facts.logs or facts.logs == now or attachments.was_attached(run.job):
        return ""
    if is_live(run.job) and _sizes(now) >= _sizes(facts.logs):
        return ""
    return now


def _sizes(extent: str) -> list[int]:
    return [int(word) for word in extent.split()[1:] if word.isdecimal()]


def renamed(spans: Iterable[Span], version: str) -> tuple[Span, ...]:
    """The same spans under ids of their own. The first is the root; its parent is somebody else's."""
    root, *others = spans
    again = {span.id: ids.of_span(span.id, "again", version) for span in (root, *others)}
    moved = (replace(span, id=again[span.id], parent=again.get(span.parent, span.parent)) for span in others)
    return (replace(root, id=again[root.id]), *moved)
