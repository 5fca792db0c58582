"""How an object goes: preconditions, grace periods, finalizers, propagation policies.

Owns: the decision what a DELETE does to an object. The garbage collector acts on the finalizers set here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from devcluster.fake import clock, errors
from devcluster.fake.resources import JSON, Resource
from devcluster.fake.strategies.plain import Strategy

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class Deletion:
    """The object as it will be, and whether it goes at once."""

    object: JSON
    gone: bool


def check_uid(resource: Resource, name: str, wanted: Any, obj: JSON) -> None:
    """409 if a uid is asked for and it is another object's."""
    own = obj["metadata"]["uid"]
    if wanted and wanted != own:
        group = f"{resource.group}/" if resource.group not in ("", "batch") else ""
        where = f"/registry/{group}{resource.plural}/{obj['metadata'].get('namespace', '')}/{name}"
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {own}"
        code = f"invalid object, Code: 4, Key: {where}, ResourceVersion: 0, AdditionalErrorMsg"
        raise errors.conflict(resource, name, f"StorageError: {code}: {why}")


def check_policy(options: JSON) -> None:
    """422 for a policy that there is not."""
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in POLICIES:
        found = errors.FieldErrors()
        found.unsupported("propagationPolicy", policy, ("Foreground", "Background", "Orphan", "nil"))
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", found.causes)


def check_preconditions(resource: Resource, name: str, options: JSON, obj: JSON) -> None:
    """409 if the object is not the one that was meant."""
    wanted, meta = options.get("preconditions") or {}, obj["metadata"]
    checks = (
        ("UID", "uid", "UID in record", "deleted and then recreated"),
        ("ResourceVersion", "resourceVersion", "ResourceVersion in record", "modified"),
    )
    for word, key, record, what in checks:
        asked = wanted.get(key)
        if asked and asked != meta[key]:
            why = f"the {word} in the precondition ({asked}) does not match the {record} ({meta[key]})"
            raise errors.record_conflict(resource, name, f"{why}. The object might have been {what}")


def plan(obj: JSON, options: JSON, strategy: Strategy, now: datetime) -> Deletion:
    """What a DELETE makes of an object (a private copy)."""
    meta = obj["metadata"]
    finalizers = _finalizers(meta.get("finalizers", []), options, strategy)
    grace = strategy.grace(obj, options.get("gracePeriodSeconds")).seconds
    waits = finalizers or grace or meta.get("deletionTimestamp")
    if not waits and not strategy.outlives_deletion and not strategy.graceful:
        return Deletion(obj, gone=True)
    meta.pop("finalizers", None)
    if finalizers:
        meta["finalizers"] = finalizers
    if meta.get("deletionTimestamp"):
        _shorten(meta, grace, options)
    else:
        meta["deletionTimestamp"] = clock.seconds(now + timedelta(seconds=grace or 0))
        meta["deletionGracePeriodSeconds"] = grace or 0
        if meta.get("generation"):
            meta["generation"] += 1
        strategy.mark_deleted(obj)
    return Deletion(obj, gone=is_over(meta) and not strategy.outlives_deletion)


def is_over(meta: JSON) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    return bool(meta.get("deletionTimestamp")) and not waits


def _shorten(meta: JSON, grace: int | None, options: JSON) -> None:
    """A second DELETE may only hasten the first."""
    left = meta.get("deletionGracePeriodSeconds") or 0
    if grace is None or grace >= left or (options.get("gracePeriodSeconds") is None and grace > 0):
        return
    begun = clock.parse(meta["deletionTimestamp"]) - timedelta(seconds=left)
    meta["deletionTimestamp"] = clock.seconds(begun + timedelta(seconds=grace))
    meta["deletionGracePeriodSeconds"] = grace


def _finalizers(present: list[str], options: JSON, strategy: Strategy) -> list[str]:
    policy = options.get("propagationPolicy")
    if policy is None and options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    if policy is None:
        policy = _inherited(present, strategy)
    own = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    extra = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(policy, [])
    return own + extra


def _inherited(present: list[str], strategy: Strategy) -> str:
    if ORPHAN in present:
        return "Orphan"
    if FOREGROUND in present:
        return "Foreground"
    return "Orphan" if strategy.orphans_by_default else "Background"
