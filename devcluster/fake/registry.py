"""Create, update and patch: what happens to an object between a request and the storage.

Owns: the order of checks of a write, which decides what refusal a client sees. Deletion is in `deletion.py`.
Never: speaks HTTP, waits.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from devcluster.fake import deletion, errors, event_versions, patches
from devcluster.fake.clock import Clock
from devcluster.fake.errors import ApiError, FieldErrors
from devcluster.fake.resources import JSON, NAMESPACE, Resource
from devcluster.fake.storage import Key, Origin, Storage, Stored
from devcluster.fake.strategies import metadata, strategy_of

PATCHES = {
    patches.MERGE: patches.merge,
    patches.STRATEGIC: patches.strategic,
    patches.JSON_PATCH: patches.json_patch,
}


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked for, of which object, by whom."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    actor: str = ""
    verb: str = ""
    dry_run: bool = False

    @property
    def key(self) -> Key:
        """The object's key in the storage."""
        return (self.namespace, self.name)

    @property
    def origin(self) -> Origin:
        """Who and how, for the log of writes."""
        return Origin(self.actor, self.verb, self.subresource)


class Registry:
    """Validated access to the storage, the same for HTTP and for the cluster's own controllers."""

    def __init__(
        self, storage: Storage, now: Clock, new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    ) -> None:
        self.storage = storage
        self.now = now
        self._new_uid = new_uid

    def get(self, call: Call) -> Stored:
        """The object, or 404."""
        stored = self.storage.get(call.resource, call.key)
        if stored is None:
            raise errors.not_found(call.resource, call.name)
        return stored

    def create(self, call: Call, body: Any) -> Stored:
        """Store a new object."""
        obj = self._decoded(call, body)
        meta = obj["metadata"]
        if call.resource.namespaced:
            self._settle_namespace(call, meta)
        else:
            meta.pop("namespace", None)
        strategy = strategy_of(call.resource)
        metadata.prepare_create(meta, self.now(), self._new_uid())
        strategy.prepare_create(obj, self.now())
        if strategy.has_generation:
            meta["generation"] = 1
        metadata.tidy(meta)
        found = FieldErrors()
        metadata.validate(meta, found)
        with _decoding(call):
            strategy.validate(obj, found)
        found.raise_if_any(call.resource, meta.get("name", ""))
        if self.storage.get(call.resource, (meta.get("namespace", ""), meta["name"])):
            raise errors.already_exists(call.resource, meta["name"])
        return self._commit(call, obj)

    def update(self, call: Call, body: Any) -> tuple[Stored, bool]:
        """Replace an object; also says whether it was created by that."""
        obj = self._decoded(call, body)
        meta = obj["metadata"]
        _require_address(call, meta)
        old = self.storage.get(call.resource, call.key)
        if old is None:
            if not call.resource.create_on_update or call.subresource:
                raise errors.not_found(call.resource, call.name)
            meta["name"] = call.name
            return self.create(call, body | {"metadata": meta}), True
        deletion.check_uid(call.resource, call.name, meta.get("uid"), old.object)
        metadata.require_version(meta, call.resource, call.name)
        return self._replace(call, obj, old), False

    def patch(self, call: Call, content_type: str, document: Any) -> Stored:
        """Change an object by one of the three kinds of patch."""
        apply = PATCHES.get(content_type)
        if apply is None:
            raise errors.unsupported_media_type(content_type, ())
        if content_type != patches.JSON_PATCH and not isinstance(document, dict):
            why = "json: cannot unmarshal array into Go value of type map[string]interface {}"
            raise errors.bad_request(f"error decoding patch: {why}")
        old = self.get(call)
        view = event_versions.from_storage(call.resource, old.copy())
        view |= {"kind": call.resource.kind, "apiVersion": call.resource.api_version}
        patched = apply(view, document)
        if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
            raise errors.undecodable_patch("json: cannot unmarshal into an object with metadata")
        wrong = metadata.check_types(patched["metadata"])
        if wrong:
            raise errors.undecodable_patch(wrong)
        _require_address(call, patched["metadata"])
        return self._replace(call, self._decoded(call, patched), old)

    def delete(self, call: Call, options: JSON) -> tuple[Stored, bool]:
        """Delete an object, or mark it as being deleted; also says whether it is gone."""
        old = self.get(call)
        strategy = strategy_of(call.resource)
        deletion.check_preconditions(call.resource, call.name, options, old.object)
        plan = deletion.plan(old.copy(), options, strategy, self.now())
        if plan.gone and strategy.graceful and plan.object != old.object:
            shown = self._commit(call, plan.object)
            self._remove(call, shown.copy())
            return shown, True
        if plan.gone:
            return self._remove(call, plan.object), True
        if plan.object == old.object:
            return old, False
        return self._commit(call, plan.object), False

    def finalize(self, call: Call, obj: JSON) -> None:
        """Remove what has nothing left to wait for, whatever its finalizers say (namespaces)."""
        self._remove(call, obj)

    def _decoded(self, call: Call, body: Any) -> JSON:
        """The body in its stored version, a private shallow copy; 400 if it is no such object."""
        if not isinstance(body, dict):
            raise errors.unrecognized(call.resource.kind, "it is no object")
        kind, version = body.get("kind"), body.get("apiVersion")
        wanted = (call.resource.kind, call.resource.api_version)
        if (kind or wanted[0], version or wanted[1]) != wanted:
            text = f'{kind} in version "{version}" cannot be handled as a {wanted[0]}'
            group = call.resource.group.partition(".")[0] or "core"
            target = f"({group}.{wanted[0]})"
            raise errors.bad_request(f"{text}: converting ({version}.{kind}) to {target}: unknown conversion")
        obj = event_versions.to_storage(call.resource, dict(body))
        obj.pop("kind", None)
        obj.pop("apiVersion", None)
        meta = obj["metadata"] = dict(obj.get("metadata") or {})
        wrong = metadata.check_types(meta)
        if wrong:
            raise errors.bad_request(wrong)
        return {key: value for key, value in obj.items() if value is not None}

    def _settle_namespace(self, call: Call, meta: JSON) -> None:
        given = meta.get("namespace") or call.namespace
        if given != call.namespace:
            why = "the namespace of the provided object does not match the namespace sent on the request"
            raise errors.bad_request(why)
        meta["namespace"] = given
        namespace = self.storage.get(NAMESPACE, ("", given))
        if namespace is None:
            raise errors.not_found(NAMESPACE, given)
        if namespace.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {given} because it is being terminated"
            raise errors.forbidden(call.resource, meta.get("name", ""), why)

    def _replace(self, call: Call, new: JSON, old: Stored) -> Stored:
        before, meta = old.object, new["metadata"]
        version = meta.get("resourceVersion")
        if version and not version.isdigit():
            raise ApiError(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')
        if version and version != before["metadata"]["resourceVersion"]:
            raise errors.conflict(call.resource, call.name)
        strategy = strategy_of(call.resource)
        metadata.prepare_update(meta, before["metadata"])
        strategy.prepare_update(new, before, call.subresource)
        if strategy.generation_changes(new, before):
            meta["generation"] = before["metadata"].get("generation", 0) + 1
        meta["resourceVersion"] = before["metadata"]["resourceVersion"]
        metadata.tidy(meta)
        if new == before:
            return old
        self._validate_change(call, new, before)
        if deletion.is_over(meta) and not strategy.outlives_deletion:
            self._remove(call, old.copy())  # watchers see the last state that was stored
            return Stored(new, self.storage.version)
        return self._commit(call, new)

    def _validate_change(self, call: Call, new: JSON, before: JSON) -> None:
        strategy, found = strategy_of(call.resource), FieldErrors()
        metadata.validate_update(new["metadata"], before["metadata"], found)
        metadata.validate(new["metadata"], found)
        if _substance(new) != _substance(before) or new["metadata"]["uid"] != before["metadata"]["uid"]:
            if call.subresource == "status":
                strategy.validate_status(new, before, found)
            elif call.subresource == "":
                with _decoding(call):
                    strategy.validate(new, found)
                strategy.validate_update(new, before, found)
        found.raise_if_any(call.resource, call.name)

    def _commit(self, call: Call, obj: JSON) -> Stored:
        if call.dry_run:
            return Stored(obj, self.storage.version)
        return self.storage.put(call.resource, obj, call.origin)

    def _remove(self, call: Call, obj: JSON) -> Stored:
        if call.dry_run:
            return Stored(obj, self.storage.version)
        return self.storage.remove(call.resource, obj, call.origin)


def _require_address(call: Call, meta: JSON) -> None:
    """400 for an object that is not the one of the path."""
    if (meta.get("name") or call.name) != call.name:
        why = f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})"
        raise errors.bad_request(why)
    if (meta.get("namespace") or call.namespace) != call.namespace:
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(why)


@contextlib.contextmanager
def _decoding(call: Call) -> Iterator[None]:
    """A mistyped value is 422 in the result of a patch, 400 in a body."""
    try:
        yield
    except errors.Undecodable as error:
        if call.verb == "patch":
            raise errors.undecodable_patch(str(error)) from None
        raise errors.undecodable(call.resource.kind, str(error)) from None


def _substance(obj: JSON) -> JSON:
    return {key: value for key, value in obj.items() if key != "metadata"}
