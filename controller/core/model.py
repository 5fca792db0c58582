"""What is seen of Kubernetes: slots, Jobs, Pods, containers, as frozen values.

Instants are ints of nanoseconds since the Unix epoch, UTC; unknown is None, never 0. No rule lives here:
a property only names a fact of the value itself. Reading JSON into these values is `parse`'s business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from controller.core.contract import Keys, Phase

_PHASES: Final[Mapping[str, Phase]] = {str(phase): phase for phase in Phase}


class Slot(NamedTuple):
    """What may hold a limited number of places: one agent under one adapter in one namespace."""

    namespace: str
    agent: str
    adapter: str


class Now(NamedTuple):
    """Two clocks: `wall` for what is written, `mono` for elapsed times that lead to a stop."""

    wall: int
    """Nanoseconds since the epoch."""
    mono: float
    """Seconds of a monotonic clock."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something in an object that has the wrong shape. It is ignored, counted and told, never raised."""

    where: str
    """A label or annotation key, or a field; a bounded set, fit for a metric label."""
    what: str
    """One sentence: what is wrong, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One true-or-false statement of Kubernetes about an object."""

    type: str
    status: str
    reason: str
    message: str
    at: int | None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container as asked for. `sidecar`: an init container that keeps running."""

    name: str
    image: str
    init: bool = False
    sidecar: bool = False


class RunState(StrEnum):
    """What a container does. A state the kubelet has not reported is UNKNOWN, not gone."""

    UNKNOWN = ""
    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the kubelet reports it."""

    name: str
    init: bool = False
    state: RunState = RunState.UNKNOWN
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    restarts: int = 0
    image: str = ""


class Owned(NamedTuple):
    """A Secret or ConfigMap that belongs to one run, in the namespace of its Job."""

    kind: str
    """`Secret` or `ConfigMap`."""
    name: str

    def __str__(self) -> str:
        """As `D/owned` and people write it."""
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a run. `job_uid` is empty for a pod that says of no Job that it belongs to it."""

    namespace: str
    name: str
    uid: str
    version: str
    created_at: int
    slot: Slot
    job_uid: str = ""
    run_id: str = ""
    labels: "Ids | None" = None
    """Its identity labels, without raw ids; None if nobody has looked."""
    deleted_at: int | None = None
    node: str = ""
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    specs: tuple[ContainerSpec, ...] = ()
    containers: tuple[Container, ...] = ()
    oddities: tuple[Oddity, ...] = ()

    @property
    def ended(self) -> bool:
        """Every container has ended for good: the pod holds no place any more."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PodEvent:
    """What a component of Kubernetes has said about a pod, or about a Job that has none."""

    reason: str
    message: str
    """Clipped, and without what looks like a credential."""
    container: str = ""
    """Whom it is about; empty: the pod itself."""
    init: bool = False
    first_at: int | None = None
    last_at: int | None = None
    """When it was said last; whole seconds, but for those of the scheduler."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Identity labels of a run (sanitised) with the raw ids where the host gave valid ones."""

    agent: str = ""
    run: str = ""
    adapter: str = ""
    task: str = ""
    session: str = ""
    company: str = ""
    raw: tuple[tuple[str, str], ...] = ()
    """(`run`, raw id) pairs, only those that sanitise to their label."""

    @property
    def name_a_run(self) -> bool:
        """Agent, run and adapter are all named: less is live work, and nothing more (contract §1)."""
        return bool(self.agent and self.run and self.adapter)

    def same(self, name: str, other: "Ids") -> bool:
        """Whether both name the same thing: raw with raw if both sides have it, else label with label."""
        if self.raw and other.raw:
            mine, theirs = dict(self.raw).get(name), dict(other.raw).get(name)
            if mine is not None and theirs is not None:
                return mine == theirs
        return bool(getattr(self, name)) and getattr(self, name) == getattr(other, name)

    def labels(self, keys: Keys) -> dict[str, str]:
        """Those that are there, as labels under their full keys."""
        found = {
            keys.agent_id: self.agent,
            keys.run_id: self.run,
            keys.adapter_type: self.adapter,
            keys.task_id: self.task,
            keys.session_id: self.session,
            keys.company_id: self.company,
        }
        return {key: value for key, value in found.items() if value}

    def best(self, name: str) -> str:
        """The raw id if there is one, else the label; empty if there is neither."""
        return dict(self.raw).get(name) or str(getattr(self, name))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the host asks for in annotations, with the contract's defaults where it says nothing."""

    agent_name: str = ""
    traceparent: str = ""
    on_conflict: str = ""
    reattach: bool = False
    agent_container: str = ""
    output: str = ""
    cancel_requested: str = ""
    acknowledged: bool = False
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A run's Job. `status` holds our own annotations without prefix, the result's body left out."""

    namespace: str
    name: str
    uid: str
    version: str
    created_at: int
    slot: Slot
    ids: Ids
    wishes: Wishes = Wishes()
    status: Mapping[str, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    """Names of status annotations that tell of another Job: they were copied with its manifest."""
    deleted_at: int | None = None
    suspended: bool = False
    parallelism: int = 1
    completions: int | None = 1
    indexed: bool = False
    """completionMode Indexed: its number of pods may be changed while it runs."""
    backoff_limit: int = 6
    deadline_seconds: int | None = None
    ttl_seconds: int | None = None
    external_queue: str = ""
    """Value of Kueue's queue label; not empty: the Job is under somebody else's admission."""
    restarts_containers: bool = False
    """A container of its pod that fails is started again, in the same pod (restartPolicy OnFailure)."""
    specs: tuple[ContainerSpec, ...] = ()
    template_labels: tuple[tuple[str, str], ...] = ()
    """Identity labels of the pod template, under their full keys."""
    owned: tuple[Owned, ...] = ()
    """Run-private objects: those that the host names, else those that the pod template needs."""
    conditions: tuple[Condition, ...] = ()
    started_at: int | None = None
    completed_at: int | None = None
    active: int = 0
    failed: int = 0
    succeeded: int = 0
    oddities: tuple[Oddity, ...] = ()
    size_kib: int = field(default=0, compare=False)
    """Of the object as it came, rounded up: what each further write of it costs."""
    notes_bytes: int = field(default=0, compare=False)
    """Of all its annotations with their keys, whoever wrote them, as the API server counts."""

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type if it is True."""
        return next((c for c in self.conditions if c.type == kind and c.status == "True"), None)

    @property
    def finished(self) -> Condition | None:
        """Complete or Failed: no pod of this Job runs or will run."""
        return self.condition("Complete") or self.condition("Failed")

    @property
    def phase(self) -> Phase | None:
        """The phase written on it, None before the first."""
        return _PHASES.get(self.status.get("phase", ""))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that is not what its kind promises. It is told and counted; what was known of it stays."""

    kind: str
    namespace: str
    name: str
    uid: str
    version: str
    why: str
