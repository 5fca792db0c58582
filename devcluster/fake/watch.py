"""Watches: the past from a version on, then what happens, as one JSON event a line.

Owns: which event a watcher sees for a write, bookmarks, initial events, the end of a watch.
Never: changes anything; encodes an object that another watcher has already had encoded.
"""

import random
from collections import deque
from dataclasses import dataclass

from aiohttp import web

from devcluster.fake import errors, representation
from devcluster.fake.errors import ApiError
from devcluster.fake.lists import ListOptions, page
from devcluster.fake.resources import JSON, Resource
from devcluster.fake.storage import Storage, Stored, Write
from devcluster.fake.streams import CUT, Stream

INITIAL_END = "k8s.io/initial-events-end"
DEFAULT_TIMEOUT = (1800, 3600)
LAST_BOOKMARK = 2.0  # seconds before the end of a watch


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What a watch asks for."""

    what: ListOptions
    form: str = representation.PLAIN
    bookmarks: bool = False
    timeout: float | None = None
    send_initial: bool | None = None
    bookmark_every: float = 60.0


def check(options: WatchOptions, *, gate: bool) -> None:
    """422 for combinations that a server refuses."""
    found = errors.FieldErrors()
    what = options.what
    if options.send_initial is not None:
        if not gate:
            why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            found.forbidden("sendInitialEvents", why)
        elif what.match != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            found.forbidden("resourceVersionMatch", why)
    elif what.match:
        found.forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )
    if found.causes:
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found.causes)
    if what.version and not what.version.isdigit():
        raise ApiError(500, "", errors.no_number("resourceVersion", what.version))


class Feed:
    """The lines still to be sent to one watcher."""

    def __init__(self, storage: Storage, options: WatchOptions, stream: Stream) -> None:
        self._storage = storage
        self._options = options
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._first_table = True
        self.version = storage.version

    def start(self) -> None:
        """Queue the past, then listen. Nothing can be missed in between: there is no await here."""
        options, asked = self._options, self._options.what.version
        listed = options.send_initial or (options.send_initial is None and asked in ("", "0"))
        if listed:
            self._queue_initial()
        elif asked not in ("", "0"):
            self._replay(int(asked))
        self._storage.listen(self._see)
        if options.bookmarks:
            self._stream.after(options.bookmark_every, self._bookmark_again)
            if options.timeout is not None and options.timeout > LAST_BOOKMARK:
                self._stream.after(options.timeout - LAST_BOOKMARK, self._bookmark_once)

    def stop(self) -> None:
        """Listen no longer."""
        self._storage.unlisten(self._see)

    def take(self) -> list[bytes]:
        """All lines queued so far."""
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def _queue_initial(self) -> None:
        what = self._options.what
        whole = ListOptions(what.resource, what.namespace, what.selector)
        for stored in page(self._storage, whole).items:
            self._queue("ADDED", what.resource, stored)
        if self._options.send_initial and self._options.bookmarks:
            self._bookmark({"annotations": {INITIAL_END: "true"}})

    def _replay(self, version: int) -> None:
        self.version = max(version, 0)
        try:
            writes = self._storage.since(version)
        except ApiError as gone:
            self._lines.append(b'{"type":"ERROR","object":%s}\n' % representation.encode(gone.status()))
            self._stream.end("close")
            return
        for write in writes:
            self._see(write)

    def _see(self, write: Write) -> None:
        what = self._options.what
        if write.resource.plural != what.resource.plural or write.version <= self.version:
            return
        if what.namespace is not None and write.namespace != what.namespace:
            return
        kind = event_type(write, what)
        if kind:
            self._queue(kind, what.resource, _shown(write, kind))
            self._stream.wake.set()

    def _queue(self, kind: str, resource: Resource, stored: Stored) -> None:
        if self._options.form == representation.TABLE:
            meta: JSON = {"resourceVersion": str(stored.version)}
            body = representation.table(resource, [stored], meta, columns=self._first_table)
            self._first_table = False
        else:
            body = representation.whole(resource, stored, self._options.form)
        self._lines.append(b'{"type":"%s","object":%s}\n' % (kind.encode(), body))

    def _bookmark_once(self) -> None:
        self._bookmark({})
        self._stream.wake.set()

    def _bookmark_again(self) -> None:
        self._bookmark_once()
        self._stream.after(self._options.bookmark_every, self._bookmark_again)

    def _bookmark(self, meta: JSON) -> None:
        body = {"resourceVersion": str(max(self._storage.version, self.version))} | meta
        shown = representation.bookmark(self._options.what.resource, body, self._options.form)
        self._lines.append(b'{"type":"BOOKMARK","object":%s}\n' % shown)


def event_type(write: Write, what: ListOptions) -> str:
    """What a write is to a watcher with a selector: an object may enter or leave the selection."""
    if not what.selector:
        return write.type
    now = write.type != "DELETED" and what.selector.matches(what.resource, write.object)
    before = write.previous is not None and what.selector.matches(what.resource, write.previous.object)
    return {(True, True): "MODIFIED", (True, False): "ADDED", (False, True): "DELETED"}.get((now, before), "")


def _shown(write: Write, kind: str) -> Stored:
    """An object that left the selection is shown in its last selected state, at the version of the change."""
    if kind != "DELETED" or write.type == "DELETED" or write.previous is None:
        return write.stored
    last = dict(write.previous.object)
    last["metadata"] = last["metadata"] | {"resourceVersion": str(write.version)}
    return Stored(last, write.version)


async def serve(response: web.StreamResponse, feed: Feed, stream: Stream, seconds: float | None) -> None:
    """Send lines until the watch times out, is ended, or the client goes."""
    stream.after(seconds or random.uniform(*DEFAULT_TIMEOUT), lambda: stream.end("close"))
    feed.start()
    try:
        while True:
            lines = [] if stream.silent else feed.take()
            if stream.ending == CUT:
                await _cut(response, stream, lines)
                return
            if lines:
                await response.write(b"".join(lines))
            elif stream.ending:
                return
            else:
                await stream.wait()
    finally:
        feed.stop()


async def _cut(response: web.StreamResponse, stream: Stream, lines: list[bytes]) -> None:
    whole = b"".join(lines) or b'{"type":"MODIFIED","object":{"kind":"Job","metadata":{"name":"cut'
    await response.write(whole[: len(whole) - 20] or whole[:1])
    stream.abort()
