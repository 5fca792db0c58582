"""Many plans into one: one patch per Job, the earliest time to look again, all marks and rests, in order.

But for one thing: the whole of a result is stored before its Job is patched at all.
"""

from collections.abc import Iterable
from dataclasses import replace

from controller.core.actions import (
    Action,
    OwnObject,
    PatchJob,
    Plan,
    ReadEvents,
    ReadPods,
    ReadResult,
    StoreResult,
)


def merge(plans: Iterable[Plan]) -> Plan:
    """One plan out of many: one patch per Job, in the place of its first; the same question once."""
    plans = tuple(plans)
    actions: list[Action] = []
    patches: dict[str, PatchJob] = {}
    waits: list[float] = []
    marks: list[str] = []
    for plan in plans:
        marks += plan.marks
        if plan.look_again is not None:
            waits.append(plan.look_again)
        for action in plan.actions:
            if isinstance(action, ReadPods | ReadEvents | ReadResult | OwnObject) and action in actions:
                continue
            if not isinstance(action, PatchJob):
                actions.append(action)
            elif action.job_uid in patches:
                joined = _join(patches[action.job_uid], action)
                actions[actions.index(patches[action.job_uid])] = patches[action.job_uid] = joined
            else:
                actions.append(action)
                patches[action.job_uid] = action
    rests = tuple(rest for plan in plans for rest in plan.rests)
    _store_first(actions)
    return Plan(tuple(actions), min(waits, default=None), tuple(dict.fromkeys(marks)), rests)


def _store_first(actions: list[Action]) -> None:
    """A patch may have come to an earlier place by being joined with one that did not say how a run ended."""
    for store in [action for action in actions if isinstance(action, StoreResult)]:
        at = actions.index(store)
        patched = (
            place
            for place, action in enumerate(actions[:at])
            if isinstance(action, PatchJob) and action.job_uid == store.job_uid
        )
        if (first := next(patched, None)) is not None:
            actions.insert(first, actions.pop(at))


def _join(first: PatchJob, second: PatchJob) -> PatchJob:
    """Both patches of one Job as one; where they differ the earlier rule wins. A version guard stays.

    Only what an earlier rule takes away because it was left over does not take away what a later one says.
    """
    said = {key: text for key, text in first.annotations.items() if text is not None}
    return replace(
        first,
        version=first.version or second.version,
        annotations={**first.annotations, **second.annotations, **said},
        spec={**second.spec, **first.spec},
        template_labels={**second.template_labels, **first.template_labels},
        labels={**second.labels, **first.labels},
        why=f"{first.why}+{second.why}",
        beat=first.beat and second.beat,
        tally=first.tally or second.tally,
    )
