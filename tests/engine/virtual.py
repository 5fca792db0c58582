"""Tests of the loops in virtual time: how they are run, and trouble for the cluster in memory."""

import functools

from controller.core.actions import PatchJob
from controller.core.contract import Keys
from controller.core.model import Slot
from tests.core.builders import NAMESPACE
from tests.kube.doubles import in_virtual_time

OTHER = Slot(NAMESPACE, "a-2", "claude_k8s")
OF_OTHER = {"metadata": {"labels": {Keys().agent_id: "a-2"}}}
RUNNING = {
    "phase": "Running",
    "containerStatuses": [{"name": "claude", "state": {"running": {"startedAt": "2026-11-22T12:00:40Z"}}}],
}


def virtual(test):
    """Runs an async test in virtual time."""

    @functools.wraps(test)
    def run(**arguments):
        in_virtual_time(test(**arguments))

    return run


def once(error, kind=PatchJob, name=None):
    """Trouble with the first call of that kind, on the Job of that name if one is given."""
    left = [error]

    def trouble(action):
        if left and isinstance(action, kind) and name in (None, getattr(action, "name", None)):
            raise left.pop()

    return trouble


def always(error, kind, name=None):
    def trouble(action):
        if isinstance(action, kind) and name in (None, action.name):
            raise error

    return trouble


def phase_of(world, name="run-1"):
    return world.cluster.job(name).phase
