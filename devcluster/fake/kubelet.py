"""The kubelet: a worker for each pod bound to the node.

Owns: the set of workers, pod addresses, scratch folders; standing still while paused.
Never: lets a worker's failure go unseen: it ends the cluster.
"""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from devcluster.fake.container import Host
from devcluster.fake.event_recorder import EventRecorder
from devcluster.fake.faults import Faults
from devcluster.fake.images import Images
from devcluster.fake.log_storage import LogStorage
from devcluster.fake.pod_worker import ACTOR, Node, PodWorker, Timing
from devcluster.fake.processes import Processes
from devcluster.fake.registry import Registry
from devcluster.fake.resources import CONFIG_MAP, JSON, POD, SECRET
from devcluster.fake.storage import Write
from devcluster.fake.strategies.pod import ENDED

NODE_ADDRESS = "10.95.0.1"


@dataclass(frozen=True, slots=True)
class KubeletParts:
    """What the kubelet works with."""

    registry: Registry
    faults: Faults
    logs: LogStorage
    scratch: Path
    timing: Timing
    node_name: str


class Kubelet:
    """Runs the pods of the node."""

    name = "kubelet"

    def __init__(self, parts: KubeletParts, group: asyncio.TaskGroup) -> None:
        self._parts = parts
        self._group = group
        self._processes = Processes(parts.scratch)
        self.images = Images()
        self._workers: dict[str, tuple[PodWorker, asyncio.Task[None]]] = {}
        self._next_address = 0
        self._faults_changed = asyncio.Event()
        self._config_waiters: set[asyncio.Event] = set()
        recorder = EventRecorder(parts.registry, ACTOR, parts.node_name)
        self._node = Node(
            parts.registry,
            recorder,
            self.images,
            parts.timing,
            NODE_ADDRESS,
            self._unpaused,
            self._config_changed,
            parts.logs.remove_containers,
        )
        parts.faults.on_change(self._faults_changed.set)
        parts.registry.storage.listen(self._see)

    def _see(self, write: Write) -> None:
        if write.resource in (SECRET, CONFIG_MAP):
            for waiter in self._config_waiters:
                waiter.set()
        if write.resource is not POD:
            return
        if write.type == "DELETED":
            self._forget(write.uid)
        elif write.object["spec"].get("nodeName") == self._parts.node_name:
            self._look_at(write.object)

    def _look_at(self, pod: JSON) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._workers:
            self._workers[uid][0].see(pod)
        elif pod["status"].get("phase") not in ENDED:
            self._adopt(uid, pod)

    def _adopt(self, uid: str, pod: JSON) -> None:
        scratch = self._parts.scratch / "pods" / uid
        scratch.mkdir(parents=True, exist_ok=True)
        host = Host(self._processes, self._parts.logs, scratch, self._parts.registry.now)
        worker = PodWorker(self._node, host, pod, self._address())
        worker.see(pod)
        self._workers[uid] = (worker, self._group.create_task(worker.run()))

    def _address(self) -> str:
        self._next_address += 1
        return f"10.244.{self._next_address // 250 % 250}.{self._next_address % 250 + 2}"

    def _forget(self, uid: str) -> None:
        """A pod is gone from the cluster, with or without our doing."""
        if uid not in self._workers:
            return
        _, task = self._workers.pop(uid)
        task.cancel()
        folder = self._parts.scratch / "pods" / uid
        self._processes.kill_below(folder)
        shutil.rmtree(folder, ignore_errors=True)

    async def _unpaused(self) -> None:
        while self.name in self._parts.faults.paused:
            await self._faults_changed.wait()
            self._faults_changed.clear()

    async def _config_changed(self, at_most: float) -> None:
        """Until a ConfigMap or Secret changes, or some time has passed."""
        changed = asyncio.Event()
        self._config_waiters.add(changed)
        try:
            async with asyncio.timeout(at_most):
                await changed.wait()
        except TimeoutError:
            return
        finally:
            self._config_waiters.discard(changed)

    async def close(self) -> None:
        """End all pods' processes."""
        for _, task in tuple(self._workers.values()):
            task.cancel()
        await self._processes.close()
