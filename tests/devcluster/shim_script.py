"""A `kind` for tests: the shim over clusters that are only folders, as an executable.

Owns: the stand-in for `devcluster.real` and the script. State is a folder: `NAME/kubeconfig` while NAME is
up, `NAME/images` for what was loaded, `offer` for the kubeconfig that a new cluster gets.
"""

import shutil
import sys
from pathlib import Path

from devcluster.shim.commands import Clusters, ShimError, Told, run

REPOSITORY = Path(__file__).parents[2]


class FolderCluster:
    """A cluster whose state is a folder."""

    def __init__(self, state: Path, name: str) -> None:
        self.folder = state / name

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def up(self, told: Told) -> None:
        told(f"starting {self.folder.name}")
        self.folder.mkdir()
        offer = (self.folder.parent / "offer").read_text()
        self.kubeconfig.write_text(offer.replace("NAME", self.folder.name))

    def down(self, told: Told) -> None:
        told(f"stopping {self.folder.name}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, archive: Path) -> None:
        with (self.folder / "images").open("a") as images:
            images.write(f"{archive.read_text()}\n")


def clusters(state: Path) -> Clusters:
    """What the shim is given; one image can be built: localhost/ours:dev."""

    def names_up() -> list[str]:
        return sorted(path.parent.name for path in state.glob("*/kubeconfig"))

    def archive(reference: str, _: Told) -> Path:
        if reference != "localhost/ours:dev":
            raise ShimError(f"no image {reference}")
        (state / "ours.tar").write_text("ours")
        return state / "ours.tar"

    return Clusters(lambda name: FolderCluster(state, name), names_up, archive)


def script(folder: Path, state: Path) -> Path:
    """Make an executable `kind` over that state."""
    path = folder / "kind"
    call = f"exec '{sys.executable}' -m tests.devcluster.shim_script '{state}' \"$@\""
    path.write_text(f"#!/bin/sh\nexport PYTHONPATH='{REPOSITORY}'\n{call}\n")
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], clusters(Path(sys.argv[1]))))
