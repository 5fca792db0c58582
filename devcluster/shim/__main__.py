"""`python -m devcluster.shim`, which `e2e/kind` calls; with CLUSTER=kind in the environment over Docker."""

import os
import sys

from devcluster.shim import backing
from devcluster.shim.commands import run

if __name__ == "__main__":
    chosen = backing.in_docker if os.environ.get("CLUSTER") == "kind" else backing.real
    sys.exit(run(None, chosen()))
