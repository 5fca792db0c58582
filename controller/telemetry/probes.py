"""`/healthz`, `/readyz` and `/metrics` over HTTP, on one port.

Owns the server. It asks `alive` and `ready` anew for every request, keeps nothing and decides nothing: a
stale watch makes the controller unready, but never dead (contract §7): a restart does not mend an API server.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Final, Self

from aiohttp import web

from controller.telemetry.metrics import Metrics

TEXT: Final = "text/plain"


class Probes:
    """The server: `async with Probes(...)`, or `start` and `stop`."""

    def __init__(
        self,
        port: int,
        alive: Callable[[], bool],
        ready: Callable[[], Mapping[str, str | None]],
        metrics: Metrics,
    ) -> None:
        self.port = port
        """The port listened on; with 0 asked for, the real one once started."""
        self._alive = alive
        self._ready = ready
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on all addresses."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._scrape)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        self._runner = runner
        listening = _listen(self.port)
        self.port = listening.getsockname()[1]
        await web.SockSite(runner, listening).start()

    async def stop(self) -> None:
        """Close the port. Stopping twice is the same as once."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        # That this answers at all shows that the event loop turns.
        if self._alive():
            return web.Response(text="ok\n", content_type=TEXT)
        return web.Response(status=503, text="a task has ended\n", content_type=TEXT)

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = self._ready()
        failing = any(why is not None for why in checks.values())
        lines = [f"{name}: {'ok' if why is None else why}\n" for name, why in checks.items()]
        return web.Response(status=503 if failing else 200, text="".join(lines), content_type=TEXT)

    async def _scrape(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _listen(port: int) -> socket.socket:
    """One socket for IPv4 and IPv6: kubelets probe the pod's address, of whichever family."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", port))  # noqa: S104 — probes come from outside of the pod
