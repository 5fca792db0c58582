"""The commands of the real cluster: `devcluster real up`, and what is done with it.

Owns: their arguments, what they print, their exit codes.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster import images, programs
from devcluster.real import components, status
from devcluster.real.cluster import RealCluster
from devcluster.real.errors import ClusterError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DEFAULT_NAME = "runherd"
INTERRUPTED = 130  # what a shell makes of Ctrl-C
DESCRIPTION = """etcd, API server, controller manager, scheduler and kubelet, with containerd and real
containers, in a network namespace of its own. Needs root and Linux; the first time also Go (about 5
minutes to build) and apt. There is no DNS, and no service but `kubernetes` has a working address."""
EXAMPLES = """examples:
  python -m devcluster real up
  export KUBECONFIG=$(python -m devcluster real kubeconfig)
  python -m devcluster real load busybox ./my-image.tar
  python -m devcluster real restart kube-apiserver --kill
  python -m devcluster real status --json
  python -m devcluster real down

several at once:
  python -m devcluster real up --name other
"""


def add_commands(kinds: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `real` and what belongs to it."""
    shape = argparse.RawDescriptionHelpFormatter
    kind = kinds.add_parser(
        "real",
        help="a real node with real containers, in seconds; needs root",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=shape,
    )
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=DEFAULT_NAME, help="which cluster (default: %(default)s)")
    verbs = kind.add_subparsers(title="commands", dest="verb", required=True)

    def add(verb: str, about: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            verb, help=about, description=about, epilog=EXAMPLES, formatter_class=shape, parents=[named]
        )

    add("up", "start it, with the images pause and busybox").set_defaults(run=_run, act=_up)
    add("down", "remove it and everything it brought").set_defaults(run=_run, act=_down)
    shown = add("status", "how it is doing; exit code 1 unless all of it works")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.set_defaults(run=_run, act=_status)
    add("kubeconfig", "the path of the administrator's kubeconfig").set_defaults(run=_run, act=_kubeconfig)
    load = add("load", "import images")
    load.add_argument(
        "image",
        nargs="+",
        metavar="IMAGE",
        help=f"the path of an OCI archive, or one of {', '.join(images.NAMES)}",
    )
    load.set_defaults(run=_run, act=_load)
    restart = add("restart", "restart a component; pods run on")
    restart.add_argument(
        "component", choices=components.NAMES, metavar="COMPONENT", help=", ".join(components.NAMES)
    )
    restart.add_argument("--kill", action="store_true", help="with SIGKILL, as a crash would end it")
    restart.set_defaults(run=_run, act=_restart)


def _run(given: argparse.Namespace) -> int:
    try:
        code: int = given.act(RealCluster(given.name), given)
    except (ClusterError, programs.BuildError, images.ImageError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; `{_command('down', given.name)}` removes what there is", file=sys.stderr)
        return INTERRUPTED
    return code


def _command(verb: str, name: str) -> str:
    return f"python -m devcluster real {verb}" + ("" if name == DEFAULT_NAME else f" --name {name}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _up(cluster: RealCluster, _: argparse.Namespace) -> int:
    cluster.up(_tell)
    print(f"  export KUBECONFIG={cluster.kubeconfig}")
    print("  $(python -m devcluster program kubectl) get nodes,pods --all-namespaces")
    print(f"  {_command('status|load|restart|down', cluster.name)}")
    return 0


def _down(cluster: RealCluster, _: argparse.Namespace) -> int:
    cluster.down(_tell)
    return 0


def _status(cluster: RealCluster, given: argparse.Namespace) -> int:
    seen = cluster.status()
    if given.json:
        print(json.dumps(dataclasses.asdict(seen), indent=2))
    else:
        print("\n".join(status.lines(seen)))
    return 0 if seen.up else 1


def _kubeconfig(cluster: RealCluster, _: argparse.Namespace) -> int:
    cluster.require()
    print(cluster.kubeconfig)
    return 0


def _load(cluster: RealCluster, given: argparse.Namespace) -> int:
    for image in given.image:
        path = images.archive(image, _tell) if image in images.NAMES else Path(image)
        _tell(f"importing {path} …")
        cluster.load(path)
    return 0


def _restart(cluster: RealCluster, given: argparse.Namespace) -> int:
    started = time.monotonic()
    _tell(f"restarting {given.component} of {cluster.name} …")
    cluster.restart(given.component, kill=given.kill)
    _tell(f"{given.component} is healthy again after {time.monotonic() - started:.1f} s")
    return 0
