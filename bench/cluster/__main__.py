"""`python -m bench.cluster`: the command line, progress, exit codes. Judges nothing.

Exit codes: 0 whatever the figures are, 1 what was measured broke, 2 wrong arguments, 130 after Ctrl-C.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from bench import machine, report
from bench.cluster import place
from bench.cluster.client import Trouble, connected
from bench.cluster.course import Amount, played
from bench.figure import Figure

_HELP: Final = """\
Measures the controller on a real control plane: runs a second with and without it, event to annotation beside
one bare PATCH, patches and CPU of a run, admissions in a burst, memory with thousands of runs. The kubelet
is played by a process of the bench. About five minutes; everything is removed at the end.
"""
NOTES: Final = (
    "ratio: how many times better than the baseline of the same run. The controller's CPU: without its idle.",
    "The node is a stand-in; control plane, stand-in, controller and bench share this machine's cores.",
)
_EXAMPLES: Final = """\
examples:
  python -m bench.cluster                        on a cluster of its own, made for it (Linux, root)
  python -m bench.cluster --kubeconfig ~/.kube/config
                                                 on that one, in namespaces of its own; needs cluster-admin,
                                                 and an API server that can reach this machine
  python -m bench.cluster --runs 30              a tenth of everything: noisier, but done in a minute
  python -m bench.cluster --json > figures.json  for programs

A figure that misses its aim is told, and is no error.
exit codes: 0 measured, 1 something broke, 2 wrong arguments, 130 after Ctrl-C
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """One bench; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        found = _everything(asked)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("Stopped. What the bench had made has been removed.\n")
        return 130
    except (Trouble, BaseExceptionGroup) as error:
        if (trouble := _trouble(error)) is None:
            raise
        sys.stderr.write(f"The bench broke: {trouble}\n")
        return 1
    if asked.json:
        print(report.as_json(found, machine.described()))
    else:
        figures = [figure for each in found.values() for figure in each]
        report.show(figures, Console(), machine.line(), NOTES)
    return 0


def _everything(asked: argparse.Namespace) -> dict[str, list[Figure]]:
    if asked.kubeconfig:
        return asyncio.run(_measured(asked.kubeconfig, None, Amount(asked.runs)))
    with place.own(_told) as where:
        return asyncio.run(_measured(where.kubeconfig, where, Amount(asked.runs)))


async def _measured(kubeconfig: str, where: place.Place | None, amount: Amount) -> dict[str, list[Figure]]:
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # as Ctrl-C
    async with connected(kubeconfig) as cluster:
        return await played(cluster, where or place.given(kubeconfig, cluster.server), amount, _told)


def _told(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def _trouble(error: BaseException) -> Trouble | None:
    """What is the matter, however deep in groups."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _trouble(each))), None)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cluster",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="measure on this cluster")
    parser.add_argument(
        "--runs", type=_count, default=300, metavar="N", help="runs of a round (default: 300)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else, on stdout")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 2000:
        raise argparse.ArgumentTypeError(f"{count} is not in 1 to 2000")
    return count


if __name__ == "__main__":
    sys.exit(main())
