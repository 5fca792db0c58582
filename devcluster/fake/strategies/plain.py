"""The strategy of kinds that need nothing special, and the shape of all others.

Owns: the hooks that the registry calls for each kind. Never touches the storage.
"""

from dataclasses import dataclass
from datetime import datetime

from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON


@dataclass(frozen=True, slots=True)
class Grace:
    """How an object is deleted: seconds until it may go; None for kinds that go at once."""

    seconds: int | None = None


class Strategy:
    """Defaulting and validation of one kind; `obj` and `new` may be changed, `old` never."""

    has_generation = False
    has_status = False
    orphans_by_default = False
    outlives_deletion = False
    graceful = False  # its deletion is shown before it is done, however short its grace

    def prepare_create(self, obj: JSON, now: datetime) -> None:
        """Set defaults; drop what clients may not set."""

    def validate(self, obj: JSON, found: FieldErrors) -> None:
        """Collect what is wrong with an object."""

    def prepare_update(self, new: JSON, old: JSON, subresource: str) -> None:
        """Keep the parts that this write may not change."""
        if not self.has_status:
            return
        part = "spec" if subresource == "status" else "status"
        new.pop(part, None)
        if part in old:
            new[part] = old[part]

    def validate_update(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        """Collect what is wrong with a change of the main resource."""

    def validate_status(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        """Collect what is wrong with a change of the status."""

    def generation_changes(self, new: JSON, old: JSON) -> bool:
        """Whether the desired state differs."""
        return self.has_generation and new.get("spec") != old.get("spec")

    def mark_deleted(self, obj: JSON) -> None:
        """Show that an object is on its way out."""

    def grace(self, _obj: JSON, _asked: int | None) -> Grace:
        """How long a deletion waits for the object's work to end."""
        return Grace()
