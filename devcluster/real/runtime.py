"""Images and traces of the container runtime.

Owns: calls of `ctr`, and what containerd, its shims and the CNI plugins leave outside a cluster's folders.
Never: starts or stops containerd.
"""

import contextlib
import socket
import subprocess
from pathlib import Path

from devcluster.real.errors import ClusterError
from devcluster.real.layout import Layout

NAMESPACE = "k8s.io"  # where the kubelet looks for images
LINKS = Path("/var/log/containers")
RESULTS = Path("/var/lib/cni/results")


def load(layout: Layout, archive: Path) -> None:
    """Import the images of an OCI archive; ClusterError says what `ctr` said."""
    if not archive.is_file():
        raise ClusterError(f"there is no image archive {archive}")
    command = [
        "ctr",
        f"--address={layout.socket}",
        f"--namespace={NAMESPACE}",
        "images",
        "import",
        str(archive),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"{archive} could not be imported: {done.stderr.strip()}")


def shim_sockets(layout: Layout) -> list[Path]:
    """The sockets of the shims. They are in a folder that all of this machine's containerds share."""
    tasks = layout.run / "containerd" / "io.containerd.runtime.v2.task"
    sockets = []
    for address in tasks.glob("*/*/address"):
        with contextlib.suppress(OSError):
            sockets.append(Path(address.read_text().strip().removeprefix("unix://")))
    return sockets


def serves(path: Path) -> bool:
    """Somebody answers at a socket."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False


def traces(layout: Layout) -> list[Path]:
    """Links to this cluster's container logs, and what CNI plugins keep of its pods.

    The loopback plugin's results bear no name of ours, but the path of the pod's network namespace.
    """
    links = [link for link in LINKS.glob("*.log") if link.is_symlink() and _leads_into(link, layout.pod_logs)]
    return [*links, *(result for result in RESULTS.glob("*") if _mentions(result, f"{layout.run}/"))]


def _mentions(file: Path, text: str) -> bool:
    with contextlib.suppress(OSError):
        return text in file.read_text(errors="replace")
    return False


def _leads_into(link: Path, folder: Path) -> bool:
    return link.readlink().is_relative_to(folder)
