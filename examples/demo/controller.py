"""The controller as a process of its own, with its settings, its log and its end.

Owns: that process. Never: speaks to it but by signals; what it does is seen on the cluster.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from examples.demo.apiserver import LEASES, ApiServer
from examples.demo.cluster import Collector, Place
from examples.demo.submit import ROOT
from examples.demo.trouble import Trouble

START_SECONDS: Final = 30.0
_LOOK_EVERY_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 15.0
_LAST_LINES: Final = 5


class Controller:
    """A running controller; `log` is the file that it writes to."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def wait_failed(self) -> None:
        """Until it ends by itself, which it should not: raises Trouble."""
        code = await self._process.wait()
        last = "\n  ".join(self._log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
        raise Trouble(f"The controller ended by itself with {code}. The last lines of {self._log}:\n  {last}")

    async def wait_leading(self, api: ApiServer, lease: str) -> None:
        """Until it holds its lease: from then on it acts."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not _holder(await api.get(LEASES, lease)):  # noqa: ASYNC110 — it is another process
                    await asyncio.sleep(_LOOK_EVERY_SECONDS)
        except TimeoutError:
            raise Trouble(
                f"The controller did not get its lease {lease} in {START_SECONDS:.0f} s; see {self._log}."
            ) from None

    async def stop(self) -> None:
        """Asks it to end, and waits until it has."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _holder(lease: Mapping[str, object] | None) -> object:
    spec = lease.get("spec") if lease else None
    return spec.get("holderIdentity") if isinstance(spec, dict) else None


@asynccontextmanager
async def started(where: Place, api: ApiServer, to: Collector, log: Path) -> AsyncIterator[Controller]:
    """A controller for this round, which ends with the block."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "controller",
            cwd=ROOT,
            env=_environment(where, api.namespace, to),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Not in the terminal's group: Ctrl-C is for the demo, which ends it once the runs are removed.
            start_new_session=True,
        )
    controller = Controller(process, log)
    try:
        yield controller
    finally:
        await asyncio.shield(controller.stop())
        await api.delete(LEASES, where.round.lease)


def _environment(where: Place, namespace: str, to: Collector) -> dict[str, str]:
    """Ours, without settings that somebody made for another controller."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNHERD_")}
    if to.spans is not None:
        kept = {name: value for name, value in kept.items() if not name.startswith("OTEL_")}
        kept["OTEL_EXPORTER_OTLP_ENDPOINT"] = to.endpoint
    for switch in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        kept.pop(switch, None)
    return kept | {
        "KUBECONFIG": where.kubeconfig,
        "RUNHERD_WATCH_NAMESPACES": namespace,
        "RUNHERD_SELECTOR": where.round.selector,
        "RUNHERD_LEASE_NAME": where.round.lease,
        "RUNHERD_LEASE_NAMESPACE": namespace,
        "RUNHERD_HEARTBEAT_SECONDS": "5",
        "RUNHERD_PROBE_PORT": "0",
        "RUNHERD_LOG_FORMAT": "json",
    }
