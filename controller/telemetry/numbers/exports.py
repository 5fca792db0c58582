"""Traces on their way to the collector."""

from controller.telemetry import labels
from controller.telemetry.families import About, Families


class ExportNumbers:
    """What became of traces, and what waits."""

    def __init__(self, families: Families) -> None:
        families.about("Traces")
        self._exports = families.counter(
            "trace_exports",
            About(
                "Tries to hand a trace over. gave_up and full are none: too old or refused, no room.",
                "failed without accepted: the collector is down. gave_up: traces are lost.",
            ),
            labels.EXPORT,
        )
        self._troubles = families.counter(
            "trace_export_failures",
            About(
                "Tries that failed, by what was the matter.",
                "misdirected and unauthorized don't heal by themselves; refused is about single traces.",
            ),
            labels.TROUBLE,
        )
        self._rejected = families.counter(
            "trace_spans_rejected",
            About("Spans that the collector left out of a request which it accepted.", "They are lost."),
        )
        self._spans = families.counter(
            "trace_spans",
            About("Spans that the collector has accepted.", "Divided by accepted: spans a trace."),
        )
        self._time = families.histogram(
            "trace_export_duration_seconds", About("Time of one try.", "10 s is the exporter's own limit.")
        )
        self._define_spool(families)

    def _define_spool(self, families: Families) -> None:
        self._waiting = families.gauge(
            "traces_waiting",
            About("Traces that the collector has not accepted yet.", "Their Jobs are kept until it has."),
        )
        self._spooled = families.gauge(
            "trace_spool_spans", About("Spans of the traces that wait: what the spool holds.")
        )
        self._size = families.gauge(
            "trace_spool_bytes",
            About(
                "Memory that the traces take which wait, about.",
                "At 64 MiB no more are taken in: their Jobs wait, nothing is lost.",
            ),
        )
        self._held = families.gauge(
            "trace_held_spans",
            About(
                "Steps in the logs of live runs whose spans have not been handed over.",
                "Above config.traceSpans the runs that hold most tell theirs while they go on.",
            ),
        )

    def tried(self, outcome: str, seconds: float, spans: int) -> None:
        """One try of a trace ended; see `labels.EXPORT_OUTCOMES`. Only real tries have a duration."""
        self._exports.at(outcome).inc()
        if outcome in ("accepted", "failed"):
            self._time.at().observe(max(0.0, seconds))
        if outcome == "accepted":
            self._spans.at().inc(spans)

    def failed(self, verdict: str) -> None:
        """A try failed for this reason; see `answers.Verdict`."""
        self._troubles.at(verdict).inc()

    def rejected(self, spans: int) -> None:
        """So many spans were left out of what was accepted."""
        self._rejected.at().inc(spans)

    def held_are(self, spans: int) -> None:
        """So many spans of live runs have not been handed over yet."""
        self._held.at().set(spans)

    def waiting_are(self, traces: int, spans: int, size: int) -> None:
        """So many traces wait, of so many spans, that take so many bytes of memory."""
        self._waiting.at().set(traces)
        self._spooled.at().set(spans)
        self._size.at().set(size)
