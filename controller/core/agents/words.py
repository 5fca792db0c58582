"""Strings that come from an agent, made fit to be kept: short, printable, without what looks like a secret.

Never decides what a string means.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Final

from controller.core import redaction

WORD_MAX: Final = 256
"""Characters of a name, an id, a category."""


def word(raw: str | None) -> str:
    """A name, id or category as it is kept: at most WORD_MAX characters, control characters removed."""
    if not raw:
        return ""
    short = raw[:WORD_MAX]
    return short if short.isprintable() else "".join(c for c in short if c.isprintable())


# Colours and cursors, titles and links, character sets.
_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"
    r"|[ -/]{1,8}[0-~]|[0-Z\\^-~])"
)
# Of the controls only newline and tab mean something to a reader. The last two ranges turn the direction
# of writing around, with which a log can lie to its reader.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    """`text` for a person's eyes: control characters removed, values that look like credentials hidden."""
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return redaction.hidden(_CONTROL.sub("", text))


def end_of(text: str, limit: int) -> str:
    """The last `limit` bytes (UTF-8) of `text`, no character broken."""
    raw = text.encode("utf-8", "replace")
    return raw.decode() if len(raw) <= limit else raw[-limit:].decode("utf-8", "ignore")


class Tail:
    """The newest texts, the end of them kept, at most `limit` bytes (UTF-8) when they are read.

    They are made fit to be shown together and not one by one: a key may come in several lines.
    """

    __slots__ = ("_fit", "_limit", "_text")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._text = ""
        self._fit: str | None = ""

    def __bool__(self) -> bool:
        """Whether there is any text."""
        return bool(self._text)

    def add(self, text: str) -> None:
        """One more text, on a line of its own."""
        # Twice the limit is kept, so that a secret that the limit cuts in two is still recognised.
        fresh = text[-2 * self._limit :]
        self._text = f"{self._text}\n{fresh}"[-2 * self._limit :] if self._text else fresh
        self._fit = None

    def read(self) -> str:
        """What is left of all texts, fit to be shown."""
        if self._fit is None:
            self._fit = end_of(shown(self._text).strip(), self._limit)
        return self._fit


class Recent:
    """Which of the last `limit` keys have been met: a set of bounded size."""

    __slots__ = ("_keys", "_limit", "_order")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: set[int | str] = set()
        self._order: deque[int | str] = deque()

    def first_time(self, key: int | str) -> bool:
        """True if `key` has not been met; it counts as met from now on."""
        if key in self._keys:
            return False
        self._keys.add(key)
        self._order.append(key)
        if len(self._order) > self._limit:
            self._keys.discard(self._order.popleft())
        return True

    def newest(self) -> Iterator[int | str]:
        """The keys that are known, the newest first."""
        return reversed(self._order)
