"""Watch events decoded and stored per second, from bytes in memory: what decoding and storing costs."""

import asyncio
import time
from typing import Any

from bench import objects, peer, wiring
from bench.figure import Figure, Progress, Size, in_turns

AIM = 50.0


def measure(size: Size, progress: Progress) -> list[Figure]:
    lines = list(objects.events(size.runs))
    total = len(lines)
    chunks = {
        plural: list(wiring.chunked(text for of, text in lines if of == plural))
        for plural in ("jobs", "pods")
    }
    few = [text for _, text in objects.events(size.peer_runs)]
    progress(f"{total} events of {sum(len(text) for _, text in lines) // total} bytes, for kr8s {len(few)}")
    ours, theirs = in_turns(
        size.rounds, lambda: total / asyncio.run(_ours(chunks, total)), lambda: len(few) / _theirs(few)
    )
    return [
        Figure(
            "events decoded and stored",
            ours,
            "events/s",
            theirs,
            "kr8s objects in a dict",
            aim=AIM,
            aim_for="ratio",
            details={"microseconds_an_event": 1e6 / ours},
        )
    ]


async def _ours(chunks: dict[str, list[bytes]], total: int) -> float:
    countdown = wiring.Countdown(total)
    return await wiring.feed(wiring.parts_on(wiring.in_memory(chunks), countdown), countdown)


def _theirs(lines: list[bytes]) -> float:
    kept: dict[str, Any] = {}
    began = time.process_time()
    peer.keep(lines, kept)
    return time.process_time() - began
