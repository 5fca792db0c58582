"""A real Jaeger on this machine: takes traces over OTLP/HTTP, keeps them, answers its API.

Owns: the process, its configuration and its folder. Never: knows what is in a trace.

What it answers to an export is true: it has stored the spans by then, for there is no batching and no queue
between its receiver and its store. With `durable` they are on disk, and stay when it is killed.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from devcluster import otlp_json, programs
from devcluster.otlp import Span

MAX_TRACES: Final = 10_000
START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_END_SECONDS: Final = 10.0


class JaegerError(Exception):
    """It did not start, or does not answer."""


class Jaeger:
    """`with Jaeger() as jaeger:` listens on free ports of `host`; `otlp` for exporters, `url` for people."""

    def __init__(self, host: str = "127.0.0.1", *, durable: bool = False) -> None:
        self._host = host
        self._durable = durable
        self._folder = Path(tempfile.mkdtemp(prefix="jaeger-"))
        self._ports = _free_ports(host, 3)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def otlp(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT has to be."""
        return f"http://{self._host}:{self._ports[0]}"

    @property
    def url(self) -> str:
        """Its page and its API; the page is a placeholder if it was built from its Go module."""
        return f"http://{self._host}:{self._ports[1]}"

    def page(self, trace_id: str) -> str:
        """The address of a trace for people."""
        return f"{self.url}/trace/{trace_id}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Returns when it answers, on the same ports each time; else JaegerError."""
        config = self._folder / "config.json"
        config.write_text(json.dumps(self._config()))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs.path("jaeger"), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop(kill=True)
                raise JaegerError(f"Jaeger did not start:\n{self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, *, kill: bool = False) -> None:
        """Ends it, with a signal that it can't catch if it is killed."""
        if (process := self._process) is None:
            return
        self._process = None
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def trace(self, trace_id: str) -> Mapping[str, Any] | None:
        """A trace as its API shows it, with its warnings; None if there is none of that id."""
        found = self._get(f"/api/traces/{trace_id}")
        traces = (found or {}).get("data") or [None]
        first: Mapping[str, Any] | None = traces[0]
        return first

    def spans(self, trace_id: str) -> tuple[Span, ...]:
        """The spans of a trace as it has stored them; none if there is no such trace."""
        found = self._get(f"/api/v3/traces/{trace_id}")
        return otlp_json.spans((found or {}).get("result", {}))

    def _get(self, path: str) -> Mapping[str, Any] | None:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as reply:  # noqa: S310 — our own http address
                found: Mapping[str, Any] = json.load(reply)
                return found
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise JaegerError(f"Jaeger answers {error.code} for {path}: {error.read(500)!r}") from error
        except OSError as error:
            raise JaegerError(f"Jaeger does not answer for {path}: {error}") from error

    def _answers(self) -> bool:
        try:
            self._get("/api/services")
            with socket.create_connection((self._host, self._ports[0]), 1):
                return True
        except (JaegerError, OSError):
            return False

    def _last_words(self) -> str:
        return "\n".join((self._folder / "log").read_text(errors="replace").splitlines()[-20:])

    def _config(self) -> Mapping[str, Any]:
        """Only what is needed: every other port of its own configuration might be taken."""
        otlp, query, grpc = (f"{self._host}:{port}" for port in self._ports)
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            },
            "extensions": {
                "jaeger_storage": {"backends": {"traces": self._store()}},
                "jaeger_query": {
                    "storage": {"traces": "traces"},
                    "http": {"endpoint": query},
                    "grpc": {"endpoint": grpc},
                },
            },
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": otlp}}}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "traces"}},
        }

    def _store(self) -> Mapping[str, Any]:
        if not self._durable:
            return {"memory": {"max_traces": MAX_TRACES}}
        folder = str(self._folder / "store")
        return {
            "badger": {
                "directories": {"keys": folder, "values": folder},
                "ephemeral": False,
                "consistency": True,
            }
        }


def _free_ports(host: str, count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server((host, 0)) for _ in range(count)]
    try:
        return [int(made.getsockname()[1]) for made in sockets]
    finally:
        for made in sockets:
            made.close()
