"""What a scenario is: a name, what it does, and what is expected to be seen.

Owns: the list of all scenarios. Never: plays one (`player.py`), or compares (`player.py`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.conformance.scene import Scene

Act = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`want`: the name of each observation and its value, as seen on a real cluster."""

    name: str
    act: Act
    want: Mapping[str, Any]

    @property
    def story(self) -> str:
        """What it is about, in a sentence."""
        return (self.act.__doc__ or "").strip().partition("\n")[0]


ALL: dict[str, Scenario] = {}


def scenario(want: Mapping[str, Any]) -> Callable[[Act], Act]:
    """Register a coroutine function under its name; what it notes is compared with `want`."""

    def register(act: Act) -> Act:
        name = act.__name__.replace("_", "-")
        ALL[name] = Scenario(name, act, want)
        return act

    return register
