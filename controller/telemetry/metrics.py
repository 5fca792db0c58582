"""Every metric of the controller: name, labels, help. Methods are named by what happened.

Owns a registry of its own. Series of known words are primed: they exist before their first event. Open
labels (`code`, `where`, …) are bounded by `labels.Words`; ids of runs, agents or Jobs are never labels.
Plain values come in; nothing is read from anywhere.
"""

from collections.abc import Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from controller import VERSION
from controller.core.contract import TERMINAL, Phase, Reason
from controller.core.snapshot import Ownership
from controller.telemetry.labels import (
    EXPORT_OUTCOMES,
    FINISHED,
    LOG_OUTCOMES,
    OTHER,
    OUTCOMES,
    RESOURCES,
    RESTARTS,
    Words,
)

_LATENCY: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """All metrics. One instance a process; tests make their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it unannotated
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._define_runs()
        self._define_work()
        self._define_api()
        self._define_logs()
        self._define_exports()
        self._define_controller()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The scrape and its content type; OpenMetrics if `accept`, an HTTP Accept header, asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    # Runs

    def _define_runs(self) -> None:
        self._runs = self._gauge("runs", "Runs that are known, by phase.", "phase")
        self._finished = self._counter(
            "runs_finished", "Runs that reached a terminal phase.", "phase", "reason"
        )
        self._admissions = self._counter("admissions", "Runs admitted: their Jobs were unsuspended.")
        self._stops = self._counter("stops", "Runs stopped by us, by the reason given on the Job.", "reason")
        self._strays = self._gauge("stray_pods", "Pods with our labels of which no Job is known.")
        self._owned = self._counter(
            "owned_objects", "Secrets and ConfigMaps of runs that were asked for, by answer.", "answer"
        )
        for answer in Ownership:
            self._owned.labels(answer)
        self._stored = self._counter(
            "results_stored", "Results too big for their annotation, put into a ConfigMap.", "outcome"
        )
        for outcome in ("stored", "refused"):
            self._stored.labels(outcome)
        self._squeezed = self._counter(
            "writes_squeezed",
            "Patches of Jobs that were cut because the annotations are full, before or after a refusal.",
            "when",
        )
        for when in ("planned", "refused"):
            self._squeezed.labels(when)
        self._phases, self._reasons = Words(sorted(TERMINAL)), Words(Reason)
        for phase in Phase:
            self._runs.labels(phase)
        for ended, reasons in FINISHED.items():
            for reason in reasons:
                self._finished.labels(ended, reason)

    def runs_by_phase(self, runs: Mapping[str, int]) -> None:
        """How many runs are in each phase now; phases that are left out have none."""
        for phase in Phase:
            self._runs.labels(phase).set(runs.get(phase, 0))

    def strays_are(self, pods: int) -> None:
        """So many pods belong to no known Job."""
        self._strays.set(pods)

    def run_finished(self, phase: str, reason: str) -> None:
        """A run was given its terminal phase."""
        self._finished.labels(self._phases.bound(phase), self._reasons.bound(reason)).inc()

    def run_admitted(self) -> None:
        """A Job was unsuspended."""
        self._admissions.inc()

    def run_stopped(self, reason: str) -> None:
        """A Job was asked to end."""
        self._stops.labels(self._reasons.bound(reason)).inc()

    def object_owned(self, answer: str) -> None:
        """A Secret or ConfigMap of a run was asked for; see Ownership."""
        self._owned.labels(answer).inc()

    def result_stored(self, outcome: str) -> None:
        """A ConfigMap for the whole of a result was `stored` or `refused`."""
        self._stored.labels(outcome).inc()

    def write_squeezed(self, when: str) -> None:
        """A patch was cut as it was `planned`, or `refused` as too large."""
        self._squeezed.labels(when).inc()

    # Work

    def _define_work(self) -> None:
        self._lag = self._histogram(
            "event_lag_seconds", "From a watch event's arrival to its slot's reconcile."
        )
        self._depth = self._gauge("queue_depth", "Slots waiting for a worker.")
        self._latency = self._histogram("queue_latency_seconds", "How long a slot waited for a worker.")
        self._work = self._histogram("work_duration_seconds", "How long one round of a slot took.")
        self._rounds = self._counter("reconciles", "Rounds of a slot, by outcome.", "outcome")
        self._outcomes = Words(OUTCOMES, 24)
        for outcome in OUTCOMES:
            self._rounds.labels(outcome)

    def event_handled(self, seconds: float) -> None:
        """A watch event has been reconciled, `seconds` after it was received."""
        self._lag.observe(max(0.0, seconds))

    def queue_is(self, depth: int) -> None:
        """So many slots wait."""
        self._depth.set(depth)

    def work_began(self, waited_seconds: float) -> None:
        """A worker took a slot that had been due for so long."""
        self._latency.observe(max(0.0, waited_seconds))

    def work_ended(self, outcome: str, seconds: float) -> None:
        """A round of a slot ended; see OUTCOMES."""
        self._work.observe(max(0.0, seconds))
        self._rounds.labels(self._outcomes.bound(outcome)).inc()

    # Kubernetes

    def _define_api(self) -> None:
        self._calls = self._counter("api_calls", "Calls of the API server.", "verb", "resource", "code")
        self._call_time = self._histogram("api_call_duration_seconds", "Time to the end of a call.", "verb")
        self._stale = self._gauge("watch_staleness_seconds", "Since a watch was last heard of.", "resource")
        self._watches = self._counter("watch_restarts", "Watches begun again.", "resource", "what")
        self._odd = self._counter("odd_input", "Labels, annotations or fields of a wrong shape.", "where")
        self._unreadable = self._counter("unreadable_objects", "Objects that could not be read.", "kind")
        self._verbs, self._resources, self._codes = Words(limit=16), Words(RESOURCES, 16), Words(limit=64)
        self._whats, self._wheres, self._kinds = Words(RESTARTS), Words(limit=64), Words(limit=16)
        for resource in RESOURCES:
            self._stale.labels(resource)
            for what in RESTARTS:
                self._watches.labels(resource, what)

    def api_call(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """One call has ended, with this HTTP status (0: there was none), after so many seconds."""
        bounded = self._verbs.bound(verb)
        self._calls.labels(bounded, self._resources.bound(resource), self._codes.bound(str(code))).inc()
        self._call_time.labels(bounded).observe(max(0.0, seconds))

    def watch_silent(self, resource: str, seconds: float) -> None:
        """The watch of this resource was last heard of so many seconds ago."""
        self._stale.labels(self._resources.bound(resource)).set(seconds)

    def watch_restarted(self, resource: str, what: str) -> None:
        """A watch began again: `relist` or `reconnect`."""
        self._watches.labels(self._resources.bound(resource), self._whats.bound(what)).inc()

    def odd_input(self, where: str) -> None:
        """Something on an object had the wrong shape and was ignored."""
        self._odd.labels(self._wheres.bound(where)).inc()

    def object_unreadable(self, kind: str) -> None:
        """An object could not be read at all."""
        self._unreadable.labels(self._kinds.bound(kind)).inc()

    # Logs

    def _define_logs(self) -> None:
        self._streams = self._gauge("log_streams", "Log streams open.")
        self._logs_waiting = self._gauge("logs_waiting", "Logs without a stream, read now and then.")
        self._lines = self._counter("log_lines", "Log lines read.")
        self._bytes = self._counter("log_bytes", "Bytes of log read.")
        self._reads = self._counter("log_reads", "Reads of a log that ended.", "outcome")
        self._read_outcomes = Words(LOG_OUTCOMES, 24)
        for outcome in LOG_OUTCOMES:
            self._reads.labels(outcome)

    def log_streams_are(self, streams: int) -> None:
        """So many logs are being followed."""
        self._streams.set(streams)

    def logs_waiting_are(self, logs: int) -> None:
        """So many logs are beyond the budget of streams."""
        self._logs_waiting.set(logs)

    def log_read(self, lines: int, size: int) -> None:
        """Lines and bytes came from a log."""
        self._lines.inc(lines)
        self._bytes.inc(size)

    def log_ended(self, outcome: str) -> None:
        """A read of a log ended; see LOG_OUTCOMES."""
        self._reads.labels(self._read_outcomes.bound(outcome)).inc()

    # Traces and Events

    def _define_exports(self) -> None:
        self._exports = self._counter("trace_exports", "Tries to hand a trace to the collector.", "outcome")
        self._spans = self._counter("trace_spans", "Spans that the collector has accepted.")
        self._export_time = self._histogram("trace_export_duration_seconds", "Time of one try.")
        self._traces = self._gauge("traces_waiting", "Traces that the collector has not accepted yet.")
        self._events = self._counter("events", "Events on Jobs, by outcome.", "outcome")
        self._event_lists = self._counter("event_lists", "Lists of Events about pods, by outcome.", "outcome")
        for outcome in ("read", "refused", "failed"):
            self._event_lists.labels(outcome)
        for outcome in EXPORT_OUTCOMES:
            self._exports.labels(outcome)
        for outcome in ("told", "failed"):
            self._events.labels(outcome)

    def trace_export(self, outcome: str, seconds: float, spans: int) -> None:
        """One try of a trace ended; see EXPORT_OUTCOMES. Only real tries have a duration."""
        self._exports.labels(outcome if outcome in EXPORT_OUTCOMES else OTHER).inc()
        if outcome in ("accepted", "failed"):
            self._export_time.observe(max(0.0, seconds))
        if outcome == "accepted":
            self._spans.inc(spans)

    def traces_waiting_are(self, traces: int) -> None:
        """So many traces wait."""
        self._traces.set(traces)

    def event_told(self) -> None:
        """An Event was put on a Job."""
        self._events.labels("told").inc()

    def event_failed(self) -> None:
        """An Event could not be put on a Job."""
        self._events.labels("failed").inc()

    def events_listed(self, outcome: str) -> None:
        """The Events about a pod were asked for: `read`, `refused` or `failed`."""
        self._event_lists.labels(outcome).inc()

    # The controller itself

    def _define_controller(self) -> None:
        self._lease = self._gauge("lease_held", "1 while this process may act.")
        self._build = self._gauge("build_info", "Always 1; the version is a label.", "version")
        self._build.labels(VERSION).set(1)

    def lease_is(self, *, held: bool) -> None:
        """This process leads, or does not."""
        self._lease.set(1 if held else 0)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"runherd_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"runherd_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"runherd_{name}", text, labels, registry=self.registry, buckets=_LATENCY)
