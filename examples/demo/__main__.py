"""`python -m examples.demo`: the command line, errors for people, exit codes.

Exit codes: 0 every run ended as expected, 1 one did not, 2 the demo could not be played, 130 after Ctrl-C.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from examples.demo import ending
from examples.demo.cluster import FAKE, KINDS
from examples.demo.ending import Ending
from examples.demo.play import LOG, Wish, play
from examples.demo.trouble import Trouble

DESCRIPTION: Final = """\
Plays fourteen runs of six agents: successes, an API that is overloaded, an agent that runs out of turns, out
of memory, is terminated, has no image, has to wait, or may not; a host that has lost sight of its run, and
one that cancels. Shows how the controller looks after them, and checks it.
The agents are transcripts, recorded from the real Claude Code and OpenCode, and played back; no model is
called."""
EXAMPLES: Final = """\
examples:
  python -m examples.demo                      on a fake cluster in this process; nothing else is needed
  python -m examples.demo --keep               the same, and it stays up until Ctrl-C
  CLUSTER=real python -m examples.demo         on a real Kubernetes on this machine (as root; the first time
                                               it is built, which takes minutes)
  CLUSTER=current python -m examples.demo      on the cluster of KUBECONFIG, in the namespace runherd-demo;
                                               the Jobs are removed afterwards, the namespace stays
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python -m examples.demo
                                               traces go to your collector instead of into the terminal
  JAEGER=1 python -m examples.demo             traces go to a Jaeger of its own (the first time it is built,
                                               which takes minutes), which stays up until Ctrl-C
  python -m examples.demo --json | jq .ok      the results for scripts, nothing else on stdout

On CLUSTER=current no other runherd may watch the namespace runherd-demo: both would act.
exit codes: 0 every run ended as expected, 1 one did not, 2 the demo could not be played, 130 after Ctrl-C
"""
PLAIN_WIDTH: Final = 160
DAY: Final = 86400.0


def main() -> int:
    """One demo; the exit code."""
    parser = _parser()
    given = parser.parse_args()
    if given.cluster not in KINDS:  # argparse believes a default, which the environment gave
        parser.error(f"CLUSTER={given.cluster}: there is {', '.join(KINDS)} (or nothing: {FAKE})")
    folder = Path(tempfile.mkdtemp(prefix="runherd-demo-"))
    # The fake cluster's files, and the keys that kr8s copies from a kubeconfig, go when the folder goes.
    tempfile.tempdir = str(folder)
    code = 2
    try:
        code = 0 if asyncio.run(_play(given, folder)) else 1
    except Trouble as trouble:
        sys.stderr.write(f"The demo could not be played.\n{trouble}\n")
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 130
        sys.stderr.write("Stopped. What the demo had started has been ended.\n")
    finally:
        _tidy(folder, keep_log=code in (1, 2))
    return code


async def _play(given: argparse.Namespace, folder: Path) -> bool:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # as Ctrl-C
    console = _console(quiet=given.json)

    def told(end: Ending) -> None:
        if given.json:
            print(json.dumps(ending.as_json(end), indent=2, ensure_ascii=False), flush=True)
            return
        ending.show(console, end)
        ending.show_next(console, end, kept=keep)

    # What a person wants to look at in Jaeger has to stay; a script would wait for ever.
    keep = given.keep or (given.jaeger and console.is_terminal and not given.json)
    return await play(Wish(given.cluster, keep, given.jaeger, given.timeout), console, folder, told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cluster",
        choices=KINDS,
        default=os.environ.get("CLUSTER") or FAKE,
        help="where to play; also the variable CLUSTER (default: fake)",
    )
    parser.add_argument(
        "--jaeger",
        action="store_true",
        default=os.environ.get("JAEGER", "0") not in ("", "0"),
        help="start a Jaeger and send the traces to it; also the variable JAEGER=1",
    )
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="how long the runs may take")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--keep", action="store_true", help="keep everything up until Ctrl-C")
    shown.add_argument("--json", action="store_true", help="print the results as JSON, and nothing else")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= DAY:
        raise ValueError(text)
    return seconds


def _console(*, quiet: bool) -> Console:
    """Where there is no terminal, wide: nothing is cut that a log could show."""
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(quiet=quiet, width=PLAIN_WIDTH)


def _tidy(folder: Path, *, keep_log: bool) -> None:
    """Removes all of the demo's files, but the controller's log if something was wrong."""
    log = folder / LOG
    if not keep_log or not log.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != log:
            path.unlink()
    sys.stderr.write(f"The controller's log: {log}\n")


if __name__ == "__main__":
    sys.exit(main())
