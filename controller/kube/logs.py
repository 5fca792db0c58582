"""The lines of one container, each once and in order, however often the connection breaks.

Owns the place in the log at which reading goes on, and what a line is. It never reconnects by itself, never
waits, and never looks into a line.

    given so far      … a  b  B  c          a line's timestamp is its place; here b and B share one,
    asked for again      a  b  B  c  d …    and c is a little older than B (stdout, stderr)
                         └─skip──┘  └ new

`sinceTime` has whole seconds, so what is read again overlaps. Skipped is all up to the anchor (the newest
timestamp given, as many lines as had it), then as many lines as were given after the anchor. If the anchor
is not there any more, the log was rotated and nobody can tell what was lost: `gap`.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import blake2b
from operator import attrgetter
from typing import Final, NamedTuple

from controller.core import contract
from controller.core.transcript import Place
from controller.kube import errors
from controller.kube.api import Kube

LINE_MAX: Final = 16 * 1024 * 1024
STAMP_MAX: Final = 40
"""No timestamp, with its space, is longer."""
GONE: Final = (
    b"unable to retrieve container logs",
    b"failed to try resolving symlinks",
    b"failed to open log file",
    b"rpc error: code = NotFound",
)
"""How the kubelet says, in a body with status 200, that a log is not there any more."""
PIECE_BYTES: Final = 16 * 1024
"""So much of a chunk is given at once: whoever takes the lines can let others have their turn in between."""
PROBE_MAX: Final = 512
"""Bytes of a log in which its first timestamp is found, or the words with which there is none."""
WORDS_MAX: Final = 100
"""Lines without a timestamp that are kept back at most, till one with a timestamp comes."""


class Line(NamedTuple):
    """One line. `at`: nanoseconds since the epoch, the kubelet's. `cut`: the rest of it is missing."""

    at: int
    data: bytes
    cut: bool


_line = tuple.__new__  # twice as fast as Line(…), and this is done for every line
_data = attrgetter("data")


def _unreadable(words: bytes) -> errors.KubeError:
    """What the kubelet says instead of a log."""
    told = words[:500].decode("utf-8", "replace")
    return (errors.LogGone if words.startswith(GONE) else errors.Unavailable)(told)


class _Stamp(NamedTuple):
    """The newest timestamp in its parts: what all lines of one second begin with."""

    second: bytes
    at: int
    zone: bytes


@dataclass(slots=True)
class _Place:
    """Where reading goes on."""

    first: int = 0
    """Timestamp of the first line given."""
    newest: int = 0
    """The newest timestamp given: the anchor."""
    same: int = 0
    """Lines given that have it."""
    after: int = 0
    """Lines given after the last of them; they are older."""
    oldest: int = 0
    """The oldest timestamp from the anchor on."""

    anchor: bytes | None = None
    """The last line given with the newest timestamp; between connections only its hash is kept."""
    mark: str = ""

    def pass_by(self, at: int, data: bytes) -> None:
        if at > self.newest:
            self.first = self.first or at
            self.newest, self.same, self.after, self.oldest, self.anchor = at, 1, 0, at, data
        elif at == self.newest:
            self.same, self.after, self.oldest, self.anchor = self.same + 1, 0, at, data
        else:
            self.after, self.oldest = self.after + 1, min(self.oldest, at)

    def rest(self) -> None:
        """The connection has ended."""
        if self.anchor is not None:
            self.mark, self.anchor = _mark(self.anchor), None

    def read(self) -> Place | None:
        """As others may keep it; None before the first line."""
        if not self.same:
            return None
        mark = self.mark if self.anchor is None else _mark(self.anchor)
        return Place(self.first, self.newest, self.same, self.after, self.oldest, mark)

    def since(self) -> str:
        """One second more than needed: a line yet to come may be a little older than the last."""
        return contract.rfc3339(max(self.oldest - contract.SECOND, 0)) if self.same else ""


def _mark(line: bytes) -> str:
    """Tells a line from others, today and in the next process."""
    return blake2b(line, digest_size=8).hexdigest()


class ContainerLog:
    """A container's log, over as many connections as it takes."""

    def __init__(
        self, kube: Kube, namespace: str, pod: str, container: str, *, line_max: int = LINE_MAX
    ) -> None:
        self.bytes = 0
        self.lines = 0
        self._kube = kube
        self._of = (namespace, pod, container)
        self._line_max = line_max
        self._place = _Place()
        self._lost = False
        self._anchor_missing = False
        self._partial = b""
        self._partial_cut = False
        self._stamp = _Stamp(b"-", 0, b"Z ")
        self._begin()

    @property
    def last_at(self) -> int:
        """The newest timestamp of all lines given, 0 before the first."""
        return self._place.newest

    @property
    def place(self) -> Place | None:
        """How far it has been read; None before the first line."""
        place = self._place.read()
        return replace(place, gap=self.gap) if place is not None and self.gap else place

    async def goes_on(self, place: Place) -> bool:
        """Starts at a place that was reached once, if the log's beginning is not there any more.

        One small read. While the beginning is there, all of it is read again, and nothing is missed.
        """
        self._begin()
        async with aclosing(self._kube.log(*self._of, follow=False, limit_bytes=PROBE_MAX)) as chunks:
            start = b"".join([chunk async for chunk in chunks])
        # Words of the kubelet without a time may stand before the first line.
        at = next((at for line in start.split(b"\n") if (at := self._stamped(line)[0])), 0)
        if not at and start:
            raise _unreadable(start)
        if at == place.first:
            return False
        self._place = _Place(
            place.first, place.newest, place.same, place.after, place.oldest, mark=place.mark
        )
        self._lost = place.gap
        return True

    @property
    def gap(self) -> bool:
        """Lines may be missing: what was given last was not found again."""
        return self._lost or self._anchor_missing

    async def read(self, *, follow: bool) -> AsyncGenerator[tuple[Line, ...], None]:
        """One connection, from where the last one stopped. The first batch, empty, says that it is open."""
        self._begin()
        whole = False
        try:
            async with aclosing(
                self._kube.log(*self._of, follow=follow, since=self._place.since())
            ) as chunks:
                async for chunk in chunks:
                    for piece in _pieces(chunk):
                        lines = self._count(self._take(piece))
                        if lines or not chunk:
                            yield lines
            whole = True
        finally:
            self._place.rest()
            self._keep_partial(cut=not whole)
        self._judge_end(follow=follow)

    def finish(self) -> tuple[Line, ...]:
        """The last line, if no newline ended it. Only when nothing more can come."""
        raw, self._partial = self._partial, b""
        at, data = self._stamped(raw)
        return self._count((self._give(at, data, cut=self._partial_cut),) if at else ())

    def _begin(self) -> None:
        """A new connection."""
        self._parts: list[bytes] = []
        self._parts_size = 0
        self._skip_to_anchor, self._skip_after = self._place.same, self._place.after
        self._stamped_seen = self._given_here = False
        self._words: list[bytes] = []

    def _count(self, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        self.lines += len(lines)
        self.bytes += sum(map(len, map(_data, lines)))
        return lines

    def _take(self, chunk: bytes) -> tuple[Line, ...]:
        raws = chunk.split(b"\n")
        tail = raws.pop()
        if raws and self._parts:
            raws[0] = b"".join((*self._parts, raws[0]))
            self._parts, self._parts_size = [], 0
        if tail and self._parts_size <= self._line_max + STAMP_MAX:  # more of it would be cut off anyway
            self._parts.append(tail)
            self._parts_size += len(tail)
        if not raws:
            return ()
        if self._given_here and max(len(raws[0]), len(chunk)) <= self._line_max:
            return self._quick(raws)
        return tuple(line for raw in raws for line in self._sift(raw))

    def _quick(self, raws: list[bytes]) -> tuple[Line, ...]:
        """As `_sift` for each, for the usual: nothing to skip, nothing to cut, full nanoseconds."""
        given: list[Line] = []
        second, base, zone = self._stamp
        start = 29 + len(zone)
        for raw in raws:
            if raw.startswith(second) and raw[29:start] == zone and (digits := raw[20:29]).isdigit():
                at = base + int(digits)
                data = raw[start:]
                self._place.pass_by(at, data)
                given.append(_line(Line, (at, data, False)))
            else:
                given.extend(self._sift(raw))
                second, base, zone = self._stamp
                start = 29 + len(zone)
        return tuple(given)

    def _sift(self, raw: bytes) -> tuple[Line, ...]:
        """A whole line as received: none, one, or with it those that were kept till a timestamp came."""
        at, data = self._stamped(raw)
        if not at:
            return self._without_stamp(data)
        if self._was_given(at, data[: self._line_max]):
            self._stamped_seen = True
            return ()
        kept = () if self._stamped_seen else tuple(self._give(at, words, own=False) for words in self._words)
        self._stamped_seen = True
        return (*kept, self._give(at, data))

    def _was_given(self, at: int, data: bytes) -> bool:
        """By an earlier connection?"""
        newest = self._place.newest
        if self._skip_to_anchor and at < newest:
            return True
        if self._skip_to_anchor and at == newest and (self._skip_to_anchor > 1 or self._is_anchor(data)):
            self._skip_to_anchor -= 1
            self._anchor_missing = self._anchor_missing and self._skip_to_anchor > 0
            return True
        if not self._skip_to_anchor and self._skip_after and at < newest:
            self._skip_after -= 1
            return True
        self._lost = self._lost or self._skip_to_anchor > 0
        self._skip_to_anchor = self._skip_after = 0
        return False

    def _is_anchor(self, data: bytes) -> bool:
        """Else lines of the same timestamp were rotated away before it, and this is a new one."""
        return _mark(data) == self._place.mark

    def _without_stamp(self, words: bytes) -> tuple[Line, ...]:
        """Not the container's words but the kubelet's, about the log."""
        if self._given_here:
            return (self._give(self._place.newest, words, own=False),)
        if not self._stamped_seen and len(self._words) < WORDS_MAX:
            self._words.append(words)
        return ()

    def _give(self, at: int, data: bytes, *, own: bool = True, cut: bool = False) -> Line:
        self._given_here = True
        cut = cut or len(data) > self._line_max
        data = data[: self._line_max]
        if own:
            self._place.pass_by(at, data)
        return Line(at, data, cut)

    def _stamped(self, raw: bytes) -> tuple[int, bytes]:
        """Timestamp and the rest; 0 and all of it if it has none."""
        stamp, space, _ = raw[:STAMP_MAX].partition(b" ")
        at = contract.instant(stamp.decode("ascii", "replace")) if space else None
        if at is None or at <= 0:
            return 0, raw
        if stamp[19:20] == b"." and stamp[20:29].isdigit() and not stamp[29:30].isdigit():
            self._stamp = _Stamp(stamp[:20], at - at % contract.SECOND, stamp[29:] + b" ")
        return at, raw[len(stamp) + 1 :]

    def _keep_partial(self, *, cut: bool) -> None:
        """What came after the last newline. Read again, it comes whole, or breaks off sooner."""
        partial, old = b"".join(self._parts), self._partial
        if partial == old:
            self._partial_cut = self._partial_cut and cut
        elif self._given_here or (partial and not self._skipping and not old.startswith(partial)):
            self._partial, self._partial_cut = partial, cut

    @property
    def _skipping(self) -> bool:
        return self._skip_to_anchor > 0 or self._skip_after > 0

    def _judge_end(self, *, follow: bool) -> None:
        """The server has ended the log in good order: what does that say?"""
        words = b"\n".join((*self._words, *self._parts))
        if words and not self._stamped_seen and not self._stamped(words)[0]:
            raise _unreadable(words)
        if self._skip_to_anchor and not follow:
            self._anchor_missing = True


def _pieces(chunk: bytes) -> Iterator[bytes]:
    """What is left of it when the reader stops in between has not been given, and is read again."""
    if len(chunk) <= PIECE_BYTES:
        yield chunk
        return
    for start in range(0, len(chunk), PIECE_BYTES):
        yield chunk[start : start + PIECE_BYTES]
