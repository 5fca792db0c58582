"""Small groups of ids by key, for the store's indexes. Knows nothing of what the ids name."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Groups(Generic[K]):
    """Ids by key, in order of arrival; an empty group is not kept.

    Tuples, because nearly every group has one member: an empty set alone takes 216 bytes, and there are
    several groups for each tracked run.
    """

    def __init__(self) -> None:
        self._groups: dict[K, tuple[str, ...]] = {}

    def __iter__(self) -> Iterator[K]:
        """Keys whose group is not empty."""
        return iter(self._groups)

    def __len__(self) -> int:
        """How many ids there are in all groups."""
        return sum(map(len, self._groups.values()))

    def of(self, key: K) -> tuple[str, ...]:
        """The group of this key, empty if there is none."""
        return self._groups.get(key, ())

    def add(self, key: K, member: str) -> None:
        """The id belongs to this group; adding it again changes nothing."""
        group = self._groups.get(key, ())
        if member not in group:
            self._groups[key] = (*group, member)

    def discard(self, key: K, member: str) -> bool:
        """The id does not belong to this group. Says whether it did."""
        group = self._groups.get(key, ())
        if member not in group:
            return False
        if len(group) == 1:
            del self._groups[key]
        else:
            self._groups[key] = tuple(other for other in group if other != member)
        return True
