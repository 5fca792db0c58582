"""A figure: what was measured, ours, what it is compared with, and the aim. How much is measured for it.

Ours and the baseline are measured in turns within one run and their medians compared: machines drift, so that
only a ratio of the same minute says anything.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Progress = Callable[[str], None]
"""Told what is being done, for whoever waits."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure. Compared with a baseline, the aim is for the ratio unless `aim_for` says otherwise."""

    measure: str
    ours: float
    unit: str
    baseline: float | None = None
    against: str = ""
    """What the baseline is."""
    more_is_better: bool = True
    aim: float | None = None
    aim_for: Literal["ours", "ratio"] = "ours"
    details: Mapping[str, float] = field(default_factory=dict)
    """More that was seen, for JSON."""

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline; below 1: worse."""
        if not self.baseline or not self.ours:
            return None
        return self.ours / self.baseline if self.more_is_better else self.baseline / self.ours

    @property
    def ok(self) -> bool | None:
        """Whether the aim is reached; None if there is none."""
        if self.aim is None:
            return None
        if self.aim_for == "ratio":
            return self.ratio is not None and self.ratio >= self.aim
        return self.ours >= self.aim if self.more_is_better else self.ours <= self.aim


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    runs: int = 600
    """Runs whose events are read in one round; ten events each."""
    peer_runs: int = 20
    """The same for kr8s, which takes a hundred times as long."""
    tracked: int = 5000
    peer_tracked: int = 300
    plans: int = 300
    """Plans a kind and round."""
    tool_calls: int = 200
    """In the transcript that is folded, and in the log of the run that is planned and traced."""
    log_megabytes: int = 1000
    """Of a log that is folded without being kept."""
    traces: int = 10
    rate: float = 5.0
    """Runs submitted a second, for the latency."""
    steady: int = 75
    """Runs submitted at that rate."""
    burst: int = 100


FULL = Size()
QUICK = Size(
    rounds=2,
    runs=150,
    peer_runs=5,
    tracked=500,
    peer_tracked=30,
    plans=40,
    log_megabytes=30,
    traces=3,
    steady=10,
    burst=20,
)


def in_turns(rounds: int, *measures: Callable[[], float]) -> tuple[float, ...]:
    """The median of each measure, taken in turns: A B A B."""
    taken: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, values in zip(measures, taken, strict=True):
            gc.collect()
            values.append(measure())
    return tuple(median(values) for values in taken)


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
