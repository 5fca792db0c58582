"""How a container has ended, in words: exit codes, signals, and what the kubelet only made up.

Knows the conventions of shells and kernels. Never judges what an end means for a run (`verdict` does).
"""

from dataclasses import replace
from typing import Final

from controller.core import diagnosis
from controller.core.model import Container
from controller.core.transcript import AgentLog

_SIGNALS: Final = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 31: "SIGSYS",
}  # fmt: skip
"""By number, as Linux has them on all machines that we know of."""
_PLAIN: Final = ("", "Error", "Completed")
"""Reasons that say no more than the exit code does."""


def known(container: Container) -> Container:
    """The container without what the kubelet made up because it had lost sight of it."""
    return replace(container, exit_code=None) if container.reason == diagnosis.STATUS_LOST else container


def signal_of(container: Container) -> str | None:
    """Name of the signal that ended it: as the kubelet says, else by the exit code; None if none did."""
    number = container.signal or (container.exit_code or 0) - 128
    return _SIGNALS.get(number)


def said(container: Container) -> str:
    """A clause without its full stop, for a container whose exit code is known."""
    about = [signal_of(container) or "", "" if container.reason in _PLAIN else container.reason]
    more = ", ".join(word for word in about if word)
    return f"The agent's container exited with {container.exit_code}{f' ({more})' if more else ''}"


def unknown(pod: str, *, there: bool) -> str:
    """A sentence about a container whose exit code is not known. `there`: its pod can still be seen."""
    if there:
        return f"Pod {pod} is there, but how the agent's container in it has ended could not be observed."
    return f"Pod {pod} is gone, and how the agent's container in it ended went with it."


def said_by(container: Container | None, seen: AgentLog) -> AgentLog:
    """What the container's last process has said: a result from before a restart is not its own."""
    if container is None or not container.restarts or container.started_at is None or seen.claim is None:
        return seen
    return seen if seen.claim.at >= container.started_at else replace(seen, claim=None, turn_open=True)
