"""What all clusters of this machine share: its original state, their indices, one lock.

Owns: what is saved at the first `up` and restored at the last `down`, because kubelet and container runtime
change it for the whole machine. Never: touches what belongs to one cluster alone.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster.real import mounts, runtime
from devcluster.real.layout import Layout

Told = Callable[[str], None]
LOCK = Path("/run/devcluster.lock")
SYSCTLS = (  # the kubelet sets these
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
KUBELET = Path("/var/lib/kubelet")
CONTAINERD = Path("/run/containerd")
NAMESPACES = Path("/run/netns")  # becomes a mount of its own with the first namespace
FOLDERS = (  # made at places that no setting can move
    KUBELET,
    CONTAINERD,
    NAMESPACES,
    Path("/var/lib/cni"),
    Path("/var/log/containers"),
    Path("/opt/containerd"),
)
PROC_SYS = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Originals:
    """How the machine was before the first cluster."""

    sysctls: Mapping[str, str]
    folders: tuple[str, ...]  # those of FOLDERS that were there


@contextlib.contextmanager
def alone(told: Told) -> Iterator[None]:
    """Hold the one lock: only one command at a time changes clusters of this machine."""
    descriptor = os.open(LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told("waiting for another devcluster command on this machine …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def save(layout: Layout) -> None:
    """Remember the machine as it is, unless an earlier cluster already did."""
    record = _record(layout)
    if not record.exists():
        sysctls = {name: (PROC_SYS / name).read_text().strip() for name in SYSCTLS}
        there = tuple(str(folder) for folder in FOLDERS if folder.exists())
        layout.runs.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(asdict(Originals(sysctls, there))))


def restore(layout: Layout) -> list[str]:
    """Put everything back if no cluster is left; what could not be."""
    record = _record(layout)
    if not record.exists() or _clusters(layout):
        return []
    kept = json.loads(record.read_text())
    left = _restore_sysctls(kept["sysctls"])
    for folder in FOLDERS:
        if str(folder) not in kept["folders"]:
            left += _remove_folder(folder)
    record.unlink()
    for own in (layout.runs, layout.states):
        with contextlib.suppress(OSError):
            own.rmdir()
    return left


def indices(layout: Layout) -> set[int]:
    """The indices that clusters of this machine use."""
    taken = set()
    for record in layout.runs.glob("*/cluster.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            taken.add(int(json.loads(record.read_text())["index"]))
    return taken


def _clusters(layout: Layout) -> list[Path]:
    """What clusters have left; the folders of one that is gone are gone."""
    return [each for parent in (layout.runs, layout.states) for each in parent.glob("*/")]


def _record(layout: Layout) -> Path:
    return layout.runs / "machine.json"


def _restore_sysctls(wanted: Mapping[str, str]) -> list[str]:
    left = []
    for name, value in wanted.items():
        file = PROC_SYS / name
        try:
            if file.read_text().strip() != value:
                file.write_text(value)
        except OSError as error:
            left.append(f"sysctl {name.replace('/', '.')} is not {value} again: {error.strerror}")
    return left


def _litter(folder: Path) -> list[Path]:
    """What kubelets and killed shims leave in a folder that was not there before them."""
    if folder == KUBELET:
        return list((folder / "device-plugins").glob("*"))
    if folder == CONTAINERD:
        return [each for each in (folder / "s").glob("*") if not runtime.serves(each)]
    return []


def _remove_folder(folder: Path) -> list[str]:
    """Remove a folder that was not there before, and empty folders in it. What is in them is not ours."""
    if not folder.exists():
        return []
    for file in _litter(folder):
        file.unlink(missing_ok=True)
    if folder == NAMESPACES and set(mounts.below([folder])) == {folder}:
        mounts.unmount([folder])
    for inner, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            Path(inner).rmdir()
    return [f"{folder} was made and is not empty"] if folder.exists() else []
