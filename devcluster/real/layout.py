"""Where the files of a cluster are. Pure.

Owns: names of files and folders. What must survive nothing but a `down` is below `state`; what a reboot may
take, and every socket (their paths must be short), is below `run`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of the cluster `name`, a DNS label of at most 30 characters; else ValueError."""

    name: str
    states: Path = Path("/var/lib/devcluster")
    runs: Path = Path("/run/devcluster")

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is no name for a cluster: lower-case letters, digits and hyphens, at most 30"
            )

    @property
    def state(self) -> Path:
        """Everything the cluster keeps."""
        return self.states / self.name

    @property
    def run(self) -> Path:
        """Sockets, process records, mounts of the container runtime."""
        return self.runs / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys, certificates and tokens."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files of the components."""
        return self.state / "config"

    @property
    def programs(self) -> Path:
        """The folder of Kubernetes' programs that it was started with."""
        return self.state / "programs"

    @property
    def logs(self) -> Path:
        """One file for each component."""
        return self.state / "logs"

    @property
    def pod_logs(self) -> Path:
        """What the containers wrote."""
        return self.state / "pods"

    @property
    def volume_plugins(self) -> Path:
        """Of volume drivers there are none; the default place is in /usr, and would stay behind."""
        return self.state / "volume-plugins"

    @property
    def cni(self) -> Path:
        """The one file that says how pods are connected."""
        return self.state / "cni"

    @property
    def addresses(self) -> Path:
        """Which pod has which address."""
        return self.state / "ipam"

    @property
    def socket(self) -> Path:
        """Where containerd serves."""
        return self.run / "containerd.sock"

    @property
    def records(self) -> Path:
        """One process record for each component."""
        return self.run / "processes"

    @property
    def cluster_record(self) -> Path:
        """What `up` decided, and whether it came to its end."""
        return self.run / "cluster.json"

    @property
    def namespace(self) -> str:
        """The network namespace."""
        return f"devcluster-{self.name}"

    @property
    def cgroup(self) -> str:
        """The cgroup of all pods, in each hierarchy."""
        return f"devcluster-{self.name}"

    @property
    def network(self) -> str:
        """The name of the CNI network."""
        return f"devcluster-{self.name}"

    @property
    def node(self) -> str:
        """The node's name."""
        return f"{self.name}-node"
