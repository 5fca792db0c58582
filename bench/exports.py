"""What traces cost the controller: the same runs with and without them, at the same time, and their size.

Run as `python -m bench.exports RUNS RATE TOOL_CALLS PAUSE` it is the course itself: a collector, and for
each mode a fake cluster with a controller; says on stdout, in one JSON, what each took.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
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
_DONE_SECONDS: Final = 150.0
_SETTLE_SECONDS: Final = 3.0
TOOL_CALLS: Final = 40
"""Of a run: about ninety spans."""
PAUSE_SECONDS: Final = 0.5
"""Between two lines of a log: a run takes a minute, which is short for so much."""
_WARM_PAUSE_SECONDS: Final = 0.01
_SCRIPT: Final = """
import sys, time
for line in open(sys.argv[1]):
    print(line, end="", flush=True)
    time.sleep(float(sys.argv[2]))
"""
"""An agent says one thing after the other: each line is news by itself."""


def measure(size: Size, progress: Progress) -> list[Figure]:
    progress(
        f"{size.steady} runs of {TOOL_CALLS} tool calls in a minute, with traces, live ones, and without"
    )
    course = (str(size.steady), str(size.rate), str(TOOL_CALLS), str(PAUSE_SECONDS))
    with processes.started("bench.exports", *course) as lines:
        told = processes.said(lines)
    off, end, live = (told["cpu_ms"][mode] for mode in MODES)
    details = {"spans": told["spans"], "bytes": told["bytes"], "runs": size.steady}
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


async def play(runs: int, rate: float, tool_calls: int, pause: float) -> dict[str, Any]:
    """CPU of a run in milliseconds, by mode; spans and bytes of a run's trace."""
    with tempfile.TemporaryDirectory() as folder:
        said = _session(Path(folder), tool_calls)
        async with OtlpSink() as sink, AsyncExitStack() as stack:
            lives = [await stack.enter_async_context(_life(mode, Path(folder), sink)) for mode in MODES]
            await asyncio.gather(*(_warm(life, rate, said) for life in lives))
            # All at once: what else the machine does, it does to all of them.
            course = (runs, rate, [*said, str(pause)])
            costs = await asyncio.gather(*(life.play("run", course) for life in lives))
            sent = [request for request in sink.requests if request.status == 200]
    traces = len({span.trace_id for request in sent for span in request.spans})
    return {
        "cpu_ms": {life.mode: cost / runs for life, cost in zip(lives, costs, strict=True)},
        "spans": sum(len(request.spans) for request in sent) / traces,
        "bytes": sum(len(request.body) for request in sent) / traces,
    }


@dataclass(frozen=True)
class _Life:
    """A controller with a cluster of its own."""

    mode: str
    pid: int
    cluster: FakeCluster
    commits: Commits

    async def play(self, prefix: str, course: tuple[int, float, list[str]]) -> float:
        """CPU in milliseconds that so many runs took, at a rate, to their result and what comes after it."""
        cpu = stage.cpu_ms(self.pid)
        uids = await workload.submit_steadily(self.cluster, f"{self.mode}-{prefix}", *course)
        await self.cluster.wait(lambda: self.commits.reached(uids, RESULT), _DONE_SECONDS)
        await asyncio.sleep(_SETTLE_SECONDS)  # traces go out, and times to live are given
        return stage.cpu_ms(self.pid) - cpu


@asynccontextmanager
async def _life(mode: str, folder: Path, sink: OtlpSink) -> AsyncGenerator[_Life, None]:
    settings = {"RUNHERD_TRACE_MODE": mode, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
    async with FakeCluster(options=Options()) as cluster:
        cluster.create("namespaces", {"metadata": {"name": NAMESPACE}})
        config = cluster.write_kubeconfig(folder / f"kubeconfig-{mode}")
        async with stage.controller(config, folder / f"log-{mode}", **settings) as process:
            await cluster.wait(lambda: stage.is_led(cluster), _DONE_SECONDS)
            yield _Life(mode, process.pid, cluster, Commits(cluster))


async def _warm(life: _Life, rate: float, said: list[str]) -> None:
    await life.play("warm", (WARM_RUNS, rate, [*said, str(_WARM_PAUSE_SECONDS)]))


def _session(folder: Path, tool_calls: int) -> list[str]:
    """A command that says a session, but for the seconds between its lines."""
    said = folder / "said.jsonl"
    said.write_bytes(b"\n".join(line for _, line in transcripts.lines(tool_calls)) + b"\n")
    return [sys.executable, "-S", "-c", _SCRIPT, str(said)]


def main() -> None:
    """As the command line says."""
    runs, rate, tool_calls, pause = sys.argv[1:]
    found = asyncio.run(play(int(runs), float(rate), int(tool_calls), float(pause)))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
