"""The course of one bench on one cluster, and how much is measured.

    bare Jobs
    with a controller: the first runs · idle · at once · steadily · at once · a burst
    bare Jobs
    with another one: many runs tracked

What is compared is measured in turns, outside in: a cluster gets slower as it fills.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.cluster import burst, controlled, latency, place, throughput, tracked, watching
from bench.cluster.client import Cluster, Trouble
from bench.cluster.controlled import Controller
from bench.cluster.latency import Load
from bench.cluster.place import Node, Place
from bench.cluster.stage import SETTLE_SECONDS, Bill, Stage, bill, reading
from bench.cluster.throughput import Round
from bench.figure import Figure, Progress

NAMESPACE: Final = "runherd-bench"
TRACKED: Final = "runherd-bench-tracked"
WARM_RUNS: Final = 10
IDLE_SECONDS: Final = 8.0
STEADY: Final = "5 runs/s"
RUSH: Final = "all at once"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured; everything follows from the runs of one round."""

    runs: int = 300

    @property
    def steady(self) -> int:
        """Runs submitted at a steady rate."""
        return max(self.runs // 2, 1)

    @property
    def tracked(self) -> tuple[int, int]:
        """Runs that are known, waiting but for a few: 1 000 and 5 000."""
        return max(self.runs * 10 // 3, 1), max(self.runs * 50 // 3, 2)


@dataclass(frozen=True, slots=True)
class Course:
    """What all of it is played on."""

    cluster: Cluster
    where: Place
    amount: Amount
    progress: Progress
    folder: Path

    async def play(self) -> dict[str, list[Figure]]:
        """All figures, by measure."""
        async with place.node(self.cluster, self.where) as node:
            found = await self._runs(node)
            return found | {"tracked": await self._tracked(node)}

    async def _runs(self, node: Node) -> dict[str, list[Figure]]:
        async with self._stage(NAMESPACE, node) as stage:
            count = self.amount.runs
            bare = [await throughput.without(stage, "bare-1", count)]
            async with self._controller(NAMESPACE) as controller:
                found, ours = await self._looked_after(stage, controller)
            bare.append(await throughput.without(stage, "bare-2", count))
            return {"throughput": throughput.figures(ours, bare)} | found

    async def _looked_after(
        self, stage: Stage, controller: Controller
    ) -> tuple[dict[str, list[Figure]], list[Round]]:
        idle = await self._warm(stage, controller)
        rounds: list[Round] = []
        first = await self._rush(stage, controller, rounds)
        work = latency.steadily(stage, "steady", self.amount.steady)
        steady = [await latency.measured(stage, controller, work)]
        rush = [first, await self._rush(stage, controller, rounds)]
        figures = {
            "steady": latency.figures(stage, STEADY, steady, aims=True) + latency.costs(STEADY, steady, idle),
            "rush": latency.figures(stage, RUSH, rush, aims=False) + latency.costs(RUSH, rush, idle),
            "burst": await burst.admitted(stage, self.amount.runs),
        }
        return figures, rounds

    async def _rush(self, stage: Stage, controller: Controller, rounds: list[Round]) -> Load:
        """Runs all at once."""

        async def work() -> list[str]:
            rounds.append(await throughput.looked_after(stage, f"rush-{len(rounds)}", self.amount.runs))
            return rounds[-1].uids

        return await latency.measured(stage, controller, work())

    async def _warm(self, stage: Stage, controller: Controller) -> Bill:
        """The first runs are slower; then what the controller takes when nothing happens."""
        done = await throughput.looked_after(stage, "warm", WARM_RUNS)
        self._check_logs(stage, done.uids[0])
        await asyncio.sleep(SETTLE_SECONDS)
        stage.progress("the idle controller")
        before = await reading(stage, controller)
        await asyncio.sleep(IDLE_SECONDS)
        return bill(before, await reading(stage, controller))

    def _check_logs(self, stage: Stage, uid: str) -> None:
        """Else every result would wait for a log in vain, and nothing measured would mean anything."""
        log = msgspec.json.decode(stage.moments.results[uid]).get("log", {})
        if log.get("state") != "complete":
            raise Trouble(
                f"the API server can't read the logs of the stand-in node at {self.where.address}: is that"
                " address reachable from it, and does it take a certificate that nobody signed?"
            )

    async def _tracked(self, node: Node) -> list[Figure]:
        async with self._stage(TRACKED, node) as stage, self._controller(TRACKED) as controller:
            return await tracked.resident(stage, controller, self.amount.tracked)

    @asynccontextmanager
    async def _stage(self, name: str, node: Node) -> AsyncIterator[Stage]:
        async with (
            place.namespace(self.cluster, self.where, name, self.progress),
            watching.watched(self.cluster, name) as moments,
        ):
            node.tell(moments)
            yield Stage(self.cluster, name, moments, node.pid, self.progress)

    @asynccontextmanager
    async def _controller(self, name: str) -> AsyncIterator[Controller]:
        self.progress("a controller starts")
        log = self.folder / f"{name}.log"
        async with controlled.started(self.where.kubeconfig, name, log) as controller:
            yield controller


async def played(
    cluster: Cluster, where: Place, amount: Amount, progress: Progress
) -> dict[str, list[Figure]]:
    """One whole bench."""
    with tempfile.TemporaryDirectory(prefix="runherd-bench-") as folder:
        return await Course(cluster, where, amount, progress, Path(folder)).play()
