"""How long the images of a pod took: its Events -> one pull for each container, and what is being pulled now.

Kubelets tell it in words only: a message of another shape is a pull of which nothing more is known.
"""

import re
from collections.abc import Iterable
from typing import Final

from controller.core.contract import SECOND
from controller.core.model import PodEvent
from controller.core.snapshot import Pull

PULLING: Final = "Pulling"
_PULLED: Final = "Pulled"
_NO_MORE: Final = frozenset({_PULLED, "Failed", "BackOff", "Created", "Started"})
"""Reasons of a container's Events after which its image is not being pulled, until it is told again."""

_TOOK: Final = re.compile(
    r"Successfully pulled image .{1,512}? in (?P<took>[0-9.a-zµ]{2,32})"
    r"(?: \((?P<all>[0-9.a-zµ]{2,32}) including waiting\))?"
    r"(?:\. Image size: (?P<size>\d{1,18}) bytes)?"
)
_PRESENT: Final = "already present"
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|µs|us|ns)")
_UNITS: Final = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}
"""Of Go's durations, in milliseconds."""
_LONGEST_MILLIS: Final = 10**9


def of(events: Iterable[PodEvent]) -> tuple[Pull, ...]:
    """Those that have ended, in the order of their ends; of a container that was started again, the first."""
    about = [event for event in events if event.container]
    begun = {(e.init, e.container): e for e in about if e.reason == PULLING}
    found: dict[tuple[bool, str], Pull] = {}
    for event in about:
        key = event.init, event.container
        if event.reason == _PULLED and key not in found:
            found[key] = _pull(event, begun.get(key))
    return tuple(found.values())


def under_way(events: Iterable[PodEvent]) -> PodEvent | None:
    """The Event of the newest pull of which no end has been told."""
    open_: dict[tuple[bool, str], PodEvent] = {}
    for event in sorted(events, key=lambda e: (e.last_at or 0, e.reason != PULLING)):
        key = event.init, event.container
        if event.reason == PULLING and event.container:
            open_[key] = event
        elif event.reason in _NO_MORE:
            open_.pop(key, None)
    return max(open_.values(), key=lambda e: e.last_at or 0, default=None)


def _pull(pulled: PodEvent, pulling: PodEvent | None) -> Pull:
    """Times are kept in whole seconds: so they are told, and so facts are written."""
    finished = pulled.first_at
    if finished is None or _PRESENT in pulled.message:
        return Pull(pulled.container, pulled.init, finished_at=finished)
    tries = (pulling.last_at, pulling.first_at) if pulling else ()
    begun = next((at for at in tries if at is not None and at <= finished), None)
    if (said := _TOOK.match(pulled.message)) is None:
        return Pull(pulled.container, pulled.init, begun, finished)
    millis = _millis(said["all"] or said["took"])
    size = int(said["size"]) if said["size"] else None
    if begun is not None:
        return Pull(pulled.container, pulled.init, begun, finished, millis, size)
    begun = (finished - (millis or 0) * SECOND // 1000) // SECOND * SECOND
    return Pull(pulled.container, pulled.init, begun, finished, millis, size, derived=True)


def _millis(text: str) -> int | None:
    """A duration as Go writes it, e.g. `1m3.2s`."""
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return min(round(sum(float(number) * _UNITS[unit] for number, unit in parts)), _LONGEST_MILLIS)
