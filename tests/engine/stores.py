"""What a store says of a slot, in short."""

from controller.core.model import Slot
from tests.core.builders import NAMESPACE, POLICY, SLOT, make_job

OTHER = Slot(NAMESPACE, "a-2", "claude_k8s")


def runs(store, slot=SLOT):
    return {run.job.name: run for run in store.snapshot(slot, fresh=True).runs}


def pods_of(store, name="run-1"):
    return {pod.name for pod in runs(store)[name].pods}


def ghosts(store, slot=SLOT):
    return {ghost.name for ghost in store.snapshot(slot, fresh=True).ghosts}


def strays(store, slot=SLOT):
    return {pod.name for pod in store.snapshot(slot, fresh=True).strays}


def make_concluded(name="run-1", **changes):
    """A Job that says all that will ever be said about it when there is no tracing."""
    done = {"phase": "Succeeded", "over": "Complete", "result": True, "kept": POLICY.retention_seconds}
    return make_job(name, **{**done, **changes})
