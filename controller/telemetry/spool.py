"""Traces that wait for the collector: bounded, each sent until it is accepted or given up.

Owns the queue and its retries. A trace counts as accepted only after the collector has taken every batch of
it, and of the parts that were told before its end. Small ones that come at once share a request. What it
can't take keeps its place; while the collector itself is the trouble nothing else is tried, and what waits is
kept packed. What it will never take is given up. It decides nothing about runs and never changes a tree.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from controller.core.spantree import SpanTree
from controller.telemetry.answers import ABOUT_ITSELF, Answer, Verdict
from controller.telemetry.call_thread import CallThread, Thread
from controller.telemetry.waiting import BATCH, Sender, Waiting, tried

LINGER_SECONDS: Final = 1.0
"""A trace waits so long for company: a request costs as much as fifty spans."""
BACKOFF_SECONDS: Final = (1.0, 60.0)
"""First and longest wait between two tries."""
CAPACITY_BYTES: Final = 64 * 2**20
"""Of all that waits, by what it takes in memory."""
_NOTED_MOST: Final = 10_000
"""Of so many Jobs something is remembered that happened to their traces."""
_EARLY_SECONDS: Final = 0.001
"""What is due this soon is due: timers fire a little early, and waiting for less than they resolve spins."""


class Tried(NamedTuple):
    """One thing that happened to a trace: `accepted`, `failed`; without a try: `gave_up`, `full`."""

    outcome: str
    spans: int
    seconds: float = 0.0
    """How long the try took, or how long it had waited."""
    answer: Answer | None = None
    """The last one, if there was any."""
    rejected: int = 0
    """Spans that the collector has left out of what it accepted."""


class TraceExporter:
    """Sends one trace at a time, oldest first, its root last: a trace with a root is whole.

    Of a run that goes on at most one part waits: while it does, further spans stay where they are. One that
    fails goes behind those that are due, so that a trace which the collector refuses holds up
    nobody. Everything but the requests themselves runs on the event loop.
    """

    def __init__(  # noqa: PLR0913 — keyword-only wiring: three callbacks, the sender, two limits, two test seams
        self,
        *,
        sender: Sender,
        accepted: Callable[[str], None],
        gave_up: Callable[[str], None],
        observe: Callable[[Tried], None],
        capacity_bytes: int = CAPACITY_BYTES,
        give_up_seconds: float = 3600.0,
        linger_seconds: float = LINGER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        thread: Thread | None = None,
    ) -> None:
        self._sender = sender
        self._accepted = accepted
        self._gave_up = gave_up
        self._observe = observe
        self._capacity_bytes = capacity_bytes
        self._give_up_seconds = give_up_seconds
        self._linger_seconds = linger_seconds
        self._clock = clock
        self._traces: dict[str, Waiting] = {}
        """By uid of the Job; parts by `_part_of` it. In the order in which they came."""
        self._torn: dict[str, None] = {}
        """Jobs of which a part was given up: what comes after it makes no whole trace."""
        self._unheld: dict[str, float] = {}
        """Since when there has been no room for the traces of these Jobs."""
        self._acceptances = 0
        """Requests that the collector has taken: what it refuses before and after one, it does not want."""
        self._added = asyncio.Event()
        self._turn = asyncio.Lock()
        self._thread: Thread = thread or CallThread()
        self._troubles = 0
        """Tries since the collector last worked."""
        self._not_before = 0.0
        """Second of the clock until which it is left alone."""
        self._closed = False
        """Takes no more traces."""
        self._stopped = False
        """Sends no more either."""

    @property
    def waiting(self) -> int:
        """Traces that are neither accepted nor given up."""
        return len(self._traces)

    @property
    def waiting_spans(self) -> int:
        """Spans of those."""
        return sum(trace.spans for trace in self._traces.values())

    @property
    def waiting_bytes(self) -> int:
        """What those take in memory, about."""
        return sum(trace.bytes for trace in self._traces.values())

    def submit(self, job_uid: str, tree: SpanTree) -> bool:
        """Take a trace over, at once. False: there is no room, ask again later.

        A trace of the same Job that is waiting already stays as it is.
        """
        if job_uid in self._traces:
            return True
        now = self._clock()
        if self._is_full() and now - self._unheld.get(job_uid, now) < self._give_up_seconds:
            self._observe(Tried("full", len(tree.spans)))
            _note(self._unheld, job_uid, now)
            return False
        # One that has waited for room too long is taken in all the same, as too old to be sent.
        since = self._unheld.pop(job_uid, now)
        due = now + self._linger_seconds
        self._add(job_uid, Waiting(job_uid, tree, len(tree.spans), since=since, due=due))
        return True

    def tell(self, job_uid: str, part: SpanTree) -> bool:
        """Take spans of a run over that goes on, without its root. False: ask again later.

        They are sent before anything else of that run.
        """
        if self._is_full() or job_uid in self._traces or _part_of(job_uid) in self._traces:
            return False
        now = self._clock()
        due = now + self._linger_seconds
        waiting = Waiting(job_uid, part, len(part.spans), since=now, due=due, last=False)
        self._add(_part_of(job_uid), waiting)
        return True

    def _is_full(self) -> bool:
        return self._closed or self.waiting_bytes >= self._capacity_bytes

    def _add(self, key: str, waiting: Waiting) -> None:
        self._traces[key] = waiting
        self._added.set()

    def _next(self) -> tuple[str, Waiting] | None:
        """What is due first. A look at all: cheap at this capacity, and a cancelled try leaves no trace."""
        ready = ((key, trace) for key, trace in self._traces.items() if self._is_ready(trace))
        return min(ready, key=lambda found: found[1].due, default=None)

    def _is_ready(self, trace: Waiting) -> bool:
        """Nothing of the same run has to go before it, and anything may still go."""
        return not self._stopped and not (trace.last and _part_of(trace.job_uid) in self._traces)

    def _company(self, key: str, first: Waiting) -> dict[str, Waiting]:
        """What goes with it in one request: itself, and others that nothing has happened to, oldest first."""
        found = {key: first}
        room = BATCH - first.spans if first.is_fresh else 0
        for other, trace in self._traces.items():
            if other != key and trace.spans <= room and trace.is_fresh and self._is_ready(trace):
                found[other] = trace
                room -= trace.spans
        return found

    async def run(self) -> None:
        """Export what is submitted, until `drain`."""
        while not self._closed:
            self._added.clear()
            self._expire()
            first = self._next()
            seconds = None if first is None else max(first[1].due, self._not_before) - self._clock()
            if first is not None and seconds is not None and seconds <= _EARLY_SECONDS:
                await self._attempt(first[0])
                continue
            if await self._pack_one():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._added.wait()

    async def drain(self, seconds: float) -> None:
        """Try each waiting trace once more, for at most `seconds`, and close. Takes no more traces.

        If the collector itself is in trouble, one try is enough to know.
        """
        self._closed = True
        self._added.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for key in sorted(self._traces, key=lambda key: self._traces[key].last):
                    await self._attempt(key)
                    if self._troubles:
                        break
        self._stopped = True
        self._sender.shutdown()
        self._thread.end()

    def _expire(self) -> None:
        """Give up what has waited too long, whether or not its turn has come; parts wait for their end."""
        oldest_kept = self._clock() - self._give_up_seconds
        old = [key for key, trace in self._traces.items() if trace.last and trace.since <= oldest_kept]
        for key in old:
            self._traces.pop(_part_of(key), None)
            self._give_up(key)

    def _give_up(self, key: str) -> None:
        trace = self._traces.pop(key)
        self._observe(Tried("gave_up", trace.spans, self._clock() - trace.since, rejected=trace.rejected))
        if trace.last:
            self._torn.pop(trace.job_uid, None)
            self._gave_up(trace.job_uid)
        else:
            _note(self._torn, trace.job_uid, None)

    async def _pack_one(self) -> bool:
        """Whether there was one to pack: what has to wait for the collector."""
        if not self._troubles:
            return False
        loose = next((t for t in self._traces.values() if t.tree is not None and t.packs), None)
        if loose is not None:
            async with self._turn:
                await self._thread.ask(loose.pack)
        return loose is not None

    async def _attempt(self, key: str) -> None:
        async with self._turn:
            trace = self._traces.get(key)
            if trace is None or not self._is_ready(trace):
                return
            company = self._company(key, trace)
            began = self._clock()
            answer: Answer = await self._thread.ask(lambda: tried(self._sender, list(company.values())))
            now = self._clock()
            if self._stopped and not answer.accepted:
                return  # the connection was closed under it, or who knows: whoever comes next sends it again
            self._heed(answer, now)
            if len(company) > 1 and answer.verdict in ABOUT_ITSELF:
                for each in company.values():
                    each.alone, each.due = True, now
                return
            # Of those that only came along nothing is known but that they have been taken.
            for other, each in company.items() if answer.accepted else [(key, trace)]:
                is_whole = not (each.last and each.job_uid in self._torn)
                outcome = ("accepted" if is_whole else "gave_up") if answer.accepted else "failed"
                rejected = each.rejected if answer.accepted else 0  # they are told once, when all is over
                self._observe(Tried(outcome, each.spans, now - began, answer, rejected))
                self._settle(other, each, answer, now)

    def _settle(self, key: str, trace: Waiting, answer: Answer, now: float) -> None:
        """What becomes of a trace that was tried."""
        if answer.accepted:
            self._traces.pop(key, None)
            if trace.last:
                is_whole = trace.job_uid not in self._torn
                self._torn.pop(trace.job_uid, None)
                (self._accepted if is_whole else self._gave_up)(trace.job_uid)
        elif self._is_hopeless(trace, answer) and key in self._traces:
            self._give_up(key)
        else:
            self._put_off(trace, answer, now)

    def _is_hopeless(self, trace: Waiting, answer: Answer) -> bool:
        """Refused again, and others were taken since: at a wrong address, or without a tenant, all are."""
        if answer.verdict not in ABOUT_ITSELF or (answer.verdict is Verdict.TOO_LARGE and trace.batch > 1):
            return False
        if trace.refused_at is None:
            trace.refused_at = self._acceptances
        return self._acceptances > trace.refused_at

    def _put_off(self, trace: Waiting, answer: Answer, now: float) -> None:
        if answer.verdict is Verdict.TOO_LARGE and trace.batch > 1:
            trace.batch = max(1, trace.batch // 2)
            trace.due = now
            return
        trace.failures += 1
        trace.due = now + max(_backoff(trace.failures), answer.wait)

    def _heed(self, answer: Answer, now: float) -> None:
        """A collector that is in trouble itself is asked now and then, whatever waits for it."""
        self._acceptances += answer.accepted
        if answer.accepted or answer.verdict in ABOUT_ITSELF:
            self._troubles, self._not_before = 0, 0.0
            return
        self._troubles += 1
        self._not_before = now + max(_backoff(self._troubles), answer.wait)


def _part_of(job_uid: str) -> str:
    return f"part of {job_uid}"


def _note(noted: dict[str, Any], job_uid: str, what: object) -> None:
    """Remember it of this Job, if not yet; of those that are noted longest it is forgotten."""
    noted.setdefault(job_uid, what)
    while len(noted) > _NOTED_MOST:
        del noted[next(iter(noted))]


def _backoff(failures: int) -> float:
    first, longest = BACKOFF_SECONDS
    ceiling = min(longest, first * 2.0 ** min(failures, 16) / 2)
    return max(first, ceiling * random.uniform(0.5, 1.0))  # noqa: S311 — spreads retries, hides nothing
