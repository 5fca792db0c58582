"""A fold for the log of any program: how much it said, when, and its last words.

Never interprets a line: success of such a run is its exit code.
"""

import re
from collections import deque
from typing import Final

from controller.core.agents import words
from controller.core.transcript import AgentLog, Standing

TAIL_LINES: Final = 20
TAIL_BYTES: Final = 2 * 1024
_CUT_WORD: Final = re.compile(rb"^\S+")


class TextFold:
    """Lines of plain text, folded into an AgentLog."""

    def __init__(self, begun: AgentLog | None = None, *, content: bool = False) -> None:  # noqa: ARG002 — a Maker's shape
        begun = begun or AgentLog()
        self._lines = begun.lines
        self._bytes = begun.bytes
        self._cut = begun.cut_lines
        self._first = begun.first_at
        self._last = begun.last_at
        self._newest: deque[bytes] = deque(filter(None, begun.tail.encode().split(b"\n")), maxlen=TAIL_LINES)
        """Most are pushed out unread, and cost next to nothing."""
        self._seen: AgentLog | None = begun

    def feed(self, at: int, line: bytes, cut: bool = False) -> None:  # noqa: FBT001, FBT002 — the shape of Fold
        """One line. `at`: the kubelet's time (ns). `cut`: it was longer than the reader keeps."""
        self._lines += 1
        self._bytes += len(line)
        self._cut += cut
        self._first = at if self._first is None else min(self._first, at)
        self._last = at if self._last is None else max(self._last, at)
        self._newest.append(_drawn_last(line))
        self._seen = None

    def seen(self) -> AgentLog:
        """All that is concluded so far."""
        if self._seen is None:
            self._seen = AgentLog(
                lines=self._lines,
                bytes=self._bytes,
                cut_lines=self._cut,
                first_at=self._first,
                last_at=self._last,
                tail=self._tail(),
            )
        return self._seen

    def standing(self) -> Standing:
        """That it has said something is all there is to tell."""
        return Standing(lines=bool(self._lines))

    def _tail(self) -> str:
        """Made fit to be shown together: a key may come in several lines."""
        text = b"\n".join(self._newest)[-2 * TAIL_BYTES :].decode("utf-8", "replace")
        return words.end_of(words.shown(text).strip(), TAIL_BYTES)


def _drawn_last(line: bytes) -> bytes:
    """The end of a line, as a terminal would show it: what was drawn last of a progress bar."""
    # Twice the limit, so that a secret that the limit cuts in two is still recognised.
    end = line[-2 * TAIL_BYTES :]
    if len(end) < len(line):
        # A word without its beginning may be a secret that nothing shows to be one any more.
        end = _CUT_WORD.sub(b"", end, 1)
    return end.rstrip(b"\r").rpartition(b"\r")[2]
