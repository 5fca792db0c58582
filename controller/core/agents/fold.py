"""What every fold can do, and which fold reads which output.

Never reads a line itself.
"""

from typing import Protocol

from controller.core import contract
from controller.core.agents.claude import ClaudeFold
from controller.core.agents.text import TextFold
from controller.core.transcript import AgentLog


class Fold(Protocol):
    """The lines of one container's log, folded into an AgentLog as they come. No I/O, no clock."""

    def feed(self, at: int, line: bytes, cut: bool = False) -> None:  # noqa: FBT001, FBT002 — callers feed positionally
        """One line without its newline; never raises, whatever the bytes.

        `at`: the kubelet's time in ns. `cut`: the line was longer than the reader keeps, this is its start.
        """

    def seen(self) -> AgentLog:
        """All that is concluded so far; the same value until a line changes it."""
        ...


def fold_for(output: str, begun: AgentLog | None = None) -> Fold:
    """A fold for one of `contract.OUTPUTS`; an output nobody knows is read as text.

    `begun`: what a checkpoint knows of the lines before the first that will be fed.
    """
    return ClaudeFold(begun) if output == contract.OUTPUT_CLAUDE else TextFold(begun)
