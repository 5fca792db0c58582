"""Where a kind of cluster is known to differ from what is expected, and why it stays so.

Owns: this list. A difference that is not in it fails; one that is in it and has vanished fails too.
"""

from dataclasses import dataclass
from typing import Any

ALL_OF_IT = "*"
"""In place of an observation: the scenario cannot be played there at all."""


@dataclass(frozen=True, slots=True)
class Known:
    """One difference: what is seen there instead, and the reason.

    `got` is compared too: who differs in another way than listed is not excused.
    """

    kind: str
    scenario: str
    observation: str
    got: Any
    reason: str


_NO_ACCOUNTS = "no authentication and no authorization: everybody may do everything"
_NO_SCHEMAS = "objects have no schema there; what is not known is kept"
_501 = "501 NotImplemented: the fake cluster does not model"

KNOWN: tuple[Known, ...] = (
    Known(
        "fake",
        "account-without-rights",
        ALL_OF_IT,
        "Unexpected: 404 the server could not find the requested resource",
        _NO_ACCOUNTS,
    ),
    Known("fake", "stranger", "get", "200 JobList", _NO_ACCOUNTS),
    Known("fake", "question-of-rights", ALL_OF_IT, "Unexpected: 404 404 page not found", _NO_ACCOUNTS),
    Known("fake", "unknown-fields", "strict", "201 ConfigMap", _NO_SCHEMAS),
    Known("fake", "unknown-fields", "kept", got=True, reason=_NO_SCHEMAS),
    Known(
        "fake",
        "server-side-apply",
        "apply",
        f"{_501} server-side apply",
        "nothing here uses it, and it would need the schemas",
    ),
    Known(
        "fake",
        "immutable-fields-of-jobs",
        "completion mode",
        f"{_501} indexed Jobs",
        "a run is one pod: Jobs of indexed pods are no runs",
    ),
    Known(
        "fake",
        "job-of-any-number",
        ALL_OF_IT,
        "Unexpected: 501 the fake cluster does not model Jobs with parallelism and without completions "
        "(work queues)",
        "a run is one pod: a Job that wants any number of them is refused as a run",
    ),
    Known(
        "fake",
        "pod-failure-policy",
        ALL_OF_IT,
        "Unexpected: 501 the fake cluster does not model a Job's spec.podFailurePolicy",
        "to the controller it is one more reason of a Failed condition, which it does not tell apart",
    ),
)


def of(kind: str, scenario: str) -> dict[str, Known]:
    """The known differences of one scenario on one kind of cluster, by observation."""
    return {item.observation: item for item in KNOWN if (item.kind, item.scenario) == (kind, scenario)}
