"""The stand-in as an HTTP/1.1 server: routes, streams in chunks, limits.

    POST /v1/messages               a message, as a stream of server-sent events if it is asked for
    POST /v1/messages/count_tokens  a guess
    GET  /requests                  what was asked, the last ones
    GET  /healthz

Owns the sockets. Never decides what is answered (`play` does).
"""

import json
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from devcluster.messages import wire
from devcluster.messages.play import Call, Play, Said
from devcluster.messages.scenarios import Refusal
from devcluster.messages.wire import JSON, Asked, BadRequestError

BODY_MAX = 32 * 2**20
CONNECTIONS_MAX = 256
IDLE_SECONDS = 120.0
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"


class Server(ThreadingHTTPServer):
    """Plays scenarios until `shutdown`; a connection beyond the limit is closed at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, connections: int = CONNECTIONS_MAX) -> None:
        self.play = Play()
        self._closed = threading.Event()
        self._places = threading.BoundedSemaphore(connections)
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def pause(self, seconds: float) -> None:
        """Returns after that time, or when the server is closed."""
        self._closed.wait(seconds)

    def server_close(self) -> None:
        """Gives the port back, and ends the pauses of its answers."""
        self._closed.set()
        super().server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client: Any) -> None:
        """A thread for the connection, if there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client: Any
    ) -> None:
        """All requests of one connection."""
        try:
            super().process_request_thread(request, client)
        finally:
            self._places.release()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        """Requests until the client goes; that it goes in mid-answer is nothing to complain of."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def do_HEAD(self) -> None:
        """The agent's question whether anybody is there."""
        self._found(200 if self.path == "/" else 404)

    def do_GET(self) -> None:
        """Health, and what was asked."""
        if self.path == "/healthz":
            self._json(200, {"status": "ok"})
        elif self.path == "/requests":
            self._json(200, self.server.play.asked())
        else:
            self._found(404)

    def do_POST(self) -> None:
        """The API itself."""
        path = self.path.partition("?")[0]
        body = self._body()
        if body is None:
            return
        if path not in (MESSAGES, COUNT_TOKENS):
            self._found(404)
            return
        try:
            asked = wire.asked(body)
        except BadRequestError as error:
            self._json(400, wire.error("invalid_request_error", str(error)))
            return
        if path == COUNT_TOKENS:
            self._json(200, {"input_tokens": len(body) // 4})
        else:
            self._answer(asked)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the library's signature
        """Nothing: `GET /requests` tells it."""

    def _body(self) -> bytes | None:
        """What was sent, None if it is refused."""
        try:
            length = int(self.headers["Content-Length"] or "")
        except (TypeError, ValueError):
            length = -1
        if 0 <= length <= BODY_MAX:
            return self.rfile.read(length)
        self.close_connection = True
        self._json(413 if length > 0 else 411, wire.error("request_too_large", "Content-Length is needed"))
        return None

    def _answer(self, asked: Asked) -> None:
        bearer = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        key = self.headers["X-Api-Key"] or bearer
        answer = self.server.play.answer(Call(key, self.headers["X-Claude-Code-Session-Id"] or "", asked))
        if isinstance(answer, Refusal):
            self._json(answer.status, wire.error(answer.kind, answer.message), answer.headers())
        elif asked.stream:
            self._stream(answer)
        else:
            self.server.pause(answer.seconds)
            self._json(200, answer.message.shown())

    def _stream(self, said: Said) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self._identify()
        self.end_headers()
        events = list(said.message.events())
        for event in events:
            text = wire.sse(event)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            if event["type"] == "content_block_delta":
                self.server.pause(said.seconds / len(events))
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, status: int, document: JSON, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self._identify()
        self.end_headers()
        self.wfile.write(text)

    def _identify(self) -> None:
        self.send_header("Request-Id", self.server.play.next_id("req"))

    def _found(self, status: int) -> None:
        """An answer without a body, which is recorded too."""
        self.server.play.note(self.command, self.path, status)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
