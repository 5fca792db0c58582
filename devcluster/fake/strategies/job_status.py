"""What the API server accepts as a Job's status, whoever writes it.

Owns: the consistency rules between conditions, counters and times. Never computes a status.
"""

from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON

CONTRADICTIONS = (
    ("Complete", "Failed"),
    ("Complete", "FailureTarget"),
    ("SuccessCriteriaMet", "Failed"),
    ("SuccessCriteriaMet", "FailureTarget"),
)


def conditions(job: JSON) -> frozenset[str]:
    """The types of the conditions that are true."""
    listed = job.get("status", {}).get("conditions") or []
    return frozenset(condition["type"] for condition in listed if condition.get("status") == "True")


def validate(new: JSON, old: JSON, found: FieldErrors) -> None:
    """Collect what contradicts itself, or takes back what was already reported."""
    status, before = new.get("status", {}), old.get("status", {})
    true, was_true = conditions(new), conditions(old)
    _validate_conditions(true, was_true, found)
    finished = bool(true & {"Complete", "Failed"})
    if finished and not was_true & {"Complete", "Failed"}:
        _validate_finished(status, found)
    _validate_times(new, old, true, found)
    for counter in ("active", "ready", "terminating", "succeeded", "failed"):
        if (status.get(counter) or 0) < 0:
            found.invalid(f"status.{counter}", status[counter], "must be greater than or equal to 0")
    if (status.get("ready") or 0) > (status.get("active") or 0):
        found.invalid("status.ready", status["ready"], "cannot set more ready pods than active")
    for counter in ("succeeded", "failed"):
        if status.get(counter, 0) < before.get(counter, 0):
            found.invalid(
                f"status.{counter}", status.get(counter, 0), f"cannot decrease the {counter} counter"
            )


def _validate_conditions(true: frozenset[str], was_true: frozenset[str], found: FieldErrors) -> None:
    path = "status.conditions"
    for kind in ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"):
        if kind in was_true and kind not in true:
            found.invalid(path, "(the conditions)", f"cannot disable the terminal {kind}=True condition")
    for good, bad in CONTRADICTIONS:
        if {good, bad} <= true:
            why = f"cannot set {good}=True and {bad}=true conditions"
            found.invalid(path, "(the conditions)", why)
    for last, first in (("Complete", "SuccessCriteriaMet"), ("Failed", "FailureTarget")):
        if last in true - was_true and first not in true:
            why = f"cannot set {last}=True condition without the {first}=true condition"
            found.invalid(path, "(the conditions)", why)


def _validate_finished(status: JSON, found: FieldErrors) -> None:
    if status.get("active"):
        found.invalid("status.active", status["active"], "active>0 is invalid for finished job")
    if status.get("terminating"):
        found.invalid(
            "status.terminating", status["terminating"], "terminating>0 is invalid for finished job"
        )
    if not status.get("startTime"):
        found.required("status.startTime", "startTime is required for finished job")
    uncounted = status.get("uncountedTerminatedPods") or {}
    if uncounted.get("succeeded") or uncounted.get("failed"):
        why = "uncountedTerminatedPods needs to be empty for finished job"
        found.invalid("status.uncountedTerminatedPods", "(the pods)", why)


def _validate_times(new: JSON, old: JSON, true: frozenset[str], found: FieldErrors) -> None:
    status, before = new.get("status", {}), old.get("status", {})
    if "Complete" in true and not status.get("completionTime"):
        found.required("status.completionTime", "completionTime is required for Complete jobs")
    if status.get("completionTime") and "Complete" not in true:
        why = "cannot set completionTime when there is no Complete=True condition"
        found.invalid("status.completionTime", status["completionTime"], why)
    if before.get("completionTime") and status.get("completionTime") != before["completionTime"]:
        found.invalid("status.completionTime", status.get("completionTime"), "field is immutable")
    start, previous = status.get("startTime"), before.get("startTime")
    if previous and start != previous and not _may_restart(new, old):
        found.required("status.startTime", "startTime cannot be removed for unsuspended job")


def _may_restart(new: JSON, old: JSON) -> bool:
    """A start time changes with the Suspended condition or while suspended, else never."""
    suspended = new["spec"].get("suspend", False)
    was = "Suspended" in conditions(old)
    return bool(suspended or was)
