"""Which addresses a cluster uses, by its index on this machine. Pure.

Owns: the plan that lets clusters stand side by side: what the host routes to differs by index, what only
exists inside a cluster's network namespace may be the same in each.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

LIMIT = 100  # clusters on one machine
LINKS = IPv4Network("10.94.0.0/16")  # a /24 each, for the pair of interfaces between host and cluster
PODS = IPv4Network("10.244.0.0/15")  # a /23 each: 250 pods, and those that are still terminating
SERVICES = IPv4Network("10.96.0.0/24")


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the cluster number `index`, 0 to LIMIT - 1."""

    index: int

    @property
    def interface(self) -> str:
        """The host's end of the pair of interfaces."""
        return f"devcluster{self.index}"

    @property
    def host(self) -> IPv4Address:
        """The host, as pods see it."""
        return self._link[1]

    @property
    def node(self) -> IPv4Address:
        """The node and its API server, as the host and pods see them."""
        return self._link[2]

    @property
    def pods(self) -> IPv4Network:
        """Where pods get their addresses from; the first is the gateway's."""
        return self._part(PODS, 23)

    @property
    def service(self) -> IPv4Address:
        """The service `kubernetes`: the API server, as clients in pods find it."""
        return SERVICES[1]

    @property
    def dns(self) -> IPv4Address:
        """Where pods send DNS queries. Nobody is there, and they are told so at once."""
        return SERVICES[10]

    @property
    def link_length(self) -> int:
        """The prefix length of the network of the pair of interfaces."""
        return self._link.prefixlen

    @property
    def server(self) -> str:
        """The API server's URL for the host."""
        return f"https://{self.node}"

    @property
    def _link(self) -> IPv4Network:
        return self._part(LINKS, 24)

    def _part(self, whole: IPv4Network, length: int) -> IPv4Network:
        if not 0 <= self.index < LIMIT:
            raise ValueError(f"cluster number {self.index} is not in 0 to {LIMIT - 1}")
        size = 2 ** (whole.max_prefixlen - length)
        return IPv4Network((int(whole.network_address) + self.index * size, length))


def free(taken: set[int]) -> int:
    """The lowest index that is not taken; IndexError when there is none."""
    for index in range(LIMIT):
        if index not in taken:
            return index
    raise IndexError(f"{LIMIT} clusters are up")
