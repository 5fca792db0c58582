"""The commands of the fake cluster: `devcluster fake up`.

Owns: its arguments, what it prints, its end on a signal.
"""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.fake import faults
from devcluster.fake.cluster import FakeCluster, Options

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DEFAULT_KUBECONFIG = Path(".devcluster/fake/kubeconfig")
HISTORY_LIMIT = 20_000
DESCRIPTION = """An API server, a Job controller and a kubelet in one process. Containers are local processes:
command and args run on this machine, with this user's rights. What it does not model it refuses with 501."""
EXAMPLES = """examples:
  python -m devcluster fake up
  python -m devcluster fake up --port 8001 --kubeconfig /tmp/kubeconfig
  python -m devcluster fake up --faults '{"close_watches_every": 5, "latency_ms": 50}'

then, in another terminal:
  export KUBECONFIG=.devcluster/fake/kubeconfig
  kubectl create -f job.yaml
  kubectl get jobs,pods
  kubectl logs -f job/NAME

fault switches of a running cluster (PUT sets all; what is not named is off):
  curl URL/devcluster/faults
  curl -X PUT URL/devcluster/faults -d '{"refusals": [{"status": 429, "share": 0.2, "retry_after": 1}]}'
  curl -X POST URL/devcluster/compact        (also: close-watches, cut-watches, cut-logs)
"""


def add_commands(kinds: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `fake` and what belongs to it."""
    shape = argparse.RawDescriptionHelpFormatter
    kind = kinds.add_parser(
        "fake",
        help="in one process, ready at once",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=shape,
    )
    verbs = kind.add_subparsers(title="commands", dest="verb", required=True)
    up = verbs.add_parser(
        "up", help="serve until Ctrl-C", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=shape
    )
    up.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    up.add_argument(
        "--kubeconfig", type=Path, default=DEFAULT_KUBECONFIG, help="where to write it (default: %(default)s)"
    )
    up.add_argument(
        "--faults", type=_faults, default=None, metavar="JSON", help="fault switches to start with"
    )
    up.add_argument(
        "--ready-file", type=Path, default=None, help="written with the URL once the cluster serves"
    )
    up.add_argument(
        "--image", action="append", default=[], help="an image that is already on the node (repeatable)"
    )
    up.add_argument("--no-kubelet", action="store_true", help="pods stay Pending")
    up.set_defaults(run=_up)


def _faults(text: str) -> faults.Faults:
    try:
        return faults.from_json(text)
    except Exception as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _up(given: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(given))
    return 0


async def _serve(given: argparse.Namespace) -> None:
    options = Options(history_limit=HISTORY_LIMIT, images=frozenset(given.image))
    stop = asyncio.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    async with FakeCluster(given.port, kubelet=not given.no_kubelet, options=options) as cluster:
        if given.faults is not None:
            cluster.faults.replace(given.faults)
        print("\n".join(_greeting(cluster.url, cluster.write_kubeconfig(given.kubeconfig))), flush=True)
        if given.ready_file is not None:
            given.ready_file.write_text(f"{cluster.url}\n")
        await _until(stop, cluster)
    if given.ready_file is not None:
        given.ready_file.unlink(missing_ok=True)


async def _until(stop: asyncio.Event, cluster: FakeCluster) -> None:
    """Asked to stop, or failed: then the failure is raised."""
    stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(cluster.wait_failed())
    done, _ = await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if failed in done:
        failed.result()
    failed.cancel()


def _greeting(url: str, kubeconfig: Path) -> Sequence[str]:
    return (
        f"fake cluster at {url}",
        f"  export KUBECONFIG={kubeconfig.absolute()}",
        "  kubectl get jobs,pods --watch",
        f"  curl {url}/devcluster/faults",
        "Ctrl-C ends it, and every process it started.",
    )
