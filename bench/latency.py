"""From what happens to what is written about it: a controller on a fake cluster; steady, in line, in bursts.

Compared with the answer to one bare PATCH of the same server in the same seconds: nobody can be faster.
The aims are what Kueue's admission took on a real cluster on a machine with two cores.
"""

import asyncio
import time
from math import isnan
from typing import IO, Any, Final

import aiohttp

from bench import processes
from bench.figure import Figure, Progress, Size, percentile
from bench.stage import PROBED

PROBE_EVERY_SECONDS: Final = 0.1
AIM_P50_MS: Final = 31.0
AIM_P99_MS: Final = 72.0
AIM_READMITTED_MS: Final = 50.0
AIM_ADMISSIONS: Final = 29.0
AIM_CPU_MS: Final = 9.0
AIM_PATCHES: Final = 5.0
_NAMES: Final = {
    "admitted": "Job created → admitted",
    "running": "container runs → Running",
    "result": "Job complete → result",
    "ended": "last pod ended → next run admitted",
    "complete": "its Job complete → next run admitted",
}
_OF_A_RUN: Final = ("admitted", "running", "result")
_OF_A_LINE: Final = ("ended", "complete")
_AIMS: Final = {
    ("admitted", "p50"): AIM_P50_MS,
    ("admitted", "p99"): AIM_P99_MS,
    ("ended", "p50"): AIM_READMITTED_MS,
    ("ended", "p99"): AIM_READMITTED_MS,
}


def measure(size: Size, progress: Progress) -> list[Figure]:
    progress("a fake cluster and a controller start")
    course = (str(size.rate), str(size.steady), str(size.burst))
    with processes.started("bench.stage", *course) as lines:
        url = processes.said(lines)["url"]
        progress(f"{size.steady} runs at {size.rate:g} a second, then bursts of {size.burst}")
        steady, probes = asyncio.run(_played(lines, url))
        progress("runs that wait for each other")
        waiting = processes.said(lines)
        bursts = processes.said(lines)
    timed = [figure for name in _OF_A_RUN for figure in _latencies(name, steady[name], probes)]
    timed += [figure for name in _OF_A_LINE for figure in _latencies(name, waiting[name], probes)]
    costs = [*_costs_of_runs(steady), *_costs_of_bursts(bursts, size.burst)]
    return [*timed, *(figure for figure in costs if not isnan(figure.ours))]


async def _played(lines: IO[str], url: str) -> tuple[dict[str, Any], list[float]]:
    """What the stage says of the steady load, and what one PATCH takes meanwhile."""
    told = asyncio.create_task(asyncio.to_thread(processes.said, lines))
    probes: list[float] = []
    async with aiohttp.ClientSession() as session:
        where = f"{url}/api/v1/namespaces/default/{PROBED}"
        await _sent(session, "POST", where, {"metadata": {"name": "probe"}})
        while not told.done():
            patch = {"metadata": {"annotations": {"probe": str(len(probes))}}}
            probes.append(await _sent(session, "PATCH", f"{where}/probe", patch))
            await asyncio.wait([told], timeout=PROBE_EVERY_SECONDS)
    return told.result(), probes


async def _sent(session: aiohttp.ClientSession, method: str, url: str, body: Any) -> float:
    """Milliseconds until the answer was there."""
    media = "application/merge-patch+json" if method == "PATCH" else "application/json"
    began = time.perf_counter()
    async with session.request(method, url, json=body, headers={"content-type": media}) as answer:
        await answer.read()
        answer.raise_for_status()
    return (time.perf_counter() - began) * 1000


def _latencies(name: str, values: list[float], probes: list[float]) -> list[Figure]:
    """Median and tail of one latency. Runs that skipped a step have none."""
    return [
        Figure(
            f"{_NAMES[name]}, {label}",
            percentile(values, share),
            "ms",
            percentile(probes, share),
            f"one PATCH, {label}",
            more_is_better=False,
            aim=_AIMS.get((name, label)),
            details={"runs": len(values)},
        )
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


def _costs_of_runs(told: dict[str, Any]) -> list[Figure]:
    return [
        Figure("patches of a run", told["patches"], "patches", more_is_better=False, aim=AIM_PATCHES),
        Figure("API calls of a run", told["calls"], "calls", more_is_better=False),
        Figure("controller's CPU for a run", told["cpu_ms"], "ms", more_is_better=False),
    ]


def _costs_of_bursts(told: dict[str, Any], burst: int) -> list[Figure]:
    size = {"burst": burst}
    return [
        Figure("admissions in a burst", told["admissions"], "runs/s", aim=AIM_ADMISSIONS, details=size),
        Figure(
            "CPU of an admission", told["cpu_ms"], "ms", more_is_better=False, aim=AIM_CPU_MS, details=size
        ),
    ]
