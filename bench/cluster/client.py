"""Calls to the API server by whoever measures: few, small, and the same whatever the controller uses.

Owns the transport (aiohttp; the credentials are read as the controller reads them), and what a refusal says
to a person. It never repeats a request.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import kr8s.asyncio
import msgspec

from controller.kube import credentials, errors

JSON = dict[str, Any]
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
WATCH_SECONDS: Final = 3600
"""Longer than any bench."""
_TOTAL_SECONDS: Final = 60.0
_CONNECTIONS: Final = 64


class Trouble(Exception):  # noqa: N818 — named by what is the matter
    """The bench can't go on: the message says what is wrong, where, and how to mend it."""


class Refused(Trouble):
    """The API server said no, with this status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """One API server."""

    def __init__(self, identity: credentials.Credentials, session: aiohttp.ClientSession) -> None:
        self._identity = identity
        self._session = session

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._identity.server

    async def create(self, path: str, body: JSON) -> JSON:
        """The object as it was stored."""
        found: JSON = msgspec.json.decode(await self.call("POST", path, body))
        return found

    async def patch(self, path: str, body: JSON, media: str = MERGE) -> float:
        """Milliseconds until the answer was there."""
        began = time.perf_counter()
        await self.call("PATCH", path, body, media)
        return (time.perf_counter() - began) * 1000

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> JSON:
        """One object, or a list."""
        found: JSON = msgspec.json.decode(await self.call("GET", path, params=params))
        return found

    async def delete(self, path: str, body: JSON | None = None) -> None:
        """Asks for its end; what is not there is fine."""
        try:
            await self.call("DELETE", path, body or {})
        except Refused as error:
            if error.status not in (404, 409):
                raise

    async def call(
        self,
        method: str,
        path: str,
        body: JSON | None = None,
        media: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> bytes:
        """One request and its whole answer. Raises Refused for any status that is no success."""
        sent = None if body is None else msgspec.json.encode(body)
        headers = self._headers() | ({} if body is None else {"content-type": media})
        try:
            async with self._session.request(
                method, self.server + path, data=sent, headers=headers, params=params
            ) as answer:
                told = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Trouble(f"the API server at {self.server} does not answer: {error!r}") from error
        if answer.status >= 300:
            raise _refused(f"{method} {path}", answer.status, told)
        return told

    async def watch(
        self, path: str, version: str, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[list[bytes], None]:
        """The events since that version, as lines, many at once; raises Trouble when the watch ends."""
        asked = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        async with self._session.get(
            self.server + path,
            params={**asked, **(params or {})},
            headers=self._headers(),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            if answer.status != 200:
                raise _refused(f"watch {path}", answer.status, await answer.read())
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if lines:
                    yield lines
        raise Trouble(f"the watch of {path} has ended")

    def _headers(self) -> dict[str, str]:
        bearer = self._identity.bearer()
        return {"authorization": bearer} if bearer else {}


@asynccontextmanager
async def connected(kubeconfig: str) -> AsyncIterator[Cluster]:
    """The cluster of a kubeconfig. Raises Trouble if it can't be reached."""
    finder = kr8s.asyncio.Api(bypass_factory=True, kubeconfig=kubeconfig)
    identity = credentials.Credentials(finder.auth, time.monotonic)
    try:
        await identity.load()
    except errors.Refused as error:
        raise Trouble(f"{kubeconfig} does not say how to reach a cluster: {error}") from error
    connector = aiohttp.TCPConnector(ssl=identity.tls, limit=_CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=_TOTAL_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        cluster = Cluster(identity, session)
        await cluster.call("GET", "/version")
        yield cluster
    await asyncio.sleep(0)  # aiohttp closes its TLS connections in the turn after


def _refused(what: str, status: int, told: bytes) -> Refused:
    try:
        said = msgspec.json.decode(told).get("message", "")
    except (msgspec.DecodeError, AttributeError):
        said = told[:200].decode("utf-8", "replace")
    return Refused(f"the API server refused `{what}`: {status} {said}", status)
