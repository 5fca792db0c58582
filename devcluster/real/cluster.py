"""A real cluster as one object: up, down, and what tests do to it in between.

Owns: the order of the steps, who may run them, what is told meanwhile.
Never: knows how a step is done.
"""

import os
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from devcluster import programs
from devcluster.images import archive
from devcluster.real import (
    addresses,
    bringup,
    cgroups,
    components,
    machine,
    network,
    packages,
    processes,
    record,
    removal,
    runtime,
)
from devcluster.real.client import Client
from devcluster.real.errors import ClusterError
from devcluster.real.layout import Layout
from devcluster.real.record import Record
from devcluster.real.status import Component, Status

Told = Callable[[str], None]
IMAGES = ("pause", "busybox")
GRACE = 5.0  # seconds for a polite end; an API server with open watches would take a minute
PATIENCE = 10.0


class RealCluster:
    """The cluster `name` of this machine, whether it is up or not; ValueError for a bad name.

    Methods that change something raise ClusterError, and `up` BuildError and ImageError too, if what it needs
    cannot be built. All their texts are for a person.
    """

    def __init__(self, name: str = "runherd") -> None:
        self.name = name
        self.layout = Layout(name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, for use from anywhere on this machine."""
        return self.layout.kubeconfig

    def up(self, told: Told) -> None:
        """From nothing to a ready node with the images of IMAGES."""
        _need_root()
        started = time.monotonic()
        self._refuse()
        supplies = _prepare(told)
        with machine.alone(told):
            self._refuse()  # again: somebody may have been quicker
            self._clean(told)
            kept = self._record_new()
            self._start(kept, supplies, told)
            for path in supplies.archives:
                runtime.load(self.layout, path)
            bringup.await_ready(self.layout, kept.addresses)
            record.save(self.layout, replace(kept, complete=True))
        told(f"{self.name} is up after {time.monotonic() - started:.1f} s")

    def down(self, told: Told) -> None:
        """Remove everything, whatever state it is in; ClusterError names what is left all the same."""
        _need_root()
        started = time.monotonic()
        with machine.alone(told):
            if not removal.exists(self.layout):
                told(f"{self.name} is not up")
                return
            left = removal.remove(self.layout)
        if left:
            raise ClusterError(
                f"{self.name} is down, but these are left:\n" + "\n".join(f"  {each}" for each in left)
            )
        told(f"{self.name} is down after {time.monotonic() - started:.1f} s")

    def status(self) -> Status:
        """How it is doing; ClusterError when it is not up."""
        kept = self.require()
        return Status(
            name=self.name,
            components=tuple(map(self._component, components.NAMES)),
            node_ready=self._node_ready(kept),
            server=kept.addresses.server,
            host_address=str(kept.addresses.host),
            pod_subnet=str(kept.addresses.pods),
            uptime=time.time() - kept.since,
        )

    def is_up(self) -> bool:
        """Whether its `up` came to its end and something of it runs: then a second `up` is refused."""
        kept = record.load(self.layout)
        return bool(kept and kept.complete and any(self._component(name).alive for name in components.NAMES))

    def require(self) -> Record:
        """Its record; ClusterError when it is not up."""
        kept = record.load(self.layout)
        if kept is None:
            raise ClusterError(
                f"{self.name} is not up; `python -m devcluster real up --name {self.name}` starts it"
            )
        return kept

    def load(self, archive: Path) -> None:
        """Import the images of an OCI archive into the node."""
        _need_root()
        self.require()
        runtime.load(self.layout, archive)

    def restart(self, component: str, *, kill: bool = False) -> None:
        """End one component, politely or not, start it again and wait until it is healthy."""
        self.stop(component, kill=kill)
        self.start(component)

    def stop(self, component: str, *, kill: bool = False) -> None:
        """End one component; pods run on."""
        _need_root()
        self._check(component)
        process = processes.load(bringup.process_record(self.layout, component))
        if process is None:
            return
        rest = [process] if kill else processes.end([process], signal.SIGTERM, GRACE)
        if processes.end(rest, signal.SIGKILL, PATIENCE):
            raise ClusterError(f"{component} (pid {process.pid}) does not end; is its disk hanging?")

    def start(self, component: str) -> None:
        """Start one component that was stopped, and wait until it is healthy."""
        _need_root()
        kept = self._check(component)
        if self._component(component).alive:
            raise ClusterError(f"{component} of {self.name} runs already")
        bringup.start(self.layout, kept.addresses, component)
        bringup.await_healthy(self.layout, kept.addresses, [component])

    def _refuse(self) -> None:
        if self.is_up():
            raise ClusterError(
                f"{self.name} is up already. Take it down first (devcluster real down --name {self.name}), "
                "or choose another --name"
            )

    def _clean(self, told: Told) -> None:
        if removal.exists(self.layout):
            told(f"removing what an earlier {self.name} left")
            if left := removal.remove(self.layout):
                raise ClusterError(f"an earlier {self.name} left: " + ", ".join(left))

    def _record_new(self) -> Record:
        machine.save(self.layout)
        index = addresses.free(machine.indices(self.layout))
        self.layout.records.mkdir(parents=True)
        kept = Record(index, time.time(), complete=False)
        record.save(self.layout, kept)
        return kept

    def _start(self, kept: Record, supplies: bringup.Supplies, told: Told) -> None:
        layout, planned = self.layout, kept.addresses
        told(f"starting {self.name} (about 5 s) …")
        network.create(layout, planned)
        cgroups.create(layout.cgroup)
        bringup.write_files(layout, planned, supplies)
        for group in (components.STORAGE, components.CLIENTS):
            for component in group:
                bringup.start(layout, planned, component)
            bringup.await_healthy(layout, planned, group)

    def _node_ready(self, kept: Record) -> bool | None:
        if not self.kubeconfig.exists():  # the last file that `up` writes
            return None
        with Client(self.layout, kept.addresses) as client:
            return client.node_ready()

    def _component(self, name: str) -> Component:
        process = processes.load(bringup.process_record(self.layout, name))
        if process is None:
            return Component(name, None, alive=False, rss=0)
        return Component(name, process.pid, process.alive, process.rss)

    def _check(self, component: str) -> Record:
        if component not in components.NAMES:
            raise ClusterError(f"no component {component!r}; there are {', '.join(components.NAMES)}")
        return self.require()


def _prepare(told: Told) -> bringup.Supplies:
    """What takes minutes the first time, before anybody else has to wait for us."""
    return bringup.Supplies(
        programs=programs.path(programs.KUBERNETES, told).parent,
        plugins=packages.ensure(told),
        archives=tuple(archive(image, told) for image in IMAGES),
    )


def _need_root() -> None:
    if platform.system() != "Linux":
        raise ClusterError(
            "this needs Linux. Use `python -m devcluster kind up` (Docker) or `fake up` instead"
        )
    if os.geteuid() != 0:
        raise ClusterError(
            "this needs root: it makes network namespaces, cgroups and mounts. Run it with sudo, "
            "or use `python -m devcluster fake up`, which does not"
        )
