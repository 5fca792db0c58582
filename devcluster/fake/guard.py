"""A process of its own that ends what a killed cluster would leave behind.

Owns: the list of sessions it was told of, and their end when its input ends: the cluster's death closes it,
however the cluster dies. Run as a script; imports nothing of this package.
Never: touches a process it was not told of.

Input, a line each: `+ID` a session was started, `-ID` it has ended. Argument: the cluster's scratch
folder, removed in the end.
"""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path


def members(session: int) -> Iterator[int]:
    """The processes of a session; not those that have ended and are only not yet reaped."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):  # it ended while we looked
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    yield int(folder.name)


def kill_session(session: int, sig: int = signal.SIGKILL) -> None:
    """Signal every process of a session."""
    for pid in tuple(members(session)):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or no longer ours
            os.kill(pid, sig)


def main() -> None:
    """Remember until the input ends, then kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sessions: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            sessions.add(int(line[1:]))
        else:
            sessions.discard(int(line[1:]))
    for session in sessions:
        kill_session(session)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()
