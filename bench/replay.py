"""A server that plays the same watches to everybody who asks, one chunk an event as an API server does.

Run as `python -m bench.replay RUNS`; says its port as JSON and serves until it is ended. It does no work
while it serves: what is measured at the other end is the reader.
"""

import asyncio
import contextlib
import sys
from typing import Final

from bench import objects

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_VERSION: Final = b'{"major":"1","minor":"34","gitVersion":"v1.34.0"}'
_EMPTY: Final = b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}'
_BLOCK: Final = 16
"""Events handed to the socket at once."""


class Replay:
    """The watches of that many runs, framed for HTTP."""

    def __init__(self, runs: int) -> None:
        self._blocks: dict[str, list[bytes]] = {"jobs": [], "pods": []}
        waiting: dict[str, list[bytes]] = {"jobs": [], "pods": []}
        for plural, line in objects.events(runs):
            waiting[plural].append(b"%x\r\n%s\r\n" % (len(line), line))
            if len(waiting[plural]) == _BLOCK:
                self._blocks[plural].append(b"".join(waiting[plural]))
                waiting[plural].clear()
        for plural, rest in waiting.items():
            self._blocks[plural].append(b"".join(rest))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
                await self._answer(asked, writer)
        writer.close()

    async def _answer(self, asked: str, writer: asyncio.StreamWriter) -> None:
        path, _, query = asked.partition("?")
        if "watch=" not in query:
            body = _VERSION if path.startswith("/version") else _EMPTY
            writer.write(_HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for block in self._blocks[path.rpartition("/")[2]]:
            writer.write(block)
            await writer.drain()
        # The watch is not ended: it stays open until the reader has enough and goes.


async def serve(runs: int) -> None:
    """Until the process is ended."""
    server = await asyncio.start_server(Replay(runs).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
