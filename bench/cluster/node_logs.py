"""The kubelet's log endpoint of the stand-in node: what each pod's container has printed so far.

Owns how lines are stamped, and who may read them: anybody, nothing is secret. It prints nothing by itself:
`node` says what a container prints, and when it has ended.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PATH: Final = "/containerLogs/{namespace}/{pod}/{container}"


@dataclass(slots=True)
class Log:
    """What one container has printed, and whether it has ended."""

    lines: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, lines: list[bytes]) -> None:
        """The container prints these lines now."""
        nanoseconds = time.time_ns()
        for index, line in enumerate(lines):
            self.lines.append(_stamp(nanoseconds + index) + b" " + line + b"\n")


class Logs:
    """The logs of a node's pods, served over HTTPS."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, str], Log] = {}
        self._runner: web.AppRunner | None = None

    def begin(self, namespace: str, pod: str) -> Log:
        """A container starts."""
        log = self._logs[namespace, pod] = Log()
        return log

    def drop(self, namespace: str, pod: str) -> None:
        """A pod is gone, and its log with it."""
        log = self._logs.pop((namespace, pod), None)
        if log is not None:
            log.ended.set()

    async def serve(self, address: str, tls: ssl.SSLContext) -> int:
        """Begins to serve; the port."""
        app = web.Application()
        app.router.add_get(_PATH, self._answer)
        runner = self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.0
        )
        await runner.setup()
        await web.TCPSite(runner, address, 0, ssl_context=tls).start()
        return int(runner.addresses[0][1])

    async def close(self) -> None:
        """Serves no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        log = self._logs.get((request.match_info["namespace"], request.match_info["pod"]))
        if log is None:
            return web.Response(status=404, text="no such pod on this node")
        since = request.query.get("sinceTime", "").rstrip("Z").encode()
        answer = web.StreamResponse(headers={"content-type": "text/plain"})
        with contextlib.suppress(ConnectionError):  # whoever read has heard enough
            await answer.prepare(request)
            sent = await _send(answer, log, 0, since)
            if request.query.get("follow") == "true":
                await log.ended.wait()
                await _send(answer, log, sent, since)
            await answer.write_eof()
        return answer


async def _send(answer: web.StreamResponse, log: Log, first: int, since: bytes) -> int:
    """The lines from that one on; how many there are by now."""
    lines = [line for line in log.lines[first:] if line >= since]
    if lines:
        await answer.write(b"".join(lines))
    return len(log.lines)


def _stamp(nanoseconds: int) -> bytes:
    second, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{rest:09d}Z".encode()


def kept_tls(certificate: str, key: str) -> ssl.SSLContext:
    """With the certificate of a kubelet, for an API server that asks for one of its own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def made_tls(address: str) -> ssl.SSLContext:
    """With a certificate that signs itself, as a kubelet's does by default."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(hours=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile() as file:  # ssl reads from files only
        Path(file.name).write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return kept_tls(file.name, file.name)
