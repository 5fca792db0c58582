"""Kubernetes' notions of time as text: seconds for most fields, micro- and nanoseconds for some.

Owns: formats. The clock itself is a function that the cluster is given.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def seconds(moment: datetime) -> str:
    """`metav1.Time`: RFC 3339 in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micros(moment: datetime) -> str:
    """`metav1.MicroTime`: RFC 3339 with six digits."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def nanoseconds(moment: datetime) -> int:
    """Since 1970, without the rounding of a float."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def parse(text: str) -> datetime:
    """Any RFC 3339 text; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no time zone in {text}")
    return moment
