"""What a run itself has used, where its agent tells totals of the session that it resumed.

Remembers the newest totals of each session, for a bounded number of them. Where the earlier ones are not
known (before a restart, say), what is told stays the session's, and is said to be.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from controller.core.tally import Tally
from controller.core.transcript import ModelUsage

SESSIONS_MAX: Final = 10_000
RUN: Final = "run"
SESSION: Final = "session"


class Spent(NamedTuple):
    """Of one run, if `basis` is RUN; else of its session until now."""

    basis: str
    usage: tuple[ModelUsage, ...]
    cost_usd: float | None


class Spending:
    """By session."""

    def __init__(self) -> None:
        self._totals: OrderedDict[str, Spent] = OrderedDict()

    def of(self, tally: Tally) -> Spent:
        """What is to be counted of this run; its totals are those of its session from now on."""
        told = Spent(SESSION if tally.resumed else RUN, tally.usage, tally.cost_usd)
        before = self._totals.get(tally.resumed)
        self._totals.pop(tally.session, None)
        if tally.session and tally.claimed:
            self._totals[tally.session] = told
            if len(self._totals) > SESSIONS_MAX:
                self._totals.popitem(last=False)
        return _beyond(told, before) if before else told


def _beyond(told: Spent, before: Spent) -> Spent:
    """What came on top. Totals that went down are not the session's: the run began anew."""
    known = {used.model: used for used in before.usage}
    grown = [_grown(used, known.get(used.model)) for used in told.usage]
    cost = told.cost_usd
    if cost is not None and before.cost_usd is not None:
        cost -= before.cost_usd
    if any(used is None for used in grown) or (cost is not None and cost < 0):
        return told._replace(basis=RUN)
    return Spent(RUN, tuple(used for used in grown if used), cost)


def _grown(now: ModelUsage, before: ModelUsage | None) -> ModelUsage | None:
    if before is None:
        return now
    grown = (
        now.input_tokens - before.input_tokens,
        now.output_tokens - before.output_tokens,
        now.cache_read_tokens - before.cache_read_tokens,
        now.cache_creation_tokens - before.cache_creation_tokens,
    )
    cost = now.cost_usd
    if cost is not None and before.cost_usd is not None:
        cost = max(0.0, cost - before.cost_usd)
    return ModelUsage(now.model, *grown, cost) if min(grown) >= 0 else None
