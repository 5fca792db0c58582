"""How a cluster is doing, as a value.

Owns: the shape, and how it is read as text. Never: looks at a cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Component:
    """One program of the cluster; `rss` is its resident memory in bytes."""

    name: str
    pid: int | None
    alive: bool
    rss: int


@dataclass(frozen=True, slots=True)
class Status:
    """A cluster as it was seen; `node_ready` is None when nobody answered, `uptime` is in seconds."""

    name: str
    components: tuple[Component, ...]
    node_ready: bool | None
    server: str
    host_address: str
    pod_subnet: str
    uptime: float

    @property
    def up(self) -> bool:
        """All of it works."""
        return self.node_ready is True and all(component.alive for component in self.components)


def lines(status: Status) -> Sequence[str]:
    """A status for a person."""
    ready = {True: "ready", False: "not ready", None: "unknown"}[status.node_ready]
    rss = sum(component.rss for component in status.components)
    return (
        f"cluster {status.name}: node {ready}, up for {status.uptime:.0f} s, {rss / MEBI:.0f} MiB in all",
        f"  API server         {status.server}",
        f"  pods               {status.pod_subnet}",
        f"  host, as pods see  {status.host_address}",
        *map(_line, status.components),
    )


def _line(component: Component) -> str:
    state = f"{component.rss / MEBI:5.0f} MiB" if component.alive else "not running"
    return f"  {component.name:<24} pid {component.pid or '-':<8} {state}"
