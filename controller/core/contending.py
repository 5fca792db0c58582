"""Which runs of a slot compete with those of other slots for the places of companies and cluster.

Whoever could start if there were no such limits: all other obstacles are judged by `admission`, once.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from controller.core import admission
from controller.core.contract import Phase
from controller.core.snapshot import Contender, Policy, Snapshot

_ANY_NUMBER: Final = 1_000_000_000


def free_places(seen: Snapshot, policy: Policy) -> int:
    """How many more runs the slot itself would let start."""
    return max(policy.agent_concurrency - len(admission.holders(seen)), 0)


def contenders(seen: Snapshot, policy: Policy) -> tuple[Contender, ...]:
    """Of each company the oldest that could start, no more than the slot has places; in their order."""
    free = free_places(seen, policy)
    if not free:
        return ()
    return tuple(_first(sorted(_able(seen, policy)), free))


def _able(seen: Snapshot, policy: Policy) -> Iterator[Contender]:
    """All that nothing but a limit could hold back."""
    unlimited = replace(policy, agent_concurrency=_ANY_NUMBER, company_concurrency=0, cluster_concurrency=0)
    verdicts = admission.decide(seen, unlimited)
    for job in (run.job for run in seen.runs):
        verdict = verdicts.get(job.uid)
        if verdict is not None and verdict.phase is Phase.STARTING:
            yield Contender(job.created_at, job.name, job.uid, job.ids.company)


def _first(able: list[Contender], free: int) -> Iterator[Contender]:
    taken: Counter[str] = Counter()
    for contender in able:
        if taken[contender.company] < free:
            taken[contender.company] += 1
            yield contender
