"""What of a run's trace is handed over while the run goes on, if that is wanted or it holds too many spans.

That it begins is written on the Job first: another process then knows that spans may be out, and tells the
same ones again or none. What is final is decided by `spans.tree`, what is sent twice nowhere: nothing is.
"""

import zlib
from dataclasses import replace
from typing import Final

from controller.core import attachments, facts
from controller.core.actions import PatchJob, Plan, TellSpans
from controller.core.contract import TERMINAL, Status, keys_of
from controller.core.model import Job, Now
from controller.core.rules import concluding
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot
from controller.core.spans import telling, tree
from controller.core.spantree import SpanTree

EVERY_SECONDS: Final = 5.0
"""How often spans of a run are looked for that could be told."""
_SLOWER_AT: Final = 500
"""From so many on that have been told it is half as often, and again at each doubling: all are looked at."""


def go_live(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """A run whose agent has begun to speak notes that its spans are told, before any is."""
    return Plan(tuple(_begin(run.job, now, policy) for run in seen.runs if _begins(run, policy)))


def tell(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """The spans of such a run are handed over as they become final, a few seconds' worth at a time."""
    return merge(_tell(seen, run, now, policy) for run in seen.runs if _goes_on(run, policy))


def untold(run: Run, whole: SpanTree) -> SpanTree:
    """What is left of the whole trace: the root, and what has not been handed over before."""
    root, *others = whole.spans
    return replace(whole, spans=(root, *(span for span in others if span.id not in run.told)))


def _begins(run: Run, policy: Policy) -> bool:
    mode = policy.trace_mode == "live" or run.crowded
    wanted = policy.tracing and mode and run.job.ids.name_a_run
    over = run.job.phase in TERMINAL or concluding.is_over(run) or run.job.restarts_containers
    if not wanted or over or telling.is_live(run.job) or attachments.is_attached(run.job):
        return False
    return any(log.seen.lines and telling.is_whole(log) for log in run.logs)


def _begin(job: Job, now: Now, policy: Policy) -> PatchJob:
    noted = {keys_of(policy.domain).status(Status.TRACE_LIVE): telling.note(now.wall, job, policy)}
    return PatchJob(job.namespace, job.name, job.uid, job.version, annotations=noted, why="live")


def _goes_on(run: Run, policy: Policy) -> bool:
    return policy.tracing and telling.is_live(run.job) and run.job.phase not in TERMINAL


def _tell(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    """Once in a while. Not all runs at the same time."""
    every = EVERY_SECONDS * 2 ** (len(run.told) // _SLOWER_AT).bit_length()
    shifted = now.mono + zlib.crc32(run.job.uid.encode()) % 1000 / 1000 * every
    turn, left = shifted // every, every - shifted % every
    mark = f"tell:{run.job.uid}:{every:g}:{int(turn)}"
    if seen.first_seen(mark, now) < now.mono:
        return Plan(marks=(mark,), look_again=left)
    known = facts.decode(run.job.status.get(Status.FACTS, ""))
    part = tree.of(run.job, tree.settled(run, known, policy), policy)
    if not part.spans:
        return Plan(marks=(mark,))
    return Plan((TellSpans(run.job.uid, part),), marks=(mark,), look_again=left)
