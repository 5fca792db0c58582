"""Which words the labels of metrics may take, so that the number of series is bounded.

A closed set is an enum of the contract or a tuple here; an open one takes the first words that come and
turns the rest into `other`. Ids of runs, agents, sessions or Jobs are in none. Nothing is counted here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from controller.core.contract import TERMINAL, Phase, Reason
from controller.core.orphans import Decision
from controller.core.snapshot import Ownership
from controller.core.tally import Stage
from controller.telemetry.answers import Verdict

OTHER: Final = "other"


class Label(NamedTuple):
    """One label: the words known for it, and how many it may take in all (0: no others)."""

    name: str
    known: tuple[str, ...] = ()
    limit: int = 0
    meaning: str = ""


class Words:
    """The words that one label has taken: those known, then new ones up to the limit, then `other`."""

    def __init__(self, known: Iterable[str] = (), limit: int = 0) -> None:
        self._known = {str(word) for word in known}
        self._limit = max(limit, len(self._known))

    def bound(self, word: str) -> str:
        """The word itself, or `other`."""
        if word not in self._known and len(self._known) < self._limit and _WORD.fullmatch(word):
            self._known.add(word)
        return word if word in self._known else OTHER


_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/@\[\]-]{0,127}")
"""What may become a new word: names of models come from a log, which may hold anything."""

# ── Closed sets ──────────────────────────────────────────────────────────────────────────────────

_WAITS: Final = (
    Reason.AGENT_BUSY,
    Reason.TASK_UNKNOWN,
    Reason.TASK_MISMATCH,
    Reason.SESSION_MISMATCH,
    Reason.OBJECT_MISSING,
)
STANDINGS: Final[Mapping[Phase, tuple[Reason, ...]]] = {
    Phase.QUEUED: (*_WAITS, Reason.COMPANY_LIMIT, Reason.CLUSTER_LIMIT, Reason.EXTERNAL_QUEUE),
    Phase.STARTING: (
        Reason.ADMITTED,
        Reason.UNSCHEDULED,
        Reason.PULLING_IMAGE,
        Reason.IMAGE_PULL_BACK_OFF,
        Reason.INIT_RUNNING,
        Reason.CONTAINER_CREATING,
        Reason.EXTERNAL_QUEUE,
        Reason.STOPPING,
    ),
    Phase.RUNNING: (
        Reason.AGENT_STARTING,
        Reason.AGENT_WORKING,
        Reason.AGENT_RETRYING,
        Reason.AGENT_SILENT,
        Reason.AGENT_FINISHED,
        Reason.AGENT_HANGING,
        Reason.NEW_ATTEMPT,
        Reason.EXTERNAL_QUEUE,
        Reason.STOPPING,
    ),
    Phase.FINISHING: (
        Reason.AGENT_FINISHED,
        Reason.AGENT_HANGING,
        Reason.DRAINING_LOG,
        Reason.STOPPING,
    ),
    Phase.ATTACHED: (Reason.REATTACHED, Reason.DUPLICATE_RUN),
}
"""Where runs that are not over may stand (contract §3)."""
FINISHED: Final[Mapping[Phase, tuple[Reason, ...]]] = {
    Phase.SUCCEEDED: (Reason.COMPLETED, Reason.COMPLETED_HUNG),
    Phase.FAILED: (
        Reason.AGENT_ERROR,
        Reason.MAX_TURNS,
        Reason.BUDGET_EXCEEDED,
        Reason.AUTH_REQUIRED,
        Reason.QUOTA_EXCEEDED,
        Reason.UPSTREAM_TRANSIENT,
        Reason.MODEL_NOT_FOUND,
        Reason.REFUSED,
        Reason.SESSION_UNAVAILABLE,
        Reason.NO_RESULT,
        Reason.TRUNCATED_OUTPUT,
        Reason.CONTAINER_ERROR,
        Reason.OOM_KILLED,
        Reason.EVICTED,
        Reason.PREEMPTED,
        Reason.NODE_LOST,
        Reason.IMAGE_PULL_FAILED,
        Reason.CONFIG_ERROR,
        Reason.INIT_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.START_TIMEOUT,
        Reason.POD_MISSING,
        Reason.UNKNOWN,
    ),
    Phase.TIMED_OUT: (Reason.DEADLINE_EXCEEDED, Reason.STALLED_TOO_LONG),
    Phase.CANCELLED: (Reason.CANCELLED_BY_HOST, Reason.JOB_DELETED, Reason.EXTERNALLY_SUSPENDED),
    Phase.REJECTED: (*_WAITS, Reason.INVALID_RUN),
}
"""How runs may end. These series exist from the start, for alerts on their rate."""

PHASE: Final = Label("phase", tuple(map(str, Phase)), meaning="phases of docs/contract.md §3")
REASON: Final = Label("reason", tuple(map(str, Reason)), meaning="reasons of docs/contract.md §3")
ENDED: Final = Label("phase", tuple(sorted(TERMINAL)), meaning="terminal phases of docs/contract.md §3")
RAN: Final = Label("phase", tuple(sorted(TERMINAL - {Phase.REJECTED})))
LIVE: Final = Label("phase", tuple(map(str, STANDINGS)))
STAGE: Final = Label("stage", tuple(map(str, Stage)))
DECISION: Final = Label("decision", tuple(map(str, Decision)), meaning="decisions of docs/contract.md §4")
ANSWER: Final = Label("answer", tuple(map(str, Ownership)))
STOPS: Final = Label(
    "reason",
    tuple(
        map(
            str,
            (
                Reason.CANCELLED_BY_HOST,
                Reason.EXTERNALLY_SUSPENDED,
                Reason.COMPLETED_HUNG,
                Reason.STALLED_TOO_LONG,
                Reason.POD_MISSING,
                Reason.UNSCHEDULABLE,
                Reason.START_TIMEOUT,
                Reason.IMAGE_PULL_FAILED,
                Reason.CONFIG_ERROR,
                Reason.INIT_FAILED,
            ),
        )
    ),
    limit=len(Reason),
    meaning="what the stop is for, and any other reason",
)

MODEL: Final = Label("model", (OTHER,), limit=24, meaning="names of models as agents say them")
TOKENS: Final = Label("type", ("input", "output", "cache_read", "cache_write"))
BASIS: Final = Label("basis", ("run", "session"), meaning="`session`: with what an earlier run has used")
TOOL: Final = Label(
    "tool",
    (
        *("Agent", "AskUserQuestion", "Bash", "BashOutput", "Edit", "ExitPlanMode", "Glob", "Grep"),
        *("KillShell", "LS", "MultiEdit", "NotebookEdit", "Read", "Skill", "SlashCommand", "Task"),
        *("TaskOutput", "TaskStop", "TodoWrite", "ToolSearch", "WebFetch", "WebSearch", "Write"),
        *("bash", "edit", "glob", "grep", "list", "patch", "read", "skill", "task", "todoread"),
        *("todowrite", "webfetch", "websearch", "write", "mcp", OTHER),
    ),
    meaning="tools of Claude Code and OpenCode; `mcp`: any tool of an MCP server",
)

OUTCOMES: Final = (
    "done",
    "conflict",
    "throttled",
    "unavailable",
    "refused",
    "not_found",
    "failed",
)
"""How one round of a slot ended: the words of `engine/loops.py`."""
LOG_OUTCOMES: Final = (
    "ended",
    "polled",
    "gone",
    "not_started",
    "throttled",
    "refused",
    "unavailable",
    "failed",
)
"""How one read of a log ended, as the log follower says it."""
EXPORT_OUTCOMES: Final = ("accepted", "failed", "gave_up", "full")
"""How one try of a trace ended; the last two are no tries: too old or refused for good; no room."""
RESOURCES: Final = ("jobs", "pods")
RESTARTS: Final = (
    "list",
    "relist",
    "reconnect",
    "expired",
    "throttled",
    "refused",
    "unavailable",
    "decode_error",
)
"""What happened to a watch: the words of `kube/informer.py` and `kube/retry.py`."""

OUTCOME: Final = Label("outcome", OUTCOMES)
READ: Final = Label("outcome", LOG_OUTCOMES)
EXPORT: Final = Label("outcome", EXPORT_OUTCOMES)
TROUBLE: Final = Label(
    "reason", tuple(str(verdict) for verdict in Verdict if verdict is not Verdict.ACCEPTED)
)
STORED: Final = Label("outcome", ("stored", "refused"))
SQUEEZED: Final = Label("when", ("planned", "refused"))
TOLD: Final = Label("outcome", ("told", "failed"))
LISTED: Final = Label("outcome", ("read", "refused", "failed"))
RESOURCE: Final = Label("resource", RESOURCES)
_CALLED: Final = ("jobs", "pods", "events", "leases", "secrets", "configmaps")
CALLED: Final = Label("resource", _CALLED, limit=8)
RESTART: Final = Label("what", RESTARTS)
_VERBS: Final = ("get", "list", "watch", "log", "patch", "create", "update")
VERB: Final = Label("verb", _VERBS, limit=8)
CODE: Final = Label("code", limit=32, meaning="HTTP status; 0: there was no answer")
WHERE: Final = Label("where", limit=64, meaning="keys of labels and annotations, names of fields")
KIND: Final = Label("kind", limit=16, meaning="kinds of objects")
VERSION: Final = Label("version", limit=1, meaning="of the program")
PYTHON: Final = Label("python", limit=1, meaning="of Python")


def tool(name: str) -> str:
    """A tool's word: its name, if it is a known one; those of MCP servers are many, and one word."""
    if name.startswith("mcp__"):
        return "mcp"
    return name if name in TOOL.known else OTHER
