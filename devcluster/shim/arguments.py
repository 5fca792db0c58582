"""The part of kind's command line that is spoken here.

Owns: its commands, options and help. Never: carries a command out.
"""

import argparse
from typing import Any, NoReturn

DEFAULT_NAME = "kind"
DESCRIPTION = """Speaks kind's command line, and makes clusters of `devcluster real`: for pytest-kind where
there is no Docker. With CLUSTER=kind in the environment they are those of `devcluster kind`."""
EXAMPLES = """examples:
  e2e/kind create cluster --name=trial --kubeconfig=/tmp/kubeconfig
  e2e/kind load docker-image localhost/runherd:dev --name=trial
  e2e/kind delete cluster --name=trial --kubeconfig=/tmp/kubeconfig
  pytest e2e --kind-bin=e2e/kind --cluster-name=trial
"""


class Parser(argparse.ArgumentParser):
    """argparse ends with 2 where kind ends with 1, and takes `--na` for `--name`, as kind does not."""

    def __init__(self, **options: Any) -> None:
        shape = argparse.RawDescriptionHelpFormatter
        super().__init__(
            description=DESCRIPTION, epilog=EXAMPLES, formatter_class=shape, allow_abbrev=False, **options
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.exit(1, f"ERROR: {message}\n{self.format_usage()}")


def parser() -> argparse.ArgumentParser:
    """All commands; what is parsed has `command`, as in "create cluster", and the options of it."""
    top = Parser(prog="kind")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    verbs.add_parser("version", help="what this is").set_defaults(command="version")
    _create(_nouns(verbs, "create"))
    _delete(_nouns(verbs, "delete"))
    _get(_nouns(verbs, "get"))
    _load(_nouns(verbs, "load"))
    return top


def _nouns(verbs: Any, verb: str) -> Any:
    return verbs.add_parser(verb, help=f"{verb} …").add_subparsers(title=verb, metavar="WHAT", required=True)


def _command(nouns: Any, verb: str, noun: str, told: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = nouns.add_parser(noun, help=told)
    command.set_defaults(command=f"{verb} {noun}")
    return command


def _named(nouns: Any, verb: str, noun: str, told: str) -> argparse.ArgumentParser:
    command = _command(nouns, verb, noun, told)
    command.add_argument("-n", "--name", default=DEFAULT_NAME, help="which cluster (default: %(default)s)")
    return command


def _create(nouns: Any) -> None:
    cluster = _named(nouns, "create", "cluster", "make a cluster and wait until it is ready")
    cluster.add_argument("--kubeconfig", metavar="PATH", help="a file to put its context into")
    cluster.add_argument("--wait", metavar="TIME", help="accepted: a ready node is always waited for")
    for option in ("--image", "--config"):
        cluster.add_argument(option, metavar="X", help="not used; told so")


def _delete(nouns: Any) -> None:
    cluster = _named(nouns, "delete", "cluster", "remove a cluster; none there is no error")
    cluster.add_argument("--kubeconfig", metavar="PATH", help="a file to take its context out of")


def _get(nouns: Any) -> None:
    _command(nouns, "get", "clusters", "names of the clusters that are up")
    _named(nouns, "get", "kubeconfig", "print the kubeconfig")


def _load(nouns: Any) -> None:
    image = _named(nouns, "load", "docker-image", "build images of ours and put them on the node")
    image.add_argument("images", nargs="+", metavar="IMAGE", help="as in localhost/runherd:dev")
    archive = _named(nouns, "load", "image-archive", "put the images of tars on the node")
    archive.add_argument("archives", nargs="+", metavar="TAR")
