"""The command of `make e2e`: builds what is needed, says so, and runs pytest on a cluster of its own.

Owns: pytest's options for pytest-kind. Never: knows what is tested.

    python -m e2e                       all tests on the real cluster of devcluster, made and removed
    python -m e2e -k outcomes           some of them
    python -m e2e --keep-cluster        the cluster stays, for a second time or a look
    CLUSTER=kind python -m e2e          on kind, where Docker is
"""

import sys
from pathlib import Path

import pytest

from devcluster import programs
from e2e.conftest import told

FOLDER = Path(__file__).parent
NAME = "runherd-e2e"


def main(arguments):
    """Pytest's exit code."""
    paths = {name: programs.path(name, told) for name in ("kubectl", "helm", "jaeger")}
    own = ["--cluster-name", NAME, "--kind-bin", str(FOLDER / "kind")]
    own += ["--kind-kubectl-bin", str(paths["kubectl"])]
    return pytest.main([str(FOLDER), "-q", "--durations=15", *own, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
