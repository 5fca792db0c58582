"""What the limits of companies and cluster mean for one run that its slot would let start.

Whose turn it is among all slots is counted by the engine and comes in as `Snapshot.capacity`; here it becomes
an order and a verdict.
"""

from controller.core import contract
from controller.core.contract import Phase, Reason
from controller.core.snapshot import Capacity, Policy, Run, Snapshot, Standing


def place_in_line(run: Run, seen: Snapshot) -> tuple[bool, int, str]:
    """The order in which the runs of a slot take its places: whose turn it is, then the oldest, then by name.

    A run whose company is at its limit does not stand in the way of another company's.
    """
    turn = seen.capacity is not None and run.job.uid in seen.capacity.granted
    return not turn, run.job.created_at, run.job.name


def limited(run: Run, seen: Snapshot, policy: Policy) -> Standing | None:
    """What a run for which its slot has a place still waits for; None if it may start."""
    if not is_limited(policy):
        return None
    capacity = seen.capacity or Capacity()
    if run.job.uid in capacity.granted:
        return None
    company = run.job.ids.company
    running = capacity.of_company.get(company, 0)
    if not policy.cluster_concurrency or 0 < policy.company_concurrency <= running:
        whose = f"runs of company {company}" if company else "runs without a company"
        said = f"Waits: {running} of {policy.company_concurrency} {whose} are running."
        return Standing(Phase.QUEUED, Reason.COMPANY_LIMIT, contract.clip(said))
    said = f"Waits: {capacity.running} of {policy.cluster_concurrency} runs of the whole cluster are running."
    return Standing(Phase.QUEUED, Reason.CLUSTER_LIMIT, said)


def is_limited(policy: Policy) -> bool:
    """Whether there is any limit beyond that of the slot."""
    return bool(policy.company_concurrency or policy.cluster_concurrency)
