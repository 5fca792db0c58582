"""Lists: which version they show, and how they go on from page to page.

Owns: limit, continue tokens and resourceVersion of a list. Never encodes anything.
"""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

from devcluster.fake import errors
from devcluster.fake.representation import Listing
from devcluster.fake.resources import Resource
from devcluster.fake.selectors import Selector
from devcluster.fake.storage import Key, Storage, Stored

WAIT_FOR_VERSION = 3.0
STALE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new "
    "list without the continue parameter, or use the continue token in this response to retrieve the "
    "remainder of the results. Continuing with the provided token results in an inconsistent list - objects "
    "that were created, modified, or deleted between the time the first chunk was returned and now may show "
    "up in the list."
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list asks for."""

    resource: Resource
    namespace: str | None
    selector: Selector
    limit: int = 0
    token: str = ""
    version: str = ""
    match: str = ""
    initial: bool = False  # sendInitialEvents was asked for


def page(storage: Storage, options: ListOptions) -> Listing:
    """One page of a list."""
    if options.token:
        return _continued(storage, options)
    at = int(options.version) if options.match == "Exact" else storage.version
    if at < storage.oldest and at != storage.version:
        raise errors.expired("The resourceVersion for the provided list is too old.")
    limit = (
        0 if options.version == "0" and options.match != "Exact" else options.limit
    )  # the watch cache does not page
    return _cut(storage, options, at, limit, None)


async def wait_for_version(storage: Storage, version: int) -> None:
    """Until the storage has reached a version; 504 after some seconds, as a server does that lags."""
    if version <= storage.version:
        return
    reached = asyncio.Event()

    def listener(write: Any) -> None:
        if write.version >= version:
            reached.set()

    storage.listen(listener)
    try:
        async with asyncio.timeout(WAIT_FOR_VERSION):
            await reached.wait()
    except TimeoutError:
        raise errors.version_too_large(version, storage.version) from None
    finally:
        storage.unlisten(listener)


def _continued(storage: Storage, options: ListOptions) -> Listing:
    at, after = _decode(options.token)
    if at == -1:
        at = storage.version
    if at < storage.oldest and at != storage.version:
        error = errors.expired(STALE)
        error.metadata = {"continue": _encode(-1, after)}
        raise error
    return _cut(storage, options, at, options.limit, after)


def _cut(storage: Storage, options: ListOptions, at: int, limit: int, after: Key | None) -> Listing:
    matching = [
        (key, stored)
        for key, stored in storage.sorted_at(options.resource, options.namespace, at)
        if (after is None or key > after) and options.selector.matches(options.resource, stored.object)
    ]
    if not limit or len(matching) <= limit:
        return Listing(_values(matching), at)
    remaining = None if options.selector else len(matching) - limit
    return Listing(_values(matching[:limit]), at, _encode(at, matching[limit - 1][0]), remaining)


def _values(pairs: list[tuple[Key, Stored]]) -> list[Stored]:
    return [stored for _, stored in pairs]


def _encode(version: int, after: Key) -> str:
    body = {"v": "meta.k8s.io/v1", "rv": version, "start": "/".join(after) + "\x00"}
    return base64.urlsafe_b64encode(msgspec.json.encode(body)).decode().rstrip("=")


def _decode(token: str) -> tuple[int, Key]:
    try:
        body = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = body["start"].removesuffix("\x00").rpartition("/")
        return int(body["rv"]), (namespace, name)
    except (binascii.Error, msgspec.DecodeError, KeyError, ValueError, TypeError, AttributeError) as error:
        why = f"invalid continue token: continue key is not valid: {error}"
        raise errors.bad_request(why) from None
