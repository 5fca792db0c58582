"""What is remembered of a cluster while it exists.

Owns: reading and writing the cluster's record. Never: decides what it means.
"""

import json
from dataclasses import asdict, dataclass

from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout


@dataclass(frozen=True, slots=True)
class Record:
    """Which index it has, since when (seconds since 1970), and whether its `up` came to the end."""

    index: int
    since: float
    complete: bool

    @property
    def addresses(self) -> Addresses:
        """Its addresses."""
        return Addresses(self.index)


def load(layout: Layout) -> Record | None:
    """The record; None when there is none that can be read."""
    try:
        return Record(**json.loads(layout.cluster_record.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save(layout: Layout, record: Record) -> None:
    """Write it; it appears whole."""
    draft = layout.cluster_record.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(record)))
    draft.replace(layout.cluster_record)
