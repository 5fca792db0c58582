"""The cgroup that holds all pods of a cluster, in every hierarchy of this machine.

Owns: making it, listing and removing it, in version 1 (also beside a version 2 without controllers) and 2.
Never: sets a limit; that is the kubelet's.
"""

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devcluster.real import mounts
from devcluster.real.errors import ClusterError
from devcluster.real.mounts import Mount

NEEDED = ("cpu", "cpuset", "memory", "pids")
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")  # empty in a new group, which then can hold no process
POLL = 0.02


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where this machine's hierarchies are mounted."""

    version1: tuple[Mount, ...]
    version2: Path | None

    @property
    def roots(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(mount.place for mount in self.version1) + ((self.version2,) if self.version2 else ())


def hierarchies(present: Iterable[Mount]) -> Hierarchies:
    """Those among the mounts of a machine."""
    found = list(present)
    version2 = [mount.place for mount in found if mount.kind == "cgroup2"]
    return Hierarchies(
        tuple(mount for mount in found if mount.kind == "cgroup"), version2[0] if version2 else None
    )


def missing(found: Hierarchies) -> list[str]:
    """The controllers that the kubelet needs and this machine does not offer."""
    if found.version1:
        offered = {option for mount in found.version1 for option in mount.options}
    elif found.version2:
        offered = set((found.version2 / "cgroup.controllers").read_text().split())
    else:
        offered = set()
    return [name for name in NEEDED if name not in offered]


def create(name: str) -> None:
    """The group in every hierarchy; ClusterError when a controller is missing."""
    found = hierarchies(mounts.present())
    if lacking := missing(found):
        raise ClusterError(
            f"this machine offers no cgroup controller {', '.join(lacking)}; inside a container, "
            "start that with --privileged and --cgroupns=host"
        )
    try:
        _make(found, name)
    except OSError as error:
        raise ClusterError(
            f"cannot make the cgroup {name}: {error.strerror} ({error.filename}); inside a container, "
            "start that with --privileged and --cgroupns=host"
        ) from error


def _make(found: Hierarchies, name: str) -> None:
    for mount in found.version1:
        group = mount.place / name
        group.mkdir(exist_ok=True)
        if "cpuset" in mount.options:
            for file in CPUSET_FILES:
                (group / file).write_text((mount.place / file).read_text())
    if found.version2:
        if not found.version1:
            _delegate(found.version2)
        (found.version2 / name).mkdir(exist_ok=True)


def _delegate(root: Path) -> None:
    """Let groups below the root of version 2 use its controllers."""
    wanted = " ".join(f"+{name}" for name in (root / "cgroup.controllers").read_text().split())
    try:
        (root / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        raise ClusterError(
            f"cannot enable cgroup controllers in {root}: {error.strerror}; inside a container, start that "
            "with --privileged and --cgroupns=host"
        ) from error


def groups(name: str) -> list[Path]:
    """The group and all below it, in every hierarchy, the innermost first."""
    tops = [root / name for root in hierarchies(mounts.present()).roots]
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def members(name: str) -> set[int]:
    """The pids of all processes in it."""
    pids: set[int] = set()
    for group in groups(name):
        with contextlib.suppress(OSError):
            pids.update(map(int, (group / "cgroup.procs").read_text().split()))
    return pids


def remove(name: str, seconds: float) -> list[Path]:
    """Remove it; what is still there after `seconds`, because a process in it has not ended."""
    until = time.monotonic() + seconds
    while left := groups(name):
        for group in left:
            with contextlib.suppress(OSError):
                group.rmdir()
        if time.monotonic() > until:
            return groups(name)
        time.sleep(POLL)
    return []
