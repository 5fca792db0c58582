"""Stand-ins for an API server: one that answers over a socket as told, one in memory for virtual time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import looptime
import msgspec
from aiohttp import web

from controller.kube import errors
from controller.kube.api import Kube, Page, RawEvent, Resource

R = TypeVar("R")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def in_virtual_time(world: Coroutine[Any, Any, R], *, limit: float = 86_400) -> R:
    """Runs without waiting: when all sleep, the clock jumps. `limit`: virtual seconds."""
    loop = looptime.new_event_loop(start=1000.0)
    try:
        return loop.run_until_complete(asyncio.wait_for(world, limit))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    """Waits for the world to look so."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 — the world of a test has no event for everything
            await asyncio.sleep(0.005)


def status(code: int, reason: str = "", message: str = "no", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


def event(kind: str, name: str, version: int, **metadata: Any) -> bytes:
    meta = {
        "namespace": "ns",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        **metadata,
    }
    return json.dumps({"type": kind, "object": {"metadata": meta}}).encode() + b"\n"


def a_list(names: list[str], version: int, token: str = "") -> web.Response:
    items = [
        {"metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": "1"}}
        for name in names
    ]
    return web.json_response(
        {"metadata": {"resourceVersion": str(version), "continue": token}, "items": items}
    )


class Script:
    """An API server that answers as told, and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[web.Request] = []
        self.answer: Answer = self.nothing
        self.url = ""

    async def nothing(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(status(404, "NotFound"), status=404)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.asked.append(request)
        return await self.answer(request)

    def kubeconfig(self, user: dict[str, Any] | None = None, **cluster: Any) -> str:
        path = self.folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "script",
            "contexts": [{"name": "script", "context": {"cluster": "script", "user": "script"}}],
            "clusters": [{"name": "script", "cluster": {"server": self.url, **cluster}}],
            "users": [{"name": "script", "user": user or {}}],
        }
        path.write_text(json.dumps(config))
        return str(path)

    @asynccontextmanager
    async def kube(self, user: dict[str, Any] | None = None, **options: Any) -> AsyncGenerator[Kube, None]:
        kube = await Kube.connect(kubeconfig=self.kubeconfig(user), **options)
        try:
            yield kube
        finally:
            await kube.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Script", None]:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


async def stream(request: web.Request, *chunks: bytes, then: str = "end") -> web.StreamResponse:
    """Sends these chunks; then ends, hangs, or cuts the connection."""
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
        await asyncio.sleep(0.01)  # else several chunks may travel as one
    if then == "hang":
        await asyncio.Event().wait()
    if then == "cut" and request.transport is not None:
        request.transport.abort()
    return response


class MemoryCluster:
    """Versioned objects of one kind with a history to watch, in the running loop's (virtual) time.

    `trouble` is called before each request with its verb; what it raises, the caller gets.
    """

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.compacted = 0
        self.calls: list[tuple[float, str]] = []
        self.trouble: Callable[[str], None] = lambda _verb: None
        self.latency = 0.0
        self.changed = asyncio.Event()
        self.cut = asyncio.Event()
        self._uids = 0

    # The world.

    def put(self, name: str, **fields: Any) -> None:
        key = ("ns", name)
        kind = "MODIFIED" if key in self.objects else "ADDED"
        old = self.objects.get(key, {"metadata": {}})
        if kind == "ADDED":
            self._uids += 1
        uid = old["metadata"].get("uid", f"uid-{self._uids}")
        self._record(kind, key, fields | {"metadata": {"namespace": "ns", "name": name, "uid": uid}})

    def delete(self, name: str) -> None:
        if (found := self.objects.get(("ns", name))) is not None:
            self._record("DELETED", ("ns", name), found)

    def compact(self) -> None:
        self.compacted = self.version

    def cut_watches(self) -> None:
        self.cut.set()
        self.cut = asyncio.Event()

    def _record(self, kind: str, key: tuple[str, str], made: dict[str, Any]) -> None:
        self.version += 1
        made = made | {"metadata": made["metadata"] | {"resourceVersion": str(self.version)}}
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = made
        self.history.append((self.version, kind, made))
        self.changed.set()
        self.changed = asyncio.Event()

    # The API.

    async def _asked(self, verb: str) -> None:
        self.calls.append((asyncio.get_running_loop().time(), verb))
        if self.latency:
            await asyncio.sleep(self.latency)
        self.trouble(verb)

    async def page(self, _resource: Resource, *, limit: int = 500, token: str = "", **_query: Any) -> Page:
        await self._asked("continue" if token else "list")
        version, after = json.loads(token) if token else (self.version, "")
        if version < self.compacted:
            raise errors.Expired("the continue token is too old")
        there: dict[str, dict[str, Any]] = {}
        for at, kind, made in self.history:
            if at <= version:
                name = made["metadata"]["name"]
                there.pop(name, None) if kind == "DELETED" else there.__setitem__(name, made)
        names = sorted(name for name in there if name > after)
        items = tuple(msgspec.Raw(json.dumps(there[name]).encode()) for name in names[:limit])
        more = json.dumps([version, names[limit - 1]]) if len(names) > limit else ""
        return Page(items, str(version), more)

    async def watch(
        self, _resource: Resource, *, version: str, timeout_seconds: int, **_query: Any
    ) -> AsyncGenerator[tuple[RawEvent, ...], None]:
        await self._asked("watch")
        sent, cut = int(version), self.cut
        until = asyncio.get_running_loop().time() + timeout_seconds
        if sent < self.compacted:
            raise errors.Expired("too old")
        yield ()
        while not cut.is_set() and (left := until - asyncio.get_running_loop().time()) > 0.001:
            changed = self.changed
            batch = [entry for entry in self.history if entry[0] > sent]
            if batch:
                sent = batch[-1][0]
                yield tuple(RawEvent(kind, msgspec.Raw(json.dumps(made).encode())) for _, kind, made in batch)
                continue
            waits = [asyncio.ensure_future(e.wait()) for e in (changed, cut)]
            try:
                await asyncio.wait(waits, timeout=min(left, 60), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if not changed.is_set() and not cut.is_set():
                sent = self.version
                mark = {"metadata": {"resourceVersion": str(sent)}}
                yield (RawEvent("BOOKMARK", msgspec.Raw(json.dumps(mark).encode())),)
        if cut.is_set():
            raise errors.Unavailable("cut")

    async def get(self, _resource: Resource, namespace: str, name: str) -> bytes:
        await self._asked("get")
        if (found := self.objects.get((namespace, name))) is None:
            raise errors.NotFound(name)
        return json.dumps(found).encode()

    async def create(self, _resource: Resource, namespace: str, body: bytes) -> bytes:
        await self._asked("create")
        made = json.loads(body)
        key = (namespace, made["metadata"]["name"])
        if key in self.objects:
            raise errors.AlreadyExists(key[1])
        self._record("ADDED", key, made)
        self.trouble("created")
        return json.dumps(self.objects[key]).encode()

    async def replace(self, _resource: Resource, namespace: str, name: str, body: bytes) -> bytes:
        await self._asked("replace")
        made, found = json.loads(body), self.objects.get((namespace, name))
        if found is None:
            raise errors.NotFound(name)
        if made["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise errors.Conflict(name)
        self._record("MODIFIED", (namespace, name), made)
        self.trouble("replaced")
        return json.dumps(self.objects[namespace, name]).encode()


async def events_of(kube, resource, **options):
    """The events of a watch one by one, out of the batches in which they come."""
    async with aclosing(kube.watch(resource, **options)) as batches:
        async for batch in batches:
            for found in batch:
                yield found
