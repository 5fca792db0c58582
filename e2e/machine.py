"""The cluster under test as a machine: what is loaded into it, and which parts of it are restarted.

Owns: which kind it is (`real` here, `kind` where Docker is), and calls of `python -m devcluster`.
Never: speaks to the API server.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Machine:
    """The cluster of this name."""

    def __init__(self, kind, name):
        self._kind = kind
        self._name = name

    @property
    def host(self):
        """The address by which pods reach this machine."""
        return json.loads(self._run("status", "--json"))["host_address"]

    def load(self, *images):
        self._run("load", *images)

    def restart(self, component, *flags):
        """Ends a component of the cluster and starts it again; returns when it is back."""
        self._run("restart", component, *flags)

    def _run(self, verb, *arguments):
        command = [sys.executable, "-m", "devcluster", self._kind, verb, "--name", self._name, *arguments]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout
