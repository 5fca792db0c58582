"""What passes between the controller and Kubernetes: calls, watches, odd objects, Events, logs."""

from controller.telemetry import labels
from controller.telemetry.families import About, Families


class ClusterNumbers:
    """The API server, seen from here."""

    def __init__(self, families: Families) -> None:
        self._define_calls(families.about("Kubernetes"))
        self._define_objects(families)

    def _define_calls(self, families: Families) -> None:
        self._calls = families.counter(
            "api_calls",
            About(
                "Calls of the API server that have ended.",
                "4 to 5 patches a run are normal. 403: a right is missing. 409 in numbers: two controllers.",
            ),
            labels.VERB,
            labels.CALLED,
            labels.CODE,
        )
        self._call_time = families.histogram(
            "api_call_duration_seconds",
            About("From a call to the end of its answer's head.", "patch p99 over a second: a slow server."),
            labels.VERB,
        )
        self._throttled = families.counter(
            "api_throttled",
            About("Calls that the API server answered with 429.", "It asks to be left alone, and is."),
        )
        self._stale = families.gauge(
            "watch_staleness_seconds",
            About(
                "Since a watch was last heard of.",
                "Bookmarks come every minute. From 90 s on nothing is admitted, stopped or concluded.",
            ),
            labels.RESOURCE,
        )
        self._watches = families.counter(
            "watch_restarts",
            About(
                "Lists and watches begun again, by what and why.",
                "list: one a start. relist: a version had expired. reconnect: every few minutes.",
            ),
            labels.RESOURCE,
            labels.RESTART,
        )

    def _define_objects(self, families: Families) -> None:
        self._odd = families.counter(
            "odd_input",
            About(
                "Labels, annotations or fields of a wrong shape, which were ignored.",
                "Hosts that write something else than the contract says.",
            ),
            labels.WHERE,
        )
        self._unreadable = families.counter(
            "unreadable_objects",
            About("Objects that could not be read at all, and are left alone.", "Any is worth a report."),
            labels.KIND,
        )
        self._events = families.counter(
            "events",
            About("Events on Jobs.", "failed: only `kubectl describe` is poorer for it."),
            labels.TOLD,
        )
        self._event_lists = families.counter(
            "event_lists",
            About(
                "Lists of Events about pods.",
                "refused: the role lacks `list` on Events; messages of slow starts are poorer.",
            ),
            labels.LISTED,
        )

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """One call has ended, with this HTTP status (0: there was none), after so many seconds."""
        self._calls.at(verb, resource, str(code)).inc()
        self._call_time.at(verb).observe(max(0.0, seconds))
        if code == 429:
            self._throttled.at().inc()

    def watch_silent(self, resource: str, seconds: float) -> None:
        """The watch of this resource was last heard of so many seconds ago."""
        self._stale.at(resource).set(seconds)

    def watch_restarted(self, resource: str, what: str) -> None:
        """A watch began again; see `labels.RESTARTS`."""
        self._watches.at(resource, what).inc()

    def odd_input(self, where: str) -> None:
        """Something on an object had the wrong shape and was ignored."""
        self._odd.at(where).inc()

    def object_unreadable(self, kind: str) -> None:
        """An object could not be read at all."""
        self._unreadable.at(kind).inc()

    def event(self, outcome: str) -> None:
        """An Event was put on a Job (`told`), or could not be (`failed`)."""
        self._events.at(outcome).inc()

    def events_listed(self, outcome: str) -> None:
        """The Events about a pod were asked for: `read`, `refused` or `failed`."""
        self._event_lists.at(outcome).inc()


class LogNumbers:
    """Logs of agents, as they are read."""

    def __init__(self, families: Families) -> None:
        families.about("Logs")
        self._streams = families.gauge(
            "log_streams", About("Log streams open.", "At config.logStreams further logs are read in turns.")
        )
        self._waiting = families.gauge(
            "logs_waiting",
            About("Logs without a stream, read now and then.", "Progress of their runs is seconds late."),
        )
        self._lines = families.counter("log_lines", About("Log lines read."))
        self._bytes = families.counter(
            "log_bytes",
            About("Bytes of log read.", "After a restart, logs are read again from their beginning."),
        )
        self._lag = families.histogram(
            "log_lag_seconds",
            About(
                "Age of the newest line of each batch when it was read, by the node's clock against ours.",
                "High after a restart, while logs are read again; else nodes' clocks, or too few streams.",
            ),
        )
        self._reads = families.counter(
            "log_reads",
            About(
                "Reads of a log that ended, by outcome.",
                "unavailable: kubelets out of reach. refused: the role lacks `get` on pods/log.",
            ),
            labels.READ,
        )

    def streams_are(self, streams: int) -> None:
        """So many logs are being followed."""
        self._streams.at().set(streams)

    def waiting_are(self, logs: int) -> None:
        """So many logs are beyond the budget of streams."""
        self._waiting.at().set(logs)

    def read(self, lines: int, size: int, lag_seconds: float) -> None:
        """Lines and bytes came from a log, the newest of them so old."""
        self._lines.at().inc(lines)
        self._bytes.at().inc(size)
        self._lag.at().observe(max(0.0, lag_seconds))

    def ended(self, outcome: str) -> None:
        """A read of a log ended; see `labels.LOG_OUTCOMES`."""
        self._reads.at(outcome).inc()
