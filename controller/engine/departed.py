"""Runs whose Job has vanished before they were concluded: what was last known of them, until they are closed.

Owns these runs while nobody knows whether their Job is gone or has only lost its label. It decides nothing.
"""

from dataclasses import replace

from controller.core.model import Job, Pod, Slot
from controller.core.snapshot import Run
from controller.core.transcript import AttemptLog


class Departed:
    """By uid of the Job. Small: a run is here for as long as its pods take to end."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._certain: set[str] = set()

    def __contains__(self, job_uid: str) -> bool:
        return job_uid in self._runs

    def add(self, run: Run) -> None:
        """Its Job is not seen any more."""
        self._runs[run.job.uid] = run

    def discard(self, job_uid: str) -> Job | None:
        """It is seen again, or closed; the Job as it was last seen, None if it is not here."""
        self._certain.discard(job_uid)
        run = self._runs.pop(job_uid, None)
        return run.job if run else None

    def confirm(self, job_uid: str) -> None:
        """The API server says that the Job is gone."""
        if job_uid in self._runs:
            self._certain.add(job_uid)

    def put_pod(self, pod: Pod) -> None:
        """A pod of it goes on until it has ended."""
        if (run := self._runs.get(pod.job_uid)) is not None:
            others = (known for known in run.pods if known.uid != pod.uid)
            pods = sorted((*others, pod), key=lambda each: (each.created_at, each.name))
            self._runs[pod.job_uid] = replace(run, pods=tuple(pods))

    def put_log(self, job_uid: str, log: AttemptLog) -> Slot:
        """So does its log."""
        run = self._runs[job_uid]
        others = (known for known in run.logs if known.pod_uid != log.pod_uid)
        self._runs[job_uid] = replace(run, logs=(*others, log))
        return run.job.slot

    def of(self, slot: Slot) -> tuple[Run, ...]:
        """Those of a slot that are certain to be gone."""
        return tuple(self._runs[uid] for uid in sorted(self._certain) if self._runs[uid].job.slot == slot)

    def slots(self) -> set[Slot]:
        """Where there are any to be closed."""
        return {self._runs[uid].job.slot for uid in self._certain}
