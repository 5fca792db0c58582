"""What the API server has said to questions of a plan that no watch answers, and what it has refused of late.

Answers live as long as plans of their slot name their mark; refusals for a while. It decides nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from controller.core.actions import answer_mark
from controller.core.model import Slot
from controller.core.snapshot import Answer

REFUSED_SECONDS: Final = 55.0
"""So long what was refused, and a pod that was labelled, is passed over; shorter than the pause before it is
tried again.
"""


class Answers:
    """By slot and uid of the Job that was asked for."""

    def __init__(self) -> None:
        self._answers: dict[Slot, dict[str, Answer]] = {}

    def put(self, slot: Slot, job_uid: str, answer: Answer) -> None:
        """The newest answer is what counts."""
        self._answers.setdefault(slot, {})[job_uid] = answer

    def of(self, slot: Slot) -> Mapping[str, Answer]:
        """All that is known."""
        return self._answers.get(slot, {})

    def keep(self, slot: Slot, marks: Iterable[str]) -> None:
        """Only those whose mark is among these are still wanted."""
        if (before := self._answers.pop(slot, None)) is None:
            return
        named = set(marks)
        if kept := {uid: answer for uid, answer in before.items() if answer_mark(uid) in named}:
            self._answers[slot] = kept


class Refusals:
    """Uids of objects for which something was refused, by slot."""

    def __init__(self) -> None:
        self._until: dict[Slot, dict[str, float]] = {}

    def put(self, slot: Slot, uid: str, mono: float) -> None:
        """It was refused at that second."""
        self._until.setdefault(slot, {})[uid] = mono + REFUSED_SECONDS

    def of(self, slot: Slot, mono: float) -> frozenset[str]:
        """Those that are passed over at that second; the others are forgotten."""
        if (known := self._until.pop(slot, None)) is None:
            return frozenset()
        if left := {uid: until for uid, until in known.items() if mono < until}:
            self._until[slot] = left
        return frozenset(left)
