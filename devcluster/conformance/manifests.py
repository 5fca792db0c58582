"""The objects that scenarios create, and what they look for in those that come back.

Owns: small Jobs and Pods of one image; order and difference in a list of states. Never: asks a cluster.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from devcluster.conformance.connection import JSON

NAME = "it"


def container(image: str, script: str = "true", **fields: Any) -> JSON:
    """A container that runs a shell script."""
    return {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
    } | fields


def pod_spec(image: str, script: str = "true", **fields: Any) -> JSON:
    """A pod of one container that is not restarted."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [container(image, script)],
    } | fields


def pod(image: str, script: str = "true", **fields: Any) -> JSON:
    """A Pod named `it`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME},
        "spec": pod_spec(image, script, **fields),
    }


def job(image: str, script: str = "true", **fields: Any) -> JSON:
    """A Job named `it` that tries once."""
    template = {"metadata": {"labels": {"app": "it"}}, "spec": pod_spec(image, script)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "labels": {"app": "it"}},
        "spec": {"backoffLimit": 0, "template": template} | fields,
    }


def plain(kind: str, name: str = NAME, **fields: Any) -> JSON:
    """A small object of the core group."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}} | fields


def version(obj: JSON) -> int:
    """An object's resourceVersion; they are comparable."""
    return int(obj["metadata"]["resourceVersion"])


def true_conditions(obj: JSON) -> list[str]:
    """The types of the conditions that hold."""
    return [c["type"] for c in obj.get("status", {}).get("conditions") or [] if c["status"] == "True"]


def over(job_seen: JSON) -> bool:
    """Whether a Job has ended."""
    return bool({"Complete", "Failed"} & set(true_conditions(job_seen)))


def ended(pod_seen: JSON) -> bool:
    """Whether a Pod has ended."""
    return pod_seen["status"].get("phase") in ("Succeeded", "Failed")


def running(pod_seen: JSON) -> bool:
    """Whether a Pod runs."""
    return bool(pod_seen["status"].get("phase") == "Running")


def steps(states: Sequence[Any]) -> list[Any]:
    """The states, without repeats."""
    return [*states[:1], *(now for before, now in pairwise(states) if now != before)]


def condition(obj: JSON, kind: str) -> JSON:
    """The condition of a type; empty if it is not there."""
    listed = obj.get("status", {}).get("conditions") or []
    return next((item for item in listed if item["type"] == kind), {})


def conditions_told(objects: Sequence[JSON]) -> list[str]:
    """Each condition with its reason, in the order in which they (or a change of them) first appeared."""
    told: dict[str, None] = {}
    for obj in objects:
        for item in obj.get("status", {}).get("conditions") or []:
            told.setdefault(f"{item['type']}={item['status']} {item.get('reason', '')}".strip())
    return list(told)


def first(objects: Sequence[JSON], wanted: Callable[[JSON], Any]) -> JSON:
    """The first object that is as wanted. LookupError if there is none."""
    for obj in objects:
        if wanted(obj):
            return obj
    raise LookupError("none of the states seen is as wanted")


def state(pod_seen: JSON, name: str = "main") -> list[Any]:
    """A container's state: its kind, and its reason or exit code as far as there are any."""
    status = container_status(pod_seen, name)
    for kind, body in status.get("state", {}).items():
        return [kind, *(body[key] for key in ("reason", "exitCode") if key in body)]
    return ["none"]


def container_status(pod_seen: JSON, name: str = "main") -> JSON:
    """A container's status; empty if it has none yet."""
    status = pod_seen.get("status", {})
    listed = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return next((item for item in listed if item["name"] == name), {})


def terminated(pod_seen: JSON, name: str = "main") -> JSON:
    """How a container ended; empty if it did not."""
    found: JSON = container_status(pod_seen, name).get("state", {}).get("terminated", {})
    return found


def fields(obj: JSON) -> list[str]:
    """The names of an object's fields, sorted."""
    return sorted(obj)
