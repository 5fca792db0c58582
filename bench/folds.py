"""Megabytes of a transcript folded per second, beside decoding each of its lines with json and no more.

And what a log of a gigabyte leaves in memory: its lines are made as they are folded.
"""

import json
import os
import time
from pathlib import Path
from typing import Final

from bench import transcripts
from bench.figure import Figure, Progress, Size, in_turns
from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE

BATCH: Final = 32
"""Lines after which it is asked for news, as a reader does after each batch. All of it is said every 20 s."""
_PASSES: Final = 3
_MEGABYTE: Final = 1e6
_AIM_MB_A_SECOND: Final = 150.0
_AIM_MIB: Final = 16.0


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
    return [
        Figure(
            "log folded",
            ours,
            "MB/s",
            theirs,
            "json.loads of each line",
            aim=_AIM_MB_A_SECOND,
            details=details,
        ),
        _long_log(lines, size.log_megabytes, progress),
    ]


def _long_log(lines: list[tuple[int, bytes]], megabytes: int, progress: Progress) -> Figure:
    """Memory that a long log takes: one session of ever new messages, calls and lines."""
    progress(f"a log of {megabytes} MB")
    fold = fold_for(OUTPUT_CLAUDE)
    fed, times, before = 0, 0, _resident()
    most = before
    while fed < megabytes * _MEGABYTE:
        times += 1
        for at, line in lines:
            other = line.replace(b"toolu_", b"toolu_%d_" % times).replace(b"msg_", b"msg_%d_" % times)
            fold.feed(at + times, other)
            fed += len(other)
        fold.seen()
        most = max(most, _resident())
    details = {"before_mib": before, "most_mib": most, "turns": float(fold.seen().turns)}
    measure = f"memory of a log of {megabytes} MB"
    return Figure(measure, most - before, "MiB", more_is_better=False, aim=_AIM_MIB, details=details)


def _resident() -> float:
    """MiB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _ours(lines: list[tuple[int, bytes]]) -> float:
    began = time.process_time()
    for _ in range(_PASSES):
        fold = fold_for(OUTPUT_CLAUDE)
        for number, (at, line) in enumerate(lines):
            fold.feed(at, line)
            if number % BATCH == 0:
                fold.standing()
        fold.seen()
    return time.process_time() - began


def _theirs(lines: list[tuple[int, bytes]]) -> float:
    began = time.process_time()
    for _ in range(_PASSES):
        for _at, line in lines:
            json.loads(line)
    return time.process_time() - began
