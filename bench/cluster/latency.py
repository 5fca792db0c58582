"""From what happens to what is written about it, beside the answer to one bare PATCH in the same seconds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bench.cluster import runs
from bench.cluster.client import Cluster
from bench.cluster.controlled import Controller
from bench.cluster.stage import SETTLE_SECONDS, Bill, Stage, bill, reading, total
from bench.cluster.watching import ADMITTED, COMPLETE, CONTAINER, CREATED, RESULT, RUNNING
from bench.figure import Figure, percentile

RATE: Final = 5.0
"""Runs a second: a busy installation, on a machine that is not."""
AIMS_MS: Final = (("p50", 0.5, 20.0), ("p99", 0.99, 50.0))
AIM_PATCHES: Final = 5.0
AIM_CPU_MS: Final = 3.0
PROBE_EVERY_SECONDS: Final = 0.1
_DONE_SECONDS: Final = 60.0
_STEPS: Final = (
    ("Job created → admitted", CREATED, ADMITTED),
    ("container runs → Running", CONTAINER, RUNNING),
    ("Job complete → result", COMPLETE, RESULT),
)


@dataclass(frozen=True, slots=True)
class Load:
    """Runs that were put through: their Jobs, what one bare PATCH took meanwhile, what they cost."""

    uids: list[str]
    probes: list[float]
    used: Bill


async def measured(stage: Stage, controller: Controller, work: Awaitable[list[str]]) -> Load:
    """Puts runs through; `work` gives the uids of their Jobs once all have their result."""
    async with _probed(stage.cluster, stage.namespace) as probes:
        before = await reading(stage, controller)
        uids = await work
        await asyncio.sleep(SETTLE_SECONDS)
        used = bill(before, await reading(stage, controller))
    return Load(uids, probes, used)


async def steadily(stage: Stage, prefix: str, count: int) -> list[str]:
    """Runs at that rate, all to their result; the uids of their Jobs."""
    stage.progress(f"{count} runs at {RATE:g} a second")
    made = [runs.manifest(f"{prefix}-{number}") for number in range(count)]
    uids = await runs.create_steadily(stage.cluster, stage.namespace, made, RATE)
    await stage.moments.reached(uids, RESULT, _DONE_SECONDS)
    return uids


@asynccontextmanager
async def _probed(cluster: Cluster, namespace: str) -> AsyncIterator[list[float]]:
    """Milliseconds of one bare PATCH now and then, for as long as the block lasts."""
    where = f"/api/v1/namespaces/{namespace}/configmaps"
    await cluster.create(where, {"metadata": {"name": "probe"}})
    taken: list[float] = []

    async def take() -> None:
        while True:
            annotations = {"bench.runherd/probe": str(len(taken))}
            taken.append(await cluster.patch(f"{where}/probe", {"metadata": {"annotations": annotations}}))
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(take())
        yield taken
        task.cancel()
    await cluster.delete(f"{where}/probe")


def figures(stage: Stage, when: str, loads: Sequence[Load], *, aims: bool) -> list[Figure]:
    """Median and tail of each latency. Runs that skipped a step have none."""
    uids = [uid for load in loads for uid in load.uids]
    probes = [each for load in loads for each in load.probes]
    return [
        Figure(
            f"{name}, {label}, {when}",
            percentile(values, share),
            "ms",
            percentile(probes, share),
            f"one PATCH, {label}",
            more_is_better=False,
            aim=aim if aims else None,
            details={"runs": len(values), "probes": len(probes)},
        )
        for name, first, last in _STEPS
        if (values := stage.moments.milliseconds(uids, first, last))
        for label, share, aim in AIMS_MS
    ]


def costs(when: str, loads: Sequence[Load], idle: Bill) -> list[Figure]:
    """What one run took of the API server and of the controller, and of the CPU of whoever else is busy."""
    runs_done = sum(len(load.uids) for load in loads)
    used = total([load.used for load in loads])
    idle_ms = idle.controller_ms / idle.seconds
    calls = used.controller.by("runherd_api_calls_total", "verb", "resource", "code")
    rounds = used.controller.by("runherd_reconciles_total", "outcome")
    return [
        Figure(
            f"Job patches of a run, {when}",
            used.patches / runs_done,
            "patches",
            more_is_better=False,
            aim=AIM_PATCHES,
            details={"conflicts": used.conflicts / runs_done, **_each(calls, runs_done)},
        ),
        Figure(
            f"controller's CPU for a run, {when}",
            (used.controller_ms - idle_ms * used.seconds) / runs_done,
            "ms",
            more_is_better=False,
            aim=AIM_CPU_MS,
            details={"idle_ms_a_second": idle_ms, **_each(rounds, runs_done)},
        ),
        _cpu("API server", used.server_ms / runs_done, when),
        _cpu("stand-in node", used.node_ms / runs_done, when),
        _cpu("bench", used.bench_ms / runs_done, when),
    ]


def _cpu(whose: str, milliseconds: float, when: str) -> Figure:
    return Figure(f"CPU of the {whose} for a run, {when}", milliseconds, "ms", more_is_better=False)


def _each(sums: Mapping[str, float], count: int) -> dict[str, float]:
    return {name: value / count for name, value in sums.items()}
