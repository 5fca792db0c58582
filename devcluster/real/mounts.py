"""What is mounted on this machine, and unmounting.

Owns: reading mountinfo. Never: mounts anything.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
ESCAPE = re.compile(r"\\([0-7]{3})")  # the kernel writes blanks and the like as octal numbers


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount; `options` are the file system's own, by which version 1 cgroups name their controllers."""

    place: Path
    kind: str
    options: frozenset[str]


def parse(mountinfo: str) -> list[Mount]:
    """All mounts in a text of the kernel's, in its order: what covers another comes later."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place, (kind, _, options) = before.split()[4], after.split(" ", 2)
        found.append(Mount(Path(_plain(place)), kind, frozenset(options.split(","))))
    return found


def present() -> list[Mount]:
    """All mounts that this process sees."""
    return parse(MOUNTINFO.read_text())


def below(folders: Sequence[Path]) -> list[Path]:
    """The places of mounts in these folders, the innermost first."""
    places = [mount.place for mount in present()]
    return [each for each in reversed(places) if any(each.is_relative_to(folder) for folder in folders)]


def unmount(folders: Sequence[Path]) -> None:
    """Unmount all that is in these folders; what is still in use goes when its last user does."""
    if places := below(folders):
        command = ("umount", "--lazy", "--", *map(str, places))
        subprocess.run(command, capture_output=True, check=False)


def _plain(text: str) -> str:
    return ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
