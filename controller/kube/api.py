"""The calls to the API server: list, watch, get, patch, create, replace, read a log.

Owns paths, parameters and what a status means: every failure leaves here as a class of `errors`. Objects go
in and out as bytes. It never repeats a request (the loops above decide) and never looks into an object.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import quote

import msgspec

from controller.kube import answers, errors
from controller.kube.transport import Reply, Request, Wire

Observe = Callable[[str, str, int, float], None]
"""Told after each call: verb, resource, status (0: none came), seconds; for a stream until it began."""

MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
"""Joins lists by the key of their items: owner references by uid. Only built-in kinds take it."""
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as its path names it."""

    group_version: str
    plural: str

    def path(self, namespace: str = "", name: str = "") -> str:
        """Below the server's address."""
        root = "/apis/" if "/" in self.group_version else "/api/"
        parts = [root + self.group_version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


JOBS: Final = Resource("batch/v1", "jobs")
PODS: Final = Resource("v1", "pods")
EVENTS: Final = Resource("events.k8s.io/v1", "events")
CORE_EVENTS: Final = Resource("v1", "events")
"""The same Events in their older form, which can be selected by the object that they are about."""
SECRETS: Final = Resource("v1", "secrets")
CONFIG_MAPS: Final = Resource("v1", "configmaps")
LEASES: Final = Resource("coordination.k8s.io/v1", "leases")


class Page(msgspec.Struct, frozen=True):
    """One page of a list. `version` is where a watch may begin; `token` asks for the next page."""

    items: tuple[msgspec.Raw, ...]
    version: str
    token: str


class RawEvent(msgspec.Struct, frozen=True):
    """One event of a watch; BOOKMARK included, ERROR never (it is raised)."""

    type: str
    object: msgspec.Raw


def micro_time(at: int) -> str:
    """Nanoseconds since the epoch as Kubernetes' MicroTime, which wants all six digits."""
    moment = datetime.fromtimestamp(at // 1_000_000_000, UTC)
    return moment.replace(microsecond=at // 1000 % 1_000_000).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _nothing(_verb: str, _resource: str, _code: int, _seconds: float) -> None:
    pass


class Kube:
    """One cluster. Each purpose has its own connections, so that none can starve another."""

    def __init__(
        self, wire: Wire, observe: Observe = _nothing, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wire = wire
        self._observe = observe
        self._clock = clock

    @classmethod
    async def connect(
        cls,
        *,
        log_streams: int = 500,
        namespaces: int = 1,
        observe: Observe = _nothing,
        clock: Callable[[], float] = time.monotonic,
        kubeconfig: str | None = None,
    ) -> Self:
        """Finds the cluster by KUBECONFIG, else as a pod does. Refused says what is missing.

        `log_streams`: how many logs are read at once, at most.
        `namespaces`: how many are watched, with a watch of Jobs and one of Pods each.
        """
        limits = {"watch": 2 * namespaces + 6, "work": 32, "logs": log_streams, "lease": 2}
        return cls(await Wire.connect(limits, kubeconfig, clock), observe, clock)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._wire.aclose()

    @property
    def namespace(self) -> str:
        """The namespace that this process runs in; empty outside of a cluster."""
        return self._wire.identity.namespace

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._wire.identity.server

    async def page(  # noqa: PLR0913 — the parameters of Kubernetes' list
        self,
        resource: Resource,
        *,
        namespace: str = "",
        selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        token: str = "",
    ) -> Page:
        """One page of a consistent list."""
        params = _params(selector, field_selector, limit=str(limit), **{"continue": token})
        body = await self._call(
            Request("list", resource.plural, resource.path(namespace), params=params), resource
        )
        try:
            found = _LIST.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise errors.Unavailable(f"the list of {resource.plural} is none: {e}", 200) from e
        return Page(tuple(found.items or ()), found.metadata.version, found.metadata.token)

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        selector: str = "",
        version: str,
        timeout_seconds: int,
    ) -> AsyncGenerator[tuple[RawEvent, ...], None]:
        """Changes since `version`, in batches as received, till the server ends the watch.

        The first batch, empty, says that the watch is open. An event that is none raises Expired.
        """
        params = _params(
            selector,
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=version,
            timeoutSeconds=str(timeout_seconds),
        )
        request = Request("watch", resource.plural, resource.path(namespace), params=params)
        async with aclosing(self._stream("watch", request)) as chunks:
            rest: list[bytes] = []
            async for chunk in chunks:
                head, newline, tail = chunk.rpartition(b"\n")
                if not newline and chunk:
                    rest.append(chunk)
                    continue
                events, failure = _events(b"".join((*rest, head)))
                rest = [tail] if tail else []
                yield events
                if failure is not None:
                    raise failure
            if rest:
                raise errors.Unavailable("the watch ended in the middle of an event")

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """The newest state of one object."""
        return await self._call(Request("get", resource.plural, resource.path(namespace, name)), resource)

    async def patch(self, resource: Resource, namespace: str, name: str, body: bytes) -> bytes:
        """One merge patch; the object as it is now."""
        path = resource.path(namespace, name)
        request = Request("patch", resource.plural, path, "PATCH", body=body, media=MERGE)
        return await self._call(request, resource)

    async def patch_metadata(
        self, resource: Resource, namespace: str, name: str, body: bytes, media: str = MERGE
    ) -> bytes:
        """One patch, answered with the object's metadata and nothing else of it (PartialObjectMetadata)."""
        path = resource.path(namespace, name)
        request = Request("patch", resource.plural, path, "PATCH", body=body, media=media, accept=_METADATA)
        return await self._call(request, resource)

    async def create(self, resource: Resource, namespace: str, body: bytes) -> bytes:
        """A new object. AlreadyExists if there is one of that name."""
        return await self._call(
            Request("create", resource.plural, resource.path(namespace), "POST", body=body), resource
        )

    async def replace(self, resource: Resource, namespace: str, name: str, body: bytes) -> bytes:
        """The whole object; Conflict unless its resourceVersion is the newest."""
        return await self._call(
            Request("update", resource.plural, resource.path(namespace, name), "PUT", body=body), resource
        )

    async def log(  # noqa: PLR0913 — one keyword for each parameter of the API
        self, namespace: str, pod: str, container: str, *, follow: bool, since: str = "", limit_bytes: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """A container's log as it comes, with timestamps. The first chunk, empty, says that it is open."""
        params = {"container": container, "timestamps": "true"}
        params |= {"follow": "true"} if follow else {}
        params |= {"sinceTime": since} if since else {}
        params |= {"limitBytes": str(limit_bytes)} if limit_bytes else {}
        request = Request("log", PODS.plural, PODS.path(namespace, pod) + "/log", params=params)
        try:
            async with aclosing(self._stream("logs", request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except errors.NotFound as e:
            if f'pods "{pod}" not found' in str(e):
                raise errors.PodGone(str(e)) from e
            # The kubelet's own 404: one that has just been restarted does not know its pods yet.
            raise errors.Unavailable(str(e), e.code) from e
        except (errors.Refused, errors.Unavailable) as e:
            if e.code == 204 or (e.code == 400 and any(word in str(e) for word in _NOT_STARTED)):
                raise errors.NotStarted(str(e)) from e
            raise

    async def _call(self, request: Request, resource: Resource) -> bytes:
        began, code = self._clock(), 0
        try:
            reply = await self._wire.send("lease" if resource is LEASES else "work", request)
            code = reply.status
        finally:
            self._observe(request.verb, request.resource, code, self._clock() - began)
        if not 200 <= code < 300:
            raise _failure(reply, request)
        return reply.body

    async def _stream(self, purpose: str, request: Request) -> AsyncGenerator[bytes, None]:
        """The chunks of a stream; the first, empty, when it is open."""
        began, code = self._clock(), 0
        try:
            async with self._wire.stream(purpose, request) as reply:
                code = reply.status
                self._observe(request.verb, request.resource, code, self._clock() - began)
                if reply.chunks is None:
                    raise _failure(reply, request)
                yield b""
                async for chunk in reply.chunks:
                    yield chunk
        except errors.Unavailable:
            if not code:
                self._observe(request.verb, request.resource, 0, self._clock() - began)
            raise


class _ListMeta(msgspec.Struct):
    version: str = msgspec.field(name="resourceVersion", default="")
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


_LIST = msgspec.json.Decoder(_List)
_EVENT = msgspec.json.Decoder(RawEvent)

_NOT_STARTED: Final = ("waiting to start", "is not available", "not have a host assigned")
"""How a 400 says that a container has no log yet. For a pod without a node the server says it with 204."""


def _params(selector: str = "", field_selector: str = "", **others: str) -> dict[str, str]:
    wanted = {"labelSelector": selector, "fieldSelector": field_selector, **others}
    return {name: value for name, value in wanted.items() if value}


def _events(lines: bytes) -> tuple[tuple[RawEvent, ...], errors.KubeError | None]:
    """The events before the first that is an error, and that error."""
    try:
        events = _EVENT.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        return (), errors.Expired(f"an event of the watch can't be read: {e}")
    for index, event in enumerate(events):
        if event.type == "ERROR":
            told = answers.status(bytes(event.object))
            return tuple(events[:index]), answers.error(told.code, told, "watch", 0.0)
    return tuple(events), None


def _failure(reply: Reply, request: Request) -> errors.KubeError:
    return answers.failure(reply.status, reply.headers, reply.body, f"{request.verb} {request.resource}")
