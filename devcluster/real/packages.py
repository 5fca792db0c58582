"""Programs of the operating system that a cluster needs.

Owns: which, and installing the Debian packages that bring them. Never: changes a version that is there.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from devcluster.real.errors import ClusterError

Told = Callable[[str], None]
PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "umount": "mount",
    "busybox": "busybox-static",
}
PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
PLUGINS = ("bridge", "host-local", "loopback")
PLUGIN_PACKAGE = "containernetworking-plugins"


def plugins() -> Path | None:
    """The folder with all CNI plugins that are needed."""
    for folder in PLUGIN_FOLDERS:
        if all((folder / plugin).exists() for plugin in PLUGINS):
            return folder
    return None


def missing() -> list[str]:
    """The packages to install, each once."""
    wanted = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if plugins() is None:
        wanted.append(PLUGIN_PACKAGE)
    return list(dict.fromkeys(wanted))


def ensure(told: Told) -> Path:
    """Install what is missing; the folder of the CNI plugins. ClusterError when that does not succeed."""
    if packages := missing():
        _install(packages, told)
    folder = plugins()
    if folder is None or (packages := missing()):
        raise ClusterError(f"still missing after the installation: {', '.join(packages)}")
    return folder


def _install(packages: list[str], told: Told) -> None:
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"install what Debian calls {' '.join(packages)} (there is no apt-get here to do that)"
        )
    told(f"installing {' '.join(packages)} (about 20 s, once) …")
    started = time.monotonic()
    install = ("install", "--yes", "--no-install-recommends", *packages)
    if _apt(*install) and (_apt("update") or (said := _apt(*install))):
        raise ClusterError(f"`apt-get {' '.join(install)}` failed:\n{said}")
    told(f"installed in {time.monotonic() - started:.0f} s")


def _apt(*arguments: str) -> str:
    """Run apt-get; what it said if it failed, else nothing."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ("apt-get", "--quiet", *arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")
