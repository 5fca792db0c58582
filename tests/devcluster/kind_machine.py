"""A machine that seems to have Docker and kind: two small programs over one folder of state.

Owns: the script. A node is a file below `clusters/`, a process on it a file below `pids/`; what ends a
process leaves a successor, which shows at the second look.
"""

from pathlib import Path

from devcluster.kind import Programs

SCRIPT = """#!/bin/sh
PATH=/usr/bin:/bin
cd "{state}"
last() {{ for word; do :; done; printf '%s' "$word"; }}
option() {{ key=$1; shift; for word; do case $word in "$key"=*) printf '%s' "${{word#*=}}";; esac; done; }}
replace() {{ expr "$(cat "pids/$1")" + 100 > "pids/$1.next"; rm "pids/$1"; printf '%s' "$2" > "ended/$1"; }}
look() {{
  if [ -e "pids/$1" ]; then cat "pids/$1"; return; fi
  [ -e "pids/$1.next" ] && mv "pids/$1.next" "pids/$1"
  return 1
}}
on_node() {{
  case "$*" in
    "pgrep "*) look "$(last "$@")" ;;
    "systemctl show "*) look "$(last "$@")" || echo 0 ;;
    "systemctl restart "*) replace "$3" restarted ;;
    "kill "*) for file in pids/*; do
        case "$(cat "$file")" in "$3") replace "$(basename "$file")" "$2" ;; esac
      done ;;
    "kubectl "*" wait "*) [ ! -e not-ready ] || {{ echo "error: timed out waiting" >&2; exit 1; }} ;;
    "kubectl "*) echo ok ;;
    *) echo "not known on a node: $*" >&2; exit 1 ;;
  esac
}}
case "$(basename "$0") $*" in
  "docker version "*)
    [ ! -e no-engine ] || {{ echo "Cannot connect to the Docker daemon" >&2; exit 1; }}
    echo 28.5.0 ;;
  "docker inspect "*".State"*) cat "clusters/$(last "$@" | sed 's/-control-plane//')" ;;
  "docker inspect "*".Gateway"*) printf 'fc00:f853::1\\n172.18.0.1\\n' ;;
  "docker exec "*) shift 2; on_node "$@" ;;
  "kind get clusters") ls clusters ;;
  "kind get kubeconfig "*) echo "kubeconfig of $(option --name "$@")" ;;
  "kind create cluster "*)
    [ ! -e no-space ] || {{ echo "ERROR: failed to create cluster: no space left" >&2; exit 1; }}
    echo " * Ensuring node image" >&2
    cp "$(option --config "$@")" used-config.yaml
    echo "kubeconfig of $(option --name "$@")" > "$(option --kubeconfig "$@")"
    echo running > "clusters/$(option --name "$@")" ;;
  "kind delete cluster "*) rm -f "clusters/$(option --name "$@")" ;;
  "kind load image-archive "*) cat "$(last "$@")" >> "images-of-$(option --name "$@")" ;;
  *) echo "not known: $0 $*" >&2; exit 1 ;;
esac
"""
PIDS = {"kube-apiserver": 11, "kube-controller": 12, "kube-scheduler": 13, "etcd": 14, "kubelet": 15}


def files(folder: Path) -> list[str]:
    """The names of what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


class Machine:
    """Docker and kind below `folder`; its state is there to look at."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        for name in ("clusters", "pids", "ended"):
            (self.state / name).mkdir(parents=True)
        for process, pid in PIDS.items():
            (self.state / "pids" / process).write_text(f"{pid}\n")
        self.path = folder / "bin"
        self.path.mkdir()
        for name in ("docker", "kind"):
            program = self.path / name
            program.write_text(SCRIPT.format(state=self.state))
            program.chmod(0o755)

    @property
    def programs(self) -> Programs:
        """Both programs, found."""
        return Programs(self.path / "docker", self.path / "kind")

    def clusters(self) -> list[str]:
        """The names of those that are up."""
        return files(self.state / "clusters")

    def has(self, condition: str) -> None:
        """Let something be wrong from now on: no-engine, no-space, not-ready."""
        (self.state / condition).touch()

    def ended(self, process: str) -> str:
        """How a process was ended last."""
        return (self.state / "ended" / process).read_text()

    def pid(self, process: str) -> int:
        """Its pid now."""
        return int((self.state / "pids" / process).read_text())
