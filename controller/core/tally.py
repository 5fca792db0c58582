"""What one run adds to the numbers once it is over. `tallying` makes these values."""

from enum import StrEnum
from typing import NamedTuple

from controller.core.transcript import ModelUsage


class Stage(StrEnum):
    """A part of a run's start, in order."""

    SCHEDULING = "scheduling"
    """From the pod's creation until it had a node."""
    PULLING = "pulling"
    """From the first pull's begin to the last one's end, if any image had to be fetched."""
    CONTAINER = "container"
    """From the node until the agent's container ran; pulls and init containers are in it."""
    AGENT = "agent"
    """From the container's start until the agent said that it was ready."""


class ToolUse(NamedTuple):
    """How often a tool was called, and failed. An empty name: calls of which only the number is known."""

    name: str
    calls: int
    errors: int


class Tally(NamedTuple):
    """The numbers of one run. Seconds; None: not known, and counted nowhere."""

    queued: float | None = None
    """From the Job's creation to its start."""
    started: float | None = None
    """From the Job's start until the agent's container ran."""
    stages: tuple[tuple[Stage, float], ...] = ()
    """Of the first attempt."""
    ran: float | None = None
    """From the first start of the agent's container to its last end."""
    attempts: int = 0
    """Pods."""
    claimed: bool = False
    """The agent has said what it used; else cost and tokens are not known."""
    session: str = ""
    resumed: str = ""
    """The session whose totals are part of usage and cost; empty if they are the run's alone."""
    model: str = ""
    cost_usd: float | None = None
    usage: tuple[ModelUsage, ...] = ()
    turns: int = 0
    retries: int = 0
    """Of calls of the model's API, by the agent itself."""
    subagents: int = 0
    denials: int = 0
    odd_lines: int = 0
    tools: tuple[ToolUse, ...] = ()
