"""Whose a run's Secrets and ConfigMaps are, as far as the API server has said; and what that holds back.

Owns what an answer means: which allow a start, which is worth an Event, when to ask again. Who asks is
`rules.owning`'s, how it is asked `kube.owner`'s business.
"""

from typing import Final

from controller.core.actions import OwnObject, TellJob
from controller.core.contract import clip, keys_of
from controller.core.model import Job, Owned
from controller.core.snapshot import Asked, Ownership, Policy, Run

SETTLED: Final = frozenset({Ownership.ADOPTED, Ownership.REFUSED, Ownership.FORBIDDEN})
"""Answers that are final: the object is there, or is nothing that we may know of."""

_MISSING_MOST: Final = 10.0
"""Seconds between two looks for an object that a waiting run lacks; the first comes after one."""
_UNKNOWN_MOST: Final = 30.0
_UNGATED_MOST: Final = 300.0
"""The same for a run that runs all the same."""
_TOLD_AFTER: Final = 2
"""So many answers in a row before a wait is told: hosts create the object right after the Job."""
_NAMED: Final = 3


def of(job: Job, policy: Policy) -> tuple[Owned, ...]:
    """The objects that are looked after for this run."""
    return tuple(owned for owned in job.owned if policy.own_secrets or owned.kind != "Secret")


def is_open(run: Run, policy: Policy) -> bool:
    """Some object of the run has not answered: a waiting run is not admitted, and holds up nobody."""
    return bool(_open(run, policy))


def complaint(run: Run, policy: Policy) -> str:
    """What a waiting run lacks, in a sentence; empty if that is nothing, or if it is too early to say."""
    lacking = [owned for owned in _open(run, policy) if _tries(run, owned) >= _TOLD_AFTER]
    missing = [owned for owned in lacking if run.owned[owned].ownership is Ownership.MISSING]
    if missing:
        return clip(f"Waits for {_listed(missing)}: the host creates it right after the Job.")
    if lacking:
        return clip(f"Waits: the API server has not said whether {_listed(lacking)} is there; asked again.")
    return ""


def missing(run: Run, policy: Policy) -> tuple[Owned, ...]:
    """Objects of which the API server said, when it was asked last, that they are not there."""
    return tuple(
        owned for owned in _open(run, policy) if _tries(run, owned) and _is_missing(run.owned[owned])
    )


def rejection(run: Run, policy: Policy) -> str:
    """What is told of a run whose objects have not come in time."""
    listed = _listed(missing(run, policy))
    waited = f"{policy.start_timeout_seconds} s"
    return clip(f"{listed} was not there within {waited}: submit the run again, and create it with it.")


def pause(answer: Asked, *, gated: bool) -> float:
    """Seconds after such an answer until the same is asked again: longer each time, within bounds."""
    longest = _UNKNOWN_MOST
    if _is_missing(answer):
        longest = _MISSING_MOST if gated else _UNGATED_MOST
    return float(min(2.0 ** min(answer.tries - 1, 20), longest))


def told(asked: OwnObject, ownership: Ownership, why: str, domain: str) -> TellJob | None:
    """The Event that an answer is worth: an object that was left alone, why, and what would mend it."""
    if ownership not in (Ownership.REFUSED, Ownership.FORBIDDEN):
        return None
    what = f"{Owned(asked.kind, asked.name)} is left alone"
    if ownership is Ownership.REFUSED:
        mend = (
            f"To have it removed with the Job, create it with the label {keys_of(domain).run_id} of this run"
        )
        note = f"{what}: {why}. {mend} and without a controller, or with an owner reference to the Job."
    else:
        note = (
            f"{what}: we may not look at it or change it ({why}). The run goes on; its host has to remove it."
        )
    return TellJob(asked.namespace, asked.job_name, asked.job_uid, "OwnedRefused", note, warning=True)


def _open(run: Run, policy: Policy) -> tuple[Owned, ...]:
    if not run.job.owned:  # as most runs that are looked at
        return ()
    answers = run.owned
    return tuple(
        owned
        for owned in of(run.job, policy)
        if owned not in answers or answers[owned].ownership not in SETTLED
    )


def _tries(run: Run, owned: Owned) -> int:
    return run.owned[owned].tries if owned in run.owned else 0


def _is_missing(answer: Asked) -> bool:
    return answer.ownership is Ownership.MISSING


def _listed(lacking: tuple[Owned, ...] | list[Owned]) -> str:
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return ", ".join(map(str, lacking[:_NAMED])) + more
