"""Stops agents that hang after their result, sidecars that outlive them, and, if wanted, silent agents.

Which quiet an agent is in, and for how long, is `quiet`'s to say. Before a stop that is due the log is read
to its end and the pods are listed: live work never ends on a guess.
"""

import math
from typing import Final

from controller.core import attachments, quiet, verdict
from controller.core.actions import Plan, ReadPods
from controller.core.contract import Reason
from controller.core.model import Now
from controller.core.quiet import Kind, Quiet
from controller.core.rules import following, stopping
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot
from controller.core.transcript import AgentLog, LogState

_ANSWER_SECONDS: Final = 5.0
"""So long after something was asked it is asked again."""
_SILENT_AGAIN_SECONDS: Final = 60.0
"""Between two looks whether an agent that is told to be silent has spoken."""
_RECENT_SECONDS: Final = 60.0
"""What is known of log and pods may be so old when a run is stopped for it: the last try may have failed."""


def stop_hanging(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Who is quiet for too long is looked at closely, and then stopped. A cancel goes before."""
    open_runs = (run for run in seen.runs if stopping.may_be_stopped(run.job))
    return merge(
        merge((_judge(seen, run, state, now, policy), Plan(marks=(state.mark,))))
        for run in open_runs
        if not attachments.cancel_of(seen, run.job) and (state := quiet.of(run)) is not None
    )


def _judge(seen: Snapshot, run: Run, state: Quiet, now: Now, policy: Policy) -> Plan:
    since = seen.first_seen(state.mark, now)
    told = since + quiet.told_after(state.kind, policy)
    ends = since + quiet.stopped_after(state.kind, policy)
    if now.mono >= ends:
        return _stop(seen, run, state, now, policy)
    if now.mono < told:
        return _until(min(told, ends), now)
    again = math.inf
    if state.kind is Kind.SILENT:
        # One that is told to be silent may speak, and an ordinary line wakes nobody.
        pause = min(_SILENT_AGAIN_SECONDS, policy.silent_after_seconds)
        told, again = max(told, now.mono - pause), now.mono + pause
    if not state.is_certain(told):
        return merge((following.check(seen, run, state.pod, now), Plan(look_again=_ANSWER_SECONDS)))
    return _until(min(again, ends), now)


def _until(mono: float, now: Now) -> Plan:
    return Plan(look_again=mono - now.mono if mono < math.inf else None)


def _stop(seen: Snapshot, run: Run, state: Quiet, now: Now, policy: Policy) -> Plan:
    since = seen.first_seen(state.mark, now)
    due = max(since + quiet.stopped_after(state.kind, policy), now.mono - _RECENT_SECONDS)
    asked = Plan() if state.is_certain(due) else following.check(seen, run, state.pod, now)
    if not run.pods_read_since(due):
        asked = merge((asked, Plan((ReadPods(run.job.namespace, run.job.uid),))))
    if asked.actions:
        return merge((asked, Plan(look_again=_ANSWER_SECONDS)))
    drained = since + policy.log_drain_seconds
    if state.kind is Kind.OUTLIVED and _is_unread(state) and now.mono < drained:
        return _until(drained, now)  # with its pod the rest of the log would be gone
    waits = stopping.opens_log(seen, run, now)
    if waits.look_again is not None:
        return merge((waits, following.open_stream(run, state.pod)))
    reason, said = _ending(state, policy)
    return merge((stopping.stop(run, reason, said, now, policy), waits))


def _is_unread(state: Quiet) -> bool:
    return state.log is None or state.log.state is LogState.READING


def _ending(state: Quiet, policy: Policy) -> tuple[Reason, str]:
    """The reason of the stop, which is the run's own unless its agent has ended, and a sentence."""
    match state.kind:
        case Kind.FINISHED:
            found = verdict.hung(state.log.seen if state.log else AgentLog())
            said = f"The agent did not exit within {policy.hang_timeout_seconds} s after its result"
            return found.reason, f"{said}, and is stopped. {found.message}"
        case Kind.OUTLIVED:
            said = f"Its pod went on for {policy.hang_timeout_seconds} s after the agent's end"
            return Reason.AGENT_HANGING, f"{said}: it is stopped."
        case Kind.SILENT:
            said = f"The agent said nothing for {policy.stall_stop_seconds} s"
            return Reason.STALLED_TOO_LONG, f"{said}: its run is stopped."
