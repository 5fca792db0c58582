"""The command `devcluster program NAME`: prints where a program is, and builds it first when needed.

Owns: its arguments and what it prints. Never: runs the program.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from devcluster import programs

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """Prints the path of a program of a pinned version. It is built from its Go module when it is
not in the cache ($RUNHERD_CACHE, by default ~/.cache/runherd); progress goes to stderr."""
EXAMPLES = """examples:
  $(python -m devcluster program helm) version
  alias kubectl="$(python -m devcluster program kubectl)"
"""


def add_commands(kinds: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `program`."""
    command = kinds.add_parser(
        "program",
        help="the path of kubectl, helm, kwok …, built when missing",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("name", choices=programs.NAMES, metavar="NAME", help=", ".join(programs.NAMES))
    command.set_defaults(run=_program)


def _program(given: argparse.Namespace) -> int:
    try:
        print(programs.path(given.name))
    except programs.BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
