"""Events that the cluster's own components write about objects.

Owns: the shape of such an Event, and counting repeats instead of writing them again.
"""

import time

from devcluster.fake import clock, patches
from devcluster.fake.errors import ApiError
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import EVENT, JSON, POD, Resource

NORMAL, WARNING = "Normal", "Warning"
REMEMBERED = 4096


class EventRecorder:
    """Writes the Events of one component."""

    def __init__(self, registry: Registry, component: str, host: str = "") -> None:
        self._registry = registry
        self._component = component
        self._host = host
        self._seen: dict[tuple[str, ...], str] = {}
        self._newest = 0

    def record(self, resource: Resource, obj: JSON, kind: str, reason: str, message: str) -> None:
        """Say something about an object; the same again only counts up."""
        self._record(_reference(resource, obj), kind, reason, message)

    def record_container(self, pod: JSON, path: str, kind: str, reason: str, message: str) -> None:
        """Say something about a container of a pod."""
        self._record(_reference(POD, pod) | {"fieldPath": path}, kind, reason, message)

    def _record(self, about: JSON, kind: str, reason: str, message: str) -> None:
        key = (about["uid"], about.get("fieldPath", ""), kind, reason, message)
        known = self._seen.get(key)
        try:
            if known is None or not self._repeat(about["namespace"], known):
                self._seen[key] = self._create(about, kind, reason, message)
        except ApiError:
            return  # the namespace is going: there is nobody to tell
        if len(self._seen) > REMEMBERED:
            self._seen.pop(next(iter(self._seen)))

    def _repeat(self, namespace: str, name: str) -> bool:
        stored = self._registry.storage.get(EVENT, (namespace, name))
        if stored is None:
            return False
        body = {
            "count": stored.object.get("count", 1) + 1,
            "lastTimestamp": clock.seconds(self._registry.now()),
        }
        call = Call(EVENT, namespace, name, actor=self._component, verb="patch")
        self._registry.patch(call, patches.MERGE, body)
        return True

    def _create(self, about: JSON, kind: str, reason: str, message: str) -> str:
        now = clock.seconds(self._registry.now())
        self._newest = max(self._newest + 1, time.time_ns())
        name = f"{about['name']}.{self._newest:x}"
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        event: JSON = {
            "metadata": {"name": name, "namespace": about["namespace"]},
            "involvedObject": about, "reason": reason, "message": message, "source": source,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": kind, "eventTime": None,
            "reportingComponent": self._component, "reportingInstance": self._host,
        }  # fmt: skip
        self._registry.create(Call(EVENT, about["namespace"], actor=self._component, verb="create"), event)
        return name


def _reference(resource: Resource, obj: JSON) -> JSON:
    meta = obj["metadata"]
    return {
        "kind": resource.kind, "namespace": meta.get("namespace") or "default", "name": meta["name"],
        "uid": meta["uid"], "apiVersion": resource.api_version,
        "resourceVersion": meta.get("resourceVersion", ""),
    }  # fmt: skip
