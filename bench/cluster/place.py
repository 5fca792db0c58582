"""Where it is measured: a cluster of the bench's own, or that of a kubeconfig; and what is made on it.

Owns the end of all of that. A cluster of our own is taken down as a whole; on another one the namespaces,
with all that is in them, and the node are deleted, and waited for.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench import processes
from bench.cluster.client import Cluster, Refused, Trouble
from bench.cluster.watching import CONTAINER, Moments
from bench.figure import Progress
from devcluster.images import ImageError
from devcluster.programs import BuildError
from devcluster.real import network
from devcluster.real.cluster import RealCluster
from devcluster.real.errors import ClusterError

NODE: Final = "runherd-bench"
OWN: Final = "bench"
"""Name of the cluster that is the bench's own."""
_READY_SECONDS: Final = 30.0
_GONE_SECONDS: Final = 180.0
_LOOK_EVERY_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """How the cluster is reached, and where it finds the logs of the stand-in node."""

    kubeconfig: str
    address: str
    within: tuple[str, ...] = ()
    """The command by which a program gets into the cluster's own network, none if it is this machine's."""
    certificate: tuple[str, ...] = ()
    """Files of certificate and key that the API server asks a kubelet for."""
    own: bool = False
    """It is taken down as a whole: nothing on it has to be removed."""


@contextmanager
def own(told: Callable[[str], None]) -> Iterator[Place]:
    """A real cluster for this bench alone, down with the block. Raises Trouble if it can't be had."""
    cluster = RealCluster(OWN)
    with _trouble():
        cluster.up(
            told
        )  # refuses if another bench runs, whose cluster must not end with us; else the next clears up
    try:
        with _trouble():
            yield _of(cluster)
    finally:
        with _trouble():
            cluster.down(told)


@contextmanager
def _trouble() -> Iterator[None]:
    """What a cluster complains of, as the bench's own trouble."""
    try:
        yield
    except (BuildError, ClusterError, ImageError) as error:
        raise Trouble(f"the cluster of the bench: {error}") from error


def _of(cluster: RealCluster) -> Place:
    # The API server takes a kubelet's certificate of its own authority only, and at the node's address.
    files = tuple(str(cluster.layout.pki / f"kubelet.{kind}") for kind in ("crt", "key"))
    inside = ("nsenter", f"--net={network.namespace(cluster.layout)}")
    return Place(str(cluster.kubeconfig), str(cluster.require().addresses.node), inside, files, own=True)


def given(kubeconfig: str, server: str) -> Place:
    """Somebody's cluster; it finds us where we find it."""
    target = urlsplit(server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing: only asks for a route
        probe.connect((target.hostname or "", target.port or 443))
        return Place(str(Path(kubeconfig).resolve()), str(probe.getsockname()[0]))


class Node:
    """The stand-in node's process; what it says goes to whoever listens."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._listeners: list[Moments] = []

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def tell(self, moments: Moments) -> None:
        """From now on these moments are told when containers run."""
        self._listeners.append(moments)

    async def ready(self) -> None:
        """Until the cluster knows it."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._next()
        except TimeoutError:
            raise Trouble(f"the stand-in node was not ready within {_READY_SECONDS:.0f} s") from None

    async def listen(self) -> None:
        """Until cancelled."""
        while True:
            told = await self._next()
            for moments in self._listeners:
                moments.take(told["uid"], CONTAINER, told["at"])

    async def end(self) -> None:
        """And waits until it has ended."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _next(self) -> Any:
        line = await self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise Trouble("the stand-in node has ended; what it said stands above")
        return json.loads(line)


@asynccontextmanager
async def node(cluster: Cluster, where: Place) -> AsyncIterator[Node]:
    """A node that plays, gone with the block."""
    playing = Node(
        await asyncio.create_subprocess_exec(
            *where.within, sys.executable, "-m", "bench.cluster.node",
            where.kubeconfig, NODE, where.address, *where.certificate,
            cwd=processes.ROOT, env=processes.environment(),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the bench, which ends it last
        )
    )  # fmt: skip
    try:
        await playing.ready()
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(playing.listen())
            yield playing
            listening.cancel()
    finally:
        await playing.end()
        if not where.own:
            await cluster.delete(f"/api/v1/nodes/{NODE}")


@asynccontextmanager
async def namespace(cluster: Cluster, where: Place, name: str, progress: Progress) -> AsyncIterator[None]:
    """A namespace, gone with the block."""
    try:
        await cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})
    except Refused as error:
        if error.status == 409:
            raise Trouble(
                f"there is a namespace {name} already: another bench runs, or one was killed;"
                f" remove it with: kubectl delete namespace {name}"
            ) from None
        raise
    try:
        yield
    finally:
        if not where.own:
            await _remove(cluster, name, progress)


async def _remove(cluster: Cluster, name: str, progress: Progress) -> None:
    progress(f"removing the namespace {name}")
    path = f"/api/v1/namespaces/{name}"
    await cluster.delete(path)
    try:
        async with asyncio.timeout(_GONE_SECONDS):
            while await _is_there(cluster, path):  # noqa: ASYNC110 — it is the cluster that works
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
    except TimeoutError:
        sys.stderr.write(
            f"the namespace {name} is still being removed after {_GONE_SECONDS:.0f} s;"
            f" Kubernetes goes on; see: kubectl get namespace {name}\n"
        )


async def _is_there(cluster: Cluster, path: str) -> bool:
    try:
        await cluster.get(path)
    except Refused as error:
        if error.status == 404:
            return False
        raise
    return True
