"""Suspended Jobs, each of an agent of its own, that come all at once: how many are admitted a second."""

import time
from typing import Final

from bench.cluster import runs
from bench.cluster.stage import Stage
from bench.cluster.watching import ADMITTED, RESULT
from bench.figure import Figure

AIM: Final = 60.0
_DONE_SECONDS: Final = 120.0


async def admitted(stage: Stage, count: int) -> list[Figure]:
    """From the first Job's creation to the last admission; their pods start meanwhile."""
    stage.progress(f"a burst of {count} suspended Jobs")
    made = [runs.manifest(f"burst-{number}") for number in range(count)]
    began = time.monotonic()
    uids = await runs.create_all(stage.cluster, stage.namespace, made)
    created = time.monotonic() - began
    await stage.moments.reached(uids, ADMITTED, _DONE_SECONDS)
    took = stage.moments.last(uids, ADMITTED) - began
    await stage.moments.reached(uids, RESULT, _DONE_SECONDS)
    details = {"burst": count, "created_a_second": count / created}
    return [Figure("admissions in a burst", count / took, "runs/s", aim=AIM, details=details)]
