"""Values and Kubernetes JSON for tests: a healthy run, and one keyword for each thing that differs."""

import json
from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

from controller.core.contract import JOB_UID_LABEL, SECOND, Keys, Status, rfc3339
from controller.core.model import (
    Condition,
    Container,
    ContainerSpec,
    Ids,
    Job,
    Now,
    Pod,
    PodEvent,
    RunState,
    Slot,
    Wishes,
)
from controller.core.snapshot import Attempt, Export, Heard, Policy, Run, Snapshot
from controller.core.transcript import AgentLog, AttemptLog, Claim, LogState, Place

NOON = 1_795_348_800
NAMESPACE = "agents"
SLOT = Slot(NAMESPACE, "a-1", "claude_k8s")
KEYS = Keys()
POLICY = Policy()
TRACED = Policy(tracing=True)


def at(seconds=0):
    """So many seconds after noon, in nanoseconds since the epoch."""
    return NOON * SECOND + int(seconds * SECOND)


def stamp(seconds=0):
    """The same instant in RFC 3339."""
    return rfc3339(at(seconds))


def now(wall=100.0, mono=None):
    """Both clocks: seconds after noon, and seconds of the monotonic clock (the same unless told)."""
    return Now(at(wall), wall if mono is None else mono)


def uid_of(name):
    """The uid of the object of that name: always the same."""
    return str(uuid5(NAMESPACE_OID, name))


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────


def make_ids(**changes):
    return replace(Ids(agent="a-1", run="r-1", adapter="claude_k8s", task="t-1"), **changes)


def make_condition(kind, reason="", seconds=95, status="True", message=""):
    return Condition(kind, status, reason, message, at(seconds))


def make_job(name="run-1", **changes):
    """A run's Job, submitted running and not yet seen by the controller.

    `phase`, `reason`, `result`: what is written on it; `notes`: more of our annotations by their short names;
    `over`: `Complete`, or the reason of a Failed condition; `run`: the run id; `created`: seconds after noon;
    `kept`: the TTL that we gave it.
    """
    notes = dict(changes.pop("notes", {}))
    phase, reason = changes.pop("phase", None), changes.pop("reason", None)
    if phase is not None:
        notes = {Status.SCHEMA: "1", Status.PHASE: phase, **notes}
    if reason is not None:
        notes[Status.REASON] = reason
    if changes.pop("result", False):
        notes[Status.RESULT] = "…"
    if ttl := changes.pop("kept", None):
        notes[Status.TTL_SET] = str(ttl)
        changes.setdefault("ttl_seconds", ttl)
    if over := changes.pop("over", None):
        met = [make_condition("Complete")] if over == "Complete" else [make_condition("Failed", over)]
        changes.setdefault("conditions", tuple(met))
    ids = changes.pop("ids", None) or make_ids(run=changes.pop("run", f"r-{name}"))
    job = Job(
        namespace=NAMESPACE,
        name=name,
        uid=uid_of(name),
        version="7",
        created_at=at(changes.pop("created", 0)),
        slot=SLOT,
        ids=ids,
        wishes=Wishes(output="claude-stream-json"),
        status=notes,
        backoff_limit=0,
        specs=(ContainerSpec("claude", "ghcr.io/x/claude:2"),),
        started_at=at(1),
    )
    return replace(job, **changes)


def make_waiting(name="run-1", **changes):
    """A Job that its host submitted suspended."""
    return make_job(name, **{"suspended": True, "started_at": None, **changes})


# ── Containers and pods ──────────────────────────────────────────────────────────────────────────


def running(name="claude", **changes):
    return replace(Container(name, state=RunState.RUNNING, started_at=at(40)), **changes)


def exited(code=0, name="claude", reason="", **changes):
    ended = Container(
        name,
        state=RunState.TERMINATED,
        reason=reason or ("Completed" if code == 0 else "Error"),
        exit_code=code,
        started_at=at(40),
        finished_at=at(90),
    )
    return replace(ended, **changes)


def waiting(reason="ContainerCreating", name="claude", **changes):
    return replace(Container(name, state=RunState.WAITING, reason=reason), **changes)


def make_pod(*containers, job="run-1", **changes):
    """A pod of the Job of that name, on a node; its agent runs unless containers are given."""
    name = changes.pop("name", f"{job}-x")
    pod = Pod(
        namespace=NAMESPACE,
        name=name,
        uid=uid_of(name),
        version="3",
        created_at=at(changes.pop("created", 31)),
        slot=SLOT,
        job_uid=uid_of(job),
        run_id=f"r-{job}",
        node="node-1",
        phase="Running",
        conditions=(make_condition("PodScheduled", seconds=32),),
        specs=(ContainerSpec("claude", "ghcr.io/x/claude:2"),),
        containers=containers or (running(),),
    )
    return replace(pod, **changes)


def make_ended_pod(code=0, *, job="run-1", **changes):
    """A pod whose agent has exited with that code."""
    phase = "Succeeded" if code == 0 else "Failed"
    return make_pod(exited(code), job=job, **{"phase": phase, **changes})


def make_unscheduled_pod(message="0/3 nodes are available", **changes):
    refused = make_condition("PodScheduled", "Unschedulable", status="False", message=message)
    return replace(make_pod(**changes), node="", phase="Pending", conditions=(refused,), containers=())


def make_attempt(*containers, job="run-1", **changes):
    name = changes.pop("pod", f"{job}-x")
    attempt = Attempt(name, uid_of(name), at(31), "node-1", at(32), "", "", containers or (exited(),))
    return replace(attempt, **changes)


def make_event(reason, message="", container="", *, seconds=33, **changes):
    """What was said about a pod, or about its container of that name, so many seconds after noon."""
    said = PodEvent(reason, message, container, first_at=at(seconds), last_at=at(seconds))
    return replace(said, **changes)


def event_json(reason, message="", container="", *, seconds=33, init=False, **changes):
    """The same as the API server would send it; about a container if one is named."""
    field = {"fieldPath": f"spec.{'initC' if init else 'c'}ontainers{{{container}}}"} if container else {}
    said = {"involvedObject": field, "reason": reason, "message": message, "type": "Warning", "count": 1}
    return (
        said
        | {"firstTimestamp": stamp(seconds), "lastTimestamp": stamp(seconds), "eventTime": None}
        | changes
    )


# ── Logs ─────────────────────────────────────────────────────────────────────────────────────────


PLACE = Place(at(42), at(88), 1, 0, at(88), "0123456789abcdef")
"""How far the logs of these tests have been read, if that is of interest."""


def make_claim(subtype="success", **changes):
    raw = json.dumps({"type": "result", "subtype": subtype}).encode()
    claim = Claim(at(88), raw, subtype, is_error=subtype != "success", text="Done.", turns=3)
    return replace(claim, **changes)


def make_seen(**changes):
    """What an agent at work has said so far."""
    seen = AgentLog(
        lines=12,
        bytes=3400,
        first_at=at(42),
        last_at=at(88),
        session_id="5e55",
        model="claude-opus-5-5",
        turn_open=True,
        assistant_lines=3,
        turns=2,
        tool_calls=4,
    )
    return replace(seen, **changes)


def make_finished_seen(**changes):
    """The words of an agent that has given its result."""
    return make_seen(**{"claim": make_claim(), "turn_open": False, **changes})


def make_log(pod="run-1-x", state=LogState.COMPLETE, seen=None, **changes):
    """The agent's log in the pod of that name; read to its end, with a success, unless told otherwise."""
    log = AttemptLog(uid_of(pod), state, make_finished_seen() if seen is None else seen)
    return replace(log, **changes)


def make_open_log(pod="run-1-x", place=None, **seen):
    """A log that is still being read, of an agent at work."""
    return make_log(pod, LogState.READING, make_seen(**seen), place=place)


# ── Runs and snapshots ───────────────────────────────────────────────────────────────────────────


def make_run(job=None, *pods, logs=(), export=Export.NONE, owned=None, heard=None):
    return Run(job or make_job(), pods, logs=tuple(logs), export=export, owned=owned or {}, heard=heard or {})


def make_heard(*events, about="run-1-x", mono=50.0, **changes):
    """What Events have said about the pod, or the Job, of that name: by its uid."""
    return {uid_of(about): replace(Heard(events, mono), **changes)}


def make_over(code=0, *, over=None, log=None, job=None, **changes):
    """A run whose only pod has ended with that code and whose Job is over; `changes` are the pod's."""
    job = job or make_job(phase="Running", reason="AgentWorking")
    kind = over or ("Complete" if code == 0 else "BackoffLimitExceeded")
    met = make_condition("Complete") if kind == "Complete" else make_condition("Failed", kind)
    job = replace(job, conditions=(*job.conditions, met), completed_at=at(95) if code == 0 else None)
    logs = (make_log(f"{job.name}-x") if log is None else log,)
    return make_run(job, make_ended_pod(code, job=job.name, **changes), logs=logs)


def make_snapshot(*runs, **changes):
    """What is known about the slot: fresh, without doubts, strays or ghosts unless told otherwise."""
    return replace(Snapshot(SLOT, runs, fresh=True), **changes)


# ── Kubernetes JSON, for `parse` and the fake API ────────────────────────────────────────────────


def job_json(name="run-1", *, labels=None, annotations=None, spec=None, status=None, **meta):
    """A Job as the API server would send it; `labels` and `annotations` are added to the healthy ones."""
    own = {
        KEYS.agent_id: "a-1",
        KEYS.run_id: f"r-{name}",
        KEYS.adapter_type: "claude_k8s",
        **(labels or {}),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid_of(name),
            "resourceVersion": "7",
            "creationTimestamp": stamp(0),
            "labels": {key: value for key, value in own.items() if value is not None},
            "annotations": annotations or {},
            **meta,
        },
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {KEYS.run_id: f"r-{name}"}},
                "spec": {"containers": [{"name": "claude", "image": "ghcr.io/x/claude:2"}]},
            },
            **(spec or {}),
        },
        "status": status or {},
    }


def pod_json(name="run-1-x", *, job="run-1", labels=None, spec=None, status=None, **meta):
    """A pod of the Job of that name as the API server would send it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid_of(name),
            "resourceVersion": "3",
            "creationTimestamp": stamp(31),
            "labels": {
                KEYS.agent_id: "a-1",
                KEYS.run_id: f"r-{job}",
                KEYS.adapter_type: "claude_k8s",
                JOB_UID_LABEL: uid_of(job),
                **(labels or {}),
            },
            "ownerReferences": [{"kind": "Job", "name": job, "uid": uid_of(job), "controller": True}],
            **meta,
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "claude", "image": "ghcr.io/x/claude:2"}],
            **(spec or {}),
        },
        "status": status if status is not None else {"phase": "Running"},
    }


def raw(tree):
    """The tree as the bytes of JSON."""
    return json.dumps(tree).encode()
