"""One trace on its way, or a part of one: how much of it the collector has, and one try to hand it over.

It keeps no queue, knows no time, and decides nothing about when to try again. A tree is never changed.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from controller.core.spantree import Span, SpanTree
from controller.telemetry.answers import Answer, Verdict

BATCH: Final = 512
"""Spans a request, unless the collector finds that too many."""
SPAN_BYTES: Final = 1300
"""A span that is not packed, measured on recorded runs."""

Part = tuple[SpanTree, Sequence[Span]]
"""Some spans of a tree."""


class Sender(Protocol):
    """Makes one request; blocks until it is answered or given up."""

    def send(self, parts: Sequence[Part], /) -> Answer:
        """These spans of these trees. Never raises."""
        ...

    def shutdown(self) -> None:
        """Abort what is under way and close connections."""
        ...


@dataclass(slots=True)
class Waiting:
    """A trace on its way. `since`, `due`: seconds of the clock; `sent`: spans that the collector has."""

    job_uid: str
    tree: SpanTree | None
    spans: int
    since: float
    due: float
    last: bool = True
    """With it the trace is whole: it has the root, and nothing comes after it."""
    packed: bytes = b""
    packs: bool = True
    """It can be packed, as far as is known."""
    failures: int = 0
    sent: int = 0
    rejected: int = 0
    batch: int = BATCH
    refused_at: int | None = None
    """How many requests the collector had taken when it first refused this one."""
    alone: bool = False
    """A request that it shared was refused: it may be this one that is not wanted."""

    @property
    def is_fresh(self) -> bool:
        """Small, and nothing has happened to it yet."""
        untried = self.failures == 0 and self.sent == 0 and self.tree is not None
        return untried and not self.alone and self.spans <= BATCH

    @property
    def bytes(self) -> int:
        """What it takes in memory, about."""
        return len(self.packed) if self.tree is None else self.spans * SPAN_BYTES

    def pack(self) -> None:
        """Takes much less room, and time to be read again. In the thread. What can't be packed stays."""
        try:
            self.packed = zlib.compress(msgspec.msgpack.encode(self.tree), 1)
        except (TypeError, ValueError, msgspec.MsgspecError):
            self.packs = False
        else:
            self.tree = None

    def unpacked(self) -> SpanTree:
        """The tree."""
        if self.tree is not None:
            return self.tree
        return msgspec.msgpack.decode(zlib.decompress(self.packed), type=SpanTree)


def tried(sender: Sender, company: Sequence[Waiting]) -> Answer:
    """In the thread. Whatever is wrong with one trace must not end the export of all others."""
    try:
        return _send(sender, company[0]) if len(company) == 1 else _send_together(sender, company)
    except Exception as error:  # noqa: BLE001 — told as the trace's own fault, and tried again
        return Answer(Verdict.UNENCODABLE, repr(error)[:200])


def _send(sender: Sender, trace: Waiting) -> Answer:
    """A batch that was taken is not sent again."""
    tree = trace.unpacked()
    order = _in_order(trace, tree)
    answer = Answer(Verdict.ACCEPTED)
    while trace.sent < len(order):
        batch = order[trace.sent : trace.sent + trace.batch]
        answer = sender.send([(tree, batch)])
        if not answer.accepted:
            break
        trace.sent += len(batch)
        trace.rejected += answer.rejected
    return answer


def _send_together(sender: Sender, company: Sequence[Waiting]) -> Answer:
    """All of them in one request. If spans are left out it is told of the first: of which is not known."""
    trees = [(trace, trace.unpacked()) for trace in company]
    answer = sender.send([(tree, _in_order(trace, tree)) for trace, tree in trees])
    company[0].rejected += answer.rejected
    return answer


def _in_order(trace: Waiting, tree: SpanTree) -> Sequence[Span]:
    """The root last, if it is there."""
    return (*tree.spans[1:], *tree.spans[:1]) if trace.last else tree.spans
