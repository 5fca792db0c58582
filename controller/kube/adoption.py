"""Makes a Job an owner of one of its Secrets or ConfigMaps, if the object itself says that it is this run's.

Owns the protocol (ADR 13) and what its answers mean. It sees metadata only, never what is in a Secret; it
never repeats a call, changes nothing but owner references, and adds no owner that it has not just read.

    PATCH {}                            ours is there already -> done; not this run's -> left alone
    GET the Job                         of this uid, of this run, not being deleted
    PATCH the owner, resourceVersion    Conflict if anything of the object has changed since the first look
"""

from typing import Final, NamedTuple

import msgspec

from controller.core.actions import OwnObject
from controller.core.contract import Keys
from controller.core.snapshot import Ownership
from controller.kube import errors
from controller.kube.api import CONFIG_MAPS, JOBS, MERGE, SECRETS, STRATEGIC, Kube

_RESOURCES: Final = {"Secret": SECRETS, "ConfigMap": CONFIG_MAPS}


class Adopted(NamedTuple):
    """What came of it; `why`, in words, where the object was left alone."""

    ownership: Ownership
    why: str = ""


class _Owner(msgspec.Struct):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Meta(msgspec.Struct):
    uid: str = ""
    version: str = msgspec.field(name="resourceVersion", default="")
    deleted: str | None = msgspec.field(name="deletionTimestamp", default=None)
    labels: dict[str, str] | None = None
    owners: list[_Owner] | None = msgspec.field(name="ownerReferences", default=None)


class _Object(msgspec.Struct):
    kind: str = ""
    metadata: _Meta = msgspec.field(default_factory=_Meta)


_OBJECT = msgspec.json.Decoder(_Object)


class Adoption:
    """Carries out OwnObject on one cluster, under one set of keys."""

    def __init__(self, kube: Kube, keys: Keys) -> None:
        self._kube = kube
        self._keys = keys

    async def own(self, asked: OwnObject) -> Adopted:
        """What the API server says. Conflict: object or Job have changed meanwhile; look again."""
        try:
            there = await self._patched(asked, {})
            if there.deleted:
                return Adopted(Ownership.MISSING)
            if _is_ours(there, asked):
                return Adopted(Ownership.ADOPTED)
            if why := self._objection(there, asked):
                return Adopted(Ownership.REFUSED, why)
            await self._require_job(asked)
            there = await self._patched(asked, _ownership(asked, there.version), STRATEGIC)
        except errors.NotFound:
            return Adopted(Ownership.MISSING)
        except errors.Refused as error:
            if error.code != 403:
                raise
            return Adopted(Ownership.FORBIDDEN, str(error))
        if not _is_ours(there, asked):
            raise errors.Unavailable(f"the owner of {asked.kind} {asked.namespace}/{asked.name} was not kept")
        return Adopted(Ownership.ADOPTED)

    async def _patched(self, asked: OwnObject, body: object, media: str = MERGE) -> _Meta:
        resource = _RESOURCES[asked.kind]
        raw = await self._kube.patch_metadata(
            resource, asked.namespace, asked.name, msgspec.json.encode(body), media
        )
        found = _decoded(raw)
        if found.kind != "PartialObjectMetadata":
            raise errors.Unavailable(f"the answer for {resource.plural} is not metadata only", 200)
        return found.metadata

    def _objection(self, there: _Meta, asked: OwnObject) -> str:
        """Why this object is not ours to own; empty if it is."""
        key = self._keys.run_id
        label = (there.labels or {}).get(key)
        if label is None:
            return f"it has no label {key}"
        if not asked.run_id or label != asked.run_id:
            return f"its label {key} is {label}, that of another run"
        controller = next((owner for owner in there.owners or () if owner.controller), None)
        return f"{controller.kind} {controller.name} controls it" if controller else ""

    async def _require_job(self, asked: OwnObject) -> None:
        """An owner that does not exist makes Kubernetes delete what it owns: it has to be there now."""
        try:
            job = _decoded(await self._kube.get(JOBS, asked.namespace, asked.job_name)).metadata
        except (errors.NotFound, errors.Refused) as error:
            raise errors.Conflict(f"the Job can't be read any more: {error}") from error
        if job.uid != asked.job_uid or job.deleted:
            raise errors.Conflict(
                f"Job {asked.namespace}/{asked.job_name} is being deleted, or another by now"
            )


def _is_ours(there: _Meta, asked: OwnObject) -> bool:
    return any(owner.uid == asked.job_uid for owner in there.owners or ())


def _ownership(asked: OwnObject, version: str) -> object:
    """The patch that adds the Job beside the other owners: they are joined by uid."""
    owner = {
        "apiVersion": JOBS.group_version,
        "kind": "Job",
        "name": asked.job_name,
        "uid": asked.job_uid,
        "blockOwnerDeletion": False,
    }
    return {"metadata": {"resourceVersion": version, "ownerReferences": [owner]}}


def _decoded(raw: bytes) -> _Object:
    try:
        return _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Unavailable(f"an answer that is no object: {error}", 200) from error
