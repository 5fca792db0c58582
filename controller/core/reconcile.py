"""What to do about one slot: Snapshot, now, Policy -> Plan. RULES lists everything this program does.

Every rule is a fixed point: if the world already looks right it asks for nothing. Rules don't know of each
other; `merge` makes one patch per Job out of what they ask for, and `room` has each fit on its Job. Nothing
outside this module decides.
"""

from collections.abc import Callable
from typing import Final

from controller.core import room
from controller.core.actions import Plan, RefreshJob
from controller.core.model import Now
from controller.core.rules import (
    admitting,
    attaching,
    cancelling,
    certainty,
    concluding,
    diagnosing,
    following,
    hanging,
    keeping,
    labelling,
    owning,
    relabelling,
    reporting,
    retiring,
    stopping,
    telling,
    tracing,
)
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Snapshot

Rule = Callable[[Snapshot, Now, Policy], Plan]

_STALE_RETRY_SECONDS: Final = 5.0


RULES: Final[tuple[Rule, ...]] = (
    following.follow_logs,  # every log that a result or a trace still needs is being read
    certainty.confirm_ghosts,  # a vanished Job's place is freed on certainty, not on an event
    certainty.confirm_released,  # likewise that of a Job that was suspended or is being deleted
    keeping.put_aside,  # no TTL collects a Job before its result is on it
    admitting.reject_invalid,  # a suspended Job that is no run is told so, and never started
    cancelling.cancel_waiting,  # who waits and is wanted no more is over, and never started
    cancelling.end_attachments,  # likewise who shares another's Job with a later run
    owning.reject_missing,  # a run whose Secret or ConfigMap never came is told so, and never started
    admitting.admit_or_queue,  # who waits is started, attached, or told what for
    stopping.stop_cancelled,  # a run whose host wants no more of it is ended
    stopping.close_suspended,  # a run that was suspended after its start is not started twice
    stopping.stop_again,  # a stop that somebody has undone is done again
    stopping.stop_hopeless_starts,  # a start that cannot heal is ended and named
    hanging.stop_hanging,  # an agent that does not exit, and what outlives one, is ended
    concluding.conclude,  # a run that is over gets its terminal phase and its result, once
    relabelling.relabel,  # a Job that others continue on says whose run it is by now, and which it has served
    attaching.accompany,  # an attached run shows its Job's phase, and ends as that one does
    reporting.report,  # a live run says where it stands
    diagnosing.read_events,  # why a start is slow, and how long its images took, is asked of Events
    tracing.export,  # a concluded run's trace is handed over, once
    tracing.close_vanished,  # a run whose Job was deleted in mid-run is closed all the same
    telling.go_live,  # a run whose spans are told while it goes on says so first
    telling.tell,  # and tells them as they become final
    tracing.record,  # a trace that the collector accepted is written down
    keeping.release,  # what is safe in every way is kept for as long as its host, or the settings, say
    retiring.retire,  # a Job that never ran is collected all the same, when its time has come
    owning.own_objects,  # a run's Secrets and ConfigMaps are there, and go with its Job
    labelling.find_pods,  # pods that the watch does not select are found by their Job's uid
    labelling.label_pods,  # every pod of a run carries its labels
)


URGENT: Final[tuple[Rule, ...]] = (cancelling.cancel_waiting, stopping.stop_cancelled)
"""What is done however little is known: the resourceVersion sees to it that it is the right thing."""


def reconcile(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """The plan for a slot. Fails closed: stale or doubtful knowledge is only made better.

    What a host wants to end is ended all the same.
    """
    return room.squeeze(_wanted(seen, now, policy), seen, now, policy)


def _wanted(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    if seen.doubts:
        return merge((_settle_doubts(seen), _urgent(seen, now, policy)))
    if not seen.fresh:
        logs = following.follow_logs(seen, now, policy)
        return merge((logs, _urgent(seen, now, policy), Plan(look_again=_STALE_RETRY_SECONDS)))
    return merge(rule(seen, now, policy) for rule in RULES)


def _urgent(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """What may be done at once, of Jobs that are not in doubt themselves. It counts no time: no marks."""
    plan = merge(rule(seen, now, policy) for rule in URGENT)
    return Plan(tuple(action for action in plan.actions if action.job_uid not in seen.doubts))


def _settle_doubts(seen: Snapshot) -> Plan:
    doubtful = set(seen.doubts)
    jobs = sorted((run.job for run in seen.runs if run.job.uid in doubtful), key=lambda job: job.uid)
    return Plan(tuple(RefreshJob(job.namespace, job.name, job.uid) for job in jobs))
