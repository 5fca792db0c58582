"""The controller as a process of its own, started as an operator would; what it takes of the machine.

Owns its start, its end, and the reading of /proc. What it does is seen on the cluster and in its metrics.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench import processes
from bench.cluster import counted
from bench.cluster.client import Trouble
from bench.cluster.runs import DOMAIN

LEASE: Final = "runherd-bench"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_LOOK_EVERY_SECONDS: Final = 0.2
_LAST_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller at work."""

    pid: int
    port: int

    def cpu_ms(self) -> float:
        """What it has used so far."""
        return cpu_ms(self.pid)

    def resident_mib(self) -> float:
        """What of it is in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    async def counters(self) -> counted.Counters:
        """What it has counted so far."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
        ):
            return counted.read(await answer.text(), ("runherd_",))


@asynccontextmanager
async def started(kubeconfig: str, namespace: str, log: Path) -> AsyncIterator[Controller]:
    """A controller that leads, ended with the block."""
    port = _free_port()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *_command(), cwd=processes.ROOT, env=_environment(kubeconfig, namespace, port),
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,  # Ctrl-C is for the bench, which ends it
        )  # fmt: skip
    controller = Controller(process.pid, port)
    try:
        await _wait_leading(process, controller, log)
        async with asyncio.TaskGroup() as group:
            lives = group.create_task(_live(process, log))
            yield controller
            lives.cancel()
    finally:
        await asyncio.shield(_end(process))


def cpu_ms(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _command() -> list[str]:
    return [sys.executable, "-m", "controller"]


def _environment(kubeconfig: str, namespace: str, port: int) -> Mapping[str, str]:
    return processes.environment() | {
        "KUBECONFIG": kubeconfig,
        "RUNHERD_LABEL_DOMAIN": DOMAIN,
        "RUNHERD_WATCH_NAMESPACES": namespace,
        "RUNHERD_LEASE_NAME": LEASE,
        "RUNHERD_LEASE_NAMESPACE": namespace,
        "RUNHERD_PROBE_PORT": str(port),
    }


async def _wait_leading(process: asyncio.subprocess.Process, controller: Controller, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _leads(controller):
                if process.returncode is not None:
                    raise Trouble(f"the controller has ended by itself; its last words:\n{_last_words(log)}")
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
    except TimeoutError:
        raise Trouble(
            f"the controller does not lead after {_START_SECONDS:.0f} s; its last words:\n{_last_words(log)}"
        ) from None


async def _live(process: asyncio.subprocess.Process, log: Path) -> None:
    """Until cancelled: it should not end by itself."""
    await process.wait()
    raise Trouble(f"the controller has ended by itself; its last words:\n{_last_words(log)}")


async def _leads(controller: Controller) -> bool:
    try:
        counters = await controller.counters()
    except aiohttp.ClientError:
        return False
    return counters.total("runherd_lease_held") > 0


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
