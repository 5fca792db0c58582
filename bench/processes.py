"""Parts of the bench that are processes of their own: started, asked for JSON on their stdout, ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
_END_SECONDS: Final = 15.0


def environment() -> dict[str, str]:
    """Ours, without settings that somebody made for another controller, cluster or collector."""
    foreign = ("RUNHERD_", "OTEL_", "KUBERNETES_", "KUBECONFIG")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


@contextmanager
def started(module: str, *arguments: str) -> Iterator[IO[str]]:
    """A module of ours as a program, by its stdout; ended with the block if it has not by then."""
    with subprocess.Popen(  # noqa: S603 — our own module, by our own interpreter
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("a pipe was asked for")
            yield process.stdout
        finally:
            _end(process)


def said(lines: IO[str]) -> Any:
    """The next line of a program's stdout, decoded."""
    line = lines.readline()
    if not line:
        raise RuntimeError("a part of the bench has ended early; what it said on stderr stands above")
    return json.loads(line)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
