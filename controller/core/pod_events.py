"""Events of Kubernetes' own components about one pod: JSON -> what is kept of them, few and short.

Never raises: what is no Event is left out. What they mean for a start is `diagnosis`' question.
"""

import re
import sys
from collections.abc import Iterable
from typing import Final

import msgspec

from controller.core import redaction, wire
from controller.core.agents import words
from controller.core.contract import clip, instant
from controller.core.model import PodEvent

MOST: Final = 20
"""So many are kept of a pod, the newest."""
_SAID_MAX: Final = 512
_REASON_MAX: Final = 64

_EVENT: Final = msgspec.json.Decoder(wire.Event)
_FIELD: Final = re.compile(r"spec\.(?P<kind>initC|c)ontainers\{(?P<name>[a-z0-9-]{1,63})\}")


def read(raws: Iterable[bytes]) -> tuple[PodEvent, ...]:
    """The newest of them, in the order in which they were said last."""
    found = [event for raw in raws if (event := _event(raw)) is not None]
    return tuple(sorted(found, key=_age)[-MOST:])


def _age(event: PodEvent) -> tuple[int, int, str, str]:
    return event.last_at or 0, event.first_at or 0, event.reason, event.message


def _event(raw: bytes) -> PodEvent | None:
    try:
        found = _EVENT.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    about = _FIELD.fullmatch(found.involvedObject.fieldPath)
    observed = found.series.lastObservedTime if found.series else None
    first = _first_of(found.firstTimestamp, found.eventTime)
    return PodEvent(
        reason=sys.intern(clip(found.reason, _REASON_MAX)),
        message=clip(words.shown(redaction.without_command(found.message)), _SAID_MAX),
        container=about["name"] if about else "",
        init=bool(about and about["kind"] == "initC"),
        first_at=first,
        last_at=_first_of(observed, found.lastTimestamp, found.eventTime) or first,
    )


def _first_of(*texts: str | None) -> int | None:
    """The first that is a time."""
    return next((at for text in texts if text and (at := instant(text)) is not None), None)
