"""Waiting for the world to look a certain way, woken by its changes.

Owns: this one wait. Never: sleeps.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from devcluster.fake.storage import Storage

T = TypeVar("T")


async def wait_until(storage: Storage, look: Callable[[], T | None], seconds: float) -> T:
    """The first truthy thing that `look` returns, asked after every write; else TimeoutError."""
    changed = asyncio.Event()

    def wake(_: object) -> None:
        changed.set()

    storage.listen(wake)
    try:
        async with asyncio.timeout(seconds):
            while not (found := look()):
                await changed.wait()
                changed.clear()
            return found
    finally:
        storage.unlisten(wake)
