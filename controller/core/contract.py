"""The contract of host and controller (schema 1) as code: keys, phases, reasons, codes, limits, encodings.

Owns every word that other programs read. A rename here is a breaking change of the contract.
It never looks at an object: reading them is `parse`'s, judging them `lifecycle`'s business.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from controller.core import redaction

SCHEMA: Final = "1"
DEFAULT_DOMAIN: Final = "paperclip.io"
KUEUE_QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
JOB_UID_LABEL: Final = "batch.kubernetes.io/controller-uid"

LABEL_MAX: Final = 63
"""Characters in a label value (Kubernetes API conventions)."""
RAW_ID_MAX: Final = 256
MESSAGE_MAX: Final = 1024
"""Bytes in `status.D/message`."""
RESULT_INLINE_MAX: Final = 16 * 1024
"""Bytes of `status.D/result`; what is bigger is cut and says so."""
RESULT_STORED_MAX: Final = 768 * 1024
"""Bytes of the whole result in its ConfigMap; what is bigger is cut there too."""
OURS_MAX: Final = 40 * 1024
"""Bytes of all annotations of ours together, their keys included."""
ANNOTATIONS_MAX: Final = 256 * 1024
"""Bytes of all annotations of an object, their keys included: what the API server takes."""
FACTS_MAX: Final = 2 * 1024
"""Bytes of `status.D/facts`."""
LOG_CURSOR_MAX: Final = 2 * 1024
"""Bytes of `status.D/log-cursor`."""
MIN_HEARTBEAT_SECONDS: Final = 5

SECOND: Final = 1_000_000_000
"""Nanoseconds. Every instant in `core` is an int of nanoseconds since the Unix epoch, UTC."""
FIRST_SECOND: Final = -62_135_596_800
LAST_SECOND: Final = 253_402_300_799
"""The years 1 to 9999, which is what RFC 3339 can say; in seconds since the epoch."""


class Phase(StrEnum):
    """Where a run stands. Moves forward only; states may be skipped."""

    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    FINISHING = "Finishing"
    ATTACHED = "Attached"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"


TERMINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.TIMED_OUT, Phase.CANCELLED, Phase.REJECTED})
LIVE: Final = frozenset({Phase.STARTING, Phase.RUNNING, Phase.FINISHING})

RANK: Final[Mapping[Phase, int]] = {
    Phase.QUEUED: 0,
    Phase.STARTING: 1,
    Phase.RUNNING: 2,
    Phase.FINISHING: 3,
    Phase.ATTACHED: 3,
    **dict.fromkeys(sorted(TERMINAL), 4),
}
"""A run never moves to a phase of lower rank, and never leaves rank 4."""


class Reason(StrEnum):
    """Why a run stands where it stands. The same word appears in annotation, span, metric and log line."""

    # Queued
    AGENT_BUSY = "AgentBusy"
    TASK_UNKNOWN = "TaskUnknown"
    TASK_MISMATCH = "TaskMismatch"
    SESSION_MISMATCH = "SessionMismatch"
    COMPANY_LIMIT = "CompanyLimit"
    CLUSTER_LIMIT = "ClusterLimit"
    OBJECT_MISSING = "ObjectMissing"
    EXTERNAL_QUEUE = "ExternalQueue"
    # Starting
    ADMITTED = "Admitted"
    UNSCHEDULED = "Unscheduled"
    PULLING_IMAGE = "PullingImage"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    INIT_RUNNING = "InitRunning"
    CONTAINER_CREATING = "ContainerCreating"
    STOPPING = "Stopping"
    # Running, Finishing
    AGENT_STARTING = "AgentStarting"
    AGENT_WORKING = "AgentWorking"
    AGENT_RETRYING = "AgentRetrying"
    AGENT_SILENT = "AgentSilent"
    AGENT_FINISHED = "AgentFinished"
    AGENT_HANGING = "AgentHanging"
    NEW_ATTEMPT = "NewAttempt"
    DRAINING_LOG = "DrainingLog"
    # Attached
    REATTACHED = "Reattached"
    DUPLICATE_RUN = "DuplicateRun"
    # Succeeded
    COMPLETED = "Completed"
    COMPLETED_HUNG = "CompletedHung"
    # Failed
    AGENT_ERROR = "AgentError"
    MAX_TURNS = "MaxTurns"
    BUDGET_EXCEEDED = "BudgetExceeded"
    AUTH_REQUIRED = "AuthRequired"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UPSTREAM_TRANSIENT = "UpstreamTransient"
    MODEL_NOT_FOUND = "ModelNotFound"
    REFUSED = "Refused"
    SESSION_UNAVAILABLE = "SessionUnavailable"
    NO_RESULT = "NoResult"
    TRUNCATED_OUTPUT = "TruncatedOutput"
    CONTAINER_ERROR = "ContainerError"
    OOM_KILLED = "OOMKilled"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONFIG_ERROR = "ConfigError"
    INIT_FAILED = "InitFailed"
    UNSCHEDULABLE = "Unschedulable"
    START_TIMEOUT = "StartTimeout"
    POD_MISSING = "PodMissing"
    UNKNOWN = "Unknown"
    # TimedOut
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    STALLED_TOO_LONG = "StalledTooLong"
    # Cancelled
    CANCELLED_BY_HOST = "CancelledByHost"
    JOB_DELETED = "JobDeleted"
    EXTERNALLY_SUSPENDED = "ExternallySuspended"
    # Rejected
    INVALID_RUN = "InvalidRun"


STORY: Final = (
    "OddInput",
    "Rejected",
    "Queued",
    "Attached",
    "Admitted",
    "OwnedRefused",
    "Silent",
    "Stopping",
    "Cancelled",
    Reason.JOB_DELETED,
    "AnnotationsFull",
    "ResultCut",
    "ResultRecorded",
    "TraceExported",
)
"""Reasons of Events in the order in which the story of a run has them."""


class ErrorCode(StrEnum):
    """`errorCode` of a result: the codes that existing adapters and hosts know."""

    CONCURRENT_RUN_BLOCKED = "k8s_concurrent_run_blocked"
    ORPHAN_TASK_UNKNOWN = "k8s_orphan_task_unknown"
    ORPHAN_SESSION_MISMATCH = "k8s_orphan_session_mismatch"
    AGENT_ID_INVALID = "k8s_agent_id_invalid"
    POD_SCHEDULE_FAILED = "k8s_pod_schedule_failed"
    JOB_DELETED_EXTERNALLY = "k8s_job_deleted_externally"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SESSION_UNAVAILABLE = "session_unavailable"
    CLAUDE_AUTH_REQUIRED = "claude_auth_required"
    MODEL_NOT_FOUND = "model_not_found"
    MAX_TURNS_EXHAUSTED = "max_turns_exhausted"
    PROVIDER_QUOTA = "provider_quota"
    CLAUDE_TRANSIENT_UPSTREAM = "claude_transient_upstream"
    CLAUDE_REFUSAL = "claude_refusal"
    CLAUDE_TRUNCATED = "claude_truncated"
    LLM_API_ERROR = "llm_api_error"
    ADAPTER_FAILED = "adapter_failed"


class ErrorFamily(StrEnum):
    """`errorFamily` of a result: what a host bases its retry policy on."""

    TRANSIENT_UPSTREAM = "transient_upstream"
    PROVIDER_QUOTA = "provider_quota"
    MODEL_REFUSAL = "model_refusal"


class Keys:
    """The names of all labels and annotations under one label domain `D`."""

    def __init__(self, domain: str = DEFAULT_DOMAIN) -> None:
        self.domain = domain
        self.host_prefix = f"{domain}/"
        self.status_prefix = f"status.{domain}/"
        # Labels, and the annotations of the same name that carry raw ids.
        self.agent_id = f"{domain}/agent-id"
        self.run_id = f"{domain}/run-id"
        self.adapter_type = f"{domain}/adapter-type"
        self.task_id = f"{domain}/task-id"
        self.session_id = f"{domain}/session-id"
        self.company_id = f"{domain}/company-id"
        # Annotations of the host.
        self.agent_name = f"{domain}/agent-name"
        self.traceparent = f"{domain}/traceparent"
        self.on_conflict = f"{domain}/on-conflict"
        self.reattach = f"{domain}/reattach"
        self.agent_container = f"{domain}/agent-container"
        self.output = f"{domain}/output"
        self.owned = f"{domain}/owned"
        self.cancel_requested = f"{domain}/cancel-requested"
        self.acknowledged = f"{domain}/acknowledged"
        self.retain = f"{domain}/retain"

    def status(self, name: str) -> str:
        """The full annotation key of one of the controller's own names, e.g. `phase`."""
        return self.status_prefix + name


@lru_cache(maxsize=8)
def keys_of(domain: str) -> Keys:
    """The keys of a domain, made once: plans ask for them all the time."""
    return Keys(domain)


class Status:
    """Names of the controller's own annotations, without their prefix."""

    SCHEMA = "schema"
    PHASE = "phase"
    REASON = "reason"
    MESSAGE = "message"
    SINCE = "since"
    OBSERVED_AT = "observed-at"
    HEARTBEAT_SECONDS = "heartbeat-seconds"
    LAST_OUTPUT_AT = "last-output-at"
    POD = "pod"
    SESSION_ID = "session-id"
    MODEL = "model"
    PROGRESS = "progress"
    DECISION = "decision"
    ATTACHED_TO = "attached-to"
    ATTACHED_PHASE = "attached-phase"
    RUN_HISTORY = "run-history"
    STOP = "stop"
    RESULT = "result"
    RESULT_REF = "result-ref"
    FACTS = "facts"
    LOG_CURSOR = "log-cursor"
    TRACE_ID = "trace-id"
    TRACE_EXPORTED = "trace-exported"
    TRACE_LIVE = "trace-live"
    """Spans are told while the run goes on: since when, and in which manner (`spans.telling`)."""
    HOST_TTL = "host-ttl"
    TTL_SET = "ttl-set"
    """The TTL that we gave the Job: one that differs from it was set by somebody else."""


OUTPUT_CLAUDE: Final = "claude-stream-json"
OUTPUT_OPENCODE: Final = "opencode-json"
OUTPUT_TEXT: Final = "text"
OUTPUT_BY_ADAPTER: Final[Mapping[str, str]] = {
    "claude_k8s": OUTPUT_CLAUDE,
    "opencode_k8s": OUTPUT_OPENCODE,
}
OUTPUTS: Final = frozenset({OUTPUT_CLAUDE, OUTPUT_OPENCODE, OUTPUT_TEXT})

_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")


def sanitise(raw: str) -> str:
    """`raw` as a label value: foreign characters dropped, cut to 63, non-alphanumerics stripped at both ends.

    Empty if nothing remains. Contract §1; the rule is that of the adapter this replaces.
    """
    return _FOREIGN.sub("", raw)[:LABEL_MAX].strip("._-")


def size(*texts: str) -> int:
    """Bytes of UTF-8 that these texts take."""
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts)


def sha256(data: bytes) -> str:
    """Checksum as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=1024)
def rfc3339(at: int) -> str:
    """An instant as RFC 3339 in whole seconds, UTC; one that no calendar has as the nearest that it has."""
    seconds = min(max(at // SECOND, FIRST_SECOND), LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() + "Z"


_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")


@lru_cache(maxsize=1024)
def instant(text: str) -> int | None:
    """RFC 3339 with up to nanoseconds as nanoseconds since the epoch; None if it is not one."""
    if (found := _INSTANT.fullmatch(text)) is None:
        return None
    whole, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(whole + ("+00:00" if zone in "Zz" else zone))
        seconds = int(at.timestamp())
    except (ValueError, OverflowError):
        return None
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        return None
    return seconds * SECOND + int((fraction or "0").ljust(9, "0"))


_WORD_MAX: Final = 18
"""Characters of a plain word that is too short to be a credential."""


def clip(text: str, limit: int = MESSAGE_MAX) -> str:
    """`text` on one line without control characters and credentials, at most `limit` bytes of UTF-8."""
    if len(text) <= min(limit, _WORD_MAX) and text.isascii() and text.isalnum():
        return text  # as nearly all reasons are
    text = redaction.hidden(text)
    if (
        text.isascii()
        and text.isprintable()
        and len(text) <= limit
        and text == text.strip()
        and "  " not in text
    ):
        return text
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    raw = line.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[: limit - 3].decode("utf-8", "ignore") + "…"
