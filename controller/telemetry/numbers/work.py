"""The controller's own work: its rounds, its queue, the Lease, what it is."""

import platform

from controller import VERSION
from controller.telemetry import labels
from controller.telemetry.families import About, Families


class WorkNumbers:
    """Rounds of slots, and who does them."""

    def __init__(self, families: Families) -> None:
        self._define_work(families.about("Work"))
        self._define_controller(families.about("The controller"))

    def _define_work(self, families: Families) -> None:
        self._lag = families.histogram(
            "event_lag_seconds",
            About(
                "From a watch event's arrival to the end of its slot's round.",
                "p99 over a second: see queue latency, work duration and API calls.",
            ),
        )
        self._depth = families.gauge(
            "queue_depth", About("Slots waiting for a worker.", "Rises for minutes: more workers.")
        )
        self._latency = families.histogram(
            "queue_latency_seconds",
            About("How long a slot that was due waited for a worker.", "Rises with depth."),
        )
        self._work = families.histogram(
            "work_duration_seconds",
            About("How long one round of a slot took.", "Is mostly waiting for the API server."),
        )
        self._rounds = families.counter(
            "reconciles",
            About(
                "Rounds of a slot, by outcome.",
                "failed: a mistake of the program. refused: a right is missing, or a policy is in the way.",
            ),
            labels.OUTCOME,
        )

    def _define_controller(self, families: Families) -> None:
        self._lease = families.gauge(
            "lease_held", About("1 while this process leads and may act.", "The sum over pods is 1.")
        )
        build = families.gauge(
            "build_info",
            About("Always 1; what runs is in the labels."),
            labels.VERSION,
            labels.PYTHON,
        )
        build.at(VERSION, platform.python_version()).set(1)

    def event_handled(self, seconds: float) -> None:
        """A watch event has been reconciled, `seconds` after it was received."""
        self._lag.at().observe(max(0.0, seconds))

    def queue_is(self, depth: int) -> None:
        """So many slots wait."""
        self._depth.at().set(depth)

    def began(self, waited_seconds: float) -> None:
        """A worker took a slot that had been due for so long."""
        self._latency.at().observe(max(0.0, waited_seconds))

    def ended(self, outcome: str, seconds: float) -> None:
        """A round of a slot ended; see `labels.OUTCOMES`."""
        self._work.at().observe(max(0.0, seconds))
        self._rounds.at(outcome).inc()

    def lease_is(self, *, held: bool) -> None:
        """This process leads, or does not."""
        self._lease.at().set(1 if held else 0)
