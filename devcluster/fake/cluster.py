"""The fake cluster as a whole: builds every part, starts and stops them, and is what tests hold in hand.

Owns: wiring, the first objects (namespaces, the node), the in-process access to all objects.
Never: decides anything; each part does that for itself.
"""

import asyncio
import copy
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from aiohttp import web

from devcluster.fake import clock, patches
from devcluster.fake.apiserver import ApiServer, Parts
from devcluster.fake.clock import Clock
from devcluster.fake.faults import Faults
from devcluster.fake.garbage import GarbageCollector, TtlController
from devcluster.fake.job_view import Backoff
from devcluster.fake.jobs import JobController
from devcluster.fake.kubelet import NODE_ADDRESS, Kubelet, KubeletParts
from devcluster.fake.log_storage import LogStorage
from devcluster.fake.pod_worker import Timing
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import BY_PLURAL, JSON, NAMESPACE, NODE, POD, Resource
from devcluster.fake.scheduler import Scheduler
from devcluster.fake.storage import Storage, Write
from devcluster.fake.streams import Streams
from devcluster.fake.waiting import wait_until

T = TypeVar("T")
ACTOR = "devcluster"
NODE_NAME = "fake-node"
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass
class Options:
    """How a fake cluster is built; the defaults are a real cluster's."""

    timing: Timing = field(default_factory=Timing)
    job_backoff: Backoff = field(default_factory=Backoff)
    bookmark_every: float = 60.0
    container_log_max_size: int | None = 10 * 2**20
    container_log_max_files: int = 5
    history_limit: int | None = None  # None: all writes are remembered, as tests want it
    cpu: str = "64"
    memory: str = "256Gi"
    node_labels: Mapping[str, str] = field(default_factory=dict)
    images: frozenset[str] = frozenset()  # already on the node
    now: Clock = clock.system


class FakeCluster:
    """`async with FakeCluster() as cluster:` serves a cluster on `cluster.url`, in the running event loop."""

    def __init__(
        self,
        port: int = 0,
        *,
        kubelet: bool = True,
        job_controller: bool = True,
        options: Options | None = None,
    ) -> None:
        self.port = port
        self.options = options or Options()
        self._faults = Faults()
        self._with_kubelet = kubelet
        self._with_jobs = job_controller
        self.storage = Storage()
        self.storage.log_limit = self.options.history_limit
        self.registry = Registry(self.storage, self.options.now)
        self.streams = Streams(self.faults)
        self.kubelet: Kubelet | None = None

    @property
    def url(self) -> str:
        """Where the API is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def faults(self) -> Faults:
        """The fault switches; assigning others sets all of them."""
        return self._faults

    @faults.setter
    def faults(self, switches: Faults) -> None:
        self._faults.replace(switches)

    @property
    def history(self) -> list[Write]:
        """Every committed write, oldest first."""
        return self.storage.log

    @property
    def requests(self) -> Counter[tuple[str, str, int]]:
        """How many HTTP requests had a (verb, resource, status code); a log read is a `get` of `pods/log`."""
        return self._server.count

    @property
    def kubeconfig(self) -> JSON:
        """A kubeconfig for kubectl and others; the token is accepted like any other."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "fake"}}],
            "contexts": [
                {"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}
            ],
        }

    def write_kubeconfig(self, path: str | os.PathLike[str]) -> Path:
        """Write the kubeconfig to a file, and say where."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(self.kubeconfig, sort_keys=False))
        return target

    async def __aenter__(self) -> Self:
        self._scratch = Path(tempfile.mkdtemp(prefix="devcluster-"))
        size, files = self.options.container_log_max_size, self.options.container_log_max_files
        self.logs = LogStorage(self._scratch / "logs", size, files)
        self._server = ApiServer(
            Parts(self.registry, self.logs, self.faults, self.streams, self.options.bookmark_every)
        )
        self._running = asyncio.create_task(self._run())
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._running, self._started}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            self._running.result()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        shutil.rmtree(self._scratch, ignore_errors=True)
        if not self._running.cancelled():
            self._running.result()

    async def wait_failed(self) -> None:
        """Until a part of the cluster fails; raises what it failed of."""
        await asyncio.shield(self._running)

    async def _run(self) -> None:
        """All parts, until cancelled; the failure of one is the failure of all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._start_controllers(group)
                self._create_first_objects()
                await self._serve()
        finally:
            self.streams.end_all()
            if self.kubelet is not None:
                await self.kubelet.close()
            self.logs.close()

    def _start_controllers(self, group: asyncio.TaskGroup) -> None:
        self.storage.listen(self._close_logs)
        self.faults.on_change(self._apply_faults)
        loops: list[Any] = [
            GarbageCollector(self.registry, self.faults),
            TtlController(self.registry, self.faults),
        ]
        if self._with_jobs:
            loops.append(JobController(self.registry, self.faults, self.options.job_backoff))
        if self._with_kubelet:
            loops.append(Scheduler(self.registry, self.faults, NODE_NAME))
            parts = KubeletParts(
                self.registry, self.faults, self.logs, self._scratch, self.options.timing, NODE_NAME
            )
            self.kubelet = Kubelet(parts, group)
            self.kubelet.images.present |= self.options.images
        for loop in loops:
            group.create_task(loop.run())

    async def _serve(self) -> None:
        runner = web.AppRunner(
            self._server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            self._started.set_result(None)
            await asyncio.Event().wait()
        finally:
            self.streams.end_all()
            await runner.cleanup()

    def _apply_faults(self) -> None:
        self.storage.keep = self.faults.keep_versions

    def _close_logs(self, write: Write) -> None:
        """A log ends with its container, whoever says that it has ended; it goes with its pod."""
        if write.resource is not POD:
            return
        if write.type == "DELETED":
            self.logs.delete_pod(write.uid)
            return
        for part in ("initContainerStatuses", "containerStatuses"):
            for status in write.object["status"].get(part) or []:
                log = self.logs.find((write.uid, status["name"], status.get("restartCount", 0)))
                if log is not None and not log.closed and "terminated" in status.get("state", {}):
                    log.close()

    def _create_first_objects(self) -> None:
        for name in SYSTEM_NAMESPACES:
            self._create(NAMESPACE, {"metadata": {"name": name}})
        self._create(NODE, _node(self.options))

    def _create(self, resource: Resource, manifest: JSON) -> JSON:
        namespace = manifest.get("metadata", {}).get("namespace") or (
            "default" if resource.namespaced else ""
        )
        call = Call(resource, namespace, actor=ACTOR, verb="create")
        return _whole(resource, self.registry.create(call, copy.deepcopy(manifest)).copy())

    def get(self, plural: str, namespace: str, name: str) -> JSON | None:
        """A copy of an object, or None."""
        stored = self.storage.get(BY_PLURAL[plural], (namespace, name))
        return _whole(BY_PLURAL[plural], stored.copy()) if stored else None

    def list(self, plural: str, namespace: str | None = None) -> list[JSON]:
        """Copies of all objects, of all namespaces or one, in the order of a list request."""
        resource = BY_PLURAL[plural]
        found = self.storage.sorted_at(resource, namespace, self.storage.version)
        return [_whole(resource, stored.copy()) for _, stored in found]

    def create(self, plural: str, manifest: JSON) -> JSON:
        """Create an object, by the same rules as over HTTP."""
        return self._create(BY_PLURAL[plural], manifest)

    def patch(self, plural: str, namespace: str, name: str, patch: JSON, *, subresource: str = "") -> JSON:
        """Merge-patch an object, by the same rules as over HTTP."""
        resource = BY_PLURAL[plural]
        call = Call(resource, namespace, name, subresource, ACTOR, "patch")
        return _whole(resource, self.registry.patch(call, patches.MERGE, copy.deepcopy(patch)).copy())

    def delete(self, plural: str, namespace: str, name: str, **options: Any) -> None:
        """Delete an object; options as in DeleteOptions, `propagationPolicy` Background by default."""
        call = Call(BY_PLURAL[plural], namespace, name, actor=ACTOR, verb="delete")
        self.registry.delete(call, {"propagationPolicy": "Background"} | options)

    def append_log(
        self, namespace: str, pod: str, container: str, line: bytes, *, at: int | datetime | None = None
    ) -> None:
        """Add a line to the log of a container's newest instance; an integer `at` is in ns of Unix time."""
        stored = self.registry.get(Call(POD, namespace, pod))
        listed = stored.object["status"].get("containerStatuses") or []
        listed = [*listed, *(stored.object["status"].get("initContainerStatuses") or [])]
        restarts = next((s.get("restartCount", 0) for s in listed if s["name"] == container), 0)
        log = self.logs.log((stored.object["metadata"]["uid"], container, restarts))
        moment = clock.nanoseconds(at) if isinstance(at, datetime) else at
        log.write(b"stdout", line if line.endswith(b"\n") else line + b"\n", moment)

    async def wait(self, look: Callable[[], T | None], timeout: float = 10) -> T:  # noqa: ASYNC109 - a test's own limit
        """The first truthy answer of `look`, asked again after every write; TimeoutError if there is none."""
        return await wait_until(self.storage, look, timeout)

    def compact(self, keep: int = 0) -> None:
        """Forget all but the last versions: older watches and continued lists get 410."""
        self.storage.compact(keep)

    def close_watches(self) -> None:
        """End all open watches properly."""
        self.streams.end_all("close", "watches")

    def cut_watches(self) -> None:
        """Cut all open watches in the middle of a line."""
        self.streams.end_all("cut", "watches")

    def cut_logs(self) -> None:
        """Cut all log follows in the middle of a line."""
        self.streams.end_all("cut", "logs")


def _whole(resource: Resource, obj: JSON) -> JSON:
    return {"apiVersion": resource.api_version, "kind": resource.kind} | obj


def _node(options: Options) -> JSON:
    labels = {"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    capacity = {"cpu": options.cpu, "memory": options.memory, "pods": "1000000"}
    now = clock.seconds(options.now())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {
        "metadata": {"name": NODE_NAME, "labels": labels | dict(options.node_labels)},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [ready],
            "addresses": [
                {"type": "InternalIP", "address": NODE_ADDRESS},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.36.0+devcluster-fake",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }
