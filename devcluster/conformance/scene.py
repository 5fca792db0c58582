"""What a scenario has in hand: a namespace of its own, requests into it, and the list of what it saw.

Owns: addresses, the namespace's life, normalising what is noted. Never: judges what is noted.

Noted are names, words and relations. What differs from play to play (uids, times, the namespace) is
replaced by a word in braces, wherever it stands in a text.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from devcluster.conformance.connection import JSON, JSON_TYPE, MERGE, Connection, Reply, Request
from devcluster.conformance.watching import PATIENCE, TooLong, Watching

GROUPS = {
    "jobs": "/apis/batch/v1", "leases": "/apis/coordination.k8s.io/v1", "newevents": "/apis/events.k8s.io/v1",
}  # fmt: skip
"""Where resources are served that are not in the core group; `newevents` are the Events of events.k8s.io."""
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "{uid}"),
    (re.compile(r"containerd://[0-9a-f]{64}"), "{container id}"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "{time}"),
)
POLL = 0.1


class Unexpected(Exception):  # noqa: N818 - named by what it means
    """A request that only prepares something was refused."""


class Scene:
    """One play of one scenario."""

    def __init__(self, connection: Connection, name: str, image: str) -> None:
        self.connection = connection
        self.namespace = f"conf-{name[:40]}-{secrets.token_hex(3)}"
        self.image = image
        self._left: list[str] = [f"/api/v1/namespaces/{self.namespace}"]
        self.noted: dict[str, Any] = {}
        self._hidden: list[tuple[str, str]] = [(self.namespace, "{namespace}"), (image, "{image}")]

    @property
    def long(self) -> float:
        """Seconds that a state must last to be seen: a kubelet looks at its containers once a second."""
        return 0.5 if self.connection.kind == "fake" else 5

    def note(self, name: str, value: Any) -> None:
        """Something that was seen; values are JSON."""
        self.noted[name] = self.shown(value)

    def refused(self, name: str, reply: Reply, before: str = "") -> None:
        """How a request was answered: the code, and of a Status its reason and message (up to some words)."""
        told = reply.object
        if told.get("kind") == "Status":
            said = f"{reply.status} {told.get('reason', '')}: {told.get('message', '')}"
        elif reply.object:
            said = f"{reply.status} {told.get('kind', 'an object')}"
        else:
            said = f"{reply.status} {reply.body!r}"
        self.note(name, said.partition(before)[0] if before else said)

    def hide(self, text: str, word: str) -> None:
        """Show a text that differs from play to play as a word in braces."""
        self._hidden.append((text, f"{{{word}}}"))

    def shown(self, value: Any) -> Any:
        """A value as it is noted."""
        if isinstance(value, str):
            for text, word in self._hidden:
                value = value.replace(text, word)
            for pattern, word in _VOLATILE:
                value = pattern.sub(word, value)
        elif isinstance(value, Mapping):
            value = {self.shown(key): self.shown(item) for key, item in value.items()}
        elif isinstance(value, list | tuple):
            value = [self.shown(item) for item in value]
        return value

    def leave(self, path: str) -> None:
        """Something outside of the namespace is to be deleted in the end."""
        self._left.append(path)

    def path(self, plural: str, name: str = "", part: str = "") -> str:
        """The address of a resource, an object or a part of it, in the scene's namespace."""
        head = f"{GROUPS.get(plural, '/api/v1')}/namespaces/{self.namespace}/"
        return "/".join(item for item in (head + plural.removeprefix("new"), name, part) if item)

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A request; options: `media`, `query`, `headers`."""
        return await self.connection.call(Request(method, path, body=body, **options))

    async def get(self, plural: str, name: str = "", part: str = "", **query: str) -> Reply:
        """One object, or a list."""
        return await self.call("GET", self.path(plural, name, part), query=query)

    async def post(self, plural: str, manifest: JSON, **options: Any) -> Reply:
        """A create that may be refused."""
        return await self.call("POST", self.path(plural), manifest, **options)

    async def put(self, plural: str, name: str, body: JSON) -> Reply:
        """A replacement."""
        return await self.call("PUT", self.path(plural, name), body)

    async def patch(self, plural: str, name: str, body: Any, media: str = MERGE, part: str = "") -> Reply:
        """A patch that may be refused."""
        return await self.call("PATCH", self.path(plural, name, part), body, media=media)

    async def delete(self, plural: str, name: str, **options: Any) -> Reply:
        """A delete; options as in DeleteOptions."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1"} | options if options else None
        return await self.call("DELETE", self.path(plural, name), body, media=JSON_TYPE)

    async def create(self, plural: str, manifest: JSON) -> JSON:
        """A create that prepares something. Raises Unexpected."""
        return self.must(await self.post(plural, manifest))

    async def read(self, plural: str, name: str) -> JSON:
        """An object that is there. Raises Unexpected."""
        return self.must(await self.get(plural, name))

    async def change(self, plural: str, name: str, body: JSON) -> JSON:
        """A merge patch that prepares something. Raises Unexpected."""
        return self.must(await self.patch(plural, name, body))

    def must(self, reply: Reply) -> JSON:
        """The object of an answer that has to be a success. Raises Unexpected."""
        if not reply.ok:
            raise Unexpected(f"{reply.status} {reply.object.get('message') or reply.body}")
        return reply.object

    @asynccontextmanager
    async def watch(self, plural: str, **query: str) -> AsyncIterator[Watching]:
        """A watch in the scene's namespace; from the past on, or with what is there as ADDED."""
        asked = {"watch": "true", "timeoutSeconds": "300"} | query
        async with self.connection.open(Request("GET", self.path(plural), asked)) as response:
            if response.status != 200:
                raise Unexpected(f"watch of {plural}: {response.status} {await response.text()}")
            yield Watching(response, f"{plural} in {self.namespace}")

    async def until(self, plural: str, name: str, wanted: Callable[[JSON], Any]) -> JSON:
        """The object once it is as wanted. Raises TooLong."""
        async with self.watch(plural, fieldSelector=f"metadata.name={name}") as seen:
            return await seen.until_object(wanted)

    async def answered(self, ask: Callable[[], Any], wanted: Callable[[Any], Any]) -> Any:
        """The first answer that is wanted, of a question that nothing can be watched for. Raises TooLong."""
        answer: Any = None
        try:
            async with asyncio.timeout(PATIENCE):
                while not wanted(answer := await ask()):  # noqa: ASYNC110 - nothing tells of these changes
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise TooLong(f"{PATIENCE:g} s, last answer {answer!r}"[:2000]) from None
        return answer

    async def log(self, pod: str, **query: str) -> Reply:
        """A log read to its end."""
        return await self.get("pods", pod, "log", **query)

    @asynccontextmanager
    async def follow(self, pod: str, **query: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """A log as it comes."""
        request = Request("GET", self.path("pods", pod, "log"), {"follow": "true"} | query)
        async with self.connection.open(request) as response:
            yield response

    async def __aenter__(self) -> Self:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.must(await self.call("POST", "/api/v1/namespaces", body))
        if self.connection.kind != "fake":  # pods are refused before their account is there
            await self.until("serviceaccounts", "default", lambda account: account)
        return self

    async def __aexit__(self, *_: object) -> None:
        """What was made goes by itself; nobody waits for it."""
        for path in self._left:
            await self.call("DELETE", path)
