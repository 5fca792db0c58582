"""The command `python -m devcluster`: hands over to the kind of cluster that is named.

Owns: the list of kinds and the top-level help. Each kind brings its own commands (`add_commands`).
"""

import argparse
from collections.abc import Sequence

from devcluster.fake import commands as fake

EXAMPLES = """examples:
  python -m devcluster fake up                 a cluster in this process, until Ctrl-C
  python -m devcluster fake --help             what it can do, and its fault switches
"""


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(
        prog="devcluster",
        description="A Kubernetes for one machine, for tests and demos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = top.add_subparsers(title="kinds of cluster", dest="kind", required=True)
    fake.add_commands(kinds)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    given = parser().parse_args(arguments)
    code: int = given.run(given)
    return code
