"""One Job and its pods as the Job controller sees them: what is active, what to count, whether it is over.

Owns: the arithmetic of a Job's status. Never: reads or writes the storage.

The order of a Job's end is the real one: the verdict (SuccessCriteriaMet or FailureTarget) is written with
the uids of the pods still to be counted, then the pods are released, then they are counted, and only when
none is left, and none is still terminating, the Job is Complete or Failed.
"""

from dataclasses import dataclass
from datetime import datetime

from devcluster.fake import clock
from devcluster.fake.patches import copied
from devcluster.fake.resources import JSON
from devcluster.fake.strategies.job import TRACKING_FINALIZER

ENDED = ("Succeeded", "Failed")
FINAL = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}
BACKOFF_TEXT = "Job has reached the specified backoff limit"
DEADLINE_TEXT = "Job was active longer than specified deadline"
REACHED_TEXT = "Reached expected number of succeeded pods"


@dataclass
class Backoff:
    """How long a replacement pod waits: base, doubled with every failure, up to a limit."""

    base: float = 10.0
    limit: float = 600.0

    def delay(self, failures: int) -> float:
        """Seconds after the last of so many failures."""
        return min(self.base * 2 ** max(failures - 1, 0), self.limit) if failures else 0.0


def condition(status: JSON, kind: str) -> JSON | None:
    """The condition of a type, if it is there."""
    listed = status.get("conditions") or []
    return next((item for item in listed if item["type"] == kind), None)


def ensure_condition(status: JSON, new: JSON) -> bool:
    """Set a condition; says whether that changed anything. False is not added where there was none."""
    known = condition(status, new["type"])
    if known is None:
        if new["status"] == "False":
            return False
        status.setdefault("conditions", []).append(new)
        return True
    if (known["status"], known.get("reason"), known.get("message")) == (
        new["status"],
        new["reason"],
        new["message"],
    ):
        return False
    known.update(new)
    return True


class JobView:
    """A working copy of one Job's status beside its pods."""

    def __init__(self, job: JSON, pods: list[JSON], now: datetime, backoff: Backoff) -> None:
        self.job = job
        self.status: JSON = job.setdefault("status", {})
        self._written = copied(self.status)
        self._pods = pods
        self._now = now
        self._backoff = backoff
        self.added = 0
        self.verdict: JSON | None = None
        self.look_again: float | None = None
        self._resumed = False
        self.active = [p for p in pods if p["status"].get("phase") not in ENDED and not _deleting(p)]
        self._terminating = sum(1 for p in pods if _deleting(p) and p["status"].get("phase") not in ENDED)
        self._uncounted_here: set[str] = set()

    @property
    def suspended(self) -> bool:
        """Whether the Job is to have no pods."""
        return bool(self.job["spec"].get("suspend"))

    @property
    def deleting(self) -> bool:
        """Whether the Job itself is being deleted."""
        return _deleting(self.job)

    @property
    def finished(self) -> bool:
        """Whether the Job has ended for good."""
        return any((condition(self.status, kind) or {}).get("status") == "True" for kind in FINAL.values())

    @property
    def surplus(self) -> int:
        """Active pods beyond what is wanted; negative if some are missing."""
        spec = self.job["spec"]
        wanted: int = max(min(spec["completions"] - self._succeeded(), spec["parallelism"]), 0)
        terminating = self._terminating if spec.get("podReplacementPolicy") == "Failed" else 0
        lacking = wanted - len(self.active)
        return -max(lacking - terminating, 0) if lacking > 0 else -lacking

    def start(self) -> None:
        """A Job that is not suspended has a start time."""
        if not self.status.get("startTime") and not self.suspended:
            self.status["startTime"] = clock.seconds(self._now)
        self.status.setdefault("uncountedTerminatedPods", {})

    def judge(self) -> None:
        """Whether the Job has failed, or was already declared to be ending."""
        for kind in FINAL:
            known = condition(self.status, kind)
            if known is not None and known["status"] == "True":
                self.verdict = known
                return
        if self._failed() > self.job["spec"]["backoffLimit"] or self._restarts_exceeded():
            self.verdict = self._condition("FailureTarget", "BackoffLimitExceeded", BACKOFF_TEXT)
        else:
            self._judge_deadline()

    def _judge_deadline(self) -> None:
        deadline, start = self.job["spec"].get("activeDeadlineSeconds"), self.status.get("startTime")
        if deadline is None or not start or self.suspended:
            return
        left = deadline - (self._now - clock.parse(start)).total_seconds()
        if left <= 0:
            self.verdict = self._condition("FailureTarget", "DeadlineExceeded", DEADLINE_TEXT)
        else:
            self._again_in(left)

    def conclude(self) -> None:
        """Whether enough pods have succeeded."""
        if self._succeeded() >= self.job["spec"]["completions"] and not self.active and not self.added:
            self.verdict = self._condition("SuccessCriteriaMet", "CompletionsReached", REACHED_TEXT)

    def note_suspension(self) -> None:
        """The Suspended condition, and the start time that goes and comes with it; not of what is ending."""
        if self.verdict is not None or self.deleting:
            return
        if self.suspended:
            new = self._condition("Suspended", "JobSuspended", "Job suspended")
            if ensure_condition(self.status, new):
                self.status.pop("startTime", None)
        elif ensure_condition(
            self.status, self._condition("Suspended", "JobResumed", "Job resumed", "False")
        ):
            self.status["startTime"] = clock.seconds(self._now)
            self._again_in(float(self.job["spec"].get("activeDeadlineSeconds") or 0) or None)

    def suspension_event(self) -> tuple[str, str] | None:
        """The Event that a change of the Suspended condition is worth."""
        before = (condition(self._written, "Suspended") or {}).get("status", "False")
        now = (condition(self.status, "Suspended") or {}).get("status", "False")
        if before == now:
            return None
        return ("Suspended", "Job suspended") if now == "True" else ("Resumed", "Job resumed")

    def backing_off(self) -> bool:
        """Whether a replacement pod has to wait."""
        failures = [p for p in self._pods if p["status"].get("phase") == "Failed"]
        delay = self._backoff.delay(self._failed())
        if not failures or not delay:
            return False
        last = max(_ended_at(p) or self._now for p in failures)
        left = delay - (self._now - last).total_seconds()
        self._again_in(left if left > 0 else None)
        return left > 0

    def deleted(self, pod: JSON, *, gone: bool) -> None:
        """A pod was told to go."""
        self.active.remove(pod)
        if not gone:
            self._terminating += 1

    def uncount(self, pod: JSON) -> None:
        """A pod that is deleted on the Job's behalf is no failure."""
        self._uncounted_here.add(pod["metadata"]["uid"])

    def announce(self) -> bool:
        """Write down the pods that are to be counted; says whether there are new ones."""
        self._update_counts()
        uncounted, new = self.status["uncountedTerminatedPods"], False
        for pod in self._tracked():
            kind = self._outcome(pod)
            uid = pod["metadata"]["uid"]
            if kind and uid not in uncounted.get("succeeded", []) + uncounted.get("failed", []):
                uncounted.setdefault(kind, []).append(uid)
                new = True
        return new

    def announce_verdict(self) -> bool:
        """Write down that the Job is about to end."""
        if self.verdict is None or condition(self.status, self.verdict["type"]) is not None:
            return False
        self.status.setdefault("conditions", []).append(dict(self.verdict))
        return True

    def releasable(self) -> list[JSON]:
        """Pods that need not wait any longer to be counted."""
        return [p for p in self._tracked() if self._outcome(p) or self.verdict is not None or self.deleting]

    def count(self) -> None:
        """All announced pods have been released: count them."""
        uncounted = self.status["uncountedTerminatedPods"]
        for kind in ("succeeded", "failed"):
            uids = uncounted.pop(kind, [])
            if uids:
                self.status[kind] = self.status.get(kind, 0) + len(uids)

    def enact(self) -> JSON | None:
        """The final condition, if the time for it has come."""
        if self.verdict is None or self._terminating or self.active or self.finished:
            return None
        kind = FINAL[self.verdict["type"]]
        final = self._condition(kind, self.verdict["reason"], self.verdict["message"])
        ensure_condition(self.status, final)
        if kind == "Complete":
            self.status["completionTime"] = final["lastTransitionTime"]
        return final

    def changed(self) -> bool:
        """Whether the status differs from what is stored."""
        return bool(self.status != self._written)

    def flushed(self) -> None:
        """The status is stored."""
        self._written = copied(self.status)

    def _update_counts(self) -> None:
        active = len(self.active) + self.added
        if active:
            self.status["active"] = active
        else:
            self.status.pop("active", None)
        self.status["ready"] = sum(1 for pod in self.active if _ready(pod))
        self.status["terminating"] = self._terminating

    def _tracked(self) -> list[JSON]:
        return [
            p for p in self._pods
            if TRACKING_FINALIZER in p["metadata"].get("finalizers", [])
            and p["metadata"]["uid"] not in self._uncounted_here
        ]  # fmt: skip

    def _outcome(self, pod: JSON) -> str:
        """How an ended (or deleted) pod counts; empty while it may go on."""
        phase = pod["status"].get("phase")
        if phase == "Succeeded":
            return "succeeded"
        failing = self.verdict is not None and self.verdict["type"] == "FailureTarget"
        if phase == "Failed" or failing or self._counts_as_failed(pod):
            return "failed"
        return ""

    def _counts_as_failed(self, pod: JSON) -> bool:
        if self.job["spec"].get("podReplacementPolicy") == "Failed":
            return _deleting(pod) and pod["status"].get("phase") == "Pending"
        return _deleting(pod)

    def _new(self, kind: str) -> int:
        uncounted = self.status.get("uncountedTerminatedPods", {}).get(kind, [])
        fresh = {p["metadata"]["uid"] for p in self._tracked() if self._outcome(p) == kind}
        return len(fresh | set(uncounted))

    def _succeeded(self) -> int:
        return int(self.status.get("succeeded", 0)) + self._new("succeeded")

    def _failed(self) -> int:
        return int(self.status.get("failed", 0)) + self._new("failed")

    def _restarts_exceeded(self) -> bool:
        spec = self.job["spec"]
        if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return False
        total = sum(
            status.get("restartCount", 0)
            for pod in self._pods
            if pod["status"].get("phase") in ("Running", "Pending")
            for part in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(part) or []
        )
        limit = spec["backoffLimit"]
        return bool(total > 0 if limit == 0 else total >= limit)

    def _condition(self, kind: str, reason: str, message: str, status: str = "True") -> JSON:
        now = clock.seconds(self._now)
        return {
            "type": kind, "status": status, "lastProbeTime": now, "lastTransitionTime": now,
            "reason": reason, "message": message,
        }  # fmt: skip

    def _again_in(self, seconds: float | None) -> None:
        if seconds is not None:
            self.look_again = min(seconds, self.look_again) if self.look_again is not None else seconds


def _deleting(obj: JSON) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _ready(pod: JSON) -> bool:
    ready = condition(pod["status"], "Ready")
    return ready is not None and bool(ready["status"] == "True")


def _ended_at(pod: JSON) -> datetime | None:
    ends = [
        status.get("state", {}).get("terminated", {}).get("finishedAt")
        for status in pod["status"].get("containerStatuses") or []
    ]
    known = [clock.parse(end) for end in ends if end]
    return max(known) if known else None
