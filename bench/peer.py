"""What one would write with kr8s: its own objects in a dict, decoded as its own watch decodes them."""

import json
from collections.abc import Iterable
from typing import Any, Final

from kr8s.asyncio.objects import Job, Pod

KINDS: Final[dict[str, type[Job | Pod]]] = {"Job": Job, "Pod": Pod}


def keep(lines: Iterable[bytes], kept: dict[str, Any]) -> int:
    """Each event's object by its uid; how many there were."""
    count = 0
    for line in lines:
        event = json.loads(line)
        made = KINDS[event["object"]["kind"]](event["object"])
        _ = made.metadata.resourceVersion  # as its watch reads it, to go on from
        kept[made.metadata.uid] = made
        count += 1
    return count
