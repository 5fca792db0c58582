"""The world of one test: a namespace with agents' runs, and what the cluster and the collector say of them.

Owns: submitting and asking. Never: looks into the controller; what it did is on the cluster.
"""

import json
import time

from controller.core.contract import JOB_UID_LABEL, SECOND, TERMINAL, Phase, Status, instant
from e2e.runs import transcripts
from tests.program import oracle
from tests.program.runs import KEYS

SECONDS = 60.0
STARTED = (Phase.RUNNING, Phase.FINISHING, *TERMINAL)


class Stage:
    """One namespace."""

    def __init__(self, namespace, api, recording, collector):
        self.namespace = namespace
        self.api = api
        self._recording = recording
        self._collector = collector

    def open(self):
        labels = {"pod-security.kubernetes.io/enforce": "baseline"}
        self.api.create("namespaces", "", {"metadata": {"name": self.namespace, "labels": labels}})
        self.api.create("configmaps", self.namespace, transcripts())

    def close(self):
        """Removes everything; what must hold of every write has held."""
        faults = self.faults()
        self.api.delete("namespaces", "", self.namespace)
        assert faults == []

    def faults(self, limit=1):
        """What was wrong in all that happened here: S1 to S5 of `tests.program.oracle`."""
        return oracle.faults(self.history(), limit)

    def history(self):
        return self._recording.history(self.namespace)

    # Runs

    def submit(self, *jobs):
        for job in jobs:
            self.api.create("jobs", self.namespace, job)

    def job(self, name):
        return self._recording.object("Job", self.namespace, name)

    def delete(self, name):
        self.api.delete("jobs", self.namespace, name)

    def said(self, name, what=Status.PHASE):
        """What the controller has written on a Job under one of its own keys; empty if nothing."""
        job = self.job(name)
        return ((job or {}).get("metadata", {}).get("annotations") or {}).get(KEYS.status(what), "")

    def standing(self, name):
        return f"{self.said(name)}/{self.said(name, Status.REASON)}"

    def result(self, name):
        return json.loads(self.said(name, Status.RESULT) or "{}")

    def uid(self, name):
        return self.job(name)["metadata"]["uid"]

    def pods(self, name):
        """Its pods, oldest first."""
        own = self.uid(name)
        found = self._recording.objects("Pod", self.namespace)
        mine = [p for p in found if (p["metadata"].get("labels") or {}).get(JOB_UID_LABEL) == own]
        return sorted(mine, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def events(self, name):
        """Reasons of the controller's Events on a Job."""
        found = self.api.list("events", self.namespace)
        return [
            event["reason"]
            for event in found
            if event["regarding"]["name"] == name and "runherd" in (event.get("reportingController") or "")
        ]

    def spans(self, name):
        return self.collected(self.uid(name))

    def collected(self, uid):
        """The spans of the run that the Job of this uid was; the Job itself may be gone."""
        return self._collector.trace(uid.replace("-", ""))

    # Waiting

    def until(self, look, seconds=SECONDS):
        """The first truthy thing that `look` returns; asked after every change in the cluster."""
        return self._recording.until(look, seconds)

    def stands(self, name, standing, seconds=SECONDS):
        self._wait(lambda: self.standing(name) == standing, seconds, name)

    def starts(self, *names, seconds=SECONDS):
        self._wait(lambda: all(self.said(name) in STARTED for name in names), seconds, *names)

    def later_than_start_of(self, *names):
        """Until a Job submitted now is younger than the start of these: Kubernetes has whole seconds."""
        starts = [instant(self.job(name)["status"]["startTime"]) for name in names]
        self.until(lambda: time.time_ns() >= max(starts) + SECOND)

    def later_than(self, name):
        """Until a Job submitted now is younger than this one."""
        made = instant(self.job(name)["metadata"]["creationTimestamp"])
        self.until(lambda: time.time_ns() >= made + SECOND)

    def ends(self, *names, seconds=SECONDS):
        """All have a terminal phase."""
        self._wait(lambda: all(self.said(name) in TERMINAL for name in names), seconds, *names)

    def published(self, *names, seconds=SECONDS):
        """All have a terminal phase, and their traces are safe."""
        self._wait(lambda: all(self.said(n, Status.TRACE_EXPORTED) for n in names), seconds, *names)

    def _wait(self, look, seconds, *names):
        try:
            self.until(look, seconds)
        except TimeoutError as late:
            seen = {name: self.standing(name) for name in names}
            raise AssertionError(f"not in {seconds:.0f} s; they stand at {seen}") from late
