"""The command lines for kind and Docker, as values.

Owns: every argument that either program is given. The first word is the program's name, which
`programs.py` replaces with its path. Never: runs them.
"""

from pathlib import Path

Call = tuple[str, ...]
READY_SECONDS = 180
UNITS = ("containerd", "kubelet")
"""Components that systemd starts; all others are static pods, which the kubelet starts again."""
_KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
_LONGEST_NAME = 15
"""The kernel keeps this much of a process's name."""


def engine() -> Call:
    """Prints the version of Docker's engine; fails when none answers."""
    return ("docker", "version", "--format", "{{.Server.Version}}")


def clusters() -> Call:
    """Prints the names of the clusters there are, one a line."""
    return ("kind", "get", "clusters")


def create(name: str, config: Path, kubeconfig: Path) -> Call:
    """Makes a cluster, writes its kubeconfig, and waits until its node is Ready."""
    return (
        "kind", "create", "cluster", f"--name={name}", f"--config={config}",
        f"--kubeconfig={kubeconfig}", f"--wait={READY_SECONDS}s",
    )  # fmt: skip


def delete(name: str, kubeconfig: Path) -> Call:
    """Removes a cluster and what its kubeconfig says of it; succeeds if there is none."""
    return ("kind", "delete", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}")


def kubeconfig(name: str) -> Call:
    """Prints the kubeconfig of a cluster."""
    return ("kind", "get", "kubeconfig", f"--name={name}")


def load(name: str, archive: Path) -> Call:
    """Puts the images of a tar on the node."""
    return ("kind", "load", "image-archive", f"--name={name}", str(archive))


def node(name: str) -> str:
    """The container that is a cluster's node, which is also the node's name in Kubernetes."""
    return f"{name}-control-plane"


def node_state(name: str) -> Call:
    """Prints what Docker says of the node: running, exited and so on."""
    return ("docker", "inspect", "--format", "{{.State.Status}}", node(name))


def gateway(name: str) -> Call:
    """Prints the address that this machine has on the node's network, once for each network."""
    networks = "{{range .NetworkSettings.Networks}}{{println .Gateway}}{{end}}"
    return ("docker", "inspect", "--format", networks, node(name))


def ready(name: str) -> Call:
    """Succeeds when the API server says it is ready."""
    return _on_node(name, *_KUBECTL, "--request-timeout=5s", "get", "--raw", "/readyz")


def node_ready(name: str, seconds: int) -> Call:
    """Succeeds when the node is Ready, or gets so within that time; kind itself only warns when it is not."""
    return _on_node(
        name, *_KUBECTL, "wait", "--for=condition=Ready", f"node/{node(name)}", f"--timeout={seconds}s"
    )


def process(name: str, component: str) -> Call:
    """Prints the pid of a component on the node: nothing or 0, or fails, when it does not run."""
    if component in UNITS:
        return _on_node(name, "systemctl", "show", "--property=MainPID", "--value", component)
    return _on_node(name, "pgrep", "--oldest", "--exact", component[:_LONGEST_NAME])


def restart_unit(name: str, unit: str) -> Call:
    """Stops and starts a unit of systemd."""
    return _on_node(name, "systemctl", "restart", unit)


def signal(name: str, pid: int, *, kill: bool) -> Call:
    """Ends a process of the node, asking it or not; what started it starts it again."""
    return _on_node(name, "kill", "-KILL" if kill else "-TERM", str(pid))


def _on_node(name: str, *words: str) -> Call:
    return ("docker", "exec", node(name), *words)
