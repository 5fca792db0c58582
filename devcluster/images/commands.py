"""The command `devcluster image NAME`: prints where the archive of an image is, made first when needed.

Owns: its arguments and what it prints. Never: puts an image on a node; `real load` and `kind load` do.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from devcluster.images.build import NAMES, archive, references
from devcluster.images.running import ImageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_NAMES = "\n".join(f"  {name:<12}{', '.join(references(name))}" for name in NAMES)
DESCRIPTION = f"""Prints the path of the archive of an image: an OCI image-layout in a tar, made without
Docker and without a registry, from Debian packages, wheels and this repository. It is kept in the cache
($RUNHERD_CACHE, by default ~/.cache/runherd) until something that it is made from changes; progress goes
to stderr.

{_NAMES}"""
EXAMPLES = """examples:
  python -m devcluster image controller
  ctr -n k8s.io images import $(python -m devcluster image agent)
  kind load image-archive $(python -m devcluster image messages)
"""


def add_commands(kinds: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `image`."""
    command = kinds.add_parser(
        "image",
        help="the archive of one of our images, made when missing",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    command.set_defaults(run=_image)


def _image(given: argparse.Namespace) -> int:
    try:
        print(archive(given.name, _tell))
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
