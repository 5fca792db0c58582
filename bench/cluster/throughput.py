"""Runs a second, all submitted at once: with the controller, and of bare Jobs that nobody looks after."""

import time
from dataclasses import dataclass
from statistics import mean
from typing import Final

from bench.cluster import runs
from bench.cluster.stage import Stage
from bench.cluster.watching import COMPLETE, RESULT
from bench.figure import Figure

AIM: Final = 0.85
_DONE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Round:
    """Runs that were submitted at once, and how many a second came to their end."""

    uids: list[str]
    rate: float


async def without(stage: Stage, prefix: str, count: int) -> Round:
    """Jobs that start at once, to `Complete`."""
    return await _round(stage, prefix, count, runs.FOREIGN, COMPLETE)


async def looked_after(stage: Stage, prefix: str, count: int) -> Round:
    """Suspended Jobs, to the result that the controller writes."""
    return await _round(stage, prefix, count, runs.DOMAIN, RESULT)


async def _round(stage: Stage, prefix: str, count: int, domain: str, step: str) -> Round:
    stage.progress(f"{count} runs at once {'with' if step == RESULT else 'without'} the controller")
    made = [runs.manifest(f"{prefix}-{number}", domain=domain) for number in range(count)]
    began = time.monotonic()
    uids = await runs.create_all(stage.cluster, stage.namespace, made)
    await stage.moments.reached(uids, step, _DONE_SECONDS)
    return Round(uids, count / (stage.moments.last(uids, step) - began))


def figures(ours: list[Round], bare: list[Round]) -> list[Figure]:
    """The means of all rounds beside each other."""
    return [
        Figure(
            "runs with the controller",
            mean(each.rate for each in ours),
            "runs/s",
            mean(each.rate for each in bare),
            "bare Jobs",
            aim=AIM,
            aim_for="ratio",
            details={f"round_{number}": each.rate for number, each in enumerate([*ours, *bare], 1)},
        )
    ]
