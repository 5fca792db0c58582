"""What has been found out about runs beyond their Jobs and the pods that are there. It decides nothing.

Owns the logs as far as they have been read, when pods were listed, whose objects are, what Events said, how
pods that are gone were last seen (a kubelet removes a pod right after its last word), and what the API server
found too large or would not keep, which spans have been told. Kept until the run is settled.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from controller.core.model import Owned, Pod, PodEvent
from controller.core.room import AGAIN_SECONDS, LEVELS
from controller.core.rules.concluding import STORE_SECONDS
from controller.core.snapshot import Asked, Cramped, Heard, Ownership, Unkept
from controller.core.transcript import AttemptLog, LogState
from controller.engine.span_budget import SpanBudget

_GONE_MOST: Final = 8
"""So many pods that are gone are remembered of a run; the facts on its Job know of older ones."""
_HEARD_MOST: Final = 8
"""Of so many pods of a run Events are remembered, those asked for last."""


class Found(NamedTuple):
    """What the API server said of an object of a run, which it was asked at that monotonic second."""

    owned: Owned
    ownership: Ownership
    mono: float


class EventsRead(NamedTuple):
    """What came of a list of Events about a pod, or about the Job itself; `mono`: when it was asked for."""

    about: str
    """Uid of the pod, or of the Job."""
    events: tuple[PodEvent, ...] | None
    """None: there was no answer."""
    mono: float
    started: bool
    """The agent had started."""
    refused: bool


class NotKept(NamedTuple):
    """The whole of a result could not be put into its ConfigMap, as was known at that monotonic second."""

    why: str
    final: bool
    mono: float


class TooBig(NamedTuple):
    """The API server found a patch of the Job too large at that monotonic second."""

    mono: float


class Told(NamedTuple):
    """These spans of the run have been handed over to the exporter."""

    ids: tuple[str, ...]


Finding = Found | EventsRead | NotKept | TooBig | Told
"""What may be found out about one run by asking for it."""


class Findings:
    """By uid of the Job."""

    def __init__(self, spans: int) -> None:
        self.spans = SpanBudget(spans)
        self._logs: dict[str, dict[str, AttemptLog]] = {}
        self._read_at: dict[str, float] = {}
        self._owned: dict[str, dict[Owned, Asked]] = {}
        self._gone: dict[str, tuple[Pod, ...]] = {}
        self._heard: dict[str, dict[str, Heard]] = {}
        self._unkept: dict[str, Unkept] = {}
        self._cramped: dict[str, Cramped] = {}

    def put_log(self, job_uid: str, log: AttemptLog) -> None:
        """How far the log of one of its pods has been read. Of one that has ended nobody knows more later."""
        logs = self._logs.setdefault(job_uid, {})
        known = logs.get(log.pod_uid)
        if known is None or known.state is LogState.READING or log.restarts > known.restarts:
            logs[log.pod_uid] = log
            self.spans.put_logs(job_uid, logs.values())

    def logs(self, job_uid: str) -> tuple[AttemptLog, ...]:
        """Those of all its pods."""
        return tuple(self._logs.get(job_uid, {}).values())

    def put_read(self, job_uid: str, mono: float) -> None:
        """Its pods were listed at that second."""
        self._read_at[job_uid] = mono

    def read_at(self, job_uid: str) -> float | None:
        """When they were listed last, None if never."""
        return self._read_at.get(job_uid)

    def put(self, job_uid: str, finding: Finding) -> bool:
        """What came of an action of a plan. Whether something else is to be done about the run at once."""
        match finding:
            case Found(owned, ownership, mono):
                answers = self._owned.get(job_uid, {})
                tries = answers[owned].tries + 1 if owned in answers else 1
                self._owned[job_uid] = {**answers, owned: Asked(ownership, mono, tries)}
            case EventsRead():
                self._hear(job_uid, finding)
            case NotKept(why, final, mono):
                known = self._unkept.get(job_uid)
                since = known.since if known else mono
                self._unkept[job_uid] = Unkept(why, since, mono, final)
                return final or mono >= since + STORE_SECONDS
            case TooBig(mono):
                before = self._cramped.get(job_uid)
                level = before.level if before and mono < before.at + AGAIN_SECONDS else 0
                self._cramped[job_uid] = Cramped(min(level + 1, LEVELS), mono)
                return level < LEVELS
            case Told(ids):
                self.spans.put_told(job_uid, ids)
                return False
        return True

    def _hear(self, job_uid: str, read: EventsRead) -> None:
        others = dict(self._heard.get(job_uid, {}))
        before = others.pop(read.about, None)
        events = (before.events if before else ()) if read.events is None else read.events
        tries = before.tries + 1 if before else 1
        heard = {**others, read.about: Heard(events, read.mono, tries, read.started, read.refused)}
        self._heard[job_uid] = dict(list(heard.items())[-_HEARD_MOST:])

    def heard(self, job_uid: str) -> Mapping[str, Heard]:
        """What Events have said, by uid of the pod or of the Job itself."""
        return self._heard.get(job_uid, {})

    def owned(self, job_uid: str) -> Mapping[Owned, Asked]:
        """What is known of its objects."""
        return self._owned.get(job_uid, {})

    def unkept(self, job_uid: str) -> Unkept | None:
        """That the whole of its result could not be kept, if so."""
        return self._unkept.get(job_uid)

    def cramped(self, job_uid: str) -> Cramped | None:
        """That there is less room on its Job than there seems to be, if so."""
        return self._cramped.get(job_uid)

    def put_gone(self, pod: Pod) -> None:
        """One of its pods is not there any more; this is how it was last seen."""
        others = (known for known in self._gone.get(pod.job_uid, ()) if known.uid != pod.uid)
        self._gone[pod.job_uid] = (*others, pod)[-_GONE_MOST:]

    def gone(self, job_uid: str) -> tuple[Pod, ...]:
        """Its pods that are gone, as they were last seen."""
        return self._gone.get(job_uid, ())

    def forget(self, job_uid: str) -> None:
        """Nothing of it is needed any more."""
        for found in (self._logs, self._read_at, self._owned, self._gone, self._heard):
            found.pop(job_uid, None)
        for told in (self._unkept, self._cramped):
            told.pop(job_uid, None)
        self.spans.forget(job_uid)
