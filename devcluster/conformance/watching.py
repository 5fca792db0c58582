"""A watch as a scenario reads it: event after event, all of them kept, none waited for without a limit.

Owns: the events of one stream, and the wait for the one that is of interest. Never: opens the stream.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp

JSON = dict[str, Any]
PATIENCE = 90.0
"""Seconds that the next thing of interest may take."""


class TooLong(Exception):  # noqa: N818 - named by what it means
    """What was waited for has not come; the message says what was."""


class Watching:
    """One open watch; `seen` holds all events read so far."""

    def __init__(self, response: aiohttp.ClientResponse, what: str) -> None:
        self._response = response
        self._what = what
        self.seen: list[JSON] = []

    @property
    def objects(self) -> list[JSON]:
        """The objects of all events but bookmarks."""
        return [event["object"] for event in self.seen if event["type"] != "BOOKMARK"]

    async def next(self) -> JSON | None:
        """One more event; None at the end of the stream."""
        line = await self._response.content.readline()
        if not line:
            return None
        event: JSON = json.loads(line)
        self.seen.append(event)
        return event

    async def until(self, wanted: Callable[[JSON], Any]) -> JSON:
        """Read on up to the first event that is wanted. TooLong if it does not come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (event := await self.next()) is not None:
                    if wanted(event):
                        return event
        except TimeoutError:
            raise TooLong(f"{self._what}: {PATIENCE:g} s, last seen {self._last()}") from None
        raise TooLong(f"{self._what}: the watch has ended, last seen {self._last()}")

    async def until_object(self, wanted: Callable[[JSON], Any]) -> JSON:
        """Read on up to the first object, still there, that is wanted."""
        event = await self.until(lambda event: event["type"] != "DELETED" and wanted(event["object"]))
        found: JSON = event["object"]
        return found

    async def until_gone(self) -> JSON:
        """Read on up to a deletion; its last state."""
        gone: JSON = (await self.until(lambda event: event["type"] == "DELETED"))["object"]
        return gone

    async def rest(self) -> list[JSON]:
        """Read to the end of the stream; what came."""
        before = len(self.seen)
        while await self.next() is not None:
            continue
        return self.seen[before:]

    def _last(self) -> str:
        return json.dumps(self.seen[-1])[:2000] if self.seen else "nothing"
