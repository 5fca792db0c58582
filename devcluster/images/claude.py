"""The real Claude Code CLI, from its npm package: one native program, no Node.

Owns: its version, its integrity, how it is fetched. Never: installs it on this machine, or runs it.
"""

import base64
import hashlib
import platform
import shutil
import tarfile
import tempfile
import time
from pathlib import Path

from devcluster.images.running import ImageError, Told, run

VERSION = "2.1.197"
PACKAGES = {
    "x86_64": (
        "@anthropic-ai/claude-code-linux-x64",
        "sha512-rIlKmrY0QMyHgPRX/MYWNj039vbypICvI9jVe3rs9Xy2RnNklySjyPxqh62QadznzoftEO23uYQ1tFePcQ//bg==",
    ),
    "aarch64": (
        "@anthropic-ai/claude-code-linux-arm64",
        "sha512-sx6SoGj3MNR5CV+YDkNtbLHXa1tn3G8qcYFgm1gnvOi9ODQUKbhiPfankJfkTMDVekOvnKJhm6i9hGFIPzp7cQ==",
    ),
}
"""By machine: the package that the main package depends on there, and the integrity of its tarball."""
_PROGRAM = "package/claude"


def fetch(program: Path, told: Told) -> None:
    """Write the program to the path `program`. Raises ImageError if it is not the one that is pinned here."""
    started = time.monotonic()
    if platform.machine() not in PACKAGES:
        raise ImageError(
            f"Claude Code has no package for {platform.machine()}; there is {', '.join(PACKAGES)}"
        )
    package, integrity = PACKAGES[platform.machine()]
    told(f"fetching {package} {VERSION} with npm (75 MB) …")
    with tempfile.TemporaryDirectory(prefix="runherd-npm-") as held:
        run(
            "fetch Claude Code",
            ["npm", "pack", "--silent", "--ignore-scripts", f"{package}@{VERSION}"],
            cwd=Path(held),
        )
        (tarball,) = Path(held).glob("*.tgz")
        take(tarball, integrity, program)
    told(f"unpacked Claude Code in {time.monotonic() - started:.1f} s")


def take(tarball: Path, integrity: str, program: Path) -> None:
    """The program out of the tarball, whose sha512 must be `integrity`; ImageError if it is not."""
    with tarball.open("rb") as content:
        digest = base64.b64encode(hashlib.file_digest(content, "sha512").digest()).decode()
    if f"sha512-{digest}" != integrity:
        raise ImageError(
            f"{tarball.name} is not the one that was pinned: its integrity is sha512-{digest}, wanted is"
            f" {integrity}; look where it came from, and change the one in claude.py only if you trust it"
        )
    with tarfile.open(tarball) as tar:
        found = tar.extractfile(_PROGRAM)
        if found is None:
            raise ImageError(f"{tarball.name} has no {_PROGRAM}")
        with found, program.open("wb") as file:
            shutil.copyfileobj(found, file, 2**20)
    program.chmod(0o755)
