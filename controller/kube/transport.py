"""The wire: one cluster's connection pools. The only file that imports kr8s, httpx and aiohttp.

kr8s finds the cluster and authenticates; requests go through its public `call_api`. Why not plain kr8s: its
one session has 100 connections and no timeouts, and is closed for everybody when one call gets 401 or 403.
So each pool is an `Api` whose private `_create_session` is replaced (kr8s is pinned; a test asserts that the
hook is there): a session is never closed while its pool lives, and who we are is said with each request.

It never looks at a status but 401, never repeats a request but after 401, and knows no Kubernetes object.
"""

import contextlib
import socket
import time
from asyncio import sslproto
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import httpx
import kr8s.asyncio
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

from controller.kube import credentials, errors

CHUNK_BYTES: Final = 64 * 1024
TLS_BUFFER_BYTES: Final = 64 * 1024
"""asyncio gives each TLS connection a buffer of 256 KiB: 500 quiet logs would hold 165 MB instead of 70."""
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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status. `chunks` is for streams, `body` for the rest."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None


class Pool(kr8s.asyncio.Api):
    """Connections of one purpose. Held by a strong reference: kr8s' own registry of them is weak."""

    def __init__(self, identity: credentials.Credentials, limit: int) -> None:
        super().__init__(bypass_factory=True)
        self.auth = identity.auth
        self._identity = identity
        self._limit = limit

    async def _create_session(self) -> None:
        """Replaces kr8s' own, which closes the session that others are streaming from."""
        self._session = httpx.AsyncClient(
            base_url=self._identity.server,
            headers={"user-agent": "runherd", "accept": "application/json", "accept-encoding": "identity"},
            transport=_Transport(self._identity, self._limit),
            timeout=_timeout(30.0),
            follow_redirects=False,
            # Proxies come from the kubeconfig's proxy-url only: an HTTPS_PROXY meant for the internet
            # must not catch the API server's address, nor a .netrc replace the Authorization header.
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Breaks every stream."""
        if self._session is not None:
            await self._session.aclose()


class _Transport(AiohttpTransport):
    """aiohttp under httpx: several times the requests of httpcore, whose pool is searched linearly."""

    def __init__(self, identity: credentials.Credentials, limit: int) -> None:
        proxy = httpx.Proxy(identity.proxy) if identity.proxy else None
        super().__init__(verify=identity.tls, proxy=proxy, client=self._open)
        self._limit = limit

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self.ssl_context, limit=self._limit, keepalive_timeout=30, socket_factory=_socket
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if isinstance(response.stream, AiohttpResponseStream):
            response.stream.CHUNK_SIZE = CHUNK_BYTES  # 16 KiB would be many small reads
        return response


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
        async with self._authorised(purpose, request, stream=False) as response:
            return Reply(response.status_code, response.headers, response.content)

    @contextlib.asynccontextmanager
    async def stream(self, purpose: str, request: Request) -> AsyncGenerator[Reply, None]:
        """One request and its answer in chunks; other than 200, with the whole body."""
        async with self._authorised(purpose, request, stream=True) as response:
            if response.status_code == 200:
                yield Reply(200, response.headers, chunks=_chunks(response))
            else:
                with _translated():
                    body = await response.aread()
                yield Reply(response.status_code, response.headers, body)

    @contextlib.asynccontextmanager
    async def _authorised(
        self, purpose: str, request: Request, *, stream: bool
    ) -> AsyncGenerator[httpx.Response, None]:
        pool = self._pools[purpose]
        base, _, last = request.path.rpartition("/")
        bearer = self.identity.bearer()
        for attempt in (1, 2):
            headers = {"authorization": bearer} if bearer else {}
            if request.body is not None:
                headers["content-type"] = request.media
            if attempt == 2:
                headers["connection"] = "close"  # it may be this connection's certificate that is too old
            with _translated():
                async with pool.call_api(
                    request.method,
                    version="",
                    base=base,
                    url=last,
                    raise_for_status=False,  # else 401 and 403 would cost three rebuilt sessions
                    stream=stream,
                    params=dict(request.params),
                    content=request.body,
                    headers=headers,
                    timeout=_timeout(READ_SECONDS.get(purpose, 30.0) if stream else 30.0),
                ) as response:
                    if response.status_code != 401 or attempt == 2 or not await self.identity.renew(bearer):
                        yield response
                        return
            bearer = self.identity.bearer()


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    with _translated():
        async for chunk in response.aiter_raw():
            yield chunk


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Whatever the transport raises, as Unavailable."""
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, kr8s.APITimeoutError, OSError) as e:
        origin: BaseException = e
        while origin.__cause__ is not None:  # the layers above it call a refused connection a timeout
            origin = origin.__cause__
        raise errors.Unavailable(f"{type(origin).__name__}: {origin}") from e


def _timeout(read: float) -> httpx.Timeout:
    return httpx.Timeout(connect=5.0, read=read, write=30.0, pool=5.0)


def _socket(address: Any) -> socket.socket:
    """A socket that notices within a minute that its peer is gone."""
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made
