"""The scenarios, by what they are about; importing this package registers all of them.

Owns: the choice by name. What they do and expect stands in the modules of this package.
"""

from collections.abc import Sequence

from devcluster.conformance.scenario import ALL, Scenario
from devcluster.conformance.scenarios import (
    access,
    changes,
    containers,
    held_up,
    job_counts,
    job_deletion,
    job_ends,
    job_suspension,
    jobs,
    lists,
    logs,
    objects,
    ownership,
    pod_ends,
    pod_starts,
    pods,
    told,
    versions,
    watches,
    writes,
)

__all__ = [
    "access",
    "changes",
    "chosen",
    "containers",
    "held_up",
    "job_counts",
    "job_deletion",
    "job_ends",
    "job_suspension",
    "jobs",
    "lists",
    "logs",
    "objects",
    "ownership",
    "pod_ends",
    "pod_starts",
    "pods",
    "told",
    "versions",
    "watches",
    "writes",
]


def chosen(names: Sequence[str] = ()) -> list[Scenario]:
    """All scenarios, or those named. LookupError if one is unknown."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise LookupError(f"no scenario {', '.join(unknown)}; --list says which there are")
    return [scenario for name, scenario in ALL.items() if not names or name in names]
