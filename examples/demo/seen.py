"""A Job as a host reads it: labels, annotations of the controller, and what Kubernetes itself says.

Owns: which keys are read, and how. Odd content becomes "unknown", never an error. Never: judges it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.core.contract import SECOND, TERMINAL, Keys, Status, instant

KEYS: Final = Keys()

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One run at one moment. Empty, None or {} where nothing is known."""

    name: str
    uid: str
    agent: str
    run_id: str
    """The one that it was submitted with: a Job on which others continue is labelled with theirs."""
    phase: str = ""
    reason: str = ""
    message: str = ""
    since: float | None = None
    """Seconds since the epoch, as all instants here."""
    session: str = ""
    pod: str = ""
    attached_to: str = ""
    """`name/uid` of the Job that it continues on."""
    trace_id: str = ""
    trace_exported: str = ""
    result_text: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    started_at: float | None = None
    """When Kubernetes was allowed to start it."""
    over_at: float | None = None
    """When Kubernetes called the Job complete or failed."""

    @property
    def result(self) -> Mapping[str, Any]:
        """The result as JSON; empty if there is none, or none that can be read."""
        return _mapping(self.result_text)

    @property
    def is_over(self) -> bool:
        """The phase is one that never changes again."""
        return self.phase in TERMINAL

    @property
    def is_settled(self) -> bool:
        """All that the controller will write is written."""
        return self.is_over and bool(self.result_text) and bool(self.trace_exported)

    @property
    def agent_ended_at(self) -> float | None:
        """When the agent's process had ended; of a run whose agent never started, when its Job was over."""
        pod = self.result.get("pod")
        finished = pod.get("finishedAt") if isinstance(pod, dict) else None
        return _seconds(finished) if finished else self.over_at


def of(job: JSON) -> Seen:
    """What a host sees in this Job."""
    metadata, status = job["metadata"], job.get("status", {})
    labels, notes = metadata.get("labels", {}), metadata.get("annotations", {})

    def said(name: str) -> str:
        return str(notes.get(KEYS.status(name), ""))

    return Seen(
        name=metadata["name"],
        uid=metadata["uid"],
        agent=notes.get(KEYS.agent_name) or labels.get(KEYS.agent_id, ""),
        run_id=_first_of(said(Status.RUN_HISTORY)) or notes.get(KEYS.run_id) or labels.get(KEYS.run_id, ""),
        phase=said(Status.PHASE),
        reason=said(Status.REASON),
        message=said(Status.MESSAGE),
        since=_seconds(said(Status.SINCE)),
        session=said(Status.SESSION_ID),
        pod=said(Status.POD).partition("/")[0],
        attached_to=said(Status.ATTACHED_TO),
        trace_id=said(Status.TRACE_ID),
        trace_exported=said(Status.TRACE_EXPORTED),
        result_text=said(Status.RESULT),
        progress=_mapping(said(Status.PROGRESS)),
        started_at=_seconds(status.get("startTime")),
        over_at=_over(status),
    )


def _first_of(history: str) -> str:
    """The id of the first run that a Job has served; empty if it has served only one."""
    try:
        return str(json.loads(history)[0]["runId"])
    except (ValueError, LookupError, TypeError):
        return ""


def _over(status: JSON) -> float | None:
    for condition in status.get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return _seconds(condition.get("lastTransitionTime"))
    return None


def _seconds(text: object) -> float | None:
    at = instant(text) if isinstance(text, str) else None
    return None if at is None else at / SECOND


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
