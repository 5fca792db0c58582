"""Keeps the whole of a result in a ConfigMap that goes with its Job.

Owns what that ConfigMap looks like, and how one that is there already is known to be the same: by its owner
and by the checksum that it was made with, both of its metadata. Its content is never read; hosts verify it.

    POST the ConfigMap          made -> done
    PATCH {}                    one is there: ours, of the same content -> done; else left alone, and refused
"""

from typing import Any

import msgspec

from controller.core.actions import StoreResult
from controller.core.contract import Keys
from controller.kube import errors
from controller.kube.api import CONFIG_MAPS, JOBS, Kube

KEY = "result.json"
"""Under which the ConfigMap holds the text."""


class _Owner(msgspec.Struct):
    uid: str = ""


class _Meta(msgspec.Struct):
    annotations: dict[str, str] | None = None
    owners: list[_Owner] | None = msgspec.field(name="ownerReferences", default=None)
    deleted: str | None = msgspec.field(name="deletionTimestamp", default=None)


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


_OBJECT = msgspec.json.Decoder(_Object)


class Keeping:
    """Carries out StoreResult on one cluster, under one set of keys."""

    def __init__(self, kube: Kube, keys: Keys) -> None:
        self._kube = kube
        self._digest = keys.status("sha256")

    async def store(self, asked: StoreResult) -> None:
        """It is there now. Refused if it can't be; Conflict if it has just gone away."""
        body = msgspec.json.encode(self._config_map(asked))
        try:
            await self._kube.create(CONFIG_MAPS, asked.namespace, body)
        except errors.AlreadyExists:
            await self._require_same(asked)
        except errors.NotFound as error:
            raise errors.Refused(str(error), error.code, "NotFound") from error  # the namespace is going away

    async def _require_same(self, asked: StoreResult) -> None:
        try:
            raw = await self._kube.patch_metadata(CONFIG_MAPS, asked.namespace, asked.name, b"{}")
        except errors.NotFound as error:
            raise errors.Conflict(f"ConfigMap {asked.name} was there and is not: {error}") from error
        try:
            there = _OBJECT.decode(raw).metadata
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise errors.Unavailable(f"an answer that is no object: {error}", 200) from error
        if there.deleted:
            raise errors.Conflict(f"ConfigMap {asked.name} is being deleted")
        if all(owner.uid != asked.job_uid for owner in there.owners or ()):
            raise errors.Refused(f"ConfigMap {asked.name} is somebody else's", 409, "AlreadyExists")
        if (there.annotations or {}).get(self._digest) != asked.sha256:
            said = f"another version of the result is kept in configmap/{asked.name}"
            raise errors.Refused(said, 409, "AlreadyExists")

    def _config_map(self, asked: StoreResult) -> dict[str, Any]:
        owner = {
            "apiVersion": JOBS.group_version,
            "kind": "Job",
            "name": asked.job_name,
            "uid": asked.job_uid,
            "controller": False,
            "blockOwnerDeletion": False,
        }
        return {
            "apiVersion": CONFIG_MAPS.group_version,
            "kind": "ConfigMap",
            "metadata": {
                "name": asked.name,
                "namespace": asked.namespace,
                "labels": dict(asked.labels),
                "annotations": {self._digest: asked.sha256},
                "ownerReferences": [owner],
            },
            "immutable": True,
            "data": {KEY: asked.text},
        }
