"""The forms an object can take in an answer: whole, metadata only, or a row of a table.

Owns: the choice by the Accept header, and the bytes of objects and lists. Columns are in `tables.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from devcluster.fake import errors, event_versions, tables
from devcluster.fake.resources import EVENT_V1, JSON, Resource
from devcluster.fake.storage import Stored

PLAIN, METADATA, TABLE = "plain", "metadata", "table"
META_GROUP = "meta.k8s.io"
encode = msgspec.json.Encoder().encode
_TRANSFORMS = {
    "PartialObjectMetadata": METADATA,
    "PartialObjectMetadataList": METADATA,
    "Table": TABLE,
}


def form_of(accept: str) -> str:
    """The first acceptable form; 406 if there is none."""
    for item in (accept or "*/*").split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media not in ("application/json", "application/*", "*/*"):
            continue
        wanted = options.get("as")
        if wanted is None:
            return PLAIN
        if wanted in _TRANSFORMS and options.get("g") == META_GROUP and options.get("v") == "v1":
            return _TRANSFORMS[wanted]
    raise errors.not_acceptable()


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of objects, with the version it was read at."""

    items: Sequence[Stored]
    version: int
    token: str = ""
    remaining: int | None = None

    def metadata(self) -> JSON:
        """The list's own metadata."""
        meta: JSON = {"resourceVersion": str(self.version)}
        if self.token:
            meta["continue"] = self.token
        if self.remaining:
            meta["remainingItemCount"] = self.remaining
        return meta


def item(resource: Resource, stored: Stored) -> bytes:
    """An object without kind and apiVersion, as lists of built-in kinds have it."""
    if resource is EVENT_V1:
        return stored.rendering(
            resource.api_version, lambda obj: encode(event_versions.from_storage(resource, obj))
        )
    return stored.json()


def whole(resource: Resource, stored: Stored, form: str) -> bytes:
    """One object."""
    if form == METADATA:
        return stored.rendering(METADATA, _metadata_only)
    if form == TABLE:
        return table(resource, [stored], {"resourceVersion": str(stored.version)})
    return b'{"kind":"%s","apiVersion":"%s",%s' % (
        resource.kind.encode(), resource.api_version.encode(), item(resource, stored)[1:],
    )  # fmt: skip


def listing(resource: Resource, page: Listing, form: str) -> bytes:
    """A list of objects."""
    if form == TABLE:
        return table(resource, page.items, page.metadata())
    kind, version = f"{resource.kind}List", resource.api_version
    render: Callable[[Stored], bytes] = lambda stored: item(resource, stored)  # noqa: E731 - one of two renderers
    if form == METADATA:
        kind, version = "PartialObjectMetadataList", f"{META_GROUP}/v1"
        render = lambda stored: stored.rendering(METADATA, _metadata_only)  # noqa: E731 - as above
    head = encode({"kind": kind, "apiVersion": version, "metadata": page.metadata()})
    return b'%s,"items":[%s]}' % (head[:-1], b",".join(map(render, page.items)))


def bookmark(resource: Resource, meta: JSON, form: str) -> bytes:
    """The object of a BOOKMARK event: nothing but a version."""
    if form == METADATA:
        return encode({"kind": "PartialObjectMetadata", "apiVersion": f"{META_GROUP}/v1", "metadata": meta})
    body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
    return encode(body | resource.blank)


def table(resource: Resource, items: Sequence[Stored], meta: JSON, *, columns: bool = True) -> bytes:
    """Objects as rows, the way `kubectl get` asks for them."""
    body: JSON = {"kind": "Table", "apiVersion": f"{META_GROUP}/v1", "metadata": meta}
    body["columnDefinitions"] = tables.columns(resource) if columns else None
    body["rows"] = [
        {
            "cells": tables.cells(resource, stored.object),
            "object": msgspec.Raw(stored.rendering(METADATA, _metadata_only)),
        }
        for stored in items
    ]
    return encode(body)


def _metadata_only(obj: Any) -> bytes:
    body = {"kind": "PartialObjectMetadata", "apiVersion": f"{META_GROUP}/v1", "metadata": obj["metadata"]}
    return encode(body)
