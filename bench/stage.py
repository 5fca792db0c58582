"""A fake cluster with a controller beside it: a steady load, runs in line, bursts. What happens when.

Run as `python -m bench.stage RATE STEADY BURST`; says on stdout, one JSON a line: where the cluster is when
the steady load begins, what came out of it, of the lines, and of the bursts. The controller is a process of
its own, started as an operator would start it.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import processes, workload
from bench.commits import ADMITTED, COMPLETE, CONTAINER, CREATED, POD_ENDED, RESULT, RUNNING, Commits
from bench.shapes import NAMESPACE
from devcluster.fake import FakeCluster, Options

BURSTS: Final = 3
WARM_RUNS: Final = 3
PROBED: Final = "configmaps"
"""What is written to see how fast the server itself answers."""
_START_SECONDS: Final = 40.0
_DONE_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_SETTLE_SECONDS: Final = 0.5
_LATENCIES: Final = {
    "admitted": (CREATED, ADMITTED),
    "running": (CONTAINER, RUNNING),
    "result": (COMPLETE, RESULT),
}


async def play(rate: float, steady: int, burst: int) -> None:
    """The whole course."""
    with tempfile.TemporaryDirectory() as folder:
        async with FakeCluster(options=Options()) as cluster:
            cluster.create("namespaces", {"metadata": {"name": NAMESPACE}})
            config = cluster.write_kubeconfig(Path(folder) / "kubeconfig")
            commits = Commits(cluster)
            async with controller(config, Path(folder) / "log") as process:
                await cluster.wait(lambda: is_led(cluster), _START_SECONDS)
                await _steady(cluster, commits, "warm", WARM_RUNS, rate)
                _say({"url": cluster.url})
                _say(await _measured(cluster, commits, process.pid, steady, rate))
                _say(await _lines(cluster, commits, max(steady // 3, 3), rate / 2))
                _say(await _bursts(cluster, commits, process.pid, burst))


@asynccontextmanager
async def controller(
    config: Path, log: Path, **more: str
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """A controller with these settings, ended with the block. One that fails leaves its last words."""
    settings = {"KUBECONFIG": str(config), "RUNHERD_PROBE_PORT": "0", "RUNHERD_LOG_LEVEL": "WARNING", **more}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controller", cwd=processes.ROOT,
            env=processes.environment() | settings, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process
    except BaseException:
        sys.stderr.write(log.read_text("utf-8", "replace")[-2000:])  # noqa: ASYNC240 — all is over
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)


def is_led(cluster: FakeCluster) -> bool:
    """A controller holds the lease."""
    return any(lease.get("spec", {}).get("holderIdentity") for lease in cluster.list("leases"))


async def _steady(cluster: FakeCluster, commits: Commits, prefix: str, runs: int, rate: float) -> list[str]:
    """That many runs at that rate, all to their result."""
    uids = await workload.submit_steadily(cluster, prefix, runs, rate)
    await cluster.wait(lambda: commits.reached(uids, RESULT), _DONE_SECONDS)
    return uids


async def _measured(
    cluster: FakeCluster, commits: Commits, pid: int, runs: int, rate: float
) -> dict[str, Any]:
    await asyncio.sleep(_SETTLE_SECONDS)
    cpu, patches, calls = cpu_ms(pid), _calls(cluster, "jobs", "patch"), _calls(cluster)
    uids = await _steady(cluster, commits, "steady", runs, rate)
    await asyncio.sleep(_SETTLE_SECONDS)
    return {
        **{name: commits.milliseconds(uids, *steps) for name, steps in _LATENCIES.items()},
        "cpu_ms": (cpu_ms(pid) - cpu) / runs,
        "patches": (_calls(cluster, "jobs", "patch") - patches) / runs,
        "calls": (_calls(cluster) - calls) / runs,
    }


async def _lines(cluster: FakeCluster, commits: Commits, agents: int, rate: float) -> dict[str, Any]:
    """Agents with two runs each: how long a place stays empty."""
    lines = await workload.submit_in_line(cluster, agents, rate)
    uids = [uid for line in lines for uid in line]
    await cluster.wait(lambda: commits.reached(uids, RESULT), _DONE_SECONDS)
    await asyncio.sleep(_SETTLE_SECONDS)
    return {
        "ended": commits.handed_on(lines, POD_ENDED, ADMITTED),
        "complete": commits.handed_on(lines, COMPLETE, ADMITTED),
    }


async def _bursts(cluster: FakeCluster, commits: Commits, pid: int, runs: int) -> dict[str, Any]:
    """Pods are not started meanwhile: this machine is too small for so many at once."""
    cluster.faults.paused = ("scheduler",)
    await asyncio.sleep(_SETTLE_SECONDS)
    cpu = cpu_ms(pid)
    rates = [await _burst(cluster, commits, f"burst-{number}", runs) for number in range(BURSTS)]
    return {"admissions": median(rates), "cpu_ms": (cpu_ms(pid) - cpu) / (BURSTS * runs)}


async def _burst(cluster: FakeCluster, commits: Commits, prefix: str, runs: int) -> float:
    """Admissions a second of runs that come all at once."""
    uids = [workload.submit(cluster, f"{prefix}-{number}") for number in range(runs)]
    began = time.perf_counter()
    await cluster.wait(lambda: commits.reached(uids, ADMITTED), _DONE_SECONDS)
    rate = runs / (commits.last(uids, ADMITTED) - began)
    await asyncio.sleep(_SETTLE_SECONDS)
    return rate


def _calls(cluster: FakeCluster, resource: str = "", verb: str = "") -> int:
    """Requests so far, but for those of whoever measures beside the controller."""
    return sum(
        count
        for (asked, plural, _), count in cluster.requests.items()
        if plural != PROBED and resource in ("", plural) and verb in ("", asked)
    )


def cpu_ms(pid: int) -> float:
    """What that process has used so far; not a number where the system does not tell it this way."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return nan
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def main() -> None:
    """As the command line says."""
    rate, steady, burst = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    asyncio.run(play(rate, steady, burst))


if __name__ == "__main__":
    main()
