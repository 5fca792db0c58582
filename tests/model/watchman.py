"""Looks at every write as it happens: S1 to S5 as `program/oracle.py` has them, S6, and S2 with open eyes.

A controller can't count what it has not been told of: a Job that somebody else started may overfill a slot,
and is held against an admission only once word of that start has reached the program that admits. Nor can it
count what lost its label before it came: such a Job is held against a program that has seen it.
"""

from controller.core.contract import Keys, Status
from controller.kube import errors
from tests.model.kubelet import ENDED
from tests.model.trouble import WRITES
from tests.program import oracle
from tests.program.oracle import Judge, notes, owner

KEYS = Keys()


class Watchman(Judge):
    """`found`: everything that was wrong, as sentences."""

    def __init__(self, world):
        super().__init__(world.policy.agent_concurrency)
        self._world = world
        self.sender = None
        """Who sent the write that is being looked at, if one of our programs did."""
        self.begun = set()
        """Uids of pods whose agent's container has run."""
        self.started = set()
        """Uids of Jobs that have been unsuspended, whoever did it."""
        self._unsure = {}
        """(program, name, uid) of a Job whose last write may have been done or not -> (looks at its
        slot, the version that the write was guarded by)."""
        self._lost = set()
        """Uids of Jobs that have lost the label by which they, or a pod of theirs, are watched."""
        self._opened = {}
        """Jobs that somebody else has started, or let have pods again, and the version in which."""

    def look(self, write):
        if write.kind == "Pod" and _has_run(write.object):
            self.begun.add(write.uid)
        if write.kind == "Job" and not write.object["spec"].get("suspend"):
            self.started.add(write.uid)
            held = write.previous is not None and oracle._holds(write.previous.object)
            if not held and write.actor != oracle.ACTOR:
                self._opened[write.uid] = write.version
        if write.kind in ("Job", "Pod") and KEYS.agent_id not in (
            write.object["metadata"].get("labels") or {}
        ):
            self._lost.add(write.uid if write.kind == "Job" else owner(write.object))
        super().look(write)
        if write.actor == oracle.ACTOR and write.kind == "Job":
            self._certain(write)

    # S2

    def _count(self, write):
        sender = self.sender
        if write.kind != "Job" or sender is None or not oracle._starts(write):
            return
        if not self._world.lease.held(sender.program):
            # Sent by a leader, arrived under the next one: the Lease does not fence (contract §4, ADR 15).
            self._opened[write.uid] = write.version
            return
        slot = oracle._slot(write.object)
        known, pods_known = sender.program.parts.store.knew.get(slot, ({}, set()))
        working = {owner(pod) for pod in self._pods.values() if pod["status"].get("phase") not in ENDED}
        by_pods = pods_known & working
        unseen = {uid for uid, at in self._opened.items() if known.get(uid, 0) < at} - by_pods
        held = self.places(slot) - unseen - (self._lost - known.keys())
        if len(held) > self._limit:
            self._say(write, f"S2: {len(held)} places held")

    # S6

    def _certain(self, write):
        sender = self.sender
        starts, stops = oracle._starts(write), _stops(write)
        asked = stops and KEYS.cancel_requested in (write.object["metadata"].get("annotations") or {})
        if (starts or stops) and not (sender.fresh or asked):
            self._say(write, f"S6: {'admitted' if starts else 'stopped'} with stale caches")
        if starts and self._in_doubt(sender.program, oracle._slot(write.object)):
            self._say(write, "S6: admitted while a write to the slot had no certain answer")

    def _in_doubt(self, program, slot):
        """The plan was made after a write to a Job of the slot had failed, and before anybody knew how.

        A newer version than that which the write was guarded by tells it as well as an answer does.
        """
        looks = program.parts.store.looks[slot]
        doubtful = [
            self._jobs[uid]
            for (who, _, uid), (since, guard) in self._unsure.items()
            if who is program and since < looks and uid in self._jobs and program.known.get(uid, 0) <= guard
        ]
        return any(oracle._slot(job) == slot for job in doubtful)

    def sent(self, sender):
        """A call goes out: nobody may even ask for a write without the lease, though a version guards it."""
        if sender.call.verb in WRITES and not sender.held:
            self.found.append(f"S6: {sender.call.verb} {sender.call.resource.plural} without the lease")

    def answered(self, call, sender, error):
        """A program knows how a call of its ended; or knows that it does not."""
        if call.resource.plural != "jobs" or call.verb not in ("patch", "get"):
            return
        for key in [key for key in self._unsure if key[:2] == (sender.program, call.name)]:
            del self._unsure[key]
        certain = error is None or isinstance(error, errors.Refused | errors.NotFound)
        if call.verb == "get" or certain:
            return
        meta = sender.document["metadata"]
        uid, guard = meta.get("uid"), int(meta.get("resourceVersion") or 0)
        slot = oracle._slot(self._jobs[uid]) if uid in self._jobs else None
        self._unsure[sender.program, call.name, uid] = sender.program.parts.store.looks[slot], guard


def _stops(write):
    before = notes(write.previous.object) if write.previous else {}
    return Status.STOP in notes(write.object) and Status.STOP not in before


def _has_run(pod):
    states = [c.get("state", {}) for c in pod["status"].get("containerStatuses") or []]
    return any("running" in s or "startedAt" in s.get("terminated", {}) for s in states)
