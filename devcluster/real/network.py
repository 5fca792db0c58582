"""The network of a cluster: a namespace of its own, and a pair of interfaces that joins it to the host.

Owns: that namespace, that pair, the host's route to the pods. Never: firewalls, or addresses of others.
"""

import socket
import subprocess
from pathlib import Path

from devcluster.real.addresses import Addresses
from devcluster.real.errors import ClusterError
from devcluster.real.layout import Layout

NAMESPACES = Path("/run/netns")
UPLINK = "uplink"  # the cluster's end of the pair
FORWARD = "echo 1 >/proc/sys/net/ipv4/ip_forward"


def namespace(layout: Layout) -> Path:
    """The file that stands for the network namespace."""
    return NAMESPACES / layout.namespace


def create(layout: Layout, addresses: Addresses) -> None:
    """Namespace, interfaces, routes; ClusterError when the kernel refuses one."""
    outside, inside = addresses.interface, layout.namespace
    _ip(f"netns add {inside}")
    _run("nsenter", f"--net={namespace(layout)}", "sh", "-c", FORWARD)
    _ip(f"-n {inside} link set lo up")
    _ip(f"-n {inside} address add {addresses.service}/32 dev lo")
    _ip(
        f"-n {inside} address add {addresses.dns}/32 dev lo"
    )  # refuses at once; else clients wait for an answer
    _ip(f"link add {outside} type veth peer name {UPLINK} netns {inside}")
    _ip(f"-n {inside} address add {addresses.node}/{addresses.link_length} dev {UPLINK}")
    _ip(f"-n {inside} link set {UPLINK} up")
    _ip(f"address add {addresses.host}/{addresses.link_length} dev {outside}")
    _ip(f"link set {outside} up")
    _ip(f"route add {addresses.pods} via {addresses.node} dev {outside}")


def remove(layout: Layout, addresses: Addresses | None) -> None:
    """All of it, as far as it is there; the route goes with its interface."""
    if addresses is not None and has_interface(addresses.interface):
        _ip(f"link delete {addresses.interface}")
    if namespace(layout).exists():
        _ip(f"netns delete {layout.namespace}")


def has_interface(name: str) -> bool:
    """The host has an interface of this name."""
    return name in (known for _, known in socket.if_nameindex())


def _ip(arguments: str) -> None:
    _run("ip", *arguments.split())


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
