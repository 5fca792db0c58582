"""All runs of a round as they are seen changing: the newest of each, and what each has gone through.

Owns: the memory of one demo. Never: asks a server, or shows anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from examples.demo.seen import Seen


@dataclass(frozen=True, slots=True)
class Step:
    """A run was seen to have come to another phase or reason."""

    at: float
    """Seconds since the demo began."""
    run: str
    """Name of the manifest, the same in every round."""
    seen: Seen


class Board:
    """Filled from a watch, read by whatever shows or checks."""

    def __init__(self, uids: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._uids = uids  # grows with what is submitted
        self._clock = clock
        self._began = clock()
        self.runs: dict[str, Seen] = {}
        self.steps: list[Step] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return self._clock() - self._began

    def take(self, seen: Seen) -> Step | None:
        """What is new about a run; None if it is none of ours, or stands where it stood."""
        name = next((name for name, uid in self._uids.items() if uid == seen.uid), None)
        if name is None:
            return None
        before = self.runs.get(name)
        self.runs[name] = seen
        if not seen.phase or (before and (before.phase, before.reason) == (seen.phase, seen.reason)):
            return None
        step = Step(self.elapsed, name, seen)
        self.steps.append(step)
        return step

    @property
    def is_settled(self) -> bool:
        """Nothing more will change on any run that was submitted."""
        return len(self.runs) == len(self._uids) and all(seen.is_settled for seen in self.runs.values())

    def been(self, run: str) -> list[tuple[str, str]]:
        """Every (phase, reason) that this run was seen in, in order."""
        return [(step.seen.phase, step.seen.reason) for step in self.steps if step.run == run]
