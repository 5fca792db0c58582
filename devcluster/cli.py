"""The command `python -m devcluster`: hands over to the kind of cluster that is named.

Owns: the list of kinds and the top-level help. Each kind brings its own commands (`add_commands`).
"""

import argparse
from collections.abc import Sequence

from devcluster import program_commands
from devcluster.conformance import commands as conformance
from devcluster.fake import commands as fake
from devcluster.images import commands as image
from devcluster.kind import commands as kind
from devcluster.real import commands as real

EXAMPLES = """examples:
  python -m devcluster fake up                 a cluster in this process, until Ctrl-C
  python -m devcluster real up                 a real node with real containers (root; no Docker)
  python -m devcluster kind up                 the same in Docker, by kind
  python -m devcluster real --help             what each can do
  python -m devcluster conformance             does the cluster of KUBECONFIG behave as expected?
"""


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(
        prog="devcluster",
        description="A Kubernetes for one machine, for tests and demos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = top.add_subparsers(title="kinds of cluster, and tools", dest="kind", required=True)
    for commands in (fake, real, kind, image, program_commands, conformance):
        commands.add_commands(kinds)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    given = parser().parse_args(arguments)
    code: int = given.run(given)
    return code
