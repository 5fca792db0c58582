"""Which of two copies of an object is newer, and whether it says anything new."""

from dataclasses import fields
from operator import attrgetter
from typing import Final, TypeVar

from controller.core.model import Job, Pod

Known = TypeVar("Known", Job, Pod)
_READ: Final = {
    kind: attrgetter(*(each.name for each in fields(kind) if each.compare and each.name != "version"))
    for kind in (Job, Pod)
}
"""All that is known of an object but its version and its size."""


def is_same(new: Known, known: Known) -> bool:
    """Nothing that is read of it has changed: half of all events say what our writes' answers have said."""
    read = _READ[type(known)]
    return bool(read(new) == read(known))


def is_older(version: str, known: str) -> bool:
    """Versions are comparable integers since 1.35 (KEP-5504), and have always been in practice."""
    try:
        return int(version) < int(known)
    except ValueError:
        return False
