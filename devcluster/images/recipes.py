"""Our images: what they are called, which layers they have, how their containers start.

Owns: the configurations; the controller's says what the Dockerfile says. Never: makes anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devcluster.images import claude, parts
from devcluster.images.layout import Config
from devcluster.images.parts import AGENT_FOLDER, AGENT_HOME, USER, Part
from devcluster.images.running import Told

PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = {"PATH": PATH, "LANG": "C.UTF-8"}
"""What the official Python image sets."""
OURS = {"PYTHONPATH": "/app", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
USER_AND_GROUP = f"{USER}:{USER}"
TITLE = "org.opencontainers.image.title"
LICENSES = "org.opencontainers.image.licenses"
VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image: the first reference is the one to use. `parts` asks apt for versions, so it is a function."""

    references: tuple[str, ...]
    config: Config
    parts: Callable[[Told], tuple[Part, ...]]


RECIPES: Mapping[str, Recipe] = {
    "pause": Recipe(
        ("localhost/pause:1",),
        Config(user="65535:65535", entrypoint=("/catatonit", "-P")),
        lambda told: (parts.pause(told),),
    ),
    # The second name is what the examples ask for. It is Debian's, and may be a release older.
    "busybox": Recipe(
        ("localhost/busybox:1", "docker.io/library/busybox:1.36"),
        Config(environment={"PATH": PATH}, command=("sh",)),
        lambda told: (parts.busybox(told),),
    ),
    "controller": Recipe(
        ("localhost/runherd:dev",),
        Config(
            user=USER_AND_GROUP,
            environment=PYTHON | OURS,
            entrypoint=("python", "-m", "controller"),
            folder="/app",
            ports=("8080/tcp",),
            labels={TITLE: "runherd", LICENSES: "Apache-2.0"},
        ),
        lambda told: (
            parts.python(told),
            parts.dependencies(told),
            parts.code("controller", "controller", told=told),
        ),
    ),
    "messages": Recipe(
        ("localhost/runherd-messages:dev",),
        Config(
            user=USER_AND_GROUP,
            environment=PYTHON | OURS,
            entrypoint=("python", "-m", "devcluster.messages"),
            command=("--host", "0.0.0.0", "--port", "8080"),  # noqa: S104 (a pod is reached from outside)
            folder="/app",
            ports=("8080/tcp",),
            labels={TITLE: "runherd-messages", LICENSES: "Apache-2.0"},
        ),
        lambda told: (parts.python(told), parts.code("messages", "devcluster/messages", told=told)),
    ),
    "agent": Recipe(
        ("localhost/runherd-agent:dev",),
        Config(
            user=USER_AND_GROUP,
            environment={"PATH": PATH, "HOME": AGENT_HOME, "SHELL": "/bin/bash", "DISABLE_AUTOUPDATER": "1"},
            folder=AGENT_FOLDER,
            labels={TITLE: "runherd-agent", VERSION: claude.VERSION},
        ),
        lambda told: (parts.agent(told),),
    ),
}
