"""kind's commands, carried out on clusters of our own.

Owns: kind's manners: answers on stdout, progress on stderr, deleting what is not there succeeds, exit
code 1 for every error. Never: starts a cluster itself; whoever calls brings one (`Clusters`).
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devcluster.shim import kubeconfigs
from devcluster.shim.arguments import parser

VERSION = "kind v0.33.0, spoken by devcluster"
INTERRUPTED = 130  # what a shell makes of Ctrl-C
Told = Callable[[str], None]


class ShimError(Exception):
    """Something that the caller can mend."""


class Cluster(Protocol):
    """What a cluster must be able to do; RealCluster and KindCluster can."""

    @property
    def kubeconfig(self) -> Path:
        """Where its kubeconfig is while it is up."""

    def up(self, told: Told) -> None:
        """Make it, and wait until it is ready."""

    def down(self, told: Told) -> None:
        """Remove it."""

    def load(self, archive: Path) -> None:
        """Put the images of a tar on its node."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Where clusters and images come from."""

    of: Callable[[str], Cluster]
    names_up: Callable[[], Sequence[str]]
    archive: Callable[[str, Told], Path]
    """The tar of an image, by its reference."""
    errors: tuple[type[Exception], ...] = (ShimError, OSError)
    """What these say is meant for people."""


def run(arguments: Sequence[str] | None, clusters: Clusters) -> int:
    """Carry one command out; the exit code."""
    given = parser().parse_args(arguments)
    try:
        COMMANDS[given.command](given, clusters)
    except clusters.errors as error:
        tell(f"ERROR: {error}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted; `delete cluster` removes what there is")
        return INTERRUPTED
    return 0


def tell(line: str) -> None:
    """Progress and errors; stdout is for answers."""
    print(line, file=sys.stderr, flush=True)


def _create(given: argparse.Namespace, clusters: Clusters) -> None:
    if given.name in clusters.names_up():
        raise ShimError(f'there is a cluster with the name "{given.name}" already')
    for option in ("image", "config"):
        if getattr(given, option):
            tell(f"--{option} is not used: the node is as devcluster makes it")
    cluster = clusters.of(given.name)
    cluster.up(tell)
    if given.kubeconfig:
        kubeconfigs.merge(cluster.kubeconfig, Path(given.kubeconfig))
    tell(f"export KUBECONFIG={given.kubeconfig or cluster.kubeconfig}")


def _delete(given: argparse.Namespace, clusters: Clusters) -> None:
    tell(f'Deleting cluster "{given.name}" ...')
    cluster = clusters.of(given.name)
    if given.kubeconfig:
        kubeconfigs.remove(cluster.kubeconfig, Path(given.kubeconfig))
    cluster.down(tell)


def _get_clusters(_: argparse.Namespace, clusters: Clusters) -> None:
    names = clusters.names_up()
    print("".join(f"{name}\n" for name in names), end="")
    if not names:
        tell("No kind clusters found.")


def _get_kubeconfig(given: argparse.Namespace, clusters: Clusters) -> None:
    print(_up(given, clusters).kubeconfig.read_text("utf-8"))


def _load_images(given: argparse.Namespace, clusters: Clusters) -> None:
    cluster = _up(given, clusters)
    for image in given.images:
        cluster.load(clusters.archive(image, tell))


def _load_archives(given: argparse.Namespace, clusters: Clusters) -> None:
    cluster = _up(given, clusters)
    for archive in map(Path, given.archives):
        if not archive.is_file():
            raise ShimError(f"there is no file {archive}")
        cluster.load(archive)


def _up(given: argparse.Namespace, clusters: Clusters) -> Cluster:
    if given.name not in clusters.names_up():
        raise ShimError(
            f'no nodes found for cluster "{given.name}"; make it: create cluster --name={given.name}'
        )
    return clusters.of(given.name)


def _version(_: argparse.Namespace, __: Clusters) -> None:
    print(VERSION)


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Clusters], None]] = {
    "create cluster": _create,
    "delete cluster": _delete,
    "get clusters": _get_clusters,
    "get kubeconfig": _get_kubeconfig,
    "load docker-image": _load_images,
    "load image-archive": _load_archives,
    "version": _version,
}
