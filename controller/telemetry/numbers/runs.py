"""Runs: how they stand, how they ended, how long they took. Owns no run; ids never come here."""

from collections.abc import Mapping
from typing import Final

from controller.core.census import Census
from controller.core.contract import Phase
from controller.core.tally import Tally
from controller.telemetry import labels
from controller.telemetry.families import LONG, About, Families

_WAITS: Final = (*LONG, 21600.0, 86400.0)


def _pairs(table: Mapping[Phase, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(phase), str(reason)) for phase, reasons in table.items() for reason in reasons)


class RunNumbers:
    """Runs as a whole."""

    def __init__(self, families: Families) -> None:
        self._define_standings(families.about("Runs"))
        self._define_ends(families)
        self._define_times(families)
        self._define_objects(families)
        self._shown: set[tuple[str, ...]] = set()

    def _define_standings(self, families: Families) -> None:
        self._runs = families.gauge(
            "runs",
            About(
                "Runs that are known, by phase and reason; those that ended as long as their Jobs exist.",
                "Queued/AgentBusy that grows: hosts submit more than agents do. "
                "Starting/ImagePullBackOff and Running/AgentSilent want a person.",
                _pairs(labels.STANDINGS) + _pairs(labels.FINISHED),
            ),
            labels.PHASE,
            labels.REASON,
        )
        self._oldest = families.gauge(
            "oldest_run_age_seconds",
            About(
                "Age of the oldest run in a phase, since its Job was made; 0 if there is none.",
                "Queued: how long somebody waits now. Finishing, long: a log can't be read to its end.",
            ),
            labels.LIVE,
        )
        self._silence = families.gauge(
            "longest_silence_seconds",
            About(
                "Since the last output of the agent that is silent for longest (AgentSilent); 0 if none is.",
                "More than 0: find the run with `kubectl get jobs` and read its log.",
            ),
        )
        self._strays = families.gauge(
            "stray_pods",
            About(
                "Pods with our labels of which no Job is known: each holds a place of its agent.",
                "More than 0 for minutes: a Job was deleted with its pods orphaned.",
            ),
        )

    def _define_ends(self, families: Families) -> None:
        self._finished = families.counter(
            "runs_finished",
            About(
                "Runs that were given their terminal phase, once each.",
                "Failures by reason. A run that was attached to another's Job is not counted: that Job is.",
                _pairs(labels.FINISHED),
            ),
            labels.ENDED,
            labels.REASON,
        )
        self._decisions = families.counter(
            "decisions",
            About(
                "Verdicts on waiting runs that were written on their Jobs.",
                "`admit` is the rate of starts. `block_task_unknown`: hosts that label no task.",
            ),
            labels.DECISION,
        )
        self._stops = families.counter(
            "stops",
            About(
                "Runs that we stopped, by the reason that their end is to have.",
                "Anything but CancelledByHost is work that was lost.",
            ),
            labels.STOPS,
        )
        self._attempts = families.counter(
            "run_attempts",
            About(
                "Pods that ended runs have had.",
                "Much more than runs that ended: pods fail and are made again (backoffLimit).",
            ),
        )

    def _define_times(self, families: Families) -> None:
        self._queued = families.histogram(
            "run_queue_duration_seconds",
            About(
                "From a Job's creation to its start. Observed when the run ends.",
                "p95 that grows: raise a limit, or submit less. For waits now see the age of the oldest run.",
            ),
            buckets=_WAITS,
        )
        self._started = families.histogram(
            "run_start_duration_seconds",
            About(
                "From a Job's start until its agent's container ran. Observed when the run ends.",
                "Over a minute: see the stages.",
            ),
            buckets=LONG,
        )
        self._stages = families.histogram(
            "run_start_stage_duration_seconds",
            About(
                "Parts of the first attempt's start: until it had a node, pulls, until the container ran, "
                "until the agent was ready. Observed when the run ends.",
                "scheduling: full nodes. pulling: images not cached. agent: the agent's own start.",
            ),
            labels.STAGE,
            buckets=LONG,
        )
        self._ran = families.histogram(
            "run_duration_seconds",
            About(
                "From the first start of the agent's container to its last end.",
                "p95 by phase. TimedOut at one value is the hosts' deadline.",
            ),
            labels.RAN,
            buckets=LONG,
        )

    def _define_objects(self, families: Families) -> None:
        self._owned = families.counter(
            "owned_objects",
            About(
                "Secrets and ConfigMaps of runs that were asked for, by answer.",
                "missing: hosts that create them late. forbidden: a role lacks a verb.",
            ),
            labels.ANSWER,
        )
        self._stored = families.counter(
            "results_stored",
            About(
                "Results too big for their annotation, put into a ConfigMap.",
                "refused: what was cut from a result is lost.",
            ),
            labels.STORED,
        )
        self._squeezed = families.counter(
            "writes_squeezed",
            About(
                "Patches of Jobs that were cut because the annotations are full, before or after a refusal.",
                "More than 0: somebody else fills the annotations of Jobs.",
            ),
            labels.SQUEEZED,
        )

    def stand(self, census: Census) -> None:
        """How all runs stand now; what is left out has none."""
        totals: dict[tuple[str, ...], int] = {}
        for (phase, reason), runs in census.standings.items():
            bound = self._runs.bound(phase, reason)
            totals[bound] = totals.get(bound, 0) + runs
        for bound in self._shown - totals.keys():
            self._runs.at(*bound).set(0)
        for bound, runs in totals.items():
            self._runs.at(*bound).set(runs)
        self._shown = set(totals)
        for phase in labels.LIVE.known:
            self._oldest.at(phase).set(census.oldest.get(phase, 0.0))
        self._silence.at().set(census.silence)

    def strays_are(self, pods: int) -> None:
        """So many pods belong to no known Job."""
        self._strays.at().set(pods)

    def finished(self, phase: str, reason: str) -> None:
        """A run was given its terminal phase."""
        self._finished.at(phase, reason).inc()

    def took(self, phase: str, tally: Tally) -> None:
        """The times of a run that has ended in this phase."""
        for family, seconds in ((self._queued, tally.queued), (self._started, tally.started)):
            if seconds is not None:
                family.at().observe(seconds)
        for stage, seconds in tally.stages:
            self._stages.at(stage).observe(seconds)
        if tally.ran is not None:
            self._ran.at(phase).observe(tally.ran)
        self._attempts.at().inc(tally.attempts)

    def decided(self, decision: str) -> None:
        """A verdict on a waiting run was written down."""
        self._decisions.at(decision).inc()

    def stopped(self, reason: str) -> None:
        """A Job was asked to end."""
        self._stops.at(reason).inc()

    def object_owned(self, answer: str) -> None:
        """A Secret or ConfigMap of a run was asked for; see Ownership."""
        self._owned.at(answer).inc()

    def result_stored(self, outcome: str) -> None:
        """A ConfigMap for the whole of a result was `stored` or `refused`."""
        self._stored.at(outcome).inc()

    def write_squeezed(self, when: str) -> None:
        """A patch was cut as it was `planned`, or `refused` as too large."""
        self._squeezed.at(when).inc()
