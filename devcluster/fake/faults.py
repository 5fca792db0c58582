"""The fault switches: what this cluster is told to do wrong, and the dice that decide when.

Owns: the switches and their random choices (seeded, so that a run can be repeated).
Never: carries a fault out; `middleware.py` and `streams.py` do.
"""

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import msgspec

JSON = dict[str, Any]
WRITES = ("create", "update", "patch", "delete", "deletecollection")
WATCHES, LOGS = "watches", "logs"


@dataclass
class Refusal:
    """A share of the matching calls is answered with an error; empty `verbs` or `resources` match all.

    A log read is `get` of `pods/log`. `count` ends the fault after so many refusals, `seconds` after a time.
    """

    status: int = 503
    share: float = 1.0
    retry_after: int | None = None
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    count: int | None = None
    seconds: float | None = None
    since: float = field(default_factory=time.monotonic)

    def matches(self, verb: str, resource: str) -> bool:
        """Whether the fault is on, for this kind of call."""
        if self.count is not None and self.count <= 0:
            return False
        if self.seconds is not None and time.monotonic() - self.since > self.seconds:
            return False
        return (
            resource not in self.exempt
            and (not self.verbs or verb in self.verbs)
            and (not self.resources or resource in self.resources)
        )


@dataclass
class Faults:
    """Every switch, all off. Assign to a field to switch; a changed list must be assigned anew to be noticed.

    * `refusals`: errors for a share of the calls.
    * `latency_ms`: every call waits so long first.
    * `conflict_share`: share of PATCHes and PUTs answered 409 without being applied.
    * `lost_answers`, `lost_answer_share`: writes that are applied, but whose connection is then cut: the next
      n, or a share.
    * `close_watches_every`, `cut_watches_every`, `cut_logs_every`: seconds that a stream lives before it is
      closed properly, or cut in the middle of a line.
    * `half_open`: `watches` and/or `logs` are accepted and then silent.
    * `keep_versions`: versions a watch or a continued list may go back (None: all).
    * `gone_over_http`: a watch from a compacted version is refused with HTTP 410 instead of an ERROR event.
    * `paused`: `kubelet`, `scheduler`, `job-controller`, `garbage-collector` stand still.
    * `watch_list`: off, a server without the WatchList gate (422 for sendInitialEvents).
    * `exempt`: resources (such as `leases`) that no fault touches.
    """

    seed: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    latency_ms: float = 0
    conflict_share: float = 0
    lost_answers: int = 0
    lost_answer_share: float = 0
    close_watches_every: float = 0
    cut_watches_every: float = 0
    cut_logs_every: float = 0
    half_open: tuple[str, ...] = ()
    keep_versions: int | None = None
    gone_over_http: bool = False
    paused: tuple[str, ...] = ()
    watch_list: bool = True
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_listeners", [])
        object.__setattr__(self, "_dice", random.Random(self.seed))

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "seed":
            object.__setattr__(self, "_dice", random.Random(value))
        for listener in getattr(self, "_listeners", ()):
            listener()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call back whenever a switch was set."""
        self._listeners: list[Callable[[], None]]
        self._listeners.append(listener)

    def pause(self, *names: str) -> None:
        """Stop parts of the cluster until `resume`."""
        self.paused = tuple({*self.paused, *names})

    def resume(self, *names: str) -> None:
        """Let parts of the cluster go on; all of them if none is named."""
        self.paused = tuple(name for name in self.paused if names and name not in names)

    def clear(self) -> None:
        """Everything off."""
        self.replace(Faults(seed=self.seed))

    def replace(self, other: "Faults") -> None:
        """Take over all switches of another."""
        for switch in fields(self):
            setattr(self, switch.name, getattr(other, switch.name))

    def refusal(self, verb: str, resource: str) -> Refusal | None:
        """The error this call is to get, if any."""
        if resource in self.exempt:
            return None
        for refusal in self.refusals:
            if refusal.matches(verb, resource) and self._chance(refusal.share):
                if refusal.count is not None:
                    refusal.count -= 1
                return refusal
        return None

    def conflicts(self, verb: str, resource: str) -> bool:
        """Whether this write is refused as if somebody had been faster."""
        return (
            resource not in self.exempt and verb in ("patch", "update") and self._chance(self.conflict_share)
        )

    def loses_answer(self, verb: str, resource: str) -> bool:
        """Whether the answer to this write, already applied, is lost."""
        if verb not in WRITES or resource in self.exempt:
            return False
        if self.lost_answers > 0:
            self.lost_answers -= 1
            return True
        return self._chance(self.lost_answer_share)

    def _chance(self, share: float) -> bool:
        dice: random.Random = object.__getattribute__(self, "_dice")
        return share > 0 and dice.random() < share

    def to_json(self) -> JSON:
        """All switches, as `PUT /devcluster/faults` takes them."""
        return asdict(self)


def from_json(body: bytes | str) -> Faults:
    """Switches from JSON; what is not named is off. Raises ValueError for unknown or mistyped ones."""
    given = msgspec.json.decode(body)
    known = {switch.name for switch in fields(Faults)}
    if not isinstance(given, dict) or not set(given) <= known:
        raise ValueError(f"fault switches are {sorted(known)}")
    for refusal in given.get("refusals", []):
        refusal.pop("since", None)
    return msgspec.convert(given, Faults)
