"""List, then watch one kind of object, for ever; what changed comes out, whatever the connection does.

        ┌────────────── Expired: the version is too old ─────────────┐
        ▼                                                            │
      list ──── the list's version ────▶ watch ──── ended, broken ───┤
        │ in pages                         ▲                         │
        │ what is not there is Gone        └── the newest version ───┘

Owns the version to go on from, when to try again, and name -> newest object, so that a deletion that was
missed is told. It never raises a KubeError, never ends, writes nothing, and judges no object.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from controller.core.model import Unreadable
from controller.kube import errors, retry
from controller.kube.api import Kube, Page, RawEvent, Resource

PAGE: Final = 500
RESUME_SECONDS: Final = 90.0
"""After a longer silence a watch is not resumed: its backlog would look like news. The list is the news."""
WATCH_SECONDS: Final = (300, 600)
"""How long a watch is asked to last: not all end together."""


class Known(Protocol):
    """What an informer must know of its objects."""

    @property
    def namespace(self) -> str: ...  # noqa: D102 — Kubernetes' metadata

    @property
    def name(self) -> str: ...  # noqa: D102 — as above

    @property
    def uid(self) -> str: ...  # noqa: D102 — as above

    @property
    def version(self) -> str: ...  # noqa: D102 — as above


T = TypeVar("T", bound=Known)


@dataclass(frozen=True, slots=True)
class Upsert(Generic[T]):
    """An object is new, or not what it was. `initial`: from the first list."""

    object: T | Unreadable
    initial: bool


@dataclass(frozen=True, slots=True)
class Gone(Generic[T]):
    """An object is not there, or not selected, any more. Its last known state, readable if it ever was."""

    object: T | Unreadable


@dataclass(frozen=True, slots=True)
class Synced:
    """The first list is complete, and all of it was given."""


Change = Upsert[T] | Gone[T] | Synced


@dataclass(slots=True)
class _Entry(Generic[T]):
    uid: str
    version: str
    object: T | Unreadable


class _Bookmark(msgspec.Struct):
    class Metadata(msgspec.Struct):
        version: str = msgspec.field(name="resourceVersion", default="")

    metadata: Metadata


class Informer(Generic[T]):
    """One kind. `observe` is told: list, relist, decode_error, and what `retry` says of each failure."""

    def __init__(  # noqa: PLR0913 — its world: what to watch, and the means to
        self,
        kube: Kube,
        resource: Resource,
        decode: Callable[[bytes], T | Unreadable],
        *,
        namespace: str = "",
        selector: str = "",
        clock: Callable[[], float],
        rng: random.Random,
        observe: Callable[[str], None],
    ) -> None:
        self.synced = False
        self._kube = kube
        self._resource = resource
        self._decode = decode
        self._namespace = namespace
        self._selector = selector
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._known: dict[tuple[str, str], _Entry[T]] = {}
        self._version = ""
        self._heard_at = clock()
        self._ended_well = False
        self._retry = retry.Retry(clock, rng)

    def silent_for(self) -> float:
        """Seconds since the server was last heard: an event, a bookmark, a list, a watch in its turn."""
        return self._clock() - self._heard_at

    async def changes(self) -> AsyncGenerator[tuple[Change[T], ...], None]:
        """All changes, in batches as received, none of them empty."""
        while True:
            if self.silent_for() > RESUME_SECONDS:
                self._version = ""
            try:
                async with aclosing(self._watched() if self._version else self._listed()) as batches:
                    async for batch in batches:
                        if batch:
                            yield batch
            except errors.KubeError as e:
                what, pause = self._retry.after(e)
                if isinstance(e, errors.Expired):
                    self._version = ""
                self._observe(what)
                self._ended_well = False
            else:
                pause = self._retry.after_end()
            await asyncio.sleep(pause)

    # List.

    async def _listed(self) -> AsyncGenerator[tuple[Change[T], ...], None]:
        self._observe("relist" if self.synced else "list")
        self._retry.listing()
        seen: set[tuple[str, str]] = set()
        page = Page((), "", "")
        restarts = 1
        while True:
            try:
                page = await self._page(page.token)
            except errors.Expired:
                if not (page.token and restarts):
                    raise
                restarts -= 1
                seen, page = set(), Page((), "", "")
                continue
            objects = [self._decoded(bytes(raw)) for raw in page.items]
            seen.update((o.namespace, o.name) for o in objects)
            yield tuple(change for o in objects for change in self._upsert(o))
            if not page.token:
                break
        if not page.version:
            raise errors.Unavailable(f"the list of {self._resource.plural} has no version")
        self._version = page.version
        yield self._completed(seen)

    async def _page(self, token: str) -> Page:
        return await self._kube.page(
            self._resource, namespace=self._namespace, selector=self._selector, limit=PAGE, token=token
        )

    def _completed(self, seen: set[tuple[str, str]]) -> tuple[Change[T], ...]:
        self._heard_at = self._clock()
        gone = [key for key in self._known if key not in seen]
        changes: list[Change[T]] = [Gone(self._known.pop(key).object) for key in gone]
        if not self.synced:
            self.synced = True
            changes.append(Synced())
        return tuple(changes)

    # Watch.

    async def _watched(self) -> AsyncGenerator[tuple[Change[T], ...], None]:
        self._retry.opening()
        stream = self._kube.watch(
            self._resource,
            namespace=self._namespace,
            selector=self._selector,
            version=self._version,
            timeout_seconds=self._rng.randint(*WATCH_SECONDS),
        )
        async with aclosing(stream) as batches:
            async for batch in batches:
                self._retry.heard(useful=bool(batch))
                if batch or self._ended_well:
                    self._heard_at = self._clock()
                self._ended_well = False
                yield tuple(change for event in batch for change in self._event(event))
        self._ended_well = True

    def _event(self, event: RawEvent) -> tuple[Change[T], ...]:
        raw = bytes(event.object)
        if event.type == "BOOKMARK":
            self._version = self._bookmarked(raw) or self._version
            return ()
        found = self._decoded(raw)
        self._version = found.version or self._version
        return self._removed(found) if event.type == "DELETED" else self._upsert(found)

    def _bookmarked(self, raw: bytes) -> str:
        try:
            return msgspec.json.decode(raw, type=_Bookmark).metadata.version
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._observe("decode_error")
            return ""

    # What is known.

    def _decoded(self, raw: bytes) -> T | Unreadable:
        found = self._decode(raw)
        if isinstance(found, Unreadable):
            self._observe("decode_error")
        return found

    def _upsert(self, found: T | Unreadable) -> tuple[Change[T], ...]:
        told = Upsert(found, initial=not self.synced)
        if not found.name:
            return (told,)  # can't even be named; somebody should be told
        key = (found.namespace, found.name)
        entry = self._known.get(key)
        if entry is None or (found.uid and found.uid != entry.uid):
            self._known[key] = _Entry(found.uid, found.version, found)
            return (told,) if entry is None else (Gone(entry.object), told)
        if found.version and found.version == entry.version:
            return ()
        entry.version = found.version
        if not isinstance(found, Unreadable) or isinstance(entry.object, Unreadable):
            entry.object = found
        return (told,)

    def _removed(self, found: T | Unreadable) -> tuple[Change[T], ...]:
        key = (found.namespace, found.name)
        entry = self._known.get(key)
        if entry is None or (found.uid and found.uid != entry.uid):
            return ()
        del self._known[key]
        return (Gone(entry.object if isinstance(found, Unreadable) else found),)
