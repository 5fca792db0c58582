"""The scheduler: pods to the one node, or the reason why not.

Owns: fitting node selectors and requests; the PodScheduled condition. Never: starts a pod.
"""

from decimal import Decimal, InvalidOperation

from typing_extensions import override

from devcluster.fake import clock, patches
from devcluster.fake.control_loop import ControlLoop
from devcluster.fake.errors import ApiError
from devcluster.fake.event_recorder import NORMAL, WARNING, EventRecorder
from devcluster.fake.faults import Faults
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import JSON, NODE, POD
from devcluster.fake.storage import Key, Write
from devcluster.fake.strategies.pod import BINDING, ENDED

ACTOR = "default-scheduler"
_UNITS: dict[str, int | Decimal] = {
    "": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def quantity(text: str | float) -> Decimal:
    """A resource quantity such as `500m`, `1Gi`, `1e3`; raises ValueError."""
    number = str(text)
    unit = next((u for u in sorted(_UNITS, key=len, reverse=True) if u and number.endswith(u)), "")
    try:
        return Decimal(number.removesuffix(unit)) * _UNITS[unit]
    except InvalidOperation:
        raise ValueError(f"no quantity: {text}") from None


def requests(pod: JSON) -> dict[str, Decimal]:
    """What a pod asks of a node: its containers together, or its largest init container."""
    spec, total = pod["spec"], dict[str, Decimal]()
    for container in spec["containers"]:
        for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = total.get(name, Decimal(0)) + quantity(amount)
    for container in spec.get("initContainers") or []:
        for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = max(total.get(name, Decimal(0)), quantity(amount))
    return total


class Scheduler(ControlLoop[Key]):
    """Looks at one pod without a node at a time."""

    name = "scheduler"

    def __init__(self, registry: Registry, faults: Faults, node: str) -> None:
        super().__init__(faults)
        self._registry = registry
        self._storage = registry.storage
        self._node = node
        self._recorder = EventRecorder(registry, ACTOR)
        self._waiting: set[Key] = set()
        self._storage.listen(self._see)

    def _see(self, write: Write) -> None:
        key = (write.namespace, write.name)
        if write.resource is NODE or (write.resource is POD and _frees(write)):
            for waiting in self._waiting:
                self.enqueue(waiting)
        if write.resource is POD and write.type == "ADDED":
            self.enqueue(key)

    @override
    def sync(self, key: Key) -> None:
        stored = self._storage.get(POD, key)
        self._waiting.discard(key)
        if (
            stored is None
            or stored.object["spec"].get("nodeName")
            or stored.object["metadata"].get("deletionTimestamp")
        ):
            return
        pod = stored.object
        obstacle = self._obstacle(pod)
        if obstacle:
            self._refuse(key, pod, obstacle)
        else:
            self._bind(key, pod)

    def _obstacle(self, pod: JSON) -> str:
        node = self._storage.get(NODE, ("", self._node))
        if node is None:
            return "no nodes available to schedule pods"
        labels = node.object["metadata"].get("labels", {})
        claims = "no new claims to deallocate, preemption: 0/1 nodes are available: 1"
        unfit = f"{claims} Preemption is not helpful for scheduling."
        head = "0/1 nodes are available: 1"
        if node.object.get("spec", {}).get("unschedulable"):
            return f"{head} node(s) were unschedulable. {unfit}"
        if not (pod["spec"].get("nodeSelector") or {}).items() <= labels.items():
            return f"{head} node(s) didn't match Pod's node affinity/selector. {unfit}"
        for name, amount in requests(pod).items():
            if amount > quantity(node.object["status"]["allocatable"].get(name, "0")):
                return f"{head} Insufficient {name}. {unfit}"
            if amount > self._free(node.object, name):
                return f"{head} Insufficient {name}. {claims} No preemption victims found for incoming pod."
        return ""

    def _free(self, node: JSON, name: str) -> Decimal:
        free = quantity(node["status"]["allocatable"].get(name, "0"))
        for stored in self._storage.items(POD):
            pod = stored.object
            if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ENDED:
                free -= requests(pod).get(name, Decimal(0))
        return free

    def _refuse(self, key: Key, pod: JSON, why: str) -> None:
        self._waiting.add(key)
        known = [c for c in pod["status"].get("conditions") or [] if c["type"] == "PodScheduled"]
        if known and known[0].get("message") == why:
            return
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        self._patch(key, "status", {"status": {"conditions": [condition | self._times()]}})
        self._recorder.record(POD, pod, WARNING, "FailedScheduling", why)

    def _bind(self, key: Key, pod: JSON) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "True",
            "reason": None,
            "message": None,
        } | self._times()
        body = {"spec": {"nodeName": self._node}, "status": {"conditions": [condition]}}
        self._patch(key, BINDING, body)
        message = f"Successfully assigned {'/'.join(key)} to {self._node}"
        self._recorder.record(POD, pod, NORMAL, "Scheduled", message)

    def _times(self) -> JSON:
        return {"lastProbeTime": None, "lastTransitionTime": clock.seconds(self._registry.now())}

    def _patch(self, key: Key, subresource: str, body: JSON) -> None:
        call = Call(POD, *key, subresource, ACTOR, "create" if subresource == BINDING else "patch")
        try:
            self._registry.patch(call, patches.STRATEGIC, body)
        except ApiError:
            return  # the pod has gone


def _frees(write: Write) -> bool:
    return write.type == "DELETED" or write.object["status"].get("phase") in ENDED
