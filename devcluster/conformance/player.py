"""Plays scenarios against a cluster, side by side, and says of each what was seen otherwise.

Owns: the order of play, its limits, the comparison. Never: decides what is right (`scenario.py`) or
forgivable (`known.py`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from devcluster.conformance import known
from devcluster.conformance.connection import Connection
from devcluster.conformance.known import ALL_OF_IT, Known
from devcluster.conformance.scenario import Scenario
from devcluster.conformance.scene import Scene, Unexpected
from devcluster.conformance.watching import TooLong

EQUAL, KNOWN, DIFFERS = "equal", "known difference", "differs"
STOPPED = "stopped"
"""The observation of a scenario that could not be played to its end."""
NOTHING = "(nothing)"
IMAGE = "busybox:1.36"
LIMIT = 300.0
"""Seconds that one scenario may take."""
ODD = (Unexpected, TooLong, LookupError, ValueError, TypeError, aiohttp.ClientError, OSError)
"""What a scenario stops at when an answer, or its shape, is not at all as expected."""
AT_ONCE = 10  # more, and a small node is too slow to show each state


@dataclass(frozen=True, slots=True)
class Difference:
    """One observation that is not as expected. `reason` is set if that is known."""

    observation: str
    want: Any
    got: Any
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one scenario."""

    name: str
    seconds: float
    noted: Mapping[str, Any]
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """EQUAL, KNOWN or DIFFERS."""
        if not self.differences:
            return EQUAL
        return KNOWN if all(found.reason for found in self.differences) else DIFFERS


@dataclass(frozen=True, slots=True)
class Play:
    """How to play: the image of all containers, how many scenarios at once, whom to tell of each."""

    image: str = IMAGE
    at_once: int = AT_ONCE
    told: Callable[[Outcome], None] = lambda _: None


async def play(connection: Connection, scenarios: Sequence[Scenario], how: Play) -> list[Outcome]:
    """Play all, each in a namespace of its own; the outcomes, in the scenarios' order."""
    places = asyncio.Semaphore(how.at_once)

    async def one(scenario: Scenario) -> Outcome:
        async with places:
            outcome = await _play_one(connection, scenario, how)
        how.told(outcome)
        return outcome

    async with asyncio.TaskGroup() as group:
        playing = [group.create_task(one(scenario)) for scenario in scenarios]
    return [task.result() for task in playing]


async def _play_one(connection: Connection, scenario: Scenario, how: Play) -> Outcome:
    began = time.monotonic()
    scene = Scene(connection, scenario.name, how.image)
    try:
        async with asyncio.timeout(LIMIT), scene:
            await scenario.act(scene)
    except ODD as error:
        scene.note(STOPPED, f"{type(error).__name__}: {error}".strip())
    listed = known.of(connection.kind, scenario.name)
    found = tuple(differences(scenario.want, scene.noted, listed))
    return Outcome(scenario.name, time.monotonic() - began, scene.noted, found)


def differences(
    want: Mapping[str, Any], got: Mapping[str, Any], listed: Mapping[str, Known]
) -> list[Difference]:
    """What differs, and what is listed as differing but does not."""
    names = [*want, *(name for name in got if name not in want)]
    found = [
        Difference(name, want.get(name, NOTHING), got.get(name, NOTHING))
        for name in names
        if want.get(name, NOTHING) != got.get(name, NOTHING)
    ]
    if ALL_OF_IT in listed:
        whole = listed[ALL_OF_IT]
        if got.get(STOPPED) == whole.got:
            return [Difference(ALL_OF_IT, "the whole scenario", whole.got, whole.reason)]
        if found:
            return found
        return [Difference(ALL_OF_IT, "a difference, as it is listed", NOTHING)]
    judged = [_judged(difference, listed.get(difference.observation)) for difference in found]
    differing = {difference.observation for difference in found}
    vanished = [item for name, item in listed.items() if name not in differing]
    return judged + [
        Difference(item.observation, item.got, "as on a real cluster: unlist it") for item in vanished
    ]


def _judged(difference: Difference, item: Known | None) -> Difference:
    if item is None or item.got != difference.got:
        return difference
    return Difference(difference.observation, difference.want, difference.got, item.reason)
