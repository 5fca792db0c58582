"""A cluster of kind: up, down, what is known of it, images onto it, its parts restarted.

Owns: the order of calls, its folder (configuration and kubeconfig), waiting for what was restarted.
Never: words a call (`calls.py`) or starts a process (`programs.py`).
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster.kind import calls, config
from devcluster.kind.programs import KindError, Programs, Told
from devcluster.programs import print_to_stderr

HOME = Path(__file__).resolve().parents[2] / ".devcluster" / "kind"
NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
COMPONENTS = (
    "containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
)  # fmt: skip
NODE_SECONDS = 30
"""kind has waited long before, but does not say whether in vain."""
RESTART_SECONDS = 120.0
"""An API server that is asked to end waits a minute for the watches on it."""
BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, slots=True)
class Status:
    """A cluster as it was seen; `node` is Docker's word for its container: running, exited and so on."""

    name: str
    node: str
    node_ready: bool
    host_address: str
    kubeconfig: Path


def names_up(programs: Programs) -> tuple[str, ...]:
    """The clusters that kind knows of."""
    return tuple(programs.ask(calls.clusters()).split())


class KindCluster:
    """The cluster `name`, whether it is up or not; KindError for a name that kind would not take."""

    def __init__(self, name: str, programs: Programs, home: Path = HOME) -> None:
        if not NAME.fullmatch(name):
            raise KindError(
                f"{name!r} is no name for a cluster: lower-case letters, digits, hyphens and dots"
            )
        self.name = name
        self._programs = programs
        self._folder = home / name

    @property
    def kubeconfig(self) -> Path:
        """Where the kubeconfig is once the cluster is up."""
        return self._folder / "kubeconfig"

    @property
    def host_address(self) -> str:
        """Where pods reach a service of this machine, on Linux: the gateway of the node's network.

        KindError when the node does not run.
        """
        for address in self._programs.ask(calls.gateway(self.name)).split():
            if ":" not in address:
                return address
        raise KindError(f"{calls.node(self.name)} has no network with an IPv4 gateway; does it run?")

    def up(self, told: Told) -> None:
        """Make the cluster; KindError if it is there already, or if its node does not get Ready."""
        if self.name in names_up(self._programs):
            raise KindError(
                f"{self.name} is up already. Take it down first (devcluster kind down --name {self.name}), "
                "or choose another --name"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "config.yaml"
        settings.write_text(config.text(self.name))
        told(f"making {self.name} from {config.NODE_IMAGE.partition('@')[0]}")
        self._programs.run(calls.create(self.name, settings, self.kubeconfig), told)
        self._programs.ask(calls.node_ready(self.name, NODE_SECONDS))

    def down(self, told: Told) -> None:
        """Remove the cluster and its folder; nothing to remove is no error."""
        self._programs.run(calls.delete(self.name, self.kubeconfig), told)
        for name in ("config.yaml", "kubeconfig", "kubeconfig.lock"):
            (self._folder / name).unlink(missing_ok=True)
        if self._folder.exists():
            self._folder.rmdir()

    def status(self) -> Status:
        """How it is doing; KindError when there is no such cluster."""
        self._require()
        node = self._programs.ask(calls.node_state(self.name)).strip()
        running = node == "running"
        return Status(
            self.name,
            node,
            node_ready=running and self._answers(calls.node_ready(self.name, 0)),
            host_address=self.host_address if running else "",
            kubeconfig=self.kubeconfig,
        )

    def write_kubeconfig(self) -> Path:
        """Ask kind for the kubeconfig and write it to its place, for its owner only."""
        self._require()
        content = self._programs.ask(calls.kubeconfig(self.name))
        self._folder.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(content)
        return self.kubeconfig

    def load(self, archive: Path, told: Told = print_to_stderr) -> None:
        """Import the images of a tar into the node."""
        self._require()
        if not archive.is_file():
            raise KindError(f"there is no file {archive}")
        self._programs.run(calls.load(self.name, archive), told)

    def restart(self, component: str, *, kill: bool = False) -> None:
        """End a component and wait for its successor and a ready API server; `kill` gives no notice."""
        if component not in COMPONENTS:
            raise KindError(f"there is no {component} to restart; there are: {', '.join(COMPONENTS)}")
        self._require()
        before = self._pid(component)
        if before is None:
            raise KindError(f"{component} does not run on {calls.node(self.name)}; look: docker ps -a")
        if component in calls.UNITS and not kill:
            self._programs.ask(calls.restart_unit(self.name, component))
        else:
            self._programs.ask(calls.signal(self.name, before, kill=kill))
        print_to_stderr(f"ended {component} (pid {before}), waiting for its successor")
        self._await(lambda: self._pid(component) not in {None, before}, f"{component} to start again")
        self._await(lambda: self._answers(calls.ready(self.name)), "the API server to be ready")

    def _require(self) -> None:
        if self.name not in names_up(self._programs):
            raise KindError(f"{self.name} is not up; `python -m devcluster kind up` starts it")

    def _pid(self, component: str) -> int | None:
        try:
            said = self._programs.ask(calls.process(self.name, component)).strip()
        except KindError:
            return None
        return int(said) if said.isdecimal() and said != "0" else None

    def _answers(self, call: calls.Call) -> bool:
        try:
            self._programs.ask(call)
        except KindError:
            return False
        return True

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + RESTART_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise KindError(
                    f"waited {RESTART_SECONDS:.0f} s for {what} on {calls.node(self.name)}, in vain.\n"
                    f"  look: docker exec {calls.node(self.name)} journalctl -u kubelet"
                )
            time.sleep(BETWEEN_LOOKS)
