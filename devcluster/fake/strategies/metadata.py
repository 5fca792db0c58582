"""What holds for the metadata of every object: names, labels, annotations, what a client may change.

Owns: metadata rules for create and update. Never looks at spec or status.
"""

import random
import re
from datetime import datetime
from typing import Any

from devcluster.fake import clock, errors
from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON, Resource

ANNOTATIONS_LIMIT = 262144
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_BASE = 58
IMMUTABLE = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex "
    "used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def suffix() -> str:
    """Five characters, as generated names end."""
    return "".join(random.choices(SUFFIX_ALPHABET, k=5))


def check_types(metadata: JSON) -> str | None:
    """Why the metadata could not be decoded, or None."""
    for field in ("labels", "annotations"):
        values, target = metadata.get(field) or {}, f"Go struct field ObjectMeta.metadata.{field}"
        if not isinstance(values, dict):
            return f"json: cannot unmarshal {go_kind(values)} into {target} of type map[string]string"
        for value in values.values():
            if not isinstance(value, str):
                return f"json: cannot unmarshal {go_kind(value)} into {target} of type string"
    return None


def go_kind(value: Any) -> str:
    """What Go calls a JSON value of this type."""
    if isinstance(value, bool):
        return "bool"
    kinds = {int: "number", float: "number", dict: "object", list: "array", str: "string"}
    return kinds.get(type(value), "null")


def prepare_create(metadata: JSON, now: datetime, uid: str) -> None:
    """What the server sets and what it takes no client's word for."""
    for key in (
        "resourceVersion",
        "selfLink",
        "managedFields",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ):
        metadata.pop(key, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:GENERATED_BASE] + suffix()
    metadata["uid"] = uid
    metadata["creationTimestamp"] = clock.seconds(now)
    metadata.pop("generation", None)


def prepare_update(new: JSON, old: JSON) -> None:
    """Fill in what a client may leave out, restore what it may not touch."""
    for key in ("uid", "name", "namespace"):
        if not new.get(key) and key in old:
            new[key] = old[key]
    for key in (
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ):
        new.pop(key, None)
        if key in old:
            new[key] = old[key]
    new.pop("managedFields", None)
    new.pop("selfLink", None)


def tidy(metadata: JSON) -> None:
    """Leave out what is empty, as a decoded and encoded object does."""
    for key in ("labels", "annotations", "ownerReferences", "finalizers", "generateName", "resourceVersion"):
        if key in metadata and not metadata[key]:
            del metadata[key]


def validate(metadata: JSON, found: FieldErrors) -> None:
    """Names, labels, annotations, owners."""
    name = metadata.get("name", "")
    if not name:
        found.required("metadata.name", "name or generateName is required")
    elif len(name) > 253:
        found.invalid("metadata.name", name, "must be no more than 253 bytes")
    elif not _SUBDOMAIN.fullmatch(name):
        found.invalid("metadata.name", name, _SUBDOMAIN_RULE)
    validate_labels(metadata.get("labels", {}), "metadata.labels", found)
    validate_annotations(metadata.get("annotations", {}), "metadata.annotations", found)
    _validate_owners(metadata.get("ownerReferences", []), found)


def validate_labels(labels: JSON, path: str, found: FieldErrors) -> None:
    """Keys and values of a label map."""
    for key, value in labels.items():
        validate_key(key, path, found)
        if len(value) > 63:
            found.invalid(path, value, "must be no more than 63 bytes")
        elif not _LABEL_VALUE.fullmatch(value):
            found.invalid(path, value, _VALUE_RULE)


def validate_annotations(annotations: JSON, path: str, found: FieldErrors) -> None:
    """Keys, and the size of all together."""
    for key in annotations:
        validate_key(key.lower(), path, found)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        found.too_long(path, ANNOTATIONS_LIMIT)


def validate_key(key: str, path: str, found: FieldErrors) -> None:
    """A qualified name: a key of labels or annotations, and what else is named like them."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not _SUBDOMAIN.fullmatch(prefix) or len(prefix) > 253):
        found.invalid(path, key, f"prefix part {_SUBDOMAIN_RULE}")
    if not name:
        found.invalid(path, key, "name part must be non-empty")
    elif len(name) > 63:
        found.invalid(path, key, "name part must be no more than 63 bytes")
    if not _QUALIFIED.fullmatch(name):
        found.invalid(path, key, _KEY_RULE)


def _validate_owners(owners: list[JSON], found: FieldErrors) -> None:
    controllers = [owner for owner in owners if owner.get("controller")]
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                found.invalid(f"metadata.ownerReferences.{field}", "", "must not be empty")
    if len(controllers) > 1:
        why = "Only one reference can have Controller set to true"
        found.invalid("metadata.ownerReferences", "", why)


def validate_update(new: JSON, old: JSON, found: FieldErrors) -> None:
    """What may not change in an object's life."""
    for key in IMMUTABLE:
        if new.get(key) != old.get(key):
            found.invalid(f"metadata.{key}", new.get(key), "field is immutable")
    added = [name for name in new.get("finalizers", []) if name not in old.get("finalizers", [])]
    if old.get("deletionTimestamp") and added:
        listed = ", ".join(f'"{name}"' for name in added)
        why = "no new finalizers can be added if the object is being deleted, found new finalizers"
        found.forbidden("metadata.finalizers", f"{why} []string{{{listed}}}")


def require_version(metadata: JSON, resource: Resource, name: str) -> None:
    """422 for a replacement without resourceVersion where the resource insists on one."""
    if not metadata.get("resourceVersion") and not resource.unconditional_update:
        found = FieldErrors()
        found.invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise errors.invalid(resource.group, resource.plural, name, found.causes)
