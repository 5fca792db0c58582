"""Programs that are built from Go modules, once per version, into the cache.

Owns: their names and pinned versions, how they are built and stamped.
Never: downloads a binary, or takes one from the PATH that might be another version.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster import cache

Told = Callable[[str], None]
MODULE = Path(__file__).parent / "real" / "kubernetes"
KUBERNETES = "kubernetes"
LINKS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
TAIL = 30  # lines of the compiler's complaint that are shown
VERSION = "k8s.io/component-base/version"


class BuildError(Exception):
    """A program could not be built; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program of a public Go module."""

    package: str
    version: str
    takes: str  # on two cores, with nothing cached
    stamps: tuple[str, ...] = ()  # variables set to the version, where the program does not find it by itself
    module: str = ""  # that of the package, if it replaces others: `go install` refuses those


PROGRAMS: Mapping[str, Program] = {
    "helm": Program(
        "helm.sh/helm/v4/cmd/helm", "v4.3.1", "2 min", ("helm.sh/helm/v4/internal/version.version",)
    ),
    "kubeconform": Program(
        "github.com/yannh/kubeconform/cmd/kubeconform", "v0.8.0", "20 s", ("main.version",)
    ),
    "kwok": Program("sigs.k8s.io/kwok/cmd/kwok", "v0.8.0", "90 s", ("sigs.k8s.io/kwok/pkg/consts.Version",)),
    "kind": Program("sigs.k8s.io/kind", "v0.33.0", "20 s"),
    "jaeger": Program(
        "github.com/jaegertracing/jaeger/cmd/jaeger",
        "v1.76.0",
        "6 min",
        ("github.com/jaegertracing/jaeger/internal/version.latestVersion",),
        module="github.com/jaegertracing/jaeger",
    ),
}
NAMES = (KUBERNETES, *LINKS, *PROGRAMS)


def print_to_stderr(line: str) -> None:
    """Progress, for a person."""
    print(line, file=sys.stderr, flush=True)


def path(name: str, told: Told = print_to_stderr) -> Path:
    """Where the program `name` (of NAMES) is, built first when it is missing; else BuildError."""
    if name == KUBERNETES or name in LINKS:
        return _kubernetes(told) / name
    if name not in PROGRAMS:
        raise BuildError(f"no program {name!r}; there are {', '.join(NAMES)}")
    program = PROGRAMS[name]
    stamp = f"{name}-{program.version}"
    return cache.made(stamp, lambda draft: _install(name, program, draft, told)) / name


def kubernetes_stamp(module: Path, go_version: str) -> str:
    """What the build of the Go module in the folder `module` depends on, as a file name."""
    content = hashlib.sha256(go_version.encode())
    for name in ("main.go", "go.mod", "go.sum"):
        content.update((module / name).read_bytes())
    return f"{KUBERNETES}-{kubernetes_version(module)}-{content.hexdigest()[:12]}"


def kubernetes_version(module: Path = MODULE) -> str:
    """The version of Kubernetes that go.mod requires, as in `v1.36.3`."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{module / 'go.mod'} requires no k8s.io/kubernetes")
    return found[1]


def kubernetes_stamps(version: str) -> Mapping[str, str]:
    """The variables to link in: without them the server calls itself v0.0.0 and clients fail to parse it."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    return {
        f"{VERSION}.gitVersion": version,
        f"{VERSION}.gitMajor": major,
        f"{VERSION}.gitMinor": minor,
        f"{VERSION}.gitTreeState": "clean",
    }


def _kubernetes(told: Told) -> Path:
    stamp = kubernetes_stamp(MODULE, _go_version())

    def make(draft: Path) -> None:
        draft.mkdir()
        command = (
            "build",
            _link(kubernetes_stamps(kubernetes_version())),
            "-o",
            str(draft / KUBERNETES),
            ".",
        )
        _build(stamp, "about 5 min on two cores, once", command, {"PWD": str(MODULE)}, told)
        for link in LINKS:
            (draft / link).symlink_to(KUBERNETES)

    return cache.made(stamp, make)


def _install(name: str, program: Program, draft: Path, told: Told) -> None:
    draft.mkdir()
    what, takes = f"{name} {program.version}", f"about {program.takes}, once"
    link = _link(dict.fromkeys(program.stamps, program.version))
    if program.module:
        # As the main module its own replacements and checksums are in force.
        folder = _downloaded(f"{program.module}@{program.version}")
        build = ("build", link, "-o", str(draft / name), program.package)
        _build(what, takes, build, {"PWD": folder}, told)
    else:
        install = ("install", link, f"{program.package}@{program.version}")
        _build(what, takes, install, {"GOBIN": str(draft)}, told)


def _downloaded(module: str) -> str:
    """The folder of a Go module's source, checked by Go against its checksum database."""
    command = [_go(), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=Path.home(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{module} could not be had: {(done.stdout + done.stderr).strip()[-500:]}")
    return str(json.loads(done.stdout)["Dir"])


def _link(variables: Mapping[str, str]) -> str:
    return "-ldflags=" + " ".join(["-s -w", *(f"-X {key}={value}" for key, value in variables.items())])


def _build(what: str, takes: str, command: Sequence[str], given: Mapping[str, str], told: Told) -> None:
    told(f"building {what} ({takes}) …")
    started = time.monotonic()
    environment = {**os.environ, "GOFLAGS": "-trimpath", "GOWORK": "off", "CGO_ENABLED": "0", **given}
    done = subprocess.run(
        [_go(), *command],
        cwd=given.get("PWD", Path.home()),  # `go install x@v` must not see a module around it
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-TAIL:])
        raise BuildError(f"{what} could not be built (go {command[0]}, exit code {done.returncode}):\n{said}")
    told(f"built {what} in {time.monotonic() - started:.0f} s")


def _go_version() -> str:
    done = subprocess.run(
        [_go(), "env", "GOVERSION", "GOARCH"], cwd=MODULE, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"`go env` failed in {MODULE}: {done.stderr.strip()}")
    return done.stdout


def _go() -> str:
    found = shutil.which("go")
    if found is None:
        raise BuildError(
            "go is not on the PATH, and this program is built from source: install Go 1.26 or newer "
            "(https://go.dev/doc/install; Debian 12's package is too old), and put its bin folder on the PATH"
        )
    return found
