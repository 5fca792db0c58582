"""A real Kubernetes where Docker is: the same commands as `devcluster real`, driven through kind."""

from devcluster.kind.cluster import HOME, KindCluster, Status, names_up
from devcluster.kind.programs import KindError, Programs

__all__ = ["HOME", "KindCluster", "KindError", "Programs", "Status", "names_up"]
