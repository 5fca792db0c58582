"""The way back: everything that a cluster brought to this machine, whatever state it is in.

Owns: ending its processes, removing its files, mounts, cgroups, interfaces; checking that all are gone.
It asks the kernel what is there rather than the cluster's own records, so that it works after any crash.
"""

import shutil
import signal
import time
from collections.abc import Iterable

from devcluster.real import bringup, cgroups, components, machine, mounts, network, processes, record, runtime
from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout
from devcluster.real.processes import Process

PROGRAMS = {*components.NAMES, "containerd-shim-runc-v2", "runc", "nsenter", "setsid"}
PATIENCE = 10.0  # seconds for killed processes to end, and for their cgroups to empty


def exists(layout: Layout) -> bool:
    """Something of this cluster is on the machine."""
    return bool(layout.run.exists() or layout.state.exists() or left(layout, None))


def remove(layout: Layout) -> list[str]:
    """Remove the cluster; what is left all the same, in words.

    The kubelet goes first, or it would start again what ends. Everything is killed: an API server with open
    watches takes a minute for a polite end, and nothing that they would still write is wanted.
    """
    kept = record.load(layout)
    addresses = kept.addresses if kept else None
    _kill(_recorded(layout, (components.KUBELET,)))
    _kill(_recorded(layout, components.NAMES))
    _kill(processes.of(PROGRAMS, [layout.run, layout.state]))  # shims, and what no record remembers
    _kill_members(layout)
    for path in (*runtime.shim_sockets(layout), *runtime.traces(layout)):
        path.unlink(missing_ok=True)
    mounts.unmount([layout.run, layout.state])
    network.remove(layout, addresses)
    cgroups.remove(layout.cgroup, PATIENCE)
    for folder in (layout.run, layout.state):
        if not mounts.below([folder]):  # never delete through a mount
            shutil.rmtree(folder, ignore_errors=True)
    return [*left(layout, addresses), *machine.restore(layout)]


def left(layout: Layout, addresses: Addresses | None) -> list[str]:
    """What there is of this cluster on the machine."""
    folders = [layout.run, layout.state]
    found = [f"process {each.pid}" for each in processes.of(PROGRAMS, folders)]
    found += [f"process {pid} in cgroup {layout.cgroup}" for pid in sorted(cgroups.members(layout.cgroup))]
    found += [f"mount {place}" for place in mounts.below(folders)]
    found += [f"cgroup {group}" for group in cgroups.groups(layout.cgroup)]
    found += [str(path) for path in runtime.traces(layout)]
    found += [f"folder {folder}" for folder in folders if folder.exists()]
    if network.namespace(layout).exists():
        found.append(f"network namespace {layout.namespace}")
    if addresses is not None and network.has_interface(addresses.interface):
        found.append(f"network interface {addresses.interface}")
    return found


def _recorded(layout: Layout, names: Iterable[str]) -> list[Process]:
    loaded = [processes.load(bringup.process_record(layout, name)) for name in names]
    return [process for process in loaded if process is not None]


def _kill_members(layout: Layout) -> None:
    """Again and again, because what is killed may just have started another."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        seen = [processes.observe(pid) for pid in cgroups.members(layout.cgroup)]
        if not (alive := [process for process in seen if process is not None]):
            return
        _kill(alive)


def _kill(victims: Iterable[Process]) -> None:
    processes.end(victims, signal.SIGKILL, PATIENCE)
