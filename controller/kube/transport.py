"""The wire: one cluster's connection pools. The only file that imports kr8s and aiohttp.

kr8s finds the cluster and authenticates; requests go through its public `call_api`. Why not plain kr8s: its
one session has 100 connections and no timeouts, and is closed for everybody when one call gets 401 or 403;
and it is httpx', which takes more CPU for a call than all the rest of it. So each pool is an `Api` whose
private `_create_session` is replaced (kr8s is pinned; a test asserts that the hook is there): a session is
aiohttp's, is never closed while its pool lives, and who we are is said with each request.

It never looks at a status but 401, never repeats a request but after 401, and knows no Kubernetes object.
"""

import contextlib
import functools
import io
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlencode

import aiohttp
import kr8s.asyncio
from yarl import URL

from controller.kube import credentials, errors

CHUNK_BYTES: Final = 64 * 1024
TLS_BUFFER_BYTES: Final = 64 * 1024
"""asyncio gives each TLS connection a buffer of 256 KiB: 500 quiet logs would hold 165 MB instead of 70."""
_PIECEMEAL_BYTES: Final = 1024 * 1024
"""A longer body, as of a result with much to escape, is sent in pieces: it must hold up nobody else."""
READ_SECONDS: Final = {"watch": 70.0, "logs": 300.0}
"""How long a stream may be silent, 30 s for all else. A watch: above the server's bookmark a minute, below
the 75 s that its watch cache surely remembers. A log: a silent container is normal; TCP keepalive finds a
dead connection sooner, this a frozen proxy."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `verb` and `resource` only name it for the meter."""

    verb: str
    resource: str
    path: str
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    media: str = "application/json"
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status. `chunks` is for streams, `body` for the rest."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None

    @property
    def is_error(self) -> bool:
        """What kr8s asks of every stream; here nobody judges a status."""
        return False


class Pool(kr8s.asyncio.Api):
    """Connections of one purpose. Held by a strong reference: kr8s' own registry of them is weak."""

    def __init__(self, identity: credentials.Credentials, limit: int) -> None:
        super().__init__(bypass_factory=True)
        self.auth = identity.auth
        self._identity = identity
        self._limit = limit

    async def _create_session(self) -> None:
        """Replaces kr8s' own, which closes the session that others are streaming from."""
        self._session = cast("Any", _Session(self._identity, self._limit))

    async def aclose(self) -> None:
        """Breaks every stream."""
        if self._session is not None:
            await self._session.aclose()


class _Session:
    """What `call_api` takes for its httpx client, but aiohttp's; it answers with Replies."""

    def __init__(self, identity: credentials.Credentials, limit: int) -> None:
        self._server = identity.server.rstrip("/")
        # Proxies come from the kubeconfig's proxy-url only (aiohttp's trust_env is off): an HTTPS_PROXY meant
        # for the internet must not catch the API server's address, nor a .netrc replace our Authorization.
        self._proxy = identity.proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=identity.tls, limit=limit, keepalive_timeout=30, socket_factory=_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "runherd", "accept-encoding": "identity"},
            auto_decompress=False,
        )

    @property
    def is_closed(self) -> bool:
        """Asked before each call: kr8s would make another."""
        return self._session.closed

    async def request(self, **asked: Any) -> Reply:
        """A whole answer."""
        with _certified():
            async with self._ask(**asked) as response:
                return Reply(response.status, response.headers, await response.read())

    @contextlib.asynccontextmanager
    async def stream(self, **asked: Any) -> AsyncGenerator[Reply, None]:
        """An answer whose body is still to come; other than 200, a whole one."""
        with _certified():
            async with self._ask(**asked) as response:
                if response.status == 200:
                    yield Reply(200, response.headers, chunks=response.content.iter_chunked(CHUNK_BYTES))
                else:
                    yield Reply(response.status, response.headers, await response.read())

    def _ask(  # noqa: PLR0913 — what call_api passes on
        self,
        *,
        method: str,
        url: str,
        params: Mapping[str, str],
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        extensions: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        asked = f"{self._server}{url}?{urlencode(params)}" if params else self._server + url
        return self._session.request(
            method,
            URL(asked, encoded=True),
            data=io.BytesIO(content) if content and len(content) > _PIECEMEAL_BYTES else content,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=extensions["sni_hostname"] if extensions else None,
            proxy=self._proxy,
        )

    async def aclose(self) -> None:
        """Breaks every stream."""
        await self._session.close()


class Wire:
    """All pools of one cluster: a full log pool can't hold up a write, nor a slow list the lease."""

    def __init__(self, identity: credentials.Credentials, limits: Mapping[str, int]) -> None:
        self.identity = identity
        self._pools = {purpose: Pool(identity, limit) for purpose, limit in limits.items()}

    @classmethod
    async def connect(
        cls,
        limits: Mapping[str, int],
        kubeconfig: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> "Wire":
        """Finds the cluster; sends nothing yet."""
        sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
        account = str(credentials.SERVICE_ACCOUNT)
        finder = kr8s.asyncio.Api(bypass_factory=True, kubeconfig=kubeconfig, serviceaccount=account)
        found = credentials.Credentials(finder.auth, clock)
        await found.load()
        return cls(found, limits)

    async def aclose(self) -> None:
        """Closes all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def send(self, purpose: str, request: Request) -> Reply:
        """One request and its whole answer."""
        async with self._authorised(purpose, request, stream=False) as reply:
            return reply

    @contextlib.asynccontextmanager
    async def stream(self, purpose: str, request: Request) -> AsyncGenerator[Reply, None]:
        """One request and its answer in chunks; other than 200, with the whole body."""
        async with self._authorised(purpose, request, stream=True) as reply:
            yield reply

    @contextlib.asynccontextmanager
    async def _authorised(
        self, purpose: str, request: Request, *, stream: bool
    ) -> AsyncGenerator[Reply, None]:
        pool = self._pools[purpose]
        base, _, last = request.path.rpartition("/")
        bearer = self.identity.bearer()
        for attempt in (1, 2):
            headers = {"authorization": bearer} if bearer else {}
            headers["accept"] = request.accept
            if request.body is not None:
                headers["content-type"] = request.media
            if attempt == 2:
                headers["connection"] = "close"  # it may be this connection's certificate that is too old
            with _translated():
                answered: Any = pool.call_api(
                    request.method,
                    version="",
                    base=base,
                    url=last,
                    raise_for_status=False,  # else 401 and 403 would cost three rebuilt sessions
                    stream=stream,
                    params=request.params,
                    content=request.body,
                    headers=headers,
                    timeout=_timeout(READ_SECONDS.get(purpose, 30.0) if stream else 30.0),
                )
                async with answered as reply:
                    if reply.status != 401 or attempt == 2 or not await self.identity.renew(bearer):
                        yield reply
                        return
            bearer = self.identity.bearer()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Whatever the transport raises, also from a stream's chunks, as Unavailable."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as e:
        raise _unavailable(e) from e


@contextlib.contextmanager
def _certified() -> Iterator[None]:
    """kr8s must not see a server that can't prove itself: it would log in and rebuild the session, thrice."""
    try:
        yield
    except ssl.SSLCertVerificationError as e:
        raise _unavailable(e) from e


def _unavailable(error: BaseException) -> errors.Unavailable:
    while error.__cause__ is not None:  # the layers above it call a refused connection a timeout
        error = error.__cause__
    return errors.Unavailable(f"{type(error).__name__}: {error}")


@functools.cache
def _timeout(read: float) -> aiohttp.ClientTimeout:
    """So long for a free connection, for connecting, and between two pieces of an answer."""
    return aiohttp.ClientTimeout(connect=5.0, sock_connect=5.0, sock_read=read)


def _socket(address: Any) -> socket.socket:
    """A socket that notices within a minute that its peer is gone."""
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made
