"""Strategies of the small kinds: Secret, ConfigMap, Lease, Namespace, Node, Event.

Owns: their defaults and checks. Never touches the storage.
"""

import base64
import binascii
from datetime import datetime

from typing_extensions import override

from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON
from devcluster.fake.strategies.plain import Strategy

DATA_LIMIT = 1024 * 1024


class ConfigMapStrategy(Strategy):
    """ConfigMaps: 1 MiB of data, immutable if asked for."""

    kind = "ConfigMap"
    parts: tuple[str, ...] = ("data", "binaryData")

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        size = sum(
            len(value) if part == "data" else len(value) * 3 // 4
            for part in self.parts
            for value in (obj.get(part) or {}).values()
        )
        if size > DATA_LIMIT:
            found.too_long("", DATA_LIMIT)

    @override
    def validate_update(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        if not old.get("immutable"):
            return
        if not new.get("immutable"):
            found.forbidden("immutable", "field is immutable when `immutable` is set")
        for part in self.parts:
            if (new.get(part) or {}) != (old.get(part) or {}):
                found.forbidden(part, "field is immutable when `immutable` is set")


class SecretStrategy(ConfigMapStrategy):
    """Secrets: as ConfigMaps, in base64, with a type."""

    kind = "Secret"
    parts: tuple[str, ...] = ("data",)

    @override
    def prepare_create(self, obj: JSON, now: datetime) -> None:
        del now
        obj.setdefault("type", "Opaque")
        _fold_string_data(obj)

    @override
    def prepare_update(self, new: JSON, old: JSON, subresource: str) -> None:
        super().prepare_update(new, old, subresource)
        new.setdefault("type", old.get("type", "Opaque"))
        _fold_string_data(new)

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        super().validate(obj, found)
        for key, value in (obj.get("data") or {}).items():
            if not _is_base64(value):
                found.invalid(f"data.{key}", "", "illegal base64 data")

    @override
    def validate_update(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        super().validate_update(new, old, found)
        if new.get("type") != old.get("type"):
            found.invalid("type", new.get("type"), "field is immutable")


def _fold_string_data(secret: JSON) -> None:
    for key, value in (secret.pop("stringData", None) or {}).items():
        secret.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


class LeaseStrategy(Strategy):
    """Leases: positive durations."""

    @override
    def prepare_create(self, obj: JSON, now: datetime) -> None:
        del now
        obj.setdefault("spec", {})

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        spec = obj.get("spec") or {}
        if (spec.get("leaseDurationSeconds") or 1) <= 0:
            found.invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
        if (spec.get("leaseTransitions") or 0) < 0:
            why = "must be greater than or equal to 0"
            found.invalid("spec.leaseTransitions", spec["leaseTransitions"], why)


class NamespaceStrategy(Strategy):
    """Namespaces: Active until deleted, then there until they are empty."""

    has_status = True
    outlives_deletion = True

    @override
    def mark_deleted(self, obj: JSON) -> None:
        obj["status"] = {"phase": "Terminating"}

    @override
    def prepare_create(self, obj: JSON, now: datetime) -> None:
        del now
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]


class NodeStrategy(Strategy):
    """Nodes: written by the cluster itself; clients may label them and make them unschedulable."""


class EventStrategy(Strategy):
    """Events, in their core/v1 shape: they must speak of an object in their own namespace."""

    @override
    def prepare_create(self, obj: JSON, now: datetime) -> None:
        del now
        obj.setdefault("source", {})
        obj.setdefault("reportingComponent", "")
        obj.setdefault("reportingInstance", "")

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        involved = obj.get("involvedObject") or {}
        if (involved.get("namespace") or "default") != obj["metadata"]["namespace"]:
            why = "does not match event.namespace"
            found.invalid("involvedObject.namespace", involved.get("namespace", ""), why)
        if obj.get("eventTime"):
            _validate_new_style(obj, found)


def _validate_new_style(event: JSON, found: FieldErrors) -> None:
    for field in ("reportingComponent", "reportingInstance", "action", "reason"):
        limit = 1024 if field == "reason" else 128
        if not event.get(field):
            name = "reportingController" if field == "reportingComponent" else field
            found.required(name)
        elif len(event[field]) > limit:
            found.too_long(field, limit)
    if len(event.get("message", "").encode()) > 1024:
        found.too_long("message", 1024)
    if event.get("type") not in ("Normal", "Warning"):
        found.invalid("type", event.get("type", ""), "has invalid value: ")
