"""Families of series: how one is declared, primed and bounded. What there is to count is `numbers`' business.

Each is declared once, with all that docs/metrics.md says of it.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from controller.telemetry.labels import Label, Words

PREFIX: Final = "runherd_"
LATENCY: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds of what a program does."""
LONG: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Seconds of what runs do."""
_UNITS: Final = (("_seconds", "seconds"), ("_bytes", "bytes"), ("_usd", "US dollars"), ("_tokens", "tokens"))


class About(NamedTuple):
    """What a family is; docs/metrics.md says it too."""

    meaning: str
    """Its help text: one sentence."""
    look: str = ""
    """What to look at in it."""
    only: tuple[tuple[str, ...], ...] = ()
    """The series that exist from the start; else all that the known words of its labels make."""


M = TypeVar("M", bound=MetricWrapperBase)


class Family(Generic[M]):
    """One metric with all its series. `at` is the only way to a series, and bounds its words."""

    def __init__(self, metric: M, name: str, labels: Sequence[Label], about: About) -> None:
        self.metric = metric
        self.labels = tuple(labels)
        self.about = about
        self._words = tuple(Words(label.known, label.limit) for label in labels)
        self.name = PREFIX + name + ("_total" if isinstance(metric, Counter) else "")
        """As it is scraped; series of a histogram have `_bucket`, `_sum` and `_count` behind it."""
        if labels and all(label.known for label in labels):
            self.prime(about.only or itertools.product(*(label.known for label in labels)))

    def at(self, *words: str) -> M:
        """The series with these labels, in the order in which they were declared."""
        return self.metric.labels(*self.bound(*words)) if words else self.metric

    def bound(self, *words: str) -> tuple[str, ...]:
        """The words that its labels will have for these."""
        return tuple(known.bound(str(word)) for known, word in zip(self._words, words, strict=True))

    def prime(self, series: Iterable[Sequence[str]]) -> None:
        """These series are there from now on."""
        for words in series:
            self.at(*words)

    @property
    def kind(self) -> str:
        """`counter`, `gauge` or `histogram`."""
        return type(self.metric).__name__.lower()

    @property
    def unit(self) -> str:
        """What its values are; empty for a mere number."""
        name = self.name.removesuffix("_total")
        return next((unit for end, unit in _UNITS if name.endswith(end)), "")


class Families:
    """All families of one registry, in the order of their declaration, by subject."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.subjects: dict[str, list[Family[Any]]] = {}
        self._subject = ""

    def about(self, subject: str) -> "Families":
        """What is declared from now on is about this."""
        self._subject = subject
        return self

    def counter(self, name: str, about: About, *labels: Label) -> Family[Counter]:
        """What only grows."""
        names = [label.name for label in labels]
        made = Counter(PREFIX + name, about.meaning, names, registry=self._registry)
        return self._kept(Family(made, name, labels, about))

    def gauge(self, name: str, about: About, *labels: Label) -> Family[Gauge]:
        """What is so now."""
        names = [label.name for label in labels]
        made = Gauge(PREFIX + name, about.meaning, names, registry=self._registry)
        return self._kept(Family(made, name, labels, about))

    def histogram(
        self, name: str, about: About, *labels: Label, buckets: Sequence[float] = LATENCY
    ) -> Family[Histogram]:
        """How long things took, in seconds."""
        names = [label.name for label in labels]
        made = Histogram(PREFIX + name, about.meaning, names, registry=self._registry, buckets=buckets)
        return self._kept(Family(made, name, labels, about))

    def _kept(self, family: Family[M]) -> Family[M]:
        self.subjects.setdefault(self._subject, []).append(family)
        return family
