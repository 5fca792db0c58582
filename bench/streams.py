"""The same events over a socket, from a server in a process of its own: our informers, and kr8s' watch."""

import asyncio
import json
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import kr8s.asyncio
from kr8s.asyncio.objects import Job, Pod

from bench import objects, processes, wiring
from bench.figure import Figure, Progress, Size, in_turns
from controller.kube.api import Kube

AIM = 50.0


def measure(size: Size, progress: Progress) -> list[Figure]:
    total, few = (runs * len(objects.life()) for runs in (size.runs, size.peer_runs))
    progress(f"{total} events over a socket, for kr8s {few}")
    with processes.started("bench.replay", str(size.runs)) as server, tempfile.TemporaryDirectory() as folder:
        config = _kubeconfig(Path(folder), processes.said(server))
        ours, theirs = in_turns(
            size.rounds,
            lambda: total / asyncio.run(_ours(config, total)),
            lambda: few / asyncio.run(_theirs(config, few)),
        )
    return [
        Figure(
            "events from a socket",
            ours,
            "events/s",
            theirs,
            "kr8s watch",
            aim=AIM,
            aim_for="ratio",
            details={"microseconds_an_event": 1e6 / ours},
        )
    ]


def _kubeconfig(folder: Path, port: int) -> str:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "bench", "user": {}}],
    }
    path.write_text(json.dumps(config))
    return str(path)


async def _ours(config: str, total: int) -> float:
    kube = await Kube.connect(kubeconfig=config)
    try:
        countdown = wiring.Countdown(total)
        return await wiring.feed(wiring.parts_on(kube, countdown), countdown)
    finally:
        await kube.aclose()


async def _theirs(config: str, total: int) -> float:
    api = await kr8s.asyncio.api(kubeconfig=config)
    countdown = wiring.Countdown(total)
    kept: dict[str, Any] = {}
    began = time.process_time()
    tasks = [asyncio.create_task(_watch(api, kind, kept, countdown)) for kind in (Job, Pod)]
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(countdown.done.wait())]
    try:
        await asyncio.wait([*tasks, *waits], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        return time.process_time() - began
    finally:
        await wiring.cancel([*tasks, *waits])
        if api._session is not None:  # noqa: SLF001 — kr8s has no public way to close its session
            await api._session.aclose()  # noqa: SLF001 — as above


async def _watch(api: Any, kind: type[Job | Pod], kept: dict[str, Any], countdown: wiring.Countdown) -> None:
    async with aclosing(api.watch(kind, namespace=kr8s.ALL)) as events:
        async for _, found in events:
            kept[found.metadata.uid] = found
            countdown.taken()
