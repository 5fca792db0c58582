"""What the API server and the controller count themselves, read from their metrics.

Owns the text format of Prometheus, as far as counters need it. It judges nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.cluster.client import Cluster

REQUESTS: Final = "apiserver_request_total"
CPU: Final = "process_cpu_seconds_total"
_LINE: Final = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Counters:
    """Every series by its name and labels."""

    series: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of that name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (named, has), value in self.series.items() if named == name and wanted <= has)

    def since(self, before: "Counters") -> "Counters":
        """How much each has grown."""
        return Counters({key: value - before.series.get(key, 0.0) for key, value in self.series.items()})

    def by(self, name: str, *keys: str) -> Mapping[str, float]:
        """The sums of one name by these labels, without those that are zero."""
        sums: dict[str, float] = {}
        for (named, has), value in self.series.items():
            if named == name and value:
                known = dict(has)
                key = " ".join(known.get(each, "") for each in keys)
                sums[key] = sums.get(key, 0.0) + value
        return dict(sorted(sums.items()))


def together(parts: Iterable[Counters]) -> Counters:
    """The sum of each series."""
    sums: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for part in parts:
        for key, value in part.series.items():
            sums[key] = sums.get(key, 0.0) + value
    return Counters(sums)


def read(text: str, prefixes: tuple[str, ...]) -> Counters:
    """The series whose names begin so."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for line in text.splitlines():
        if line.startswith(prefixes) and (match := _LINE.match(line)):
            name, labels, value = match.groups()
            found[name, frozenset(_LABEL.findall(labels or ""))] = float(value)
    return Counters(found)


async def by_server(cluster: Cluster) -> Counters:
    """What the API server has counted so far: requests, and its own CPU."""
    text = (await cluster.call("GET", "/metrics")).decode()
    return read(text, (REQUESTS, CPU))
