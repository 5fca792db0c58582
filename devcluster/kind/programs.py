"""The two programs that a cluster of kind needs, Docker and kind, and running them.

Owns: finding them, what is said when one is missing or fails, passing on what they print.
Never: knows what they are asked for; that is `calls.py`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from devcluster import programs
from devcluster.kind import calls
from devcluster.kind.calls import Call

Told = Callable[[str], None]
QUESTION_SECONDS = 60.0
NO_DOCKER = """docker is not on PATH.
  kind's nodes are containers of Docker: install Docker, or use a cluster that needs none:
  python -m devcluster real up"""
NO_ENGINE = """docker is here, but its engine does not answer: {said}
  Start it (systemctl start docker), or use a cluster that needs none: python -m devcluster real up"""


class KindError(Exception):
    """Something that the person at the terminal can mend; the text says what, and how."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where docker and kind are."""

    docker: Path
    kind: Path

    @classmethod
    def found(cls, told: Told) -> Self:
        """Docker from PATH and our own kind, built if it is missing; KindError without Docker."""
        docker = shutil.which("docker")
        if docker is None:
            raise KindError(NO_DOCKER)
        _require_engine(Path(docker))
        return cls(Path(docker), programs.path("kind", told))

    def ask(self, call: Call) -> str:
        """What a call prints; KindError if it fails, or takes longer than a minute."""
        try:
            done = subprocess.run(
                self._words(call), env=_environment(), capture_output=True, text=True, check=False,
                timeout=QUESTION_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise KindError(f"no answer within {error.timeout:.0f} s from: {' '.join(call)}") from error
        if done.returncode:
            raise _failure(call, done.returncode, done.stderr)
        return done.stdout

    def run(self, call: Call, told: Told) -> None:
        """Run a call that takes its time; each line it says is told on. KindError if it fails."""
        lines = []
        with (
            tempfile.TemporaryFile() as unread,
            subprocess.Popen(
                self._words(call), env=_environment(), stdout=unread, stderr=subprocess.PIPE, text=True
            ) as process,
        ):
            for line in process.stderr or ():
                lines.append(line)
                told(line.rstrip())
        if process.returncode:
            raise _failure(call, process.returncode, "".join(lines))

    def _words(self, call: Call) -> list[str]:
        program = {"docker": self.docker, "kind": self.kind}[call[0]]
        return [str(program), *call[1:]]


def _environment() -> dict[str, str]:
    """Without this, kind takes podman or nerdctl where it finds them; our calls are Docker's."""
    return os.environ | {"KIND_EXPERIMENTAL_PROVIDER": "docker"}


def _failure(call: Call, code: int, said: str) -> KindError:
    last = said.strip() or "it said nothing"
    return KindError(f"{call[0]} failed with exit code {code}: {last}\n  the call was: {' '.join(call)}")


def _require_engine(docker: Path) -> None:
    try:
        done = subprocess.run(
            [docker, *calls.engine()[1:]], capture_output=True, text=True, check=False, timeout=20
        )
    except subprocess.TimeoutExpired as error:
        raise KindError(NO_ENGINE.format(said=f"nothing within {error.timeout:.0f} s")) from error
    if done.returncode:
        raise KindError(NO_ENGINE.format(said=done.stderr.strip()))
