"""Where the demo runs: a fake cluster in this process, a real one on this machine, or that of KUBECONFIG.

Owns: the start and end of a cluster that is the demo's own, names that do not collide on a cluster of
others, and the place where traces are received. Never: creates a run.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devcluster import programs
from devcluster.fake import FakeCluster
from devcluster.fake.cluster import Options
from devcluster.fake.pod_worker import Timing
from devcluster.jaeger import Jaeger, JaegerError
from devcluster.otlp import OtlpSink, Span
from devcluster.real.cluster import RealCluster
from devcluster.real.errors import ClusterError
from examples.demo.submit import Round
from examples.demo.trouble import Trouble

FAKE: Final = "fake"
REAL: Final = "real"
CURRENT: Final = "current"
KINDS: Final = (FAKE, REAL, CURRENT)
NAMESPACE: Final = "runherd-demo"
PULL_SECONDS: Final = 0.4
"""How long the fake kubelet takes to pull an image: long enough to be seen."""
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
LOCAL: Final = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster that is there."""

    kind: str
    told: str
    """What it is, for people."""
    kubeconfig: str
    round: Round
    seconds: float
    """How long a demo may take there."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go."""

    endpoint: str
    spans: Callable[[str], Sequence[Span]] | None
    """All of a trace that it has taken; None: a collector that is not ours, which can't be asked."""
    page: Callable[[str], str] | None = None
    """The address of a trace for people, if it has any."""


@asynccontextmanager
async def place(kind: str, folder: Path, told: Callable[[str], None]) -> AsyncIterator[Place]:
    """The cluster of this kind, until it is not needed any more.

    `folder`: for files of the fake one. `told` is given a line about each step that takes long.
    """
    if kind == CURRENT:
        yield _on_another(CURRENT, _kubeconfig())
        return
    if kind == REAL:
        async with _real(told) as found:
            yield _on_another(REAL, found)
        return
    options = Options(timing=Timing(pull_time=PULL_SECONDS))
    async with FakeCluster(options=options) as cluster:
        path = cluster.write_kubeconfig(folder / "kubeconfig")
        yield Place(FAKE, f"A fake cluster at {cluster.url}", str(path), Round(), 60.0)


def _on_another(kind: str, kubeconfig: str) -> Place:
    """A cluster that may hold the Jobs of others: ours get names of their own."""
    return Place(kind, f"The cluster of {kubeconfig}", kubeconfig, Round(secrets.token_hex(3)), 300.0)


@asynccontextmanager
async def _real(told: Callable[[str], None]) -> AsyncIterator[str]:
    """The kubeconfig of this machine's real cluster; one that was not up before goes down again."""
    cluster = RealCluster()
    try:
        begun = not cluster.is_up()
        if begun:
            await asyncio.to_thread(cluster.up, told)
    except ClusterError as error:
        raise Trouble(str(error)) from error
    try:
        yield str(cluster.kubeconfig)
    finally:
        if begun:
            await asyncio.shield(asyncio.to_thread(cluster.down, told))


@asynccontextmanager
async def collector(told: Callable[[str], None], *, jaeger: bool) -> AsyncIterator[Collector]:
    """A Jaeger of our own if it is asked for, else the collector that the environment names, else a sink."""
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
    if jaeger:
        async with _jaeger(told) as found:
            yield Collector(found.otlp, found.spans, found.page)
    elif endpoint:
        yield Collector(endpoint, None)
    else:
        async with OtlpSink() as sink:
            yield Collector(sink.url, sink.trace)


@asynccontextmanager
async def _jaeger(told: Callable[[str], None]) -> AsyncIterator[Jaeger]:
    """Built first where it is missing, which takes minutes."""
    try:
        await asyncio.to_thread(programs.path, "jaeger", told)
        found = Jaeger()
        await asyncio.to_thread(found.start)
    except (programs.BuildError, JaegerError) as error:
        raise Trouble(str(error)) from error
    try:
        yield found
    finally:
        await asyncio.shield(asyncio.to_thread(found.__exit__))


def stay_local(environ: MutableMapping[str, str]) -> None:
    """A proxy that is meant for the internet must not catch calls to this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        environ[name] = f"{environ[name]},{LOCAL}" if environ.get(name) else LOCAL


def _kubeconfig() -> str:
    """The files of KUBECONFIG that there are, else the one where kubectl looks; in its spelling."""
    named = os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in named.split(os.pathsep) if path]
    if found := [str(path.resolve()) for path in paths if path.is_file()]:
        return os.pathsep.join(found)
    raise Trouble(
        f"CLUSTER=current, but there is no kubeconfig at {named}.\n"
        "Set KUBECONFIG to that of your cluster, or leave CLUSTER out: then a fake cluster is used."
    )
