"""Processes that outlive the command that started them.

Owns: starting one in a network namespace, finding it again, signalling it. A process is its pid and its start
time, so that a pid the kernel has given to somebody else is never signalled.
Never: knows what a process is for.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")
GONE = "ZX"  # states of a process that has ended: not yet reaped, being removed
LAUNCH = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!'


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine; `started` is in clock ticks since the machine's start."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """It still runs: this one, not another with its pid."""
        return observe(self.pid) == self

    @property
    def rss(self) -> int:
        """Its resident memory in bytes; 0 when it has ended."""
        with contextlib.suppress(OSError, IndexError):
            return int((PROC / str(self.pid) / "statm").read_text().split()[1]) * PAGE if self.alive else 0
        return 0


def observe(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or only its exit code is left."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return parse_stat(pid, stat)


def parse_stat(pid: int, stat: str) -> Process | None:
    """A process from the line in its `stat` file; None for one that has ended. Its name may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in GONE else Process(pid, int(fields[19]))


def start(command: Sequence[str], namespace: Path, log: Path) -> Process | None:
    """Start `command` in a network namespace and a session of its own; None if it ended at once.

    Not with `ip netns exec`, which would hide the cgroups. A shell in between hands it over to init, so that
    it is nobody's child and needs no reaping by us.
    """
    argv = ["/bin/sh", "-c", LAUNCH, "sh", str(log), "nsenter", f"--net={namespace}", *command]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True)
    return observe(int(done.stdout))


def save(process: Process, record: Path) -> None:
    """Remember a process; the record appears whole."""
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(process)))
    draft.replace(record)


def load(record: Path) -> Process | None:
    """The process that a record remembers; None without a record that can be read."""
    try:
        return Process(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def of(programs: AbstractSet[str], folders: Sequence[Path]) -> list[Process]:
    """The processes of these programs whose arguments name a path in one of these folders.

    The program counts: whoever merely reads a cluster's kubeconfig or log is no part of the cluster.
    """
    prefixes = [f"{folder}/" for folder in folders]
    return [
        process
        for pid, line in _command_lines()
        if Path(line[0]).name in programs
        and any(prefix in argument for prefix in prefixes for argument in line)
        and (process := observe(pid))
    ]


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_text(errors="replace").split("\0")


def end(processes: Iterable[Process], sig: signal.Signals, seconds: float) -> list[Process]:
    """Signal all of them and wait until they have ended; those that have not after `seconds`."""
    with contextlib.ExitStack() as opened:
        waiting = {}
        for process in processes:
            descriptor = _open(process)
            if descriptor is not None:
                opened.callback(os.close, descriptor)
                waiting[descriptor] = process
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    signal.pidfd_send_signal(descriptor, sig)
        return _wait(waiting, seconds)


def _open(process: Process) -> int | None:
    """A descriptor of exactly this process; None when it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if process.alive:
        return descriptor
    os.close(descriptor)
    return None


def _wait(waiting: dict[int, Process], seconds: float) -> list[Process]:
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    until = time.monotonic() + seconds
    while waiting and (left := until - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            del waiting[descriptor]
    return list(waiting.values())
