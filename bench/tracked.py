"""Keeps runs in memory and says what that takes: one fresh process for each way of looking.

Run as `python -m bench.tracked ours|kr8s rss|traced RUNS`; says bytes a run as JSON. Each run is a Job and
a Pod at work, of an agent of its own. What the first runs take (code, caches) is left out: what more take is
told.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bench import objects, peer, wiring
from controller.engine.parts import Parts

WARM_SHARE: Final = 10
"""One in so many runs comes first, and is not measured."""
HEARTBEAT_SECONDS: Final = 60.0


def resident() -> int:
    """Bytes of this process in memory; its peak where the system does not tell more."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)


def allocated() -> int:
    """Bytes that Python has allocated."""
    return tracemalloc.get_traced_memory()[0]


def lines(first: int, last: int, kinds: dict[str, objects.Template]) -> Iterator[bytes]:
    """One event for each run and kind."""
    for template in kinds.values():
        for run in range(first, last):
            yield objects.line("ADDED", template.fill(run, run + 2))


def templates() -> dict[str, objects.Template]:
    """A run at work."""
    return {"jobs": objects.job_template("Running"), "pods": objects.pod_template("running")}


async def ours(look: Callable[[], int], runs: int) -> dict[str, float]:
    """Bytes a run: objects, informers' entries and the store's tables; then with a heartbeat's timer."""
    warm = runs // WARM_SHARE
    _first = await _filled(0, warm)
    before = _settled(look)
    parts = await _filled(warm, warm + runs)
    kept = _settled(look)
    for slot in parts.store.slots():
        parts.queue.add_after(slot, HEARTBEAT_SECONDS)
    timed = _settled(look)
    return {"kept": (kept - before) / runs, "timed": (timed - before) / runs}


async def _filled(first: int, last: int) -> Parts:
    """Store and informers that know these runs; what was queued is taken out again."""
    kinds = templates()
    chunks = {name: wiring.chunked(lines(first, last, {name: kinds[name]})) for name in kinds}
    countdown = wiring.Countdown(2 * (last - first))
    parts = wiring.parts_on(wiring.in_memory(chunks), countdown)
    await wiring.feed(parts, countdown)
    while len(parts.queue):
        slot = await parts.queue.get()
        parts.arrived.pop(slot, None)
        parts.queue.done(slot)
    return parts


def kr8s(look: Callable[[], int], runs: int) -> dict[str, float]:
    """Bytes a run as two objects of kr8s in a dict."""
    kinds, warm = templates(), runs // WARM_SHARE
    kept: dict[str, Any] = {}
    peer.keep(lines(0, warm, kinds), kept)
    before = _settled(look)
    peer.keep(lines(warm, warm + runs, kinds), kept)
    return {"kept": (_settled(look) - before) / runs}


def _settled(look: Callable[[], int]) -> int:
    gc.collect()
    return look()


def main() -> None:
    """What the command line asks for, as one line of JSON."""
    who, how, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if how == "traced":
        tracemalloc.start()
    look = allocated if how == "traced" else resident
    print(json.dumps(asyncio.run(ours(look, runs)) if who == "ours" else kr8s(look, runs)))


if __name__ == "__main__":
    main()
