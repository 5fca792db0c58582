"""What the measures play on: cluster, namespace, moments, processes; and what a while cost whom."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.cluster import counted
from bench.cluster.client import Cluster
from bench.cluster.controlled import Controller, cpu_ms
from bench.cluster.watching import Moments
from bench.figure import Progress

SETTLE_SECONDS: Final = 1.0
"""After the last run of a round: what follows its end belongs to it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One namespace of one cluster, with a node that plays."""

    cluster: Cluster
    namespace: str
    moments: Moments
    node_pid: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Meters:
    """CPU at one moment, in milliseconds since each process began."""

    at: float
    controller_ms: float
    node_ms: float
    bench_ms: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters, and the meters before and after these were read: a scrape has its price."""

    first: Meters
    last: Meters
    server: counted.Counters
    controller: counted.Counters


@dataclass(frozen=True, slots=True)
class Bill:
    """What the time between two readings cost whom. CPU in milliseconds."""

    seconds: float
    controller_ms: float
    node_ms: float
    bench_ms: float
    server_ms: float
    patches: float
    """Of Jobs, whatever their answer; the controller is the only one that patches Jobs."""
    conflicts: float
    """Of these, the answers 409."""
    controller: counted.Counters


async def reading(stage: Stage, controller: Controller) -> Reading:
    """Everything there is to read, now."""
    first = _meters(stage, controller)
    server, own = await asyncio.gather(counted.by_server(stage.cluster), controller.counters())
    return Reading(first, _meters(stage, controller), server, own)


def _meters(stage: Stage, controller: Controller) -> Meters:
    return Meters(time.monotonic(), controller.cpu_ms(), cpu_ms(stage.node_pid), cpu_ms(os.getpid()))


def bill(before: Reading, after: Reading) -> Bill:
    """What was used from the end of one reading to the beginning of the other."""
    first, last, server = before.last, after.first, after.server.since(before.server)
    jobs = {"verb": "PATCH", "group": "batch", "resource": "jobs"}
    return Bill(
        seconds=last.at - first.at,
        controller_ms=last.controller_ms - first.controller_ms,
        node_ms=last.node_ms - first.node_ms,
        bench_ms=last.bench_ms - first.bench_ms,
        server_ms=server.total(counted.CPU) * 1000,
        patches=server.total(counted.REQUESTS, **jobs),
        conflicts=server.total(counted.REQUESTS, code="409", **jobs),
        controller=after.controller.since(before.controller),
    )


def total(bills: Sequence[Bill]) -> Bill:
    """Several as one."""
    return Bill(
        seconds=sum(each.seconds for each in bills),
        controller_ms=sum(each.controller_ms for each in bills),
        node_ms=sum(each.node_ms for each in bills),
        bench_ms=sum(each.bench_ms for each in bills),
        server_ms=sum(each.server_ms for each in bills),
        patches=sum(each.patches for each in bills),
        conflicts=sum(each.conflicts for each in bills),
        controller=counted.together([each.controller for each in bills]),
    )
