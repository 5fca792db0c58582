"""Everything that a rule may ask for: actions, and the plan that holds them in order.

Values only. `kube/writer.py`, the log follower and the exporter carry them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from controller.core.spantree import SpanTree
from controller.core.tally import Tally
from controller.core.transcript import Checkpoint


@dataclass(frozen=True, slots=True)
class PatchJob:
    """One merge patch of a Job. Carries the uid always, the resourceVersion if `version` is set."""

    namespace: str
    name: str
    job_uid: str
    version: str = ""
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    spec: Mapping[str, bool | int | None] = field(default_factory=dict)
    template_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    """The purposes, joined by `+`, in the order of the rules that asked: bounded, fit for a metric label."""
    beat: bool = False
    """Nothing but a heartbeat: it may wait, and is left out while the API server is busy."""
    tally: Tally | None = None
    """It ends the run, which has these numbers."""


@dataclass(frozen=True, slots=True)
class PatchPod:
    """One merge patch of the labels and annotations of a run's pod. Carries the pod's uid."""

    namespace: str
    name: str
    pod_uid: str
    job_uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    why: str = ""
    """The purpose, of a bounded set."""


@dataclass(frozen=True, slots=True)
class OwnObject:
    """Look whether this Secret or ConfigMap is there and is this run's; if so, the Job becomes its owner."""

    namespace: str
    kind: str
    name: str
    job_name: str
    job_uid: str
    run_id: str
    """The label that shows whose it is."""


@dataclass(frozen=True, slots=True)
class StoreResult:
    """Put the whole of a result into an immutable ConfigMap that goes with its Job. Twice is once.

    It is refused if there is one of that name which is not ours, or holds something else.
    """

    namespace: str
    name: str
    job_name: str
    job_uid: str
    text: str
    sha256: str
    """Of the text's UTF-8."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TellJob:
    """An Event on a Job. The same (uid, reason, note) is the same Event, however often it is asked for."""

    namespace: str
    name: str
    job_uid: str
    reason: str
    note: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class RefreshJob:
    """Read this Job from the API server: the cache is in doubt."""

    namespace: str
    name: str
    job_uid: str


@dataclass(frozen=True, slots=True)
class ReadPods:
    """Read all pods of this Job from the API server: what the cache says of them does not fit the Job."""

    namespace: str
    job_uid: str


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """List the Events about a pod of this Job, or about the Job itself: two lists at most (contract §7)."""

    namespace: str
    about: str
    """Uid of the pod, or of the Job."""
    job_uid: str
    started: bool = False
    """The agent has started: only a trace wants to know, and it may be left out."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Read this Job from the API server, with the text of its result, for a run that continues on it."""

    namespace: str
    name: str
    job_uid: str


def answer_mark(job_uid: str) -> str:
    """What `ReadResult` has brought is kept as long as plans name this mark."""
    return f"answer:{job_uid}"


@dataclass(frozen=True, slots=True)
class ConfirmGone:
    """Ask the API server whether the Job of this uid is gone and none of its pods could still run."""

    namespace: str
    name: str
    job_uid: str


class Presence(StrEnum):
    """What the API server answers to ConfirmGone."""

    RUNS = "runs"
    """Something of it may still run, or be started."""
    OVER = "over"
    """The Job is there, has lost the label that it was watched by, and nothing of it can run."""
    ABSENT = "absent"
    """There is no such Job, and nothing of it can run."""


@dataclass(frozen=True, slots=True)
class FollowLog:
    """Have the agent's container in this pod read to its end. Asking again changes nothing."""

    namespace: str
    pod: str
    pod_uid: str
    job_uid: str
    container: str
    output: str
    ended: bool = False
    """The container has terminated: a stream that ends now has ended for good."""
    urgent: bool = False
    """A stream is needed at once, whatever the budget of streams says: the container is about to end."""
    begun: Checkpoint | None = None
    """How far it was read by an earlier process, for a log whose beginning is not there any more."""
    check: bool = False
    """Make certain: read all that there is now, and tell when (`AttemptLog.read_at`)."""
    restarts: int = 0
    """Of the container: a kubelet has only the log of its newest start."""
    patient: bool = False
    """Nothing but a trace waits for it: others go first."""


@dataclass(frozen=True, slots=True)
class ExportTrace:
    """Hand this trace over to the exporter; its acceptance comes back as a fact."""

    job_uid: str
    tree: SpanTree


@dataclass(frozen=True, slots=True)
class TellSpans:
    """Hand over these spans of a run that goes on: nothing can change them any more. Never the root."""

    job_uid: str
    part: SpanTree


@dataclass(frozen=True, slots=True)
class CloseVanished:
    """A run whose Job was deleted in mid-run is over: hand its trace over, if there is one; forget it."""

    job_uid: str
    tree: SpanTree | None


Action = (
    PatchJob
    | PatchPod
    | OwnObject
    | StoreResult
    | TellJob
    | RefreshJob
    | ReadPods
    | ReadEvents
    | ReadResult
    | ConfirmGone
    | FollowLog
    | ExportTrace
    | TellSpans
    | CloseVanished
)


class Rest(NamedTuple):
    """Unless this run changes, there is nothing to be done about it for so many seconds."""

    job_uid: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, and in how many seconds to look again if nothing happens.

    `marks` names states that hold now and whose age some rule depends on. The engine remembers since when
    each has held without a break (`Snapshot.since`) and forgets those that are not named again.
    `rests` names runs that may leave the Snapshot for a while; they come back as `Run.rested`.
    """

    actions: tuple[Action, ...] = ()
    look_again: float | None = None
    marks: tuple[str, ...] = ()
    rests: tuple[Rest, ...] = ()
