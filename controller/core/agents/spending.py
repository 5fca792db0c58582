"""Turns and tokens of one agent, as far as its stream tells them: live counters, never the bill.

Never reads a line. A message is counted once, though its blocks come one a line and repeat its usage. What
a message cost in output is only told by streams with partial messages; nothing is made up for the others.
"""

from itertools import islice
from typing import Final

from controller.core.agents.words import Recent

RECENT: Final = 4096
"""Messages remembered, to know one again."""
NEWEST: Final = 4
"""Messages that a checkpoint must know: as many as may have blocks to come, with subagents at work."""
STREAMS_MAX: Final = 1000
"""Messages under way at once, one for each subagent, whose output is told as it grows."""


class Spending:
    """Counts of messages, which may go on from where an earlier process stopped.

    `counted`: ids that are counted already, the newest first.
    """

    def __init__(self, turns: int, input_tokens: int, output_tokens: int, counted: tuple[str, ...]) -> None:
        self.turns = turns
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self._messages = Recent(RECENT)
        self._counted = Recent(RECENT)
        for identity in reversed(counted):
            self._messages.first_time(identity)
            self._counted.first_time(identity)
        self._last = ""
        """The newest message, if there is nothing left to count of it: its blocks come in a row."""
        self._told: dict[str, int] = {}
        """Output told of the message under way, by the call whose subagent writes it (empty: none)."""

    def message(self, identity: str, *, turn: bool, tokens: int | None) -> None:
        """A block of that message. `turn`: it is the main agent's. `tokens`: its input; None: not told."""
        if identity == self._last:
            return
        if turn and self._messages.first_time(identity):
            self.turns += 1
        if tokens is not None and self._counted.first_time(identity):
            self.input_tokens += tokens
        self._last = identity if turn and tokens is not None else ""

    def message_begins(self, parent: str) -> None:
        """The next words on output are about another message."""
        self._told.pop(parent, None)

    def output(self, parent: str, tokens: int) -> None:
        """So many tokens of the message under way, told again as they grow."""
        if parent not in self._told and len(self._told) >= STREAMS_MAX:
            return
        told = self._told.get(parent, 0)
        self._told[parent] = max(told, tokens)
        self.output_tokens += max(tokens - told, 0)

    def begin_anew(self) -> None:
        """The agent has cleared its own totals."""
        self.turns = self.input_tokens = self.output_tokens = 0

    def newest(self) -> tuple[str, ...]:
        """Ids of the newest messages that are counted."""
        return tuple(str(identity) for identity in islice(self._counted.newest(), NEWEST))
