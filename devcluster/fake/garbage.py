"""The garbage collector and the TTL controller: what nobody owns goes, and so do finished Jobs in time.

Owns: following owner references, the finalizers `orphan` and `foregroundDeletion`, emptying namespaces.
Never: guesses about owners of kinds that this cluster does not have; such objects stay.
"""

from typing_extensions import override

from devcluster.fake import clock, patches
from devcluster.fake.control_loop import ControlLoop
from devcluster.fake.deletion import FOREGROUND, ORPHAN
from devcluster.fake.errors import ApiError
from devcluster.fake.faults import Faults
from devcluster.fake.job_view import FINAL, condition
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import BY_KIND, BY_PLURAL, EVENT_V1, JOB, JSON, NAMESPACE, RESOURCES
from devcluster.fake.storage import Key, Stored, Write

Item = tuple[str, Key]  # plural, key


class GarbageCollector(ControlLoop[Item]):
    """Looks at one object at a time: do its owners live, and does it wait for its dependents?"""

    name = "garbage-collector"

    def __init__(self, registry: Registry, faults: Faults) -> None:
        super().__init__(faults)
        self._registry = registry
        self._storage = registry.storage
        self._dependents: dict[str, set[Item]] = {}  # by owner uid
        self._storage.listen(self._see)

    def _see(self, write: Write) -> None:
        item = (write.resource.plural, (write.namespace, write.name))
        owners = write.object["metadata"].get("ownerReferences") or []
        for owner in owners:
            self._index(owner, item, write)
        if write.type == "DELETED":
            for dependent in self._dependents.get(write.uid, ()):
                self.enqueue(dependent)
        elif owners or write.object["metadata"].get("deletionTimestamp"):
            self.enqueue(item)
        if write.namespace and write.type == "DELETED" and self._is_going(write.namespace):
            self.enqueue((NAMESPACE.plural, ("", write.namespace)))

    def _index(self, owner: JSON, item: Item, write: Write) -> None:
        known = self._dependents.setdefault(owner["uid"], set())
        if write.type == "DELETED":
            known.discard(item)
            self._enqueue_owner(owner, write.namespace)
        else:
            known.add(item)
        if not known:
            del self._dependents[owner["uid"]]

    def _enqueue_owner(self, owner: JSON, namespace: str) -> None:
        resource = BY_KIND.get((owner["apiVersion"], owner["kind"]))
        if resource is not None:
            self.enqueue((resource.plural, (namespace if resource.namespaced else "", owner["name"])))

    def _is_going(self, namespace: str) -> bool:
        stored = self._storage.get(NAMESPACE, ("", namespace))
        return stored is not None and bool(stored.object["metadata"].get("deletionTimestamp"))

    @override
    def sync(self, key: Item) -> None:
        plural, where = key
        stored = self._storage.get(BY_PLURAL[plural], where)
        if stored is None:
            return
        meta = stored.object["metadata"]
        if meta.get("deletionTimestamp"):
            self._sync_going(plural, where, stored)
        elif meta.get("ownerReferences"):
            self._sync_owned(plural, where, stored)

    def _sync_owned(self, plural: str, where: Key, stored: Stored) -> None:
        meta = stored.object["metadata"]
        absent = [owner for owner in meta["ownerReferences"] if not self._lives(owner, where[0])]
        if not absent:
            return
        if len(absent) == len(meta["ownerReferences"]):
            self._delete(plural, where, meta["uid"], _policy_for(meta))
        else:
            gone = [{"uid": owner["uid"], "$patch": "delete"} for owner in absent]
            self._patch(plural, where, {"uid": meta["uid"], "ownerReferences": gone})

    def _lives(self, owner: JSON, namespace: str) -> bool:
        resource = BY_KIND.get((owner["apiVersion"], owner["kind"]))
        if resource is None:
            return True
        stored = self._storage.get(resource, (namespace if resource.namespaced else "", owner["name"]))
        return stored is not None and bool(stored.object["metadata"]["uid"] == owner["uid"])

    def _sync_going(self, plural: str, where: Key, stored: Stored) -> None:
        meta = stored.object["metadata"]
        if plural == NAMESPACE.plural:
            self._empty(where[1], stored)
        elif ORPHAN in meta.get("finalizers", []):
            for dependent in sorted(self._dependents.get(meta["uid"], ())):
                released = [{"uid": meta["uid"], "$patch": "delete"}]
                self._patch(*dependent, {"ownerReferences": released})
            self._release(plural, where, meta, ORPHAN)
        elif FOREGROUND in meta.get("finalizers", []):
            self._delete_dependents_first(plural, where, meta)

    def _delete_dependents_first(self, plural: str, where: Key, meta: JSON) -> None:
        for kind, key in sorted(self._dependents.get(meta["uid"], ())):
            dependent = self._storage.get(BY_PLURAL[kind], key)
            if dependent is not None and not dependent.object["metadata"].get("deletionTimestamp"):
                self._delete(kind, key, dependent.object["metadata"]["uid"], "Background")
        if not any(self._blocks(item, meta["uid"]) for item in self._dependents.get(meta["uid"], ())):
            self._release(plural, where, meta, FOREGROUND)

    def _blocks(self, item: Item, uid: str) -> bool:
        stored = self._storage.get(BY_PLURAL[item[0]], item[1])
        owners = stored.object["metadata"].get("ownerReferences", []) if stored else []
        return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)

    def _empty(self, namespace: str, stored: Stored) -> None:
        left = 0
        for resource in RESOURCES:
            if not resource.namespaced or resource is EVENT_V1:
                continue
            for item in tuple(self._storage.items(resource, namespace)):
                self._delete(resource.plural, (namespace, item.object["metadata"]["name"]), "", "Background")
            left += sum(1 for _ in self._storage.items(resource, namespace))
        if not left:
            self._registry.finalize(self._call(NAMESPACE.plural, ("", namespace), "delete"), stored.copy())

    def _release(self, plural: str, where: Key, meta: JSON, finalizer: str) -> None:
        self._patch(plural, where, {"uid": meta["uid"], "$deleteFromPrimitiveList/finalizers": [finalizer]})

    def _call(self, plural: str, where: Key, verb: str) -> Call:
        return Call(BY_PLURAL[plural], *where, actor=self.name, verb=verb)

    def _patch(self, plural: str, where: Key, metadata: JSON) -> None:
        try:
            self._registry.patch(
                self._call(plural, where, "patch"), patches.STRATEGIC, {"metadata": metadata}
            )
        except ApiError:
            return  # gone, or changed: whoever changed it has it looked at again

    def _delete(self, plural: str, where: Key, uid: str, policy: str) -> None:
        options: JSON = {"propagationPolicy": policy}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._registry.delete(self._call(plural, where, "delete"), options)
        except ApiError:
            return  # somebody was faster


def _policy_for(meta: JSON) -> str:
    """A dependent's own wish for its dependents outlives its owner."""
    finalizers = meta.get("finalizers", [])
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


class TtlController(ControlLoop[Key]):
    """Deletes finished Jobs when their time has come."""

    name = "ttl-controller"

    def __init__(self, registry: Registry, faults: Faults) -> None:
        super().__init__(faults)
        self._registry = registry
        registry.storage.listen(self._see)

    def _see(self, write: Write) -> None:
        if write.resource is JOB and write.type != "DELETED":
            self.enqueue((write.namespace, write.name))

    @override
    def sync(self, key: Key) -> None:
        stored = self._registry.storage.get(JOB, key)
        if stored is None or stored.object["metadata"].get("deletionTimestamp"):
            return
        ttl, ended = stored.object["spec"].get("ttlSecondsAfterFinished"), _ended(stored.object)
        if ttl is None or ended is None:
            return
        left = ttl - (self._registry.now() - clock.parse(ended)).total_seconds()
        if left > 0:
            self.enqueue_after(key, left)
            return
        call = Call(JOB, *key, actor=self.name, verb="delete")
        options = {
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": stored.object["metadata"]["uid"]},
        }
        try:
            self._registry.delete(call, options)
        except ApiError:
            self.enqueue(key)


def _ended(job: JSON) -> str | None:
    for kind in FINAL.values():
        found = condition(job.get("status", {}), kind)
        if found is not None and found["status"] == "True":
            return str(found["lastTransitionTime"])
    return None
