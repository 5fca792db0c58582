"""What every fold can do, which fold reads which output, and what that format promises.

FORMATS is the one place that knows a format; everything else asks it. Never reads a line itself.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from controller.core import contract
from controller.core.agents.claude import ClaudeFold
from controller.core.agents.opencode import OpenCodeFold
from controller.core.agents.text import TextFold
from controller.core.transcript import AgentLog, Standing


class Fold(Protocol):
    """The lines of one container's log, folded into an AgentLog as they come. No I/O, no clock."""

    def feed(self, at: int, line: bytes, cut: bool = False) -> None:  # noqa: FBT001, FBT002 — callers feed positionally
        """One line without its newline; never raises, whatever the bytes.

        `at`: the kubelet's time in ns. `cut`: the line was longer than the reader keeps, this is its start.
        """

    def seen(self) -> AgentLog:
        """All that is concluded so far; the same value until a line changes it."""
        ...

    def standing(self) -> Standing:
        """What of it is worth telling at once."""
        ...


class Maker(Protocol):
    """Begins a fold. `content`: what tools are asked and answer is kept, cut."""

    def __call__(self, begun: AgentLog | None = None, /, *, content: bool = False) -> Fold:
        """`begun`: what is known of the lines before the first that is fed."""
        ...


class Format(NamedTuple):
    """One output, and what can be relied on in it."""

    fold: Maker
    reports: bool = True
    """The agent itself says how it ended, in which session, and what it did. Exit code 0 without its word is
    no success. Of a format that promises nothing the exit code is all there is."""
    provider: str = ""
    """Who serves its models, if that is always the same one."""
    closes_turns: bool = True
    """It says when a turn is over. Else a claim is taken back by what follows it, so that one which is there
    when the log has ended is the last word, although the turn is still open."""
    sums_sessions: bool = False
    """The totals of a resumed session go on from the earlier ones."""


FORMATS: Final[Mapping[str, Format]] = {
    contract.OUTPUT_CLAUDE: Format(ClaudeFold, provider="anthropic", sums_sessions=True),
    contract.OUTPUT_OPENCODE: Format(OpenCodeFold, closes_turns=False),
    contract.OUTPUT_TEXT: Format(TextFold, reports=False),
}
"""By `contract.OUTPUTS`."""


def format_of(output: str) -> Format:
    """The format of an output; one that nobody knows is text."""
    return FORMATS.get(output, FORMATS[contract.OUTPUT_TEXT])


def fold_for(output: str, begun: AgentLog | None = None, *, content: bool = False) -> Fold:
    """A fold for an output. `begun`: what a checkpoint knows of the lines before the first that is fed.

    `content`: what tools are asked and answer is kept (`content`).
    """
    return format_of(output).fold(begun, content=content)
