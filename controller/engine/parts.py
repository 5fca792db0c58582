"""What the engine's loops are wired to, and whom they tell what they do. Wiring only: `app` fills it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from controller.core.actions import Action, OwnObject, ReadEvents
from controller.core.contract import keys_of
from controller.core.model import Job, Now, Pod, Slot, Unreadable
from controller.core.parse import Parser
from controller.core.snapshot import Ownership, Policy
from controller.core.spantree import SpanTree
from controller.engine.budget import EventLists
from controller.engine.log_follower import LogFollower
from controller.engine.queue import WorkQueue
from controller.engine.series import Series
from controller.engine.store import Store
from controller.engine.unsure import Unsure
from controller.kube import errors
from controller.kube.informer import Informer
from controller.kube.writer import Writer

STALE_AFTER_SECONDS: Final = 90.0
"""A watch that has said nothing for this long (not even a bookmark) is not believed any more."""


class Observer(Protocol):
    """Told what the loops do; plain values for metrics and log lines."""

    def unreadable(self, found: Unreadable) -> None:
        """An object came that is not what its kind promises."""

    def odd(self, job: Job) -> None:
        """A Job with oddities was seen for the first time in this version of them."""

    def vanished(self, job: Job) -> None:
        """A Job was deleted before its run was concluded; this is how it was last seen."""

    def handled(self, seconds: float) -> None:
        """A change of the watch has been acted on, this long after it came."""

    def reconciled(self, outcome: str, seconds: float) -> None:
        """One round of work on a slot has ended."""

    def owned(self, action: OwnObject, answer: Ownership, why: str) -> None:
        """An object of a run was asked for; `why`, where it was left alone or could not be asked for."""

    def events_read(self, action: ReadEvents, outcome: str, why: str = "") -> None:
        """Events were asked for: `read`, `refused` or `failed`, and then why."""

    def performed(self, action: Action) -> None:
        """An action was carried out."""

    def refused(self, action: Action, error: errors.Refused) -> None:
        """The API server will never accept this action."""

    def failed(self, slot: Slot, error: Exception) -> None:
        """A round of work ended in something that no class of `errors` foresees."""


class Exporter(Protocol):
    """Where traces go."""

    def submit(self, job_uid: str, tree: SpanTree) -> bool:
        """Take a trace over, or what is left of it; False if there is no room just now."""

    def tell(self, job_uid: str, part: SpanTree) -> bool:
        """Take spans of a run over that goes on; False if there is no room for them just now."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loops are wired to."""

    store: Store
    queue: WorkQueue[Slot]
    parser: Parser
    writer: Writer
    follower: LogFollower
    exporter: Exporter | None
    """None: tracing is off, and no plan asks for an export."""
    informers: tuple[Informer[Job] | Informer[Pod], ...]
    policy: Policy
    now: Callable[[], Now]
    held: Callable[[], bool]
    """Whether the lease is held at this moment."""
    observer: Observer
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once all caches are complete."""
    series: Series = field(default_factory=Series)
    """What was told of late."""
    event_lists: EventLists = field(default_factory=EventLists)
    """How many of them there may be."""
    unsure: Unsure = field(init=False)
    """Patches without a certain answer."""
    arrived: dict[Slot, float] = field(default_factory=dict)
    """Monotonic second at which the oldest change came that a slot has not been worked on since."""

    def __post_init__(self) -> None:
        """It needs the keys of the domain."""
        object.__setattr__(self, "unsure", Unsure(keys_of(self.policy.domain)))


def is_fresh(parts: Parts) -> bool:
    """Both caches are complete, and neither watch has been silent for too long."""
    return all(i.synced and i.silent_for() < STALE_AFTER_SECONDS for i in parts.informers)
