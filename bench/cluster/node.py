"""A node whose kubelet is played: its pods start, print, work as long as they say, and end with 0.

Run as `python -m bench.cluster.node KUBECONFIG NAME ADDRESS [CERTIFICATE KEY]`, a process of its own until
SIGTERM; the API server reads logs at that address, with that certificate or one that is made for the day.
It says on stdout, one JSON a line: `{"ready": NAME}`, then `{"uid": …, "at": …}` when it has written that a
pod of that Job runs (seconds of the monotonic clock). A real kubelet is the limit of a small machine (50 Jobs
in 12 s), and not what is measured: this one does what control plane and controller see of it, and no more.
"""

import asyncio
import json
import os
import signal
import sys
import time
from typing import Final

import msgspec

from bench import transcripts
from bench.cluster import node_logs, node_pods
from bench.cluster.client import STRATEGIC, Cluster, Refused, Trouble, connected
from bench.cluster.node_logs import Logs
from bench.cluster.node_pods import Pod

CAPACITY: Final = {"cpu": "10000", "memory": "10000Gi", "pods": "100000", "ephemeral-storage": "10000Gi"}
TAINT: Final = "bench.runherd/stand-in"
HEARTBEAT_SECONDS: Final = 10.0
_EVENT: Final = msgspec.json.Decoder(node_pods.Event)


class Node:
    """One node and its pods."""

    def __init__(self, cluster: Cluster, name: str, address: str, logs: Logs) -> None:
        self._cluster = cluster
        self._name = name
        self._address = address
        self._logs = logs
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()
        self._said = [line for _, line in transcripts.lines(2)]

    async def register(self, port: int) -> None:
        """Makes the node known: ready, with the port of its logs."""
        labels = {"kubernetes.io/hostname": self._name, TAINT: "true"}
        taints = [{"key": TAINT, "value": "true", "effect": "NoSchedule"}]
        await self._cluster.create(
            "/api/v1/nodes",
            {"metadata": {"name": self._name, "labels": labels}, "spec": {"taints": taints}},
        )
        await self._cluster.patch(
            f"/api/v1/nodes/{self._name}/status",
            {
                "status": {
                    "capacity": CAPACITY,
                    "allocatable": CAPACITY,
                    "addresses": [{"type": "InternalIP", "address": self._address}],
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                }
            },
        )
        await self._beat()

    async def run(self) -> None:
        """Plays until cancelled."""
        async with self._group:
            self._group.create_task(self._heartbeats())
            selector = {"fieldSelector": f"spec.nodeName={self._name}"}
            version = (await self._cluster.get("/api/v1/pods", selector))["metadata"]["resourceVersion"]
            _say({"ready": self._name})
            async for lines in self._cluster.watch("/api/v1/pods", version, selector):
                for line in lines:
                    self._see(_EVENT.decode(line))

    async def _heartbeats(self) -> None:
        """As long as whoever started us lives."""
        starter = os.getppid()
        while os.getppid() == starter:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self._beat()
        raise Trouble("the bench is gone")

    async def _beat(self) -> None:
        at = node_pods.now()
        ready = {"type": "Ready", "status": "True", "reason": "StandIn", "message": "plays a kubelet"}
        conditions = [ready | {"lastHeartbeatTime": at, "lastTransitionTime": at}]
        await self._cluster.patch(
            f"/api/v1/nodes/{self._name}/status", {"status": {"conditions": conditions}}, STRATEGIC
        )

    def _see(self, event: node_pods.Event) -> None:
        pod, uid = event.object, event.object.metadata.uid
        if event.type == "DELETED":
            self._end(uid)
            self._logs.drop(pod.metadata.namespace, pod.metadata.name)
        elif pod.metadata.deleted:
            self._end(uid)
            self._lives[uid] = self._group.create_task(self._bury(pod))
        elif uid not in self._lives and pod.status.phase == "Pending":
            self._lives[uid] = self._group.create_task(self._live(pod))

    def _end(self, uid: str) -> None:
        if (life := self._lives.pop(uid, None)) is not None:
            life.cancel()

    async def _live(self, pod: Pod) -> None:
        *first, last = self._said
        log = self._logs.begin(pod.metadata.namespace, pod.metadata.name)
        log.say(first)
        began = node_pods.now()
        if not await self._write(pod, node_pods.running(pod, self._address, began)):
            return
        _say({"uid": pod.job_uid, "at": time.monotonic()})
        await asyncio.sleep(pod.seconds)
        log.say([last])
        log.ended.set()
        await self._write(pod, node_pods.ended(pod, began))

    async def _write(self, pod: Pod, status: node_pods.JSON) -> bool:
        """Whether the pod was still there."""
        try:
            await self._cluster.patch(f"{pod.path}/status", status, STRATEGIC)
        except Refused as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def _bury(self, pod: Pod) -> None:
        """A pod that is being deleted has no process left."""
        preconditions = {"uid": pod.metadata.uid}
        await self._cluster.delete(pod.path, {"gracePeriodSeconds": 0, "preconditions": preconditions})


async def play(kubeconfig: str, name: str, address: str, *certificate: str) -> None:
    """Until SIGTERM."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel if task else sys.exit)
    async with connected(kubeconfig) as cluster:
        logs = Logs()
        node = Node(cluster, name, address, logs)
        tls = node_logs.kept_tls(*certificate) if certificate else node_logs.made_tls(address)
        try:
            await node.register(await logs.serve(address, tls))
            await node.run()
        finally:
            await logs.close()


def _say(told: dict[str, str | float]) -> None:
    print(json.dumps(told), flush=True)


def main() -> int:
    """As the command line says."""
    try:
        asyncio.run(play(*sys.argv[1:]))
    except asyncio.CancelledError:
        return 0
    except (Trouble, BaseExceptionGroup) as trouble:
        causes = trouble.exceptions if isinstance(trouble, BaseExceptionGroup) else (trouble,)
        sys.stderr.write(f"the stand-in node has ended: {causes[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
