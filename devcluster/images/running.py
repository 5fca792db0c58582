"""Runs the programs that fetch and unpack what images are made of, and says what went wrong.

Owns: the error that people see. Never: knows what the programs are for.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

Told = Callable[[str], None]
"""Takes lines of progress."""
TAIL = 15
PACKAGES = {"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg", "npm": "npm", "tar": "tar"}
"""Which Debian package brings a program."""


class ImageError(Exception):
    """An image can't be made; the message says what failed, and how to mend it."""


def run(what: str, command: Sequence[str], cwd: Path | None = None, **environment: str) -> str:
    """What the command printed; `what` names the deed in the message of the ImageError when it fails."""
    done = subprocess.run(
        [found(command[0], what), *command[1:]],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-TAIL:])
        raise ImageError(f"could not {what}: {' '.join(command[:2])} … ended with {done.returncode}\n{said}")
    return done.stdout


def found(program: str, what: str) -> str:
    """The path of a program; ImageError if there is none."""
    path = shutil.which(program)
    if path is None:
        mend = f"; on Debian and Ubuntu: apt-get install {PACKAGES[program]}" if program in PACKAGES else ""
        raise ImageError(f"could not {what}: there is no {program} on the PATH{mend}")
    return path
