"""Megabytes of a transcript folded per second, beside decoding each of its lines with json and no more."""

import json
import time
from typing import Final

from bench import transcripts
from bench.figure import Figure, Progress, Size, in_turns
from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE

BATCH: Final = 32
"""Lines after which a reader looks what is concluded, as the follower does after each read."""
_PASSES: Final = 3
_MEGABYTE: Final = 1e6


def measure(size: Size, progress: Progress) -> list[Figure]:
    lines = transcripts.lines(size.tool_calls)
    megabytes = sum(len(line) for _, line in lines) / _MEGABYTE
    progress(f"a transcript of {len(lines)} lines, {megabytes:.1f} MB")
    ours, theirs = in_turns(
        size.rounds,
        lambda: _PASSES * megabytes / _ours(lines),
        lambda: _PASSES * megabytes / _theirs(lines),
    )
    details = {"lines_a_second": ours / megabytes * len(lines), "megabytes": megabytes, "lines": len(lines)}
    return [Figure("log folded", ours, "MB/s", theirs, "json.loads of each line", details=details)]


def _ours(lines: list[tuple[int, bytes]]) -> float:
    began = time.process_time()
    for _ in range(_PASSES):
        fold = fold_for(OUTPUT_CLAUDE)
        for number, (at, line) in enumerate(lines):
            fold.feed(at, line)
            if number % BATCH == 0:
                fold.seen()
        fold.seen()
    return time.process_time() - began


def _theirs(lines: list[tuple[int, bytes]]) -> float:
    began = time.process_time()
    for _ in range(_PASSES):
        for _at, line in lines:
            json.loads(line)
    return time.process_time() - began
