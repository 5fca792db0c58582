"""Everything that a rule may look at: runs, pods, logs and marks of one slot, and the policy in force.

The engine fills these values; only `reconcile` and what it calls reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from controller.core.contract import Phase, Reason
from controller.core.model import Container, Ids, Job, Now, Owned, Pod, PodEvent, Slot
from controller.core.transcript import AttemptLog


@dataclass(frozen=True, slots=True)
class Pull:
    """How the image of a container came to its node, as Events tell it."""

    container: str
    init: bool = False
    started_at: int | None = None
    """None: it was there already."""
    finished_at: int | None = None
    millis: int | None = None
    """What it took, waiting for other pulls included, by the kubelet's own clock."""
    size: int | None = None
    """Bytes."""
    derived: bool = False
    """No Event told of its start: that is what is left of its end and of what it took."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pod of a run, as long as it could be seen."""

    pod: str
    uid: str
    created_at: int
    node: str = ""
    scheduled_at: int | None = None
    phase: str = ""
    reason: str = ""
    containers: tuple[Container, ...] = ()
    pulls: tuple[Pull, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All attempts, oldest first. `left_out`: middle ones that did not fit into the annotation."""

    attempts: tuple[Attempt, ...] = ()
    left_out: int = 0
    logs: str = ""
    """How much of the logs had been read when the run was concluded (`spans.telling`); empty before."""


class Export(StrEnum):
    """How far the trace of a run is. A restart begins at NONE unless the annotation says it was accepted."""

    NONE = "none"
    PENDING = "pending"
    ACCEPTED = "accepted"
    GIVEN_UP = "given-up"


class Ownership(StrEnum):
    """What the API server said of one object of a run when it was asked last."""

    ADOPTED = "adopted"
    """It is there, and has an owner reference to the Job."""
    REFUSED = "refused"
    """It is there, and nothing says that it is this run's: it is left alone."""
    FORBIDDEN = "forbidden"
    """We may not ask, or not write."""
    MISSING = "missing"
    UNKNOWN = "unknown"
    """No certain answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One such answer. A restart has none, and asks again: asking changes nothing twice."""

    ownership: Ownership
    at: float
    """Monotonic second at which it was asked for; if there was no answer, at which that was known."""
    tries: int = 1
    """How many times it has been asked in a row."""


class Unkept(NamedTuple):
    """The whole of a result could not be put into its ConfigMap when that was tried last."""

    why: str
    since: float
    """Monotonic second of the first failure."""
    at: float
    """That of the last."""
    final: bool = False
    """The API server will never take it."""


class Cramped(NamedTuple):
    """The API server found a patch of the Job too large, though there seemed to be room for it."""

    level: int
    """How many times in a row, each time less: 1 and more."""
    at: float
    """Monotonic second of the last time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The Events about a pod, or about a Job without one, as they were listed last."""

    events: tuple[PodEvent, ...]
    """In the order of time; what an earlier list said stays if a later one had no answer."""
    at: float
    """Monotonic second at which they were asked for."""
    tries: int = 1
    """Lists so far, whatever came of them."""
    started: bool = False
    """The agent had started by then: nothing more is to be learned."""
    refused: bool = False
    """We may not list them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A Job with everything known about it."""

    job: Job
    pods: tuple[Pod, ...] = ()
    """Oldest first."""
    gone: tuple[Pod, ...] = ()
    """Pods that are not there any more, as they were last seen; those of long ago are left to the facts."""
    logs: tuple[AttemptLog, ...] = ()
    export: Export = Export.NONE
    pods_read_at: float | None = None
    """Monotonic second at which the pods were last read from the API server itself, None if never."""
    owned: Mapping[Owned, Asked] = field(default_factory=dict)
    """What is known of the objects of this run; those that are not named have not been asked for."""
    rested: bool = False
    """The rest that a plan gave it (see `actions.Rest`) is over, by the monotonic clock."""
    attached: tuple[str, ...] = ()
    """Uids of the Jobs whose runs continue on this one and have not ended."""
    heard: Mapping[str, Heard] = field(default_factory=dict)
    """What Events have said, by uid of the pod or of the Job; who is not named has not been asked for."""
    unkept: Unkept | None = None
    cramped: Cramped | None = None
    told: frozenset[str] = frozenset()
    """Ids of the spans that this process has handed over while the run went on."""
    crowded: bool = False
    """It holds more spans than there is room for: they are to be told while it goes on."""

    def pods_read_since(self, mono: float) -> bool:
        """Whether what is known of the pods is certain for this monotonic second, not only cached."""
        return self.pods_read_at is not None and self.pods_read_at >= mono

    def events(self, uid: str) -> tuple[PodEvent, ...]:
        """What is known to have been said about this pod, or about the Job itself."""
        heard = self.heard.get(uid)
        return heard.events if heard else ()

    def log(self, pod_uid: str) -> AttemptLog | None:
        """The log of the agent's container in that pod, None if it was never asked for."""
        return next((log for log in self.logs if log.pod_uid == pod_uid), None)


class Ghost(NamedTuple):
    """A Job that vanished from the watch. It holds its place until the cluster confirms that nothing runs."""

    namespace: str
    name: str
    uid: str
    served: tuple[Ids, ...] = ()
    """The runs that it does or did the work of."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server itself has said of a Job that a run continues on; kept while its mark is named."""

    at: float
    """Monotonic second at which it was asked."""
    job: Job | None = None
    """None: there is no Job of this uid."""
    result: str = ""
    """The whole text of its result; empty if there is none on it."""


class Contender(NamedTuple):
    """A waiting run that its slot would let start now. In order: the oldest first, then by name."""

    created_at: int
    name: str
    uid: str
    company: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the limits of companies and cluster leave for one slot. Who is granted counts as running."""

    granted: frozenset[str] = frozenset()
    """Uids of waiting Jobs of the slot whose turn it is."""
    running: int = 0
    """In all that is watched."""
    of_company: Mapping[str, int] = field(default_factory=dict)
    """The same for each company that has runs in the slot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known about one slot at one moment. The order of runs and pods carries no meaning."""

    slot: Slot
    runs: tuple[Run, ...] = ()
    strays: tuple[Pod, ...] = ()
    """Pods whose Job is not known."""
    ghosts: tuple[Ghost, ...] = ()
    vanished: tuple[Run, ...] = ()
    """Runs that are certain to have been deleted before they were concluded, until they are closed."""
    doubts: tuple[str, ...] = ()
    """Uids of Jobs whose cached state may be older than our own last write."""
    settled: tuple[Job, ...] = ()
    """Jobs of this slot that are over and published, and so not among `runs` any more."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By uid of the Job that was asked for."""
    fresh: bool = False
    """Both caches are synced and neither is stale. Without it nothing is admitted or stopped."""
    since: Mapping[str, float] = field(default_factory=dict)
    """Mark (see `actions.Plan`) -> monotonic second at which this controller first saw it hold."""
    refused: frozenset[str] = frozenset()
    """Uids of Jobs whose start the API server refused a moment ago, and of pods just labelled, or refused."""
    capacity: Capacity | None = None
    """None if neither companies nor the cluster have a limit."""
    labels_refused: frozenset[str] = frozenset()
    """Uids of Jobs whose labels the API server refused to change a moment ago."""

    def first_seen(self, mark: str, now: Now) -> float:
        """The monotonic second since which the mark has held: now, if it is named for the first time."""
        return self.since.get(mark, now.mono)


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decisions depend on."""

    domain: str = "paperclip.io"
    agent_concurrency: int = 1
    company_concurrency: int = 0
    """0: any number; as for the cluster."""
    cluster_concurrency: int = 0
    on_conflict: str = "queue"
    """`queue` or `fail`: what a run does that does not say itself."""
    own_secrets: bool = True
    heartbeat_seconds: int = 60
    start_timeout_seconds: int = 600
    unschedulable_timeout_seconds: int = 3600
    """0: for ever."""
    retention_seconds: int = 86400
    acknowledged_retention_seconds: int = 300
    log_drain_seconds: int = 300
    hang_timeout_seconds: int = 600
    silent_after_seconds: int = 3600
    stall_stop_seconds: int = 0
    """0: a silent agent is never stopped."""
    settle_seconds: float = 5.0
    """How long a reason of the same phase must last before it is written (contract §2)."""
    tracing: bool = False
    trace_mode: str = "end"
    """`end` or `live`: spans of a run are told when it is over, or each as soon as it is final."""
    trace_content: str = "none"
    trace_spans: int = 100_000
    """So many spans of all live runs together are held; those that hold most are told live beyond that."""
    trace_parent: str = "link"
    """`link` or `parent`: what the host's traceparent becomes."""
    cluster_name: str = ""
    service_name: str = "agent-runs"


@dataclass(frozen=True, slots=True)
class Standing:
    """Phase and reason with one human sentence."""

    phase: Phase
    reason: Reason
    message: str = ""
