"""Kubernetes JSON into the values of `model`. Never raises: odd input becomes a value that says what is odd.

Two steps: msgspec decodes only the fields that are read, then plain code names them. What is not needed
later (the result's body, foreign annotations) is dropped here, so that a tracked run stays small.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from controller.core import contract, redaction, references, wire
from controller.core.model import (
    Condition,
    Container,
    ContainerSpec,
    Ids,
    Job,
    Oddity,
    Pod,
    RunState,
    Slot,
    Unreadable,
    Wishes,
)

Wire = TypeVar("Wire", wire.Job, wire.Pod)
_JOB: Final = msgspec.json.Decoder(wire.Job)
_POD: Final = msgspec.json.Decoder(wire.Pod)
_BARE: Final = msgspec.json.Decoder(wire.Bare)
_BROKEN: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_REPEATING: Final = frozenset({"schema", "phase", "reason", "heartbeat-seconds", "model"})
_CONDITIONS: Final = frozenset(
    {
        "Complete",
        "Failed",
        "FailureTarget",
        "SuccessCriteriaMet",
        "Suspended",
        "PodScheduled",
        "DisruptionTarget",
    }
)
"""The conditions that somebody asks for; a pod has half a dozen more."""
_PHASES: Final = frozenset(map(str, contract.Phase))
_ID_NAMES: Final = ("agent", "run", "task", "session", "company")


class Parser:
    """Reads Jobs and Pods under one set of keys. Holds no state besides them."""

    def __init__(self, keys: contract.Keys) -> None:
        self._keys = keys
        self._labels = {name: getattr(keys, f"{name}_id") for name in _ID_NAMES}
        self._labels["adapter"] = keys.adapter_type

    def job(self, raw: bytes) -> Job | Unreadable:
        """A Job from the API server's JSON."""
        found = _decoded(_JOB, "Job", raw)
        if isinstance(found, Unreadable):
            return found
        return self._job(found, -(-len(raw) // 1024))

    def _job(self, found: wire.Job, size_kib: int) -> Job:
        meta, spec, status = found.metadata, found.spec, found.status
        labels, annotations = meta.labels or {}, meta.annotations or {}
        odd: list[Oddity] = []
        wishes = self._wishes(labels, annotations, odd)
        status_of_run, leftovers = self._own_status(meta, wishes, annotations, odd)
        return Job(
            namespace=sys.intern(meta.namespace),
            name=meta.name,
            uid=sys.intern(meta.uid),  # its pods hold the same text
            version=meta.resourceVersion,
            created_at=contract.instant(meta.creationTimestamp) or 0,
            slot=self._slot(meta.namespace, labels),
            ids=self._ids(labels, annotations, odd),
            wishes=wishes,
            status=status_of_run,
            leftovers=leftovers,
            deleted_at=_at(meta.deletionTimestamp),
            suspended=bool(spec.suspend),
            parallelism=1 if spec.parallelism is None else spec.parallelism,
            completions=spec.completions,
            indexed=spec.completionMode == "Indexed",
            backoff_limit=6 if spec.backoffLimit is None else spec.backoffLimit,
            deadline_seconds=spec.activeDeadlineSeconds,
            ttl_seconds=spec.ttlSecondsAfterFinished,
            external_queue=labels.get(contract.KUEUE_QUEUE_LABEL, ""),
            restarts_containers=_restarts_containers(spec.template),
            **self._of_template(meta.name, annotations, spec.template or wire.Template(), odd),
            conditions=_conditions(status.conditions),
            started_at=_at(status.startTime),
            completed_at=_at(status.completionTime),
            active=status.active or 0,
            failed=status.failed or 0,
            succeeded=status.succeeded or 0,
            oddities=tuple(odd),
            size_kib=size_kib,
            notes_bytes=sum(map(contract.size, annotations, annotations.values())),
        )

    def result(self, raw: bytes) -> str:
        """The whole text of the result on a Job; empty if there is none. Only for one that is needed now."""
        try:
            annotations = _JOB.decode(raw).metadata.annotations or {}
        except _BROKEN:
            return ""
        return annotations.get(self._keys.status(contract.Status.RESULT), "")

    def pod(self, raw: bytes) -> Pod | Unreadable:
        """A Pod from the API server's JSON."""
        found = _decoded(_POD, "Pod", raw)
        if isinstance(found, Unreadable):
            return found
        meta, status = found.metadata, found.status
        labels = meta.labels or {}
        owner = next((o.uid for o in meta.ownerReferences or () if o.controller and o.kind == "Job"), "")
        return Pod(
            namespace=sys.intern(meta.namespace),
            name=meta.name,
            uid=meta.uid,
            version=meta.resourceVersion,
            created_at=contract.instant(meta.creationTimestamp) or 0,
            slot=self._slot(meta.namespace, labels),
            job_uid=sys.intern(owner or labels.get(contract.JOB_UID_LABEL, "")),
            run_id=sys.intern(labels.get(self._keys.run_id, "")),
            labels=_identity(tuple(labels.get(key, "") for key in self._labels.values())),
            deleted_at=_at(meta.deletionTimestamp),
            node=sys.intern(found.spec.nodeName),
            phase=sys.intern(status.phase),
            reason=status.reason or "",
            message=status.message or "",
            conditions=_conditions(status.conditions),
            specs=_specs(found.spec),
            containers=_containers(status.initContainerStatuses, init=True)
            + _containers(status.containerStatuses, init=False),
        )

    def _slot(self, namespace: str, labels: Mapping[str, str]) -> Slot:
        keys = self._keys
        return _slot(namespace, labels.get(keys.agent_id, ""), labels.get(keys.adapter_type, ""))

    def _ids(self, labels: Mapping[str, str], annotations: Mapping[str, str], odd: list[Oddity]) -> Ids:
        found = {name: sys.intern(labels.get(key, "")) for name, key in self._labels.items()}
        raw = []
        for name, key in self._labels.items():
            if (value := annotations.get(key)) is None:
                continue
            if len(value) <= contract.RAW_ID_MAX and contract.sanitise(value) == found[name]:
                raw.append((name, sys.intern(value)))
            else:
                odd.append(Oddity(key, _raw_id_trouble(value, found[name])))
        return Ids(**found, raw=tuple(raw))

    def _wishes(self, labels: Mapping[str, str], annotations: Mapping[str, str], odd: list[Oddity]) -> Wishes:
        keys, get = self._keys, annotations.get
        adapter = labels.get(keys.adapter_type, "")
        output = get(keys.output) or contract.OUTPUT_BY_ADAPTER.get(adapter, contract.OUTPUT_TEXT)
        if output not in contract.OUTPUTS:
            odd.append(Oddity(keys.output, f"unknown output format {_quote(output)}; read as plain text"))
            output = contract.OUTPUT_TEXT
        traceparent = get(keys.traceparent, "")
        if traceparent and not _TRACEPARENT.fullmatch(traceparent):
            odd.append(Oddity(keys.traceparent, "not a W3C traceparent; the trace stands alone"))
            traceparent = ""
        return Wishes(
            agent_name=contract.clip(get(keys.agent_name, ""), contract.RAW_ID_MAX),
            traceparent=traceparent,
            on_conflict=self._word(annotations, keys.on_conflict, ("queue", "fail"), odd),
            reattach=self._word(annotations, keys.reattach, ("true", "false"), odd) == "true",
            agent_container=get(keys.agent_container, ""),
            output=sys.intern(output),
            cancel_requested=contract.clip(get(keys.cancel_requested, "")),
            acknowledged=bool(get(keys.acknowledged)),
            retain=self._word(annotations, keys.retain, ("true", "false"), odd) == "true",
        )

    def _word(
        self, annotations: Mapping[str, str], key: str, words: tuple[str, ...], odd: list[Oddity]
    ) -> str:
        value = annotations.get(key, "")
        if not value or value in words:
            return value
        odd.append(Oddity(key, f"{_quote(value)} is none of {', '.join(words)}; ignored"))
        return ""

    def _own_status(
        self, meta: wire.Meta, wishes: Wishes, annotations: Mapping[str, str], odd: list[Oddity]
    ) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """Our annotations, if they are about this Job: a manifest that was copied brings another's along.

        Both must speak against it, the trace id and the time: either alone may have been changed by a host
        that edits its traceparent, or by a clock.
        """
        found = self._status(annotations, odd)
        traced = found.get(contract.Status.TRACE_ID, "")
        since = contract.instant(found.get(contract.Status.SINCE, ""))
        of_this = not found or traced in (meta.uid.replace("-", ""), wishes.traceparent[3:35])
        if of_this or since is None or since >= (contract.instant(meta.creationTimestamp) or 0):
            return found, ()
        where = self._keys.status(contract.Status.TRACE_ID)
        odd.append(Oddity(where, "these status annotations are of another Job; ignored, and removed"))
        return {}, tuple(sorted(found))

    def _status(self, annotations: Mapping[str, str], odd: list[Oddity]) -> Mapping[str, str]:
        prefix = self._keys.status_prefix
        found = {
            sys.intern(key[len(prefix) :]): _shared(key[len(prefix) :], value)
            for key, value in annotations.items()
            if key.startswith(prefix)
        }
        if contract.Status.RESULT in found:
            found[contract.Status.RESULT] = "…"
        phase = found.get(contract.Status.PHASE)
        if phase is not None and phase not in _PHASES:
            odd.append(Oddity(prefix + contract.Status.PHASE, f"unknown phase {_quote(phase)}; read as none"))
            del found[contract.Status.PHASE]
        return found

    def _of_template(
        self, job: str, annotations: Mapping[str, str], template: wire.Template, odd: list[Oddity]
    ) -> dict[str, Any]:
        """Fields of a Job that its pod template says; of its objects the host's word counts first."""
        told = annotations.get(self._keys.owned)
        return {
            "specs": _specs(template.spec),
            "template_labels": self._template_labels(template),
            "owned": references.of_template(job, template.spec, odd)
            if told is None
            else references.named(told, self._keys.owned, odd),
        }

    def _template_labels(self, template: wire.Template) -> tuple[tuple[str, str], ...]:
        labels = (template.metadata and template.metadata.labels) or {}
        return tuple((key, sys.intern(labels[key])) for key in self._labels.values() if key in labels)


# What many objects have in common is held once: a tracked run shall stay small. The caches are small too, and
# take nothing long: they must not become a place to fill.


@lru_cache(maxsize=1024)
def _slot(namespace: str, agent: str, adapter: str) -> Slot:
    return Slot(sys.intern(namespace), sys.intern(agent), sys.intern(adapter))


@lru_cache(maxsize=256)
def _identity(labels: tuple[str, ...]) -> Ids:
    """A pod's, in the order of `Parser._labels`: one value for all versions of the pod."""
    agent, run, task, session, company, adapter = map(sys.intern, labels)
    return Ids(agent, run, adapter, task, session, company)


@lru_cache(maxsize=256)
def _spec(name: str, image: str, *, init: bool, sidecar: bool) -> ContainerSpec:
    return ContainerSpec(sys.intern(name), sys.intern(image), init=init, sidecar=sidecar)


@lru_cache(maxsize=256)
def _same(specs: tuple[ContainerSpec, ...]) -> tuple[ContainerSpec, ...]:
    return specs


@lru_cache(maxsize=1024)
def _plain(kind: str, status: str, reason: str, at: str | None) -> Condition:
    return Condition(sys.intern(kind), sys.intern(status), sys.intern(reason), "", _at(at))


def _shared(name: str, value: str) -> str:
    """A value of our own annotations; those of a small set are the same object in all Jobs."""
    return sys.intern(value) if name in _REPEATING else value


def _restarts_containers(template: wire.Template | None) -> bool:
    return bool(template and template.spec and template.spec.restartPolicy == "OnFailure")


def _at(text: str | None) -> int | None:
    return contract.instant(text) if text else None


def _quote(text: str) -> str:
    return f"“{contract.clip(text, 64)}”"


def _raw_id_trouble(value: str, label: str) -> str:
    if len(value) > contract.RAW_ID_MAX:
        return (
            f"raw id of {len(value)} characters, at most {contract.RAW_ID_MAX} are allowed; the label is used"
        )
    return f"raw id {_quote(value)} does not sanitise to its label {_quote(label)}; the label is used"


def _specs(spec: wire.PodSpec | wire.TemplateSpec | None) -> tuple[ContainerSpec, ...]:
    if spec is None:
        return ()
    inits = tuple(
        _spec(c.name, c.image, init=True, sidecar=c.restartPolicy == "Always")
        for c in spec.initContainers or ()
    )
    regular = tuple(_spec(c.name, c.image, init=False, sidecar=False) for c in spec.containers or ())
    return _same(inits + regular)


def _conditions(found: list[wire.Condition] | None) -> tuple[Condition, ...]:
    return tuple(_condition(c) for c in found or () if c.type in _CONDITIONS)


def _condition(found: wire.Condition) -> Condition:
    plain = _plain(found.type, found.status, found.reason or "", found.lastTransitionTime)
    return replace(plain, message=found.message) if found.message else plain


def _containers(found: list[wire.ContainerStatus] | None, *, init: bool) -> tuple[Container, ...]:
    return tuple(_container(status, init=init) for status in found or ())


def _container(status: wire.ContainerStatus, *, init: bool) -> Container:
    states = status.state or wire.States()
    if (ended := states.terminated) is not None:
        kind, state = RunState.TERMINATED, ended
    elif states.running is not None:
        kind, state = RunState.RUNNING, states.running
    elif states.waiting is not None:
        kind, state = RunState.WAITING, states.waiting
    else:
        kind, state = RunState.UNKNOWN, wire.State()
    return Container(
        name=sys.intern(status.name),
        init=init,
        state=kind,
        reason=sys.intern(state.reason or ""),
        message=redaction.without_command(state.message or ""),
        exit_code=state.exitCode,
        signal=state.signal,
        started_at=_at(state.startedAt),
        finished_at=_at(state.finishedAt),
        restarts=status.restartCount,
        image=sys.intern(status.image),
    )


def _decoded(decoder: msgspec.json.Decoder[Wire], kind: str, raw: bytes) -> Wire | Unreadable:
    try:
        return decoder.decode(raw)
    except _BROKEN as error:
        return _unreadable(kind, raw, error)


def _unreadable(kind: str, raw: bytes, error: Exception) -> Unreadable:
    try:
        meta = _BARE.decode(raw).metadata
    except _BROKEN:
        meta = {}
    found = (meta.get(key) for key in ("namespace", "name", "uid", "resourceVersion"))
    namespace, name, uid, version = (value if isinstance(value, str) else "" for value in found)
    return Unreadable(kind, namespace, name, uid, version, contract.clip(str(error), 256))
