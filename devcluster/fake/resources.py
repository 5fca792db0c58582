"""The table of resources this API server has: names, versions, verbs, fields that can be selected on.

Owns: what exists. Never holds an object.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
Fields = Callable[[JSON], Mapping[str, str]]
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def _name_fields(_: JSON) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource; `plural` is also the key of its storage."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    fields: Fields = _name_fields
    create_on_update: bool = False
    unconditional_update: bool = True
    returns_deleted: bool = False
    blank: JSON = field(default_factory=dict, hash=False)

    @property
    def api_version(self) -> str:
        """`batch/v1` or `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`jobs.batch` or `pods`, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _pod_fields(pod: JSON) -> Mapping[str, str]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.phase": status.get("phase", ""),
        "status.podIP": status.get("podIP", ""),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


def _event_fields(event: JSON) -> Mapping[str, str]:
    involved = event.get("involvedObject", {})
    keys = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    fields = {f"involvedObject.{key}": str(involved.get(key, "")) for key in keys}
    component = event.get("source", {}).get("component") or event.get("reportingComponent", "")
    own = {key: event.get(key, "") for key in ("reason", "type")}
    return fields | own | {"reportingComponent": event.get("reportingComponent", ""), "source": component}


def _events_v1_fields(event: JSON) -> Mapping[str, str]:
    return {key.replace("involvedObject", "regarding"): value for key, value in _event_fields(event).items()}


def _job_fields(job: JSON) -> Mapping[str, str]:
    return {"status.successful": str(job.get("status", {}).get("succeeded", 0))}


def _namespace_fields(namespace: JSON) -> Mapping[str, str]:
    return {"status.phase": namespace.get("status", {}).get("phase", "")}


def _secret_fields(secret: JSON) -> Mapping[str, str]:
    return {"type": secret.get("type", "")}


JOB = Resource(
    "batch", "v1", "jobs", "Job",
    categories=("all",), subresources=("status",), fields=_job_fields,
    blank={"spec": {"template": {"metadata": {}, "spec": {"containers": None}}}, "status": {}},
)  # fmt: skip
POD = Resource(
    "", "v1", "pods", "Pod",
    short_names=("po",), categories=("all",), subresources=("status", "log"), fields=_pod_fields,
    returns_deleted=True, blank={"spec": {"containers": None}, "status": {}},
)  # fmt: skip
EVENT = Resource(
    "", "v1", "events", "Event",
    short_names=("ev",), fields=_event_fields, create_on_update=True,
    blank={"involvedObject": {}, "source": {}, "reportingComponent": "", "reportingInstance": ""},
)  # fmt: skip
EVENT_V1 = Resource(
    "events.k8s.io", "v1", "events", "Event",
    short_names=("ev",), fields=_events_v1_fields, create_on_update=True, blank={"eventTime": None},
)  # fmt: skip
LEASE = Resource(
    "coordination.k8s.io", "v1", "leases", "Lease",
    create_on_update=True, unconditional_update=False, blank={"spec": {}},
)  # fmt: skip
SECRET = Resource("", "v1", "secrets", "Secret", fields=_secret_fields)
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
NAMESPACE = Resource(
    "", "v1", "namespaces", "Namespace",
    namespaced=False, short_names=("ns",), subresources=("status",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    fields=_namespace_fields, returns_deleted=True, blank={"spec": {}, "status": {}},
)  # fmt: skip
NODE = Resource(
    "", "v1", "nodes", "Node",
    namespaced=False, short_names=("no",), verbs=("get", "list", "patch", "update", "watch"),
    blank={"spec": {}, "status": {}},
)  # fmt: skip

RESOURCES = (JOB, POD, EVENT, EVENT_V1, LEASE, SECRET, CONFIG_MAP, NAMESPACE, NODE)
BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
GROUP_VERSIONS = tuple(dict.fromkeys((r.group, r.version) for r in RESOURCES))
BY_PLURAL = {r.plural: r for r in reversed(RESOURCES)} | {"events": EVENT}
BY_KIND = {(r.api_version, r.kind): r for r in RESOURCES}


def selectable(resource: Resource, stored: JSON) -> Mapping[str, str]:
    """Every field of a stored object that a field selector may name."""
    metadata = stored["metadata"]
    named = {"metadata.name": metadata["name"]}
    if resource.namespaced:
        named["metadata.namespace"] = metadata["namespace"]
    return named | dict(resource.fields(stored))
