"""What stands behind the shim: the clusters of `devcluster real` or of `devcluster kind`, and our own images.

Owns: handing them over in the shim's terms, which real clusters are up. Never: speaks kind's command line.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from devcluster import images, kind
from devcluster.programs import BuildError
from devcluster.real import record
from devcluster.real.cluster import RealCluster
from devcluster.real.errors import ClusterError
from devcluster.real.layout import Layout
from devcluster.shim.commands import Clusters, ShimError, Told, tell

ERRORS = (ShimError, ClusterError, kind.KindError, BuildError, images.ImageError, ValueError, OSError)


def real() -> Clusters:
    """The real clusters of this machine."""
    return Clusters(RealCluster, _real_names_up, archive, ERRORS)


def in_docker(home: Path = kind.HOME) -> Clusters:
    """Clusters of kind, with the node that `devcluster kind` gives them and not kind's own."""
    return Clusters(
        lambda name: kind.KindCluster(name, kind.Programs.found(tell), home),
        lambda: kind.names_up(kind.Programs.found(tell)),
        archive,
        ERRORS,
    )


def archive(reference: str, told: Told) -> Path:
    """The tar of one of our images, by any of its references; ShimError if it is not ours."""
    for name in images.NAMES:
        if reference in images.references(name):
            return images.archive(name, told)
    known = ", ".join(images.reference(name) for name in images.NAMES)
    raise ShimError(
        f"{reference} is no image of ours ({known}). Load others from a tar: load image-archive FILE"
    )


def _real_names_up() -> Sequence[str]:
    """The clusters whose `up` came to its end and of which something runs: those that `up` refuses."""
    names = sorted(path.parent.name for path in Layout("any").runs.glob("*/cluster.json"))
    return [name for name in names if _is_up(name)]


def _is_up(name: str) -> bool:
    kept = record.load(Layout(name))
    if kept is None or not kept.complete:
        return False
    with contextlib.suppress(ClusterError):
        return any(component.alive for component in RealCluster(name).status().components)
    return False
