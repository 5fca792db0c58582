"""One Event, two API versions: core/v1 is what is stored, events.k8s.io/v1 is a view of it.

Owns: the translation of fields. Never creates an Event.
"""

from devcluster.fake.resources import EVENT_V1, JSON, Resource

# Name in events.k8s.io, name in core.
RENAMED = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
)


def to_storage(resource: Resource, obj: JSON) -> JSON:
    """A written object in its stored version."""
    if resource is not EVENT_V1:
        return obj
    return _renamed(obj, dict(RENAMED))


def from_storage(resource: Resource, obj: JSON) -> JSON:
    """A stored object in the version asked for."""
    if resource is not EVENT_V1:
        return obj
    return _renamed(obj, {old: new for new, old in RENAMED})


def _renamed(obj: JSON, names: dict[str, str]) -> JSON:
    return {names.get(key, key): value for key, value in obj.items()}
