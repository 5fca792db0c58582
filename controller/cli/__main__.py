"""The command line of `runherd`: arguments, errors for people, exit codes.

Exit codes: 0 it was shown, 1 there is no such run or it can't be read, 2 for wrong arguments or settings.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from controller import VERSION, settings
from controller.cli import outline, page, terminal
from controller.cli.record import NotFoundError, Records
from controller.core.contract import TERMINAL
from controller.core.model import Job
from controller.core.spantree import SpanTree
from controller.kube import errors
from controller.kube.api import Kube

_TRACE: Final = """\
Draws the trace of a run, as it was or will be sent: from the run's Job and its pod's log, with the rights of
your kubeconfig. No controller and no collector is needed. Of a run that is not over it is what is known."""
_EXAMPLES: Final = """\
examples:
  runherd trace fix-the-build-7 -n agents        by the name of its Job
  runherd trace 3f1c0e5a-...                     by its run id, Job's uid or trace id, in all namespaces
  runherd trace run-7 --html run-7.html          a page for a browser: waterfall, costs, tools, errors
  runherd trace run-7 --json | jq '.spans[] | select(.error != null) | .name'

RUNHERD_LABEL_DOMAIN, RUNHERD_TRACE_SERVICE_NAME and RUNHERD_CLUSTER_NAME have to be the controller's.
exit codes: 0 it was shown, 1 there is no such run or it can't be read, 2 for wrong arguments or settings
"""


def main(arguments: list[str] | None = None) -> int:
    """One command; its exit code."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads it may have seen enough
    given = _parser().parse_args(arguments)
    try:
        chosen = settings.load()
        return asyncio.run(_show(given, chosen))
    except settings.WrongSettings as error:
        return _failed(f"these settings are wrong:\n{error}", 2)
    except (NotFoundError, errors.KubeError) as error:
        return _failed(str(error), 1)
    except OSError as error:
        return _failed(f"can't write the page: {error}", 1)
    except KeyboardInterrupt:
        return 130


def _failed(why: str, code: int) -> int:
    sys.stderr.write(f"runherd: {why}\n")
    return code


async def _show(given: argparse.Namespace, chosen: settings.Settings) -> int:
    kube = await Kube.connect()
    try:
        records = Records(kube, chosen.policy(tracing=True), given.namespace)
        job = await records.find(given.run)
        tree = await records.trace(job)
    finally:
        await kube.aclose()
    live = job.phase not in TERMINAL
    if given.json:
        said = {"live": live, "phase": job.phase} | outline.document(tree)
        sys.stdout.write(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    elif given.html:
        _write(given.html, page.page(tree, live=live, drawn=time.time_ns()))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _drawn(job, tree))
    return 0


def _write(where: str, text: str) -> None:
    if where == "-":
        sys.stdout.write(text)
        return
    Path(where).write_text(text, "utf-8", errors="replace")
    sys.stderr.write(f"wrote {where}: open it in a browser\n")


def _drawn(job: Job, tree: SpanTree) -> Iterator[str]:
    """Colours only for a terminal, and only if nobody has said no (https://no-color.org)."""
    colour = sys.stdout.isatty() and not settings.environment().get("NO_COLOR")
    width = shutil.get_terminal_size((160, 24)).columns
    yield from terminal.heading(tree)
    yield ""
    yield from terminal.draw(tree, width, colour=colour)
    if job.phase not in TERMINAL:
        yield ""
        yield f"The run is not over ({job.phase or 'not looked at yet'}): this is what is known so far."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runherd", description="Looks at runs of agents.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    trace = commands.add_parser(
        "trace",
        help="draw the trace of a run",
        description=_TRACE,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trace.add_argument("run", metavar="RUN", help="the name or uid of its Job, its run id, or its trace id")
    trace.add_argument("-n", "--namespace", default="", help="where its Job is (default: anywhere)")
    form = trace.add_mutually_exclusive_group()
    form.add_argument(
        "--html", metavar="FILE", help="write a page for a browser, whole in itself (-: stdout)"
    )
    form.add_argument("--json", action="store_true", help="for scripts: the spans, with all that they say")
    return parser


if __name__ == "__main__":
    sys.exit(main())
