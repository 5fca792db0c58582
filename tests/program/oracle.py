"""What must hold of every write to a cluster, whatever went wrong: S1 to S5, as one pass over its history.

S1  nothing is deleted by us
S2  per slot, never more places held than its limit
S3  phases move forward only, a terminal phase never changes, a result is written once
S4  what is written about a Job was computed from that Job's own uid
S5  we touch our own keys only, and of the spec four fields; the run's and session's ids of a Job that another
    run continues on, as that run has them; of a pod the ids of its run; of a Secret or ConfigMap only its
    owners, to which we add a Job that is there; new is only the ConfigMap of a result, which that Job owns
"""

import hashlib
import json
from collections import defaultdict
from typing import NamedTuple

from controller.core.contract import JOB_UID_LABEL, RANK, TERMINAL, Phase, Status
from tests.program.runs import KEYS

ACTOR = "runherd"
"""Name by which our writes stand in the history."""
SPEC = ("suspend", "parallelism", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
IDS = frozenset({KEYS.run_id, KEYS.session_id})
"""Labels, and annotations of the same names, that follow a run that continues on a Job."""
BEATS = frozenset(
    {Status.OBSERVED_AT, Status.LAST_OUTPUT_AT, Status.PROGRESS, Status.FACTS, Status.MESSAGE, Status.POD}
)
"""What a mere heartbeat changes."""


def faults(history, limit=1):
    """Everything that is wrong, as sentences; empty if nothing is."""
    judge = Judge(limit)
    for write in history:
        judge.look(write)
    return judge.found


def owner(pod):
    """Uid of the Job that a pod says it belongs to."""
    return (pod["metadata"].get("labels") or {}).get(JOB_UID_LABEL, "")


class Patches(NamedTuple):
    """Our writes of one Job: all, and those that are no heartbeats."""

    all: list
    weighty: list


def patches(history, uid):
    """What we have written on one Job."""
    ours = [w for w in history if w.kind == "Job" and w.uid == uid and w.actor == ACTOR]
    return Patches(ours, [write for write in ours if not changed(write) <= BEATS])


def unsuspended(history, uid):
    """The writes that started a Job."""
    return [w for w in history if w.kind == "Job" and w.uid == uid and _starts(w)]


def notes(obj):
    """Our own annotations, by their short names."""
    found = (obj["metadata"].get("annotations") or {}).items()
    prefix = KEYS.status_prefix
    return {key.removeprefix(prefix): value for key, value in found if key.startswith(prefix)}


def _starts(write):
    """Not only closes: a Job without parallelism is unsuspended to be over."""
    before = write.previous.object["spec"].get("suspend") if write.previous else False
    spec = write.object["spec"]
    return bool(before) and not spec.get("suspend") and spec.get("parallelism") != 0


def changed(write):
    """Short names of our annotations that a write changed, and `spec`."""
    before, after = notes(write.previous.object), notes(write.object)
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    spec = write.previous.object["spec"] != write.object["spec"]
    return names | ({"spec"} if spec else set())


def is_over(job):
    conditions = job["status"].get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _holds(job):
    spec, deleted = job["spec"], job["metadata"].get("deletionTimestamp")
    return not (spec.get("suspend") or spec.get("parallelism") == 0 or deleted or is_over(job))


def _slot(obj):
    labels = obj["metadata"].get("labels") or {}
    return obj["metadata"]["namespace"], labels.get(KEYS.agent_id), labels.get(KEYS.adapter_type)


class Judge:
    """Looks at one write after the other; `found` is what was wrong."""

    def __init__(self, limit):
        self.found = []
        self._limit = limit
        self._jobs, self._pods = {}, {}
        self.of_slot = defaultdict(set)
        self._unguarded = set()

    def look(self, write):
        """One more write."""
        ours = write.actor == ACTOR
        if ours and write.verb.startswith("delete"):
            self._say(write, "S1: deleted by us")
        if write.kind not in ("Job", "Pod"):
            if ours and write.kind in ("Secret", "ConfigMap"):
                self._owns(write)
            elif ours and write.kind not in ("Lease", "Event"):
                self._say(write, "S5: not ours to write")
            return
        self._keep(write)
        self._count(write)
        if write.kind == "Job" and write.previous is not None and write.type != "DELETED":
            self._forward(write)
            self._same_uid(write)
        if ours:
            self._own_keys(write)

    def _say(self, write, what):
        self.found.append(f"{what} ({write.kind} {write.name}, version {write.version})")

    # S2

    def _keep(self, write):
        kept = self._jobs if write.kind == "Job" else self._pods
        if write.type == "DELETED":
            kept.pop(write.uid, None)
        else:
            kept[write.uid] = write.object
        self.of_slot[_slot(write.object)].add((write.kind, write.uid))
        if write.kind == "Job" and write.type == "ADDED" and not write.object["spec"].get("suspend"):
            self._unguarded.add(write.uid)  # submitted running: tracked, never held back

    def places(self, slot):
        """Uids of the Jobs that hold a place in a slot now."""
        jobs = {uid for kind, uid in self.of_slot[slot] if kind == "Job" and uid in self._jobs}
        held = {uid for uid in jobs if _holds(self._jobs[uid])}
        for kind, uid in self.of_slot[slot]:
            pod = self._pods.get(uid) if kind == "Pod" else None
            if pod is not None and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                held.add(owner(pod) or uid)
        return held

    def _count(self, write):
        held = self.places(_slot(write.object))
        started = _starts(write) if write.kind == "Job" else False
        if len(held) > self._limit and (started or not held & self._unguarded):
            self._say(write, f"S2: {len(held)} places held")

    # S3, S4

    def _forward(self, write):
        before, after = notes(write.previous.object), notes(write.object)
        try:
            old, new = Phase(before.get(Status.PHASE, "")), Phase(after.get(Status.PHASE, ""))
        except ValueError:
            return
        if RANK[new] < RANK[old] or (old in TERMINAL and new is not old):
            self._say(write, f"S3: from {old} to {new}")
        if Status.RESULT in before and before[Status.RESULT] != after.get(Status.RESULT):
            self._say(write, "S3: a result was changed")

    def _same_uid(self, write):
        before, after = notes(write.previous.object), notes(write.object)
        for name in (Status.RESULT, Status.TRACE_ID, Status.POD):
            if (
                name in after
                and before.get(name) != after[name]
                and not self._is_of(write, name, after[name])
            ):
                self._say(write, f"S4: {name} is of another Job")

    def _is_of(self, write, name, value):
        match name:
            case Status.RESULT:
                return json.loads(value)["jobUid"] == write.uid
            case Status.TRACE_ID:
                return value == write.uid.replace("-", "")
        pod = self._pods.get(value.partition("/")[2])
        return pod is None or owner(pod) == write.uid

    # S5

    def _owns(self, write):
        before, after = (write.previous.object, write.object) if write.previous else ({}, write.object)
        added = [owner for owner in _owners(after) if owner not in _owners(before)]
        mine = len(added) == 1 and added[0]["uid"] in self._jobs and not added[0].get("controller")
        kept = all(owner in _owners(after) for owner in _owners(before))
        if mine and write.previous is None and _is_whole_result(write, added[0]["uid"]):
            return
        if not (mine and kept and _but_owners(before) == _but_owners(after)):
            self._say(write, "S5: more than the owners of a run's object was changed")

    def _own_keys(self, write):
        if write.kind == "Pod" and write.previous is not None:
            if _but_ids(write.previous.object) != _but_ids(write.object):
                self._say(write, "S5: more than the ids of a pod was changed")
        elif write.kind != "Job" or write.previous is None:
            self._say(write, "S5: not ours to write")
            return
        elif _foreign(write.previous.object, starts=_starts(write)) != _foreign(
            write.object, starts=_starts(write)
        ):
            self._say(write, "S5: something that is not ours was changed")
        if _run_of(write.previous.object) != _run_of(write.object) and not self._continues(write):
            self._say(write, "S5: ids were changed to those of a run that does not continue there")

    def _continues(self, write):
        """The ids that were written are those of a run attached to this Job, or to this pod's."""
        if write.kind == "Pod":
            job = self._jobs.get(owner(write.object))
            return job is not None and _run_of(job) == _run_of(write.object)
        attached = (job for job in self._jobs.values() if _attached_to(job) == write.uid)
        return any(_run_of(job) == _run_of(write.object) for job in attached)


def _is_whole_result(write, uid):
    """A ConfigMap of our own: named by its Job, unchangeable, and it says what it holds."""
    made, named = write.object, (write.kind, write.name) == ("ConfigMap", f"run-{uid}")
    text = (made.get("data") or {}).get("result.json", "")
    said = notes(made).get("sha256") == hashlib.sha256(text.encode()).hexdigest()
    return named and said and made.get("immutable") is True


def _attached_to(job):
    return notes(job).get(Status.ATTACHED_TO, "").partition("/")[2]


def _run_of(obj):
    """Label of the run that it is said to be of."""
    return (obj["metadata"].get("labels") or {}).get(KEYS.run_id)


def _without(obj, part):
    """Labels or annotations but the ids, which are looked at one by one."""
    return {key: value for key, value in (obj["metadata"].get(part) or {}).items() if key not in IDS}


def _owners(obj):
    return obj.get("metadata", {}).get("ownerReferences") or []


def _but_owners(obj):
    meta = obj.get("metadata", {}).items()
    kept = {key: value for key, value in meta if key not in ("resourceVersion", "ownerReferences")}
    return {**obj, "metadata": kept}


def _but_ids(pod):
    """A pod without the labels and annotations that say whose run it is."""
    meta = {key: value for key, value in pod["metadata"].items() if key not in _ALWAYS}
    for name in ("labels", "annotations"):
        own = pod["metadata"].get(name) or {}
        meta[name] = {key: value for key, value in own.items() if not key.startswith(KEYS.host_prefix)}
    return {**pod, "metadata": meta}


def _foreign(job, *, starts):
    """A Job without what is ours to write."""
    meta = {key: value for key, value in job["metadata"].items() if key not in _ALWAYS}
    own = KEYS.status_prefix
    meta["annotations"] = {k: v for k, v in _without(job, "annotations").items() if not k.startswith(own)}
    meta["labels"] = _without(job, "labels")
    spec = {key: value for key, value in job["spec"].items() if key not in SPEC}
    if starts:
        template = spec["template"]
        spec["template"] = template | {"metadata": {**template.get("metadata", {}), "labels": None}}
    status = {key: value for key, value in job["status"].items() if key not in ("startTime", "conditions")}
    return meta, spec, status


_ALWAYS = frozenset({"resourceVersion", "generation", "managedFields", "annotations"})
"""Metadata that every write changes, and annotations, which are looked at one by one."""
