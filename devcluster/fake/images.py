"""Images without a registry: which references are well-formed, which can be had, which are there already.

Owns: the set of images of the node. Never: pulls anything.
"""

import re

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = (
    r"(?:[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)*)(?::[0-9]+)?"
)
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)
UNREACHABLE = ("127.0.0.1:1", "localhost:1")


def well_formed(image: str) -> bool:
    """Whether a container runtime can parse the reference."""
    return _REFERENCE.fullmatch(image) is not None


def host(image: str) -> str:
    """The registry of a reference."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def pull_error(image: str) -> str:
    """Why a pull fails; empty if it succeeds. Hosts below `.invalid` do not exist; port 1 refuses."""
    registry = host(image)
    repository, _, tag = image.removeprefix(f"{registry}/").partition(":")
    where = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}"'
    name = registry.partition(":")[0]
    scheme = "http" if name in ("127.0.0.1", "localhost") else "https"
    path = f"{repository}/manifests/{tag or 'latest'}"
    where += f': failed to do request: Head "{scheme}://{registry}/v2/{path}"'
    if name.endswith(".invalid"):
        return f"{where}: dial tcp: lookup {name}: no such host"
    if registry in UNREACHABLE:
        return f"{where}: dial tcp {registry}: connect: connection refused"
    return ""


class Images:
    """What the node has; a successful pull adds to it."""

    def __init__(self) -> None:
        self.present: set[str] = set()

    def must_pull(self, image: str, policy: str) -> bool:
        """Whether a policy asks for a pull."""
        return policy == "Always" or (policy == "IfNotPresent" and image not in self.present)
