"""Local processes that stand for containers: one session each, its output read as it comes.

Owns: starting, signalling and reaping processes, the guard that survives us, memory limits.
Never: knows about pods.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.fake import guard

CHUNK = 256 * 1024
DRAIN = 1.0  # seconds that output may still come after the end, from a process that left the session
MEMORY_POLL = 0.02
PAGE = os.sysconf("SC_PAGE_SIZE")
Output = Callable[[bytes, bytes], None]  # stream name, data


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and where."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    memory_limit: int | None = None


class Process:
    """One running session; `ended` is set with the exit code once all output has been read."""

    def __init__(self, popen: "subprocess.Popen[bytes]", output: Output) -> None:
        self.pid = popen.pid
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.out_of_memory = False
        self._popen = popen
        self._output = output
        self._open: dict[int, bytes] = {}
        self._drained = asyncio.Event()
        for pipe, name in ((popen.stdout, b"stdout"), (popen.stderr, b"stderr")):
            if pipe is None:
                continue
            os.set_blocking(pipe.fileno(), False)
            self._open[pipe.fileno()] = name
            asyncio.get_running_loop().add_reader(pipe.fileno(), self._read, pipe.fileno())
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._exited)

    def signal(self, sig: int) -> None:
        """To the first process, as a container runtime does; SIGKILL to the whole session.

        In a container it has the number 1, and a signal without a handler does nothing to it.
        """
        if sig == signal.SIGKILL:
            guard.kill_session(self.pid)
        elif self._popen.returncode is None and _handles(self.pid, sig):
            self._popen.send_signal(sig)

    def kill_largest(self) -> None:
        """End the one process that needs the most memory, as the kernel does."""
        sizes = {pid: _resident(pid) for pid in guard.members(self.pid)}
        if sizes:
            with contextlib.suppress(ProcessLookupError):  # it ended while we looked
                os.kill(max(sizes, key=lambda pid: sizes[pid]), signal.SIGKILL)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return
        if data:
            self._output(self._open[descriptor], data)
        else:
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        del self._open[descriptor]
        if not self._open:
            self._drained.set()

    def _exited(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._popen.wait()
        guard.kill_session(self.pid)  # what the first process leaves behind ends with it
        self._finish = loop.create_task(self._drain())

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                await self._drained.wait()
        for descriptor in tuple(self._open):
            self._close(descriptor)
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()
        code = self._popen.returncode
        if not self.ended.done():
            self.ended.set_result(128 - code if code < 0 else code)


class Processes:
    """All processes of a kubelet, and the guard that ends them should we die."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._running: dict[int, tuple[Process, Command]] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self, command: Command, output: Output) -> Process:
        """Start a command; OSError if that is impossible."""
        if not command.argv or not command.argv[0]:
            raise OSError("no command")
        self._tell(b"")
        popen = subprocess.Popen(
            list(command.argv), cwd=command.folder, env=dict(command.environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, bufsize=0,
        )  # fmt: skip
        self._tell(b"+%d\n" % popen.pid)
        process = Process(popen, output)
        self._running[process.pid] = (process, command)
        process.ended.add_done_callback(lambda _: self._forget(process))
        if command.memory_limit is not None and (self._watching is None or self._watching.done()):
            self._watching = asyncio.get_running_loop().create_task(self._watch_memory())
        return process

    def _forget(self, process: Process) -> None:
        self._running.pop(process.pid, None)
        self._tell(b"-%d\n" % process.pid)

    def _tell(self, line: bytes) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(self._scratch)],
                stdin=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        if line and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # the guard was killed: nothing we can do for it
                self._guard.stdin.write(line)

    async def _watch_memory(self) -> None:
        """Kill what uses more than it may, for as long as anything is limited."""
        while limited := {p.pid: p for p, c in self._running.values() if c.memory_limit is not None}:
            used = resident(limited)
            for pid, process in limited.items():
                if used.get(pid, 0) > (self._running[pid][1].memory_limit or 0) and not process.ended.done():
                    process.out_of_memory = True
                    process.kill_largest()
            await asyncio.sleep(MEMORY_POLL)

    def kill_below(self, folder: Path) -> None:
        """Kill what was started below a folder."""
        for process, command in tuple(self._running.values()):
            if command.folder.is_relative_to(folder):
                process.signal(signal.SIGKILL)

    async def close(self) -> None:
        """Kill everything, and wait until it is gone."""
        running = [process for process, _ in self._running.values()]
        for process in running:
            process.signal(signal.SIGKILL)
        if running:
            await asyncio.wait([process.ended for process in running], timeout=5)
        if self._watching is not None:
            self._watching.cancel()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await asyncio.to_thread(self._guard.wait)


def _handles(pid: int, sig: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False  # it has ended
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (sig - 1) & 1)


def _resident(pid: int) -> int:
    """The resident pages of one process; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def resident(sessions: Mapping[int, object]) -> dict[int, int]:
    """The resident bytes of each session."""
    used: dict[int, int] = {}
    for folder in os.listdir("/proc"):  # noqa: PTH208 - fifty times a second: Path objects cost more than the look
        if folder.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):  # it ended while we looked
                with open(f"/proc/{folder}/stat", "rb") as stat:  # noqa: PTH123 - as above
                    fields = stat.read().rpartition(b")")[2].split()
                session = int(fields[3])
                if session in sessions:
                    used[session] = used.get(session, 0) + int(fields[21]) * PAGE
    return used
