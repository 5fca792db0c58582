"""Manifests of the runs that are submitted to the cluster under test.

Owns: how a run of `tests.program.runs` looks when its container is a real one. Never: submits.
"""

from pathlib import Path

from tests.program import runs
from tests.program.runs import API_RETRY, HOOKS, MAX_TURNS, SUBAGENT, TERMINATED

TRANSCRIPTS = (SUBAGENT, API_RETRY, HOOKS, TERMINATED, MAX_TURNS)
FOLDER = Path("/transcripts")
CONFIG_MAP = "transcripts"
IMAGE = "busybox:1.36"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def transcripts():
    """The recorded runs as a ConfigMap for the agents' containers."""
    found = {file.name: file.read_text() for file in TRANSCRIPTS}
    return {"metadata": {"name": CONFIG_MAP}, "data": found}


def replay(file, seconds=0.02, then="", lines=None):
    """A shell command that says the lines of a transcript, pausing before each."""
    return runs.replay(FOLDER / file.name, seconds, then, lines)


def make_run(name, script="true", *, memory="64Mi", container=None, pod=None, **changes):
    """A Job as a host submits it, with a container that Kubernetes would let run anywhere."""
    own = {
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": memory}},
        "volumeMounts": [{"name": "transcripts", "mountPath": str(FOLDER)}],
    }
    around = {
        "automountServiceAccountToken": False,
        "volumes": [{"name": "transcripts", "configMap": {"name": CONFIG_MAP}}],
    }
    changes.setdefault("agent", f"a-{name}")
    made = runs.make_run(name, script, container=own | (container or {}), pod=around | (pod or {}), **changes)
    del made["metadata"]["namespace"]  # the test's own
    return made
