"""Spans to the collector, OTLP over HTTP: one request, one answer. The only file that imports opentelemetry.

The SDK's own processors lose a batch on failure and say that all is well, so none of them is used. Neither is
its encoder (see `otlp`). Never keeps or changes a tree: the same tree is the same bytes, whoever sends it.
What waits for the collector is in `spool`.

The exporter itself reads the standard `OTEL_EXPORTER_OTLP_*` variables.
"""

import gzip
import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no stubs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from controller.core.spantree import Span, SpanTree
from controller.telemetry import otlp
from controller.telemetry.answers import Answer, Verdict, of_status

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PACKED: Final = {"gzip": lambda body: gzip.compress(body, mtime=0), "deflate": zlib.compress}
"""By Content-Encoding, as OTEL_EXPORTER_OTLP_COMPRESSION asks for it."""

# Without any handler Python prints warnings of libraries on stderr. What is to be shown is `app`'s business.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


def configured(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables name a collector and do not switch tracing off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return any(environ.get(name, "").strip() for name in _ENDPOINTS)


class OtlpSender:
    """The SDK's exporter, and what the collector really said to it.

    The exporter calls every status below 400 a success, and follows a redirect, which turns a POST into a
    GET: a page that asks for a password would have "accepted" traces. So the session remembers the answer. It
    also has the body: the exporter is given no spans, because it would take most of the time to encode them.
    """

    def __init__(self, endpoint: str | None = None, timeout: float | None = None) -> None:
        self._session = _Session()
        self._exporter = OTLPSpanExporter(endpoint, timeout=timeout, session=self._session)

    def send(self, parts: Sequence[tuple[SpanTree, Sequence[Span]]], /) -> Answer:
        """These spans of these trees in one request, tried again within OTEL_EXPORTER_OTLP_TIMEOUT."""
        self._session.last = None
        try:
            self._session.body = otlp.request(parts)
            self._exporter.export(())
        except Exception as error:  # noqa: BLE001 — one odd trace must not end the export of all others
            return Answer(Verdict.UNENCODABLE, repr(error)[:200])
        return _answer(self._session.last)

    def shutdown(self) -> None:
        """Abort retries and close connections."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK's own gap


class _Session(requests.Session):
    """Sends the body that it was given, and remembers how that ended. Follows no redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.body = b""
        self.last: requests.Response | requests.RequestException | None = None
        self._environment: Any = None

    def merge_environment_settings(self, *arguments: Any) -> Any:
        """Proxies and certificates. There is one address, so the environment is asked for it once."""
        if self._environment is None:
            self._environment = super().merge_environment_settings(*arguments)
        return self._environment

    def request(self, *arguments: Any, **more: Any) -> requests.Response:
        """As in the library, which has no smaller place for this."""
        packed = _PACKED.get(more["headers"].get("Content-Encoding", ""), bytes)(self.body)
        try:
            self.last = super().request(*arguments, **{**more, "data": packed, "allow_redirects": False})
        except requests.RequestException as error:
            self.last = error
            raise
        return self.last


def _answer(last: requests.Response | requests.RequestException | None) -> Answer:
    match last:
        case None:
            return Answer(Verdict.UNENCODABLE, "the exporter made no request")
        case requests.Response():
            page = last.headers.get("Content-Type", "").startswith("text/html")
            refused, said = _partial(last) if last.ok and not page else (0, last.reason or "")
            wait = _seconds(last.headers.get("Retry-After", ""))
            return of_status(last.status_code, page=page, said=said, wait=wait, rejected=refused)
        case requests.exceptions.SSLError():
            return Answer(Verdict.TLS, _words(last))
        case requests.exceptions.ConnectTimeout() | requests.exceptions.ReadTimeout():
            return Answer(Verdict.TIMEOUT, _words(last))
    return Answer(Verdict.UNREACHABLE, _words(last))


def _partial(reply: requests.Response) -> tuple[int, str]:
    """Spans that an answer of success has refused, and why."""
    try:
        partial = ExportTraceServiceResponse.FromString(reply.content).partial_success
    except DecodeError:
        return 0, ""
    return max(0, partial.rejected_spans), str(partial.error_message)


def _seconds(text: str) -> float:
    """Of a Retry-After; 0 if it is none, or a date: the exporter has waited for that as long as it may."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _words(error: BaseException) -> str:
    """The innermost reason: what is around it names objects of this process."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"[:200]
