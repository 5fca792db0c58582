"""How all runs stand at one moment: counted from what is written on their Jobs. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from controller.core.contract import SECOND, TERMINAL, Phase, Reason, Status, instant
from controller.core.model import Job


class Census(NamedTuple):
    """Of all Jobs that have a phase."""

    standings: Mapping[tuple[str, str], int]
    """(phase, reason) -> runs."""
    oldest: Mapping[str, float]
    """Phase of runs that are not over -> seconds since the oldest one's Job was made."""
    silence: float
    """Seconds since the last output of the agent that is AgentSilent for longest; 0 if none is."""
    models: frozenset[str]
    """Of the runs that are not over."""


_OVER: Final = frozenset(map(str, TERMINAL))


def take(jobs: Iterable[Job], wall: int) -> Census:
    """The census at that instant, in nanoseconds since the epoch."""
    standings: Counter[tuple[str, str]] = Counter()
    births: dict[str, int] = {}
    quiet_since, models = wall, set()
    for job in jobs:
        said = job.status
        phase, reason = said.get(Status.PHASE), said.get(Status.REASON, "")
        if phase is None:
            continue
        standings[phase, reason] += 1
        if phase in _OVER:
            continue
        births[phase] = min(births.get(phase, wall), job.created_at)
        models.add(said.get(Status.MODEL, ""))
        if reason == Reason.AGENT_SILENT:
            quiet_since = min(quiet_since, instant(said.get(Status.LAST_OUTPUT_AT, "")) or wall)
    ages = {phase: _since(births[phase], wall) for phase in _PHASES if phase in births}
    return Census(standings, ages, _since(quiet_since, wall), frozenset(models - {""}))


_PHASES: Final = tuple(str(phase) for phase in Phase)


def _since(then: int, wall: int) -> float:
    return max(0, wall - then) / SECOND
