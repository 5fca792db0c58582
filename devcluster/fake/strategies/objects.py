"""Strategies of the small kinds: Secret, ConfigMap, Lease, Namespace, Node, Event.

Owns: their defaults and checks. Never touches the storage.
"""

import base64
import binascii
from datetime import datetime

from typing_extensions import override

from devcluster.fake import clock, errors
from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON
from devcluster.fake.strategies import metadata
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
        for name in ("acquireTime", "renewTime"):
            _require_time(spec.get(name))
        if spec.get("leaseDurationSeconds", 1) <= 0:
            found.invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
        if (spec.get("leaseTransitions") or 0) < 0:
            why = "must be greater than or equal to 0"
            found.invalid("spec.leaseTransitions", spec["leaseTransitions"], why)


def _require_time(text: str | None) -> None:
    try:
        if text is not None:
            clock.parse(text)
    except ValueError:
        raise errors.Undecodable(errors.no_time(text or "", "2006-01-02T15:04:05.000000Z07:00")) from None


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
        _complete(obj)

    @override
    def prepare_update(self, new: JSON, old: JSON, subresource: str) -> None:
        super().prepare_update(new, old, subresource)
        _complete(new)

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        if obj.get("eventTime"):
            _validate_words(obj, found)
            return
        involved = obj.get("involvedObject") or {}
        if (involved.get("namespace") or "default") != obj["metadata"]["namespace"]:
            why = "does not match event.namespace"
            found.invalid("involvedObject.namespace", involved.get("namespace", ""), why)


class NewEventStrategy(EventStrategy):
    """Events written as events.k8s.io/v1: strict, and only their series may change."""

    fixed = ("eventTime", "reportingComponent", "reportingInstance", "action", "reason", "message", "type")

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        if not obj.get("eventTime"):
            found.required("eventTime")
        _validate_words(obj, found)
        if obj.get("type") not in ("Normal", "Warning"):
            found.invalid("type", "", f"has invalid value: {obj.get('type', '')}")
        if obj.get("series") and obj["series"].get("count", 0) < 2:
            found.invalid("series.count", "", "should be at least 2")

    @override
    def validate_update(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        for field in self.fixed:
            if new.get(field) != old.get(field):
                name = "reportingController" if field == "reportingComponent" else field
                found.invalid(name, new.get(field, ""), "field is immutable")


def _complete(event: JSON) -> None:
    """What is empty is shown all the same."""
    event.setdefault("source", {})
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(name, None)
    for name in ("reportingComponent", "reportingInstance"):
        event.setdefault(name, "")


def _validate_words(event: JSON, found: FieldErrors) -> None:
    for field in ("reportingComponent", "reportingInstance", "action", "reason"):
        _validate_word(event, field, found)
    if len(event.get("message", "").encode()) > 1024:
        found.invalid("message", "", "can have at most 1024 characters")


def _validate_word(event: JSON, field: str, found: FieldErrors) -> None:
    value = event.get(field) or ""
    name = "reportingController" if field == "reportingComponent" else field
    if not value:
        found.required(name)
    if field == "reportingComponent":
        metadata.validate_key(value, name, found)
    elif len(value) > 128:
        found.invalid(name, "", "can have at most 128 characters")
