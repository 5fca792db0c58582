"""The steps from nothing to a ready node.

Owns: writing a cluster's files, starting its components, waiting for them.
Never: removes anything; `removal` does.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devcluster.real import components, configs, network, pki, processes, runtime
from devcluster.real.addresses import Addresses
from devcluster.real.client import Client
from devcluster.real.errors import ClusterError
from devcluster.real.layout import Layout

START = 120.0  # seconds; five are enough unless the machine is busy
POLL = 0.05
TAIL = 15  # lines of a log that an error shows


@dataclass(frozen=True, slots=True)
class Supplies:
    """What a cluster is made of: folders of Kubernetes' programs and of CNI plugins, archives of images."""

    programs: Path
    plugins: Path
    archives: tuple[Path, ...]


def write_files(layout: Layout, addresses: Addresses, supplies: Supplies) -> None:
    """All that the components read."""
    for folder in (layout.config, layout.logs, layout.pod_logs, layout.cni, layout.addresses):
        folder.mkdir(parents=True)
    layout.programs.symlink_to(supplies.programs)
    pki.write(layout, addresses)
    (layout.config / "containerd.toml").write_text(configs.containerd(layout, supplies.plugins))
    (layout.cni / "10-pods.conflist").write_text(json.dumps(configs.cni(layout, addresses)))
    _yaml(layout.config / "kubelet.yaml", configs.kubelet(layout, addresses))
    scheduler = components.kubeconfig(layout, components.SCHEDULER)
    _yaml(layout.config / "scheduler.yaml", configs.scheduler(scheduler))
    for component in components.CLIENTS:
        _kubeconfig(layout, addresses, components.kubeconfig(layout, component), component)
    _kubeconfig(layout, addresses, layout.kubeconfig, pki.ADMIN)


def _kubeconfig(layout: Layout, addresses: Addresses, path: Path, account: str) -> None:
    authority, token = pki.authority_data(layout), pki.token(layout, account)
    _yaml(path, configs.kubeconfig(f"devcluster-{layout.name}", addresses.server, authority, token))


def _yaml(path: Path, content: configs.JSON) -> None:
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def start(layout: Layout, addresses: Addresses, component: str) -> None:
    """Start one component and record its process; it need not be healthy yet."""
    program = component if component == components.CONTAINERD else str(layout.programs / component)
    command = (program, *components.command_lines(layout, addresses)[component])
    process = processes.start(command, network.namespace(layout), log(layout, component))
    if process is None:
        raise ClusterError(f"{component} ended at once.{tail(layout, component)}")
    processes.save(process, process_record(layout, component))


def await_healthy(layout: Layout, addresses: Addresses, names: Iterable[str]) -> None:
    """Wait until these components are; ClusterError when one ends or does not become so in time."""
    with Client(layout, addresses) as client:
        for component in names:

            def look(component: str = component) -> bool:
                if component == components.CONTAINERD:
                    return runtime.serves(layout.socket)
                return client.healthy(component)

            wait(layout, component, look, f"{component} is not healthy")


def await_ready(layout: Layout, addresses: Addresses) -> None:
    """Wait until the node is ready and pods of the namespace `default` can start."""
    with Client(layout, addresses) as client:
        wait(layout, components.KUBELET, client.node_ready, "the node is not ready")
        wait(layout, components.CONTROLLER_MANAGER, client.pods_can_start, "pods cannot start yet")


def wait(layout: Layout, component: str, look: Callable[[], Any], otherwise: str) -> None:
    """Ask until `look` says yes; ClusterError when the component ends before, or after START seconds."""
    until = time.monotonic() + START
    while not look():
        process = processes.load(process_record(layout, component))
        if process is None or not process.alive:
            raise ClusterError(f"{component} has ended.{tail(layout, component)}")
        if time.monotonic() > until:
            raise ClusterError(f"{otherwise} after {START:.0f} s.{tail(layout, component)}")
        time.sleep(POLL)


def process_record(layout: Layout, component: str) -> Path:
    """The file that remembers a component's process."""
    return layout.records / f"{component}.json"


def log(layout: Layout, component: str) -> Path:
    """The file that a component's output goes to."""
    return layout.logs / f"{component}.log"


def tail(layout: Layout, component: str) -> str:
    """The end of a component's log, as the end of an error's text."""
    path = log(layout, component)
    try:
        lines = path.read_text(errors="replace").splitlines()[-TAIL:]
    except OSError:
        return ""
    said = "\n".join(f"  {line}" for line in lines)
    return f" All is left as it is until the next up or down. The end of {path}:\n{said}"
