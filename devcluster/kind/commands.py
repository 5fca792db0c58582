"""The commands of a cluster of kind: `devcluster kind up`, and what is done with it.

Owns: their arguments, what they print, their exit codes. Never: knows how kind is called.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster import images, programs
from devcluster.kind.cluster import COMPONENTS, HOME, KindCluster
from devcluster.kind.programs import KindError, Programs, Told

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DEFAULT_NAME = "runherd"
INTERRUPTED = 130  # what a shell makes of Ctrl-C
DESCRIPTION = """A Kubernetes whose node is a container of Docker, made by kind. The commands are those of
`devcluster real`; the node has only what was loaded onto it, and pulls the rest."""
EXAMPLES = """examples:
  python -m devcluster kind up
  export KUBECONFIG=$(python -m devcluster kind kubeconfig)
  python -m devcluster kind load busybox controller ./my-image.tar
  python -m devcluster kind restart kube-apiserver --kill
  python -m devcluster kind status --json
  python -m devcluster kind down

several at once:
  python -m devcluster kind up --name other
"""
Find = Callable[[Told], Programs]
Act = Callable[[KindCluster, argparse.Namespace], int]


def add_commands(
    kinds: "_SubParsersAction[argparse.ArgumentParser]", find: Find = Programs.found, home: Path = HOME
) -> None:
    """Add `kind` and what belongs to it; `find` finds the programs once a command is run."""
    shape = argparse.RawDescriptionHelpFormatter
    kind = kinds.add_parser(
        "kind",
        help="a real node in a container; needs Docker",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=shape,
    )
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=DEFAULT_NAME, help="which cluster (default: %(default)s)")
    verbs = kind.add_subparsers(title="commands", dest="verb", required=True)

    def add(verb: str, about: str, act: Act) -> argparse.ArgumentParser:
        parser = verbs.add_parser(
            verb, help=about, description=about, epilog=EXAMPLES, formatter_class=shape, parents=[named]
        )
        parser.set_defaults(run=lambda given: _run(given, act, find, home))
        return parser

    add("up", "make it; the first time the image of its node is fetched", _up)
    add("down", "remove it and all that is in it", _down)
    add("kubeconfig", "the path of the administrator's kubeconfig", _kubeconfig)
    status = add("status", "how it is doing; exit code 1 unless it is up", _status)
    status.add_argument("--json", action="store_true", help="for programs")
    load = add("load", "import images", _load)
    of_ours = ", ".join(images.NAMES)
    load.add_argument("image", nargs="+", metavar="IMAGE", help=f"the path of a tar, or one of {of_ours}")
    restart = add("restart", "restart a component; pods run on", _restart)
    restart.add_argument("component", choices=COMPONENTS, metavar="COMPONENT", help=", ".join(COMPONENTS))
    restart.add_argument("--kill", action="store_true", help="with SIGKILL, as a crash would end it")


def _run(given: argparse.Namespace, act: Act, find: Find, home: Path) -> int:
    try:
        return act(KindCluster(given.name, find(_tell), home), given)
    except (KindError, programs.BuildError, images.ImageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; `python -m devcluster kind down` removes what there is", file=sys.stderr)
        return INTERRUPTED


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _up(cluster: KindCluster, _: argparse.Namespace) -> int:
    started = time.monotonic()
    cluster.up(_tell)
    _tell(f"{cluster.name} is up after {time.monotonic() - started:.0f} s")
    print(f"  export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _down(cluster: KindCluster, _: argparse.Namespace) -> int:
    cluster.down(_tell)
    return 0


def _kubeconfig(cluster: KindCluster, _: argparse.Namespace) -> int:
    print(cluster.write_kubeconfig())
    return 0


def _status(cluster: KindCluster, given: argparse.Namespace) -> int:
    seen = cluster.status()
    if given.json:
        print(json.dumps(dataclasses.asdict(seen), default=str, indent=2))
    else:
        state = "ready" if seen.node_ready else f"not ready, its container is {seen.node}"
        print(f"cluster {seen.name}: node {state}")
        print(f"  host, as pods see  {seen.host_address}")
        print(f"  export KUBECONFIG={seen.kubeconfig}")
    return 0 if seen.node_ready else 1


def _load(cluster: KindCluster, given: argparse.Namespace) -> int:
    for image in given.image:
        path = images.archive(image, _tell) if image in images.NAMES else Path(image)
        _tell(f"importing {path} …")
        cluster.load(path)
    return 0


def _restart(cluster: KindCluster, given: argparse.Namespace) -> int:
    cluster.restart(given.component, kill=given.kill)
    return 0
