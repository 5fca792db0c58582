"""runherd on the cluster under test, as people install it: the chart, by helm.

Owns: the release, and what becomes of its pods. Never: knows about runs.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from devcluster import programs
from e2e.apiserver import path
from e2e.machine import ROOT

NAMESPACE = "runherd-system"
RELEASE = "runherd"
CHART = ROOT / "charts" / "runherd"
SECONDS = 90
SELECTOR = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=runherd"
ACKNOWLEDGED_SECONDS = 5
"""So long a Job is kept once its host has acknowledged its result."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"


def values(collector_url):
    """What differs from the chart's defaults: the image that was loaded, and times that suit tests."""
    return {
        "image": {"repository": "localhost/runherd", "tag": "dev", "pullPolicy": "IfNotPresent"},
        "config": {
            "startTimeoutSeconds": 20,
            "heartbeatSeconds": 5,
            "acknowledgedRetentionSeconds": ACKNOWLEDGED_SECONDS,
            "logDrainSeconds": 30,
            "hangTimeoutSeconds": 15,
            "logFormat": "json",
            "logLevel": "DEBUG",
            "clusterName": "e2e",
        },
        "tracing": {"endpoint": collector_url},
        "policy": {"enabled": True},
        "ownSecrets": True,
    }


class Installation:
    """A release of the chart."""

    def __init__(self, api):
        self._api = api
        self.lease = RELEASE

    def install(self, given):
        """Installs or upgrades, in a namespace of restricted pods, and waits until its own are ready."""
        self._make_namespace()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "values.json")
            file.write_text(json.dumps(given))
            wait = ("--wait", "--timeout", f"{SECONDS}s")
            self.helm("upgrade", "--install", RELEASE, str(CHART), "--values", str(file), *wait)

    def _make_namespace(self):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        if self._api.get("namespaces", "", NAMESPACE) is None:
            self._api.create("namespaces", "", {"metadata": {"name": NAMESPACE, "labels": labels}})

    def uninstall(self):
        self.helm("uninstall", RELEASE, "--wait", "--ignore-not-found")

    def test(self):
        """`helm test`: what it said."""
        return self.helm("test", RELEASE, "--timeout", f"{SECONDS}s", "--logs")

    def helm(self, *arguments):
        command = [programs.path("helm"), *arguments, "--namespace", NAMESPACE]
        command += ["--kubeconfig", str(self._api.kubeconfig)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    # The controller's pods

    def pods(self):
        """Those that are not on their way out."""
        found = self._api.list("pods", NAMESPACE, labelSelector=SELECTOR)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def leader(self):
        """The pod that holds the Lease; None if none of those that there are."""
        lease = self._api.get("leases", NAMESPACE, self.lease)
        holder = ((lease or {}).get("spec") or {}).get("holderIdentity") or ""
        named = [pod for pod in self.pods() if holder.startswith(pod["metadata"]["name"])]
        return named[0] if named else None

    def kill(self, pod, *, grace):
        """Deletes a pod of the controller; with grace 0 it is killed like by a node that dies."""
        self._api.delete("pods", NAMESPACE, pod["metadata"]["name"], gracePeriodSeconds=grace)

    def scale(self, replicas):
        self._api.patch("deployments", NAMESPACE, RELEASE, {"spec": {"replicas": replicas}})

    def scale_down_to(self, name):
        """Only this pod is left, and no other takes the place of those that go."""
        dear = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "1000"}}}
        self._api.patch("pods", NAMESPACE, name, dear)
        self.scale(1)

    def said(self, pod, **params):
        """Its log, one object a line."""
        where = path("pods", NAMESPACE, pod["metadata"]["name"], "log")
        text = self._api.call("GET", where, **params)
        lines = text.decode().splitlines() if isinstance(text, bytes) else [json.dumps(text)]
        return [json.loads(line) for line in lines if line.startswith("{")]
