"""Images for a cluster that has no registry: ours, as archives that containerd and kind import."""

from devcluster.images.build import NAMES, archive, reference, references
from devcluster.images.running import ImageError

__all__ = ["NAMES", "ImageError", "archive", "reference", "references"]
