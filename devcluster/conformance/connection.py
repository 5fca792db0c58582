"""One API server over plain HTTP: what a kubeconfig says of it, requests, streams.

Owns: reading the kubeconfig, TLS, the bytes of an answer. Never: knows about namespaces or scenarios.
"""

import base64
import io
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

JSON = dict[str, Any]
JSON_TYPE = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
LINE_LIMIT = 2**22  # bytes of one event of a watch


class ConnectionTrouble(Exception):  # noqa: N818 - named by what it means
    """The kubeconfig cannot be used, or nobody answers. The message says how to mend it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `body` is decoded JSON, or text if it is none."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def object(self) -> JSON:
        """The body where an object is expected; empty for text."""
        return self.body if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True)
class Request:
    """One request; a body that is not bytes is sent as JSON of the given media type."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    media: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> io.BytesIO | None:
        """The body as it is sent."""
        if self.body is None:
            return None
        return io.BytesIO(self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode())


class Connection:
    """Requests to one API server."""

    def __init__(self, session: aiohttp.ClientSession, server: str, tls: ssl.SSLContext | None) -> None:
        self._session = session
        self._server = server
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True
        self.kind = ""

    async def call(self, request: Request) -> Reply:
        """Ask, and read the whole answer."""
        async with self.open(request) as response:
            raw = await response.read()
            told = response.headers.get("Content-Type", "")
            body = json.loads(raw) if raw and JSON_TYPE in told else raw.decode("utf-8", "replace")
            return Reply(response.status, body, dict(response.headers))

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and leave the answer to be read as it comes."""
        headers = dict(request.headers) | (
            {"Content-Type": request.media} if request.body is not None else {}
        )
        async with self._session.request(
            request.method, self._server + request.path, params=dict(request.query), data=request.content,
            headers=headers, ssl=self._tls,
        ) as response:  # fmt: skip
            yield response

    async def identify(self) -> None:
        """Learn which kind of cluster it is: `fake`, or `real`."""
        try:
            reply = await self.call(Request("GET", "/version"))
        except (aiohttp.ClientError, OSError) as error:
            why = f"{self._server} does not answer ({error}); is the cluster up, and the kubeconfig its own?"
            raise ConnectionTrouble(why) from error
        if not reply.ok:
            raise ConnectionTrouble(f"{self._server} answers {reply.status} to /version: {reply.body}")
        self.kind = "fake" if "fake" in reply.object.get("gitVersion", "") else "real"


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Connection]:
    """The cluster of a kubeconfig's current context. Raises ConnectionTrouble."""
    cluster, user = _current(kubeconfig)
    headers = {"Authorization": f"Bearer {token}"} if (token := _token(user)) else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    pool = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, connector=pool, read_bufsize=LINE_LIMIT
    ) as session:
        connection = Connection(session, str(cluster["server"]).rstrip("/"), _tls(cluster, user))
        await connection.identify()
        yield connection


def _current(path: Path) -> tuple[JSON, JSON]:
    """The cluster and user of the current context."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise ConnectionTrouble(f"{path} is no kubeconfig with a current context: {error!r}") from error
    if "exec" in user or "auth-provider" in user:
        raise ConnectionTrouble(f"{path} uses a credential plugin; a token or a certificate is needed")
    return cluster, user


def _named(entries: list[JSON], name: str) -> JSON:
    return next(entry for entry in entries if entry["name"] == name)


def _token(user: JSON) -> str:
    if user.get("tokenFile"):
        return Path(user["tokenFile"]).read_text().strip()
    return str(user.get("token") or "")


def _tls(cluster: JSON, user: JSON) -> ssl.SSLContext | None:
    if not str(cluster["server"]).startswith("https"):
        return None
    authority = _content(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # OpenSSL takes a client certificate from files only
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(entry: JSON, name: str) -> bytes:
    """What stands in the kubeconfig itself, or in the file it names."""
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"])
    return Path(entry[name]).read_bytes() if entry.get(name) else b""
