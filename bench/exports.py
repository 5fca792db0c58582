"""What traces cost the controller: the same runs with and without them, in turns, and their size.

Run as `python -m bench.exports RUNS RATE ROUNDS TOOL_CALLS` it is the course itself: a fake cluster, a
collector, and a controller for each turn; says on stdout, in one JSON, what each took.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import processes, stage, transcripts, workload
from bench.commits import RESULT, Commits
from bench.figure import Figure, Progress, Size
from bench.shapes import NAMESPACE
from devcluster.fake import FakeCluster, Options
from devcluster.otlp import OtlpSink

AIM_SHARE: Final = 10.0
WARM_RUNS: Final = 3
MODES: Final = ("off", "end", "live")
_DONE_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 1.0
TOOL_CALLS: Final = 40
"""Of a run: about ninety spans, in five seconds."""
ROUNDS_MOST: Final = 2
_SCRIPT: Final = """
import sys, time
for line in open(sys.argv[1]):
    print(line, end="", flush=True)
    time.sleep(0.05)
"""
"""An agent says one thing after the other: each line is news by itself."""


def measure(size: Size, progress: Progress) -> list[Figure]:
    rounds = min(size.rounds, ROUNDS_MOST)
    progress(
        f"{rounds} times {size.steady} runs of {TOOL_CALLS} tool calls with traces, live ones, and without"
    )
    course = (str(size.steady), str(size.rate), str(rounds), str(TOOL_CALLS))
    with processes.started("bench.exports", *course) as lines:
        told = processes.said(lines)
    off, end, live = (median(told["cpu_ms"][mode]) for mode in MODES)
    details = {"spans": told["spans"], "bytes": told["bytes"], "runs": size.steady * rounds}
    return [
        Figure(
            "CPU for a run with its trace", end, "ms", off, "without", more_is_better=False, details=details
        ),
        _share("traces' share of the controller's CPU", end, off),
        _share("the same, told live", live, off),
        Figure("bytes of a run's trace", told["bytes"], "bytes", more_is_better=False, details=details),
    ]


def _share(name: str, traced: float, bare: float) -> Figure:
    """More CPU than without, in percent."""
    more = (traced / bare - 1) * 100
    return Figure(
        name, more, "%", more_is_better=False, aim=AIM_SHARE, details={"ms": traced, "without": bare}
    )


async def play(runs: int, rate: float, rounds: int, tool_calls: int) -> dict[str, Any]:
    """CPU of a run in milliseconds, by mode; spans and bytes of a run's trace."""
    taken: dict[str, list[float]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        script = _script(Path(folder), tool_calls)
        async with FakeCluster(options=Options()) as cluster, OtlpSink() as sink:
            cluster.create("namespaces", {"metadata": {"name": NAMESPACE}})
            config = cluster.write_kubeconfig(Path(folder) / "kubeconfig")
            commits = Commits(cluster)
            for turn in range(rounds):
                for mode in MODES:
                    settings = {"RUNHERD_TRACE_MODE": mode, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
                    async with stage.controller(config, Path(folder) / "log", **settings) as process:
                        await cluster.wait(lambda: stage.is_led(cluster), _DONE_SECONDS)
                        prefix = f"{mode}-{turn}"
                        await _played(cluster, commits, f"{prefix}-warm", (WARM_RUNS, rate, script))
                        cpu = stage.cpu_ms(process.pid)
                        await _played(cluster, commits, prefix, (runs, rate, script))
                        taken[mode].append((stage.cpu_ms(process.pid) - cpu) / runs)
            sent = [request for request in sink.requests if request.status == 200]
    traces = len({span.trace_id for request in sent for span in request.spans})
    return {
        "cpu_ms": taken,
        "spans": sum(len(request.spans) for request in sent) / traces,
        "bytes": sum(len(request.body) for request in sent) / traces,
    }


def _script(folder: Path, tool_calls: int) -> list[str]:
    """A command that says a session."""
    said = folder / "said.jsonl"
    said.write_bytes(b"\n".join(line for _, line in transcripts.lines(tool_calls)) + b"\n")
    return [sys.executable, "-S", "-c", _SCRIPT, str(said)]


async def _played(
    cluster: FakeCluster, commits: Commits, prefix: str, course: tuple[int, float, list[str]]
) -> None:
    uids = await workload.submit_steadily(cluster, prefix, *course)
    await cluster.wait(lambda: commits.reached(uids, RESULT), _DONE_SECONDS)
    await asyncio.sleep(_SETTLE_SECONDS)  # traces go out, and times to live are given


def main() -> None:
    """As the command line says."""
    runs, rate, rounds, tool_calls = sys.argv[1:]
    print(json.dumps(asyncio.run(play(int(runs), float(rate), int(rounds), int(tool_calls)))), flush=True)


if __name__ == "__main__":
    main()
