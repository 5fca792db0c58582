"""What a kubelet writes about a pod of one container: that it runs, that it has ended. Values only."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from controller.core.contract import JOB_UID_LABEL

JSON = dict[str, Any]
WORK_SECONDS: Final = "bench.runherd/work-seconds"
"""Annotation of a pod: for how long its container works."""
_READY: Final = ("Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers")


class Meta(msgspec.Struct):
    """Of a pod."""

    name: str
    namespace: str
    uid: str
    deleted: str | None = msgspec.field(name="deletionTimestamp", default=None)
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class Container(msgspec.Struct):
    """Of a pod's spec."""

    name: str
    image: str


class Spec(msgspec.Struct):
    """Of a pod."""

    containers: list[Container]


class Phase(msgspec.Struct):
    """A pod's status."""

    phase: str = ""


class Pod(msgspec.Struct):
    """As much of a pod as its node must know."""

    metadata: Meta
    spec: Spec
    status: Phase

    @property
    def path(self) -> str:
        """Below the API server's address."""
        return f"/api/v1/namespaces/{self.metadata.namespace}/pods/{self.metadata.name}"

    @property
    def job_uid(self) -> str:
        """Of the Job that it belongs to, empty if to none."""
        return (self.metadata.labels or {}).get(JOB_UID_LABEL, "")

    @property
    def seconds(self) -> float:
        """How long its container works."""
        return float((self.metadata.annotations or {}).get(WORK_SECONDS, "1"))


class Event(msgspec.Struct):
    """Of a watch of pods."""

    type: str
    object: Pod


def now() -> str:
    """This second, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def running(pod: Pod, address: str, began: str) -> JSON:
    """The status patch once the container runs."""
    state = {"running": {"startedAt": began}}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": began, "lastProbeTime": None}
        for kind in _READY
    ]
    told = {"phase": "Running", "hostIP": address, "podIP": "10.0.0.1", "startTime": began}
    return {
        "status": {**told, "conditions": conditions, "containerStatuses": [_container(pod, state, up=True)]}
    }


def ended(pod: Pod, began: str) -> JSON:
    """The status patch once the container has exited with 0."""
    at = now()
    state = {
        "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": began, "finishedAt": at}
        | {"containerID": _container_id(pod)}
    }
    conditions = [
        {"type": kind, "status": "False", "reason": "PodCompleted", "lastTransitionTime": at}
        for kind in ("Ready", "ContainersReady")
    ]
    statuses = [_container(pod, state, up=False)]
    return {"status": {"phase": "Succeeded", "conditions": conditions, "containerStatuses": statuses}}


def _container(pod: Pod, state: JSON, *, up: bool) -> JSON:
    first = pod.spec.containers[0]
    return {
        "name": first.name,
        "image": first.image,
        "imageID": f"sha256:{'9e' * 32}",
        "containerID": _container_id(pod),
        "state": state,
        "lastState": {},
        "ready": up,
        "started": up,
        "restartCount": 0,
    }


def _container_id(pod: Pod) -> str:
    return f"containerd://{pod.metadata.uid.replace('-', '') * 2}"
