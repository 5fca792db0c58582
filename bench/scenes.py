"""Slots as the store hands them out at a moment: what reconcile is asked about, by kind.

Made of Kubernetes' own JSON through parser and store. Where a slot at rest is wanted, what the plan asks
for is written into the JSON until it asks for nothing more.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from bench import transcripts
from bench.objects import Template, job_template, pod_template
from bench.shapes import KEYS
from controller.core.actions import PatchJob, Plan
from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, SECOND
from controller.core.model import Job, Now, Pod, Slot, Unreadable
from controller.core.parse import Parser
from controller.core.reconcile import reconcile
from controller.core.snapshot import Policy, Snapshot
from controller.core.transcript import AttemptLog, LogState
from controller.engine.store import Store

JSON = dict[str, Any]
POLICY: Final = Policy(tracing=True)
SETTLED: Final = 50
WAITING: Final = 5
_SETTLES_AFTER: Final = 4
"""Plans until a slot stands still: admitted, reported, concluded."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A slot at a moment. `share`: how often it occurs among a hundred plans of a busy cluster."""

    name: str
    seen: Snapshot
    now: Now
    share: int


class Slots:
    """One slot whose objects are made here."""

    def __init__(self) -> None:
        self.store = Store(POLICY)
        self._parser = Parser(KEYS)
        self._jobs: dict[str, JSON] = {}

    def put(self, template: Template, run: int, agent: int = 0) -> Job | Pod:
        """The object of a run, of that agent."""
        raw = template.fill(run, 10).replace(b'"agent-%08d"' % run, b'"agent-%08d"' % agent)
        return self._take(template.plural, json.loads(raw))

    def put_log(self, job: Job | Pod, pod: Job | Pod, tool_calls: int, *, ended: bool) -> None:
        """The log of that pod, read so far."""
        fold = fold_for(OUTPUT_CLAUDE)
        lines = transcripts.lines(tool_calls)
        for at, line in lines if ended else lines[:-1]:
            fold.feed(at, line)
        state = LogState.COMPLETE if ended else LogState.READING
        self.store.put_log(job.uid, AttemptLog(pod.uid, state, fold.seen(), streaming=True, final=ended))

    def snapshot(self) -> Snapshot:
        """The slot as it is."""
        (slot,) = self.store.slots()
        return self.store.snapshot(slot, fresh=True)

    def carry_out(self, plan: Plan, slot: Slot, now: Now) -> None:
        """The patches of the plan, as the API server would apply them."""
        self.store.remember(slot, plan.marks, now.mono)
        for action in plan.actions:
            if isinstance(action, PatchJob):
                tree = self._jobs[action.job_uid]
                told = tree["metadata"]["annotations"] | dict(action.annotations)
                tree["metadata"]["annotations"] = {
                    key: text for key, text in told.items() if text is not None
                }
                tree["metadata"]["resourceVersion"] = str(int(tree["metadata"]["resourceVersion"]) + 1)
                tree["spec"] |= dict(action.spec)
                self._take("jobs", tree)

    def _take(self, plural: str, tree: JSON) -> Job | Pod:
        raw = json.dumps(tree).encode()
        found = self._parser.job(raw) if plural == "jobs" else self._parser.pod(raw)
        if isinstance(found, Unreadable):
            raise TypeError(found.why)
        if isinstance(found, Pod):
            self.store.put_pod(found)
            return found
        self._jobs[found.uid] = tree
        self.store.put_job(found)
        return found


def scenes(tool_calls: int) -> list[Scene]:
    """Every kind of slot there is."""
    running, waiting, idle, over = _running(tool_calls), _waiting(tool_calls), _idle(), _over(tool_calls)
    now, later = _now(700), _now(770)
    at_rest = _rested(running, now)
    concluded = _rested(over, now, plans=1)
    return [
        Scene("a run at work", at_rest, now, 60),
        Scene("its heartbeat", at_rest, later, 20),
        Scene(f"{WAITING} waiting behind it", _rested(waiting, now), now, 8),
        Scene(f"one to admit after {SETTLED}", idle.snapshot(), now, 4),
        Scene("one that is over", _over(tool_calls).snapshot(), now, 4),
        Scene("its trace", concluded, now, 4),
    ]


def _running(tool_calls: int) -> Slots:
    slots = Slots()
    job, pod = slots.put(job_template("Running"), 0), slots.put(pod_template("running"), 0)
    slots.put_log(job, pod, tool_calls, ended=False)
    return slots


def _waiting(tool_calls: int) -> Slots:
    slots = _running(tool_calls)
    for run in range(1, WAITING + 1):
        slots.put(job_template(), run)
    return slots


def _idle() -> Slots:
    slots = Slots()
    told = json.dumps({"phase": "Succeeded"})
    ended = job_template("Succeeded", ended=True, result=told)
    exported = KEYS.status("trace-exported")
    marked = ended.text.replace(b'"annotations":{', b'"annotations":{"%s":"x",' % exported.encode(), 1)
    for run in range(1, SETTLED + 1):
        slots.put(Template("jobs", marked), run)
    slots.put(job_template(), 0)
    return slots


def _over(tool_calls: int) -> Slots:
    slots = Slots()
    job = slots.put(job_template("Running", ended=True), 0)
    slots.put_log(job, slots.put(pod_template("succeeded"), 0), tool_calls, ended=True)
    return slots


def _rested(slots: Slots, now: Now, plans: int = _SETTLES_AFTER) -> Snapshot:
    for _ in range(plans):
        seen = slots.snapshot()
        slots.carry_out(reconcile(seen, now, POLICY), seen.slot, now)
    return slots.snapshot()


def _now(second: int) -> Now:
    return Now(transcripts.BEGAN + second * SECOND, float(second))
