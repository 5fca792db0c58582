"""What the controller occupies when it knows many runs: some at work, logs followed, the rest waiting."""

import asyncio
from collections.abc import Sequence
from typing import Final

from bench.cluster import runs
from bench.cluster.controlled import Controller
from bench.cluster.stage import Stage
from bench.cluster.watching import SAID
from bench.figure import Figure

RUNS_OF_AN_AGENT: Final = 50
_WORK_SECONDS: Final = 3600.0
_DONE_SECONDS: Final = 180.0
_SETTLE_SECONDS: Final = 2.0


async def resident(stage: Stage, controller: Controller, levels: Sequence[int]) -> list[Figure]:
    """At rest with no run, then with so many."""
    await asyncio.sleep(_SETTLE_SECONDS)
    found, known = [_figure(0, controller.resident_mib())], 0
    for level in levels:
        stage.progress(f"{level} runs tracked")
        made = [_waiting(number) for number in range(known, level)]
        uids = await runs.create_all(stage.cluster, stage.namespace, made)
        await stage.moments.reached(uids, SAID, _DONE_SECONDS)
        await asyncio.sleep(_SETTLE_SECONDS)
        found.append(_figure(level, controller.resident_mib()))
        known = level
    return found


def _waiting(number: int) -> runs.JSON:
    """One of an agent that has many: the first to come works on and on, the others wait for its end."""
    agent = f"agent-{number // RUNS_OF_AN_AGENT}"
    return runs.manifest(f"tracked-{number}", agent=agent, seconds=_WORK_SECONDS)


def _figure(level: int, mib: float) -> Figure:
    at_work = -(-level // RUNS_OF_AN_AGENT)
    return Figure(
        f"memory with {level} runs tracked",
        mib,
        "MiB",
        more_is_better=False,
        details={"runs": level, "at_work": at_work},
    )
