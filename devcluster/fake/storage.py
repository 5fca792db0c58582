"""What etcd is to an API server: every object's newest version, and the log of all writes before it.

Owns: versions, the write log, compaction, and telling listeners about each commit.
Never: validates, defaults or waits. Objects handed in belong to the storage and are never changed afterwards.
"""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from devcluster.fake import errors
from devcluster.fake.resources import Resource

JSON = dict[str, Any]
Key = tuple[str, str]
FIRST_VERSION = 100
OBJECT_LIMIT = 3 * 2**19  # etcd's 1.5 MiB
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Stored:
    """One version of one object; its JSON is encoded once and shared by all who send it."""

    __slots__ = ("_renderings", "object", "version")

    def __init__(self, obj: JSON, version: int) -> None:
        self.object = obj
        self.version = version
        self._renderings: dict[str, bytes] = {}

    def json(self) -> bytes:
        """The object without apiVersion and kind, as it stands in lists."""
        return self.rendering("", _encode)

    def rendering(self, name: str, render: Callable[[JSON], bytes]) -> bytes:
        """The object in some other form, rendered once."""
        known = self._renderings.get(name)
        if known is None:
            known = self._renderings[name] = render(self.object)
        return known

    def copy(self) -> JSON:
        """A private copy that may be changed."""
        obj: JSON = _decode(self.json())
        return obj


@dataclass(frozen=True, slots=True)
class Write:
    """One committed write: what became of which object, and who did it.

    `type` is what a watcher sees (ADDED, MODIFIED, DELETED), `verb` what was asked for.
    """

    version: int
    type: str
    verb: str
    resource: Resource
    namespace: str
    name: str
    uid: str
    stored: Stored
    previous: Stored | None
    actor: str
    subresource: str = ""

    @property
    def kind(self) -> str:
        """`Job`, `Pod` and so on."""
        return self.resource.kind

    @property
    def object(self) -> JSON:
        """The object after the write (before it, if it is gone). Not a copy: look, don't touch."""
        return self.stored.object


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, and by which verb."""

    actor: str
    verb: str
    subresource: str = ""


class Storage:
    """All objects by resource and (namespace, name), and the log that led there."""

    def __init__(self, keep: int | None = None) -> None:
        self.version = FIRST_VERSION
        self.oldest = FIRST_VERSION  # watches may start from here or later
        self.keep = keep  # versions a watch may go back; None: all
        self.log: list[Write] = []
        self.log_limit: int | None = None  # writes remembered for anybody; None: all
        self._objects: dict[str, dict[Key, Stored]] = {}
        self._listeners: list[Callable[[Write], None]] = []

    def get(self, resource: Resource, key: Key) -> Stored | None:
        """The newest version of one object."""
        return self._objects.get(resource.plural, {}).get(key)

    def items(self, resource: Resource, namespace: str | None = None) -> Iterator[Stored]:
        """All objects of a resource, unsorted."""
        for key, stored in self._objects.get(resource.plural, {}).items():
            if namespace is None or key[0] == namespace:
                yield stored

    def sorted_at(self, resource: Resource, namespace: str | None, version: int) -> list[tuple[Key, Stored]]:
        """The objects as they were at a version, in the order of their keys."""
        if version < self.oldest and version != self.version:
            raise errors.too_old(version, self.oldest)
        seen = dict(self._objects.get(resource.plural, {}))
        for write in reversed(self.log):
            if write.version <= version:
                break
            if write.resource.plural == resource.plural:
                _undo(seen, write)
        return sorted(
            (item for item in seen.items() if namespace in (None, item[0][0])), key=lambda item: item[0]
        )

    def put(self, resource: Resource, obj: JSON, origin: Origin) -> Stored:
        """Commit a new state of an object; the version goes into its metadata."""
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        kept = self._objects.setdefault(resource.plural, {})
        previous = kept.get(key)
        stored = self._versioned(obj)
        kept[key] = stored
        self._record("MODIFIED" if previous else "ADDED", resource, origin, (stored, previous))
        return stored

    def remove(self, resource: Resource, obj: JSON, origin: Origin) -> Stored:
        """Commit the removal of an object; watchers see its last state with the removal's version."""
        metadata = obj["metadata"]
        stored = self._versioned(obj)
        previous = self._objects[resource.plural].pop((metadata.get("namespace", ""), metadata["name"]))
        self._record("DELETED", resource, origin, (stored, previous))
        return stored

    def since(self, version: int) -> list[Write]:
        """All writes after a version; 410 if they are no longer known."""
        if version < self.oldest:
            raise errors.too_old(version, self.oldest)
        return self.log[bisect.bisect_right(self.log, version, key=lambda write: write.version) :]

    def compact(self, keep: int = 0) -> None:
        """Forget, for watches and continued lists, all but the last `keep` versions."""
        self.oldest = max(self.oldest, self.version - keep)

    def listen(self, listener: Callable[[Write], None]) -> None:
        """Call back on every commit, in order, before the write is answered."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Write], None]) -> None:
        """Stop calling back."""
        self._listeners.remove(listener)

    def _versioned(self, obj: JSON) -> Stored:
        """The object with the next version; the version is spent only if etcd would take it."""
        obj["metadata"]["resourceVersion"] = str(self.version + 1)
        stored = Stored(obj, self.version + 1)
        if len(stored.json()) > OBJECT_LIMIT:
            raise errors.storage_too_large()
        self.version += 1
        return stored

    def _record(
        self, kind: str, resource: Resource, origin: Origin, states: tuple[Stored, Stored | None]
    ) -> None:
        stored, previous = states
        metadata = stored.object["metadata"]
        write = Write(
            stored.version, kind, origin.verb, resource, metadata.get("namespace", ""), metadata["name"],
            metadata["uid"], stored, previous, origin.actor, origin.subresource,
        )  # fmt: skip
        self.log.append(write)
        if self.keep is not None:
            self.compact(self.keep)
        self._trim()
        for listener in tuple(self._listeners):
            listener(write)

    def _trim(self) -> None:
        if self.log_limit is not None and len(self.log) > 2 * self.log_limit:
            self.oldest = max(self.oldest, self.log[-self.log_limit - 1].version)
            del self.log[: -self.log_limit]


def _undo(seen: dict[Key, Stored], write: Write) -> None:
    key = (write.namespace, write.name)
    if write.previous is None:
        seen.pop(key, None)
    else:
        seen[key] = write.previous
