"""`python -m bench`: runs the measures that are named, or all, and shows what came out. Judges nothing."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console

from bench import events, exports, folds, latency, machine, memory, plans, report, streams, traces
from bench.figure import FULL, QUICK, Figure, Progress, Size

Measure = Callable[[Size, Progress], list[Figure]]
MEASURES: Final[Mapping[str, Measure]] = {
    "events": events.measure,
    "streams": streams.measure,
    "memory": memory.measure,
    "plans": plans.measure,
    "folds": folds.measure,
    "traces": traces.measure,
    "exports": exports.measure,
    "latency": latency.measure,
}
_HELP: Final = """\
Measures speed and memory beside what one would write with kr8s or the standard library alone, in one run.
Only ratios can be compared between machines. A figure that misses its aim is told, and is no error.
"""
_EXAMPLES: Final = """\
measures:
  events    watch events decoded and stored, in memory        memory    of a tracked run
  streams   the same over a socket                            folds     log lines folded
  plans     reconcile() on slots of several kinds             traces    spans built and encoded
  exports   CPU of a run with its trace and without, bytes of a trace
  latency   event to annotation, how soon the next in line starts, cost of a run, bursts

examples:
  python -m bench                        all, about a minute
  python -m bench --quick                all, on less: seconds, and noisier
  python -m bench events memory          these
  python -m bench --json > figures.json  for programs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 whatever the figures are, 1 if a measure broke, 2 if there is none of that name."""
    asked = _parser().parse_args(arguments)
    unknown = [name for name in asked.names if name not in MEASURES]
    if unknown:
        print(f"no such measure: {', '.join(unknown)}; there are: {', '.join(MEASURES)}", file=sys.stderr)
        return 2
    console, size = Console(), QUICK if asked.quick else FULL
    names = asked.names or list(MEASURES)
    found = dict(_run(names, size))
    if asked.json:
        print(report.as_json(found, machine.described()))
    else:
        report.show([figure for figures in found.values() for figure in figures], console, machine.line())
    return 0 if len(found) == len(set(names)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="measures to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="on less: noisier, but done in seconds")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else, on stdout")
    return parser


def _run(names: Sequence[str], size: Size) -> Iterator[tuple[str, list[Figure]]]:
    """Each measure with its figures; one that breaks is told, and the others go on."""
    for name in names:
        try:
            with _shown(name) as progress:
                yield name, MEASURES[name](size, progress)
        except Exception:  # noqa: BLE001 — whatever broke it, the others can still be measured
            print(f"{name} broke:\n{traceback.format_exc()}", file=sys.stderr)


@contextmanager
def _shown(name: str) -> Iterator[Progress]:
    """On stderr: what is being done, and how long it took. On a terminal in one line that moves."""
    console, began = Console(stderr=True), time.monotonic()
    if console.is_terminal:
        with console.status(name) as status:
            yield lambda what: status.update(f"{name}: {what}")
    else:
        yield lambda what: print(f"{name}: {what}", file=sys.stderr, flush=True)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
