"""One log, from its first line to its last, folded as it comes. Lines are never kept.

Owns how a log is read to its end: follow, come back where the stream broke, prove a silent stream alive, and
after the container has ended read once more, so that nothing is missed. Whether a log is needed, and when
waiting for one is given up, is decided in `core`; when it may be read, by `log_turns`.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from controller.core import cursor
from controller.core.actions import FollowLog
from controller.core.agents import fold
from controller.core.transcript import AgentLog, AttemptLog, Checkpoint, LogState
from controller.engine.log_turns import Turn, Turns, Way, Wish
from controller.kube import errors
from controller.kube.api import Kube
from controller.kube.logs import ContainerLog, Line

RETRY_FIRST: Final = 0.2
RETRY_MOST: Final = 10.0
"""Seconds between two tries to read a log that can't be read just now."""

END_NOTICE: Final = 1.0
"""Seconds to wait for word that the container has ended before a stream that ended is opened again."""

COUNTERS_EVERY: Final = 20.0
"""Seconds after which counters are told that are no news themselves: the next heartbeat takes them along."""

SILENT_AFTER_END: Final = 30.0
"""Seconds that a connection may be silent once its container has ended."""

SILENT: Final = 120.0
"""Seconds, a fifth more or less, after which a silent stream must prove that it lives: it is opened anew."""

POLL_SILENT: Final = 10.0
"""Seconds that a short read may be silent: it holds up others."""

CHECK_EVERY: Final = 10.0
"""Seconds between two reads of one log, at least, that were asked for in order to be certain."""

SLICE_SECONDS: Final = 0.01
"""So much of the loop's time a log may take; then it lets it alone for as long as it had it."""


class Observer(Protocol):
    """Told what happens to logs; plain numbers for metrics."""

    def log_stream(self, change: int) -> None:
        """A stream was opened (1) or has ended (-1)."""

    def logs_waiting(self, count: int) -> None:
        """So many logs have no stream now: they are read now and then."""

    def log_read(self, outcome: str) -> None:
        """One connection ended: `ended`, `polled`, or what went wrong (`telemetry.labels.LOG_OUTCOMES`)."""

    def log_lines(self, lines: int, size: int, newest: int) -> None:
        """So many more lines and bytes were folded, the newest of that time (ns, the kubelet's clock)."""

    def log_failed(self, action: FollowLog, error: Exception) -> None:
        """A log could not be folded: a mistake of this program. It is not read any further."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every reader needs. `clock`: monotonic seconds, the one that rules are given."""

    kube: Kube
    publish: Callable[[str, AttemptLog], None]
    observer: Observer
    rng: random.Random
    clock: Callable[[], float]
    turns: Turns
    content: bool
    """What tools are asked and answer is kept for traces."""


class Reader:
    """Reads one log. Whoever asks for it tells it what is known of its container."""

    def __init__(self, action: FollowLog, means: Means) -> None:
        self._action = action
        self._means = means
        self._log = ContainerLog(means.kube, action.namespace, action.pod, action.container)
        self._fold = self._begin(None)
        self._begun = action.begun
        self._wish = Wish(urgent=action.urgent, ended=action.ended, patient=action.patient)
        self._told = asyncio.Event()
        self._said = AttemptLog(action.pod_uid, LogState.READING, self._fold.seen())
        self._said_at = float("-inf")
        self._streaming = self._works = self._unsure = self._resumed = False
        self._read_at: float | None = None
        self._checked = float("-inf")
        self._alarm: tuple[asyncio.Timeout, Way] | None = None
        """Of the connection that is open: when it is given up."""
        self._used = 0.0

    # ── What others say ──────────────────────────────────────────────────────────────────────────

    @property
    def restarts(self) -> int:
        """Of the container whose log it reads."""
        return self._action.restarts

    def tell(self, action: FollowLog) -> None:
        """What is to become of the container. Says once more what has been read: who asks may not have it."""
        wish, before = self._wish, (self._wish.ended, self._wish.urgent)
        wish.ended, wish.urgent = wish.ended or action.ended, action.urgent
        news = before != (wish.ended, wish.urgent)
        if action.check:
            self._unsure = wish.hurried = True
        if news or not action.check or self._read_at != self._said.read_at:
            self._say(LogState.READING)
        if news:
            self._told.set()
        if news or action.check:
            self._means.turns.reconsider(wish)
            self._set_alarm()

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> None:
        """Until everything there is has been read, or it is certain that no more can be had."""
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001 — a poisoned log is told, and holds up no other
            self._means.observer.log_failed(self._action, error)
            self._wish.ended = True
            # This fold is not to be trusted any more: what has been said of it stands.
            self._fold, self._resumed = self._begin(self._said.seen), True
            self._say(LogState.TRUNCATED if self._said.seen.lines else LogState.MISSING)
        finally:
            self._means.turns.leave(self._wish)

    async def _read(self) -> None:
        failures = idle = 0
        while True:
            before = self._fold.seen().lines
            try:
                async with self._means.turns.turn(self._wish) as turn:
                    await self._use(turn)
            except errors.KubeError as error:
                if self._is_last_word(error):
                    if self._begun is not None:
                        self._go_on(self._begun)
                    self._means.observer.log_read("gone")
                    self._finish(self._state_without_end())
                    return
                self._means.observer.log_read(_outcome(error))
                failures += 1
                seconds = _delay(error, failures, self._means.rng)
                # Who asks to be left alone is: no news shortens that.
                await (asyncio.sleep(seconds) if isinstance(error, errors.Throttled) else self._rest(seconds))
                continue
            failures = 0
            idle = idle + 1 if self._fold.seen().lines == before else 0
            self._means.observer.log_read("polled" if turn.way is Way.POLL else "ended")
            if turn.way is Way.LAST:
                lost = self._log.gap or self._fold.seen().headless
                self._finish(LogState.TRUNCATED if lost else LogState.COMPLETE)
                return
            if turn.way.follows and not self._wish.ended:
                # Usually the container has ended too, and word of it is on its way.
                await self._rest(min(END_NOTICE * 2.0 ** min(idle, 10), RETRY_MOST))

    async def _rest(self, seconds: float) -> None:
        """Unless there is news of the container."""
        self._told.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()

    async def _use(self, turn: Turn) -> None:
        """One connection, or for a stream as many as it takes till it ends by itself."""
        if turn.way is Way.POLL and self._said.streaming:
            self._streaming = False
            self._say(LogState.READING)
        if not turn.way.follows:
            await self._read_to_the_present(turn)
            return
        self._means.observer.log_stream(1)
        try:
            while True:
                if self._unsure and self._check_due_in() <= 0:
                    await self._read_to_the_present(turn)
                    self._means.observer.log_read("polled")
                if await self._follow(turn):
                    return
        finally:
            self._means.observer.log_stream(-1)
            self._streaming = False

    async def _read_to_the_present(self, turn: Turn) -> None:
        """All that there is now."""
        began = self._means.clock()
        self._checked = began
        way = Way.POLL if turn.way.follows else turn.way
        if await self._connect(turn, way):
            raise errors.Unavailable("a log that was not followed does not come to its end")
        self._read_at, asked, self._unsure = began, self._unsure, False
        if asked:
            self._say(LogState.READING)

    async def _follow(self, turn: Turn) -> bool:
        """Whether the stream has ended by itself; else it was silent for long, or is to be checked."""
        if not await self._connect(turn, turn.way):
            return True
        if self._wish.ended:
            raise errors.Unavailable("the container has ended, but its log does not")
        self._unsure, self._checked = True, min(self._checked, self._means.clock() - CHECK_EVERY)
        return False

    async def _connect(self, turn: Turn, way: Way) -> bool:
        """One connection; whether it was given up, because nothing came or for a check."""
        opened = False
        try:
            async with self._waiting(way), aclosing(self._batches(way)) as batches:
                async for batch in batches:
                    opened = True
                    turn.heard()
                    self._take(batch, streaming=way.follows)
                    self._set_alarm()
                    await self._let_others()
        except TimeoutError:
            if not way.follows:
                self._fail()
            return True
        except errors.KubeError as error:
            if not opened or isinstance(error, errors.NoLog):
                self._fail()
            raise
        return False

    async def _batches(self, way: Way) -> AsyncGenerator[tuple[Line, ...], None]:
        """First of all it is found out where to begin: the beginning may not be there any more."""
        if self._begun is not None and await self._log.goes_on(self._begun.place):
            self._go_on(self._begun)
        self._begun = None
        async with aclosing(self._log.read(follow=way.follows)) as batches:
            async for batch in batches:
                yield batch

    def _begin(self, seen: AgentLog | None) -> fold.Fold:
        return fold.fold_for(self._action.output, seen, content=self._means.content)

    def _go_on(self, begun: Checkpoint) -> None:
        """Where an earlier process stopped."""
        self._fold, self._resumed = self._begin(begun.seen), True
        self._begun = None

    def _take(self, batch: tuple[Line, ...], *, streaming: bool) -> None:
        """Folds these lines, without a pause: what has been counted as given must not be lost."""
        began, before = self._means.clock(), self._fold.standing()
        for line in batch:
            self._fold.feed(line.at, line.data, line.cut)
        self._works, self._streaming = True, streaming or self._streaming
        size, newest = sum(len(line.data) for line in batch), max((line.at for line in batch), default=0)
        self._means.observer.log_lines(len(batch), size, newest)
        said = self._said
        news = not said.works or (self._streaming and not said.streaming) or self._fold.standing() != before
        if news or began - self._said_at >= COUNTERS_EVERY:
            self._say(LogState.READING)
        self._used += self._means.clock() - began

    async def _let_others(self) -> None:
        """However much comes, no log has more than half of the loop's time, and never much at once."""
        if self._used >= SLICE_SECONDS:
            used, self._used = self._used, 0.0
            await asyncio.sleep(used)

    def _fail(self) -> None:
        self._works = False
        if self._said.works:
            self._say(LogState.READING)

    # ── How long a connection is waited for ──────────────────────────────────────────────────────

    @asynccontextmanager
    async def _waiting(self, way: Way) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as timeout:
            self._alarm = timeout, way
            self._set_alarm()
            try:
                yield
            finally:
                self._alarm = None

    def _set_alarm(self) -> None:
        """So long from the last news."""
        if self._alarm is None or self._alarm[0].expired():
            return
        timeout, way = self._alarm
        timeout.reschedule(asyncio.get_running_loop().time() + self._patience(way))

    def _patience(self, way: Way) -> float:
        if way is Way.POLL:
            return POLL_SILENT
        if way is Way.LAST or self._wish.ended:
            return SILENT_AFTER_END
        seconds = SILENT * self._means.rng.uniform(0.8, 1.2)
        return min(seconds, max(self._check_due_in(), 0.0)) if self._unsure else seconds

    def _check_due_in(self) -> float:
        return self._checked + CHECK_EVERY - self._means.clock()

    # ── What is said ─────────────────────────────────────────────────────────────────────────────

    def _is_last_word(self, error: errors.KubeError) -> bool:
        """The log can't be had any more. While its container runs, a kubelet may find it again."""
        return isinstance(error, errors.LogGone) and (isinstance(error, errors.PodGone) or self._wish.ended)

    def _state_without_end(self) -> LogState:
        """The log went before its end was seen: only the agent's own closing word makes it whole."""
        return cursor.state_without_end(self._fold.seen(), gap=self._log.gap)

    def _finish(self, state: LogState) -> None:
        for line in self._log.finish():
            self._fold.feed(line.at, line.data, line.cut)
        self._streaming = True
        self._wish.ended = True
        self._say(state)

    def _say(self, state: LogState) -> None:
        self._said = AttemptLog(
            self._action.pod_uid,
            state,
            self._fold.seen(),
            streaming=self._streaming,
            final=self._wish.ended,
            urgent=self._wish.urgent,
            works=self._works,
            restarts=self._action.restarts,
            read_at=self._read_at,
            resumed=self._resumed,
            place=self._log.place,
        )
        self._said_at = self._means.clock()
        self._means.publish(self._action.job_uid, self._said)


def _outcome(error: errors.KubeError) -> str:
    match error:
        case errors.NotStarted():
            return "not_started"
        case errors.Throttled():
            return "throttled"
        case errors.Refused() | errors.NotFound():
            return "refused"
        case _:
            return "unavailable"


def _delay(error: errors.KubeError, failures: int, rng: random.Random) -> float:
    """Seconds to wait before the next try; the server's own word counts if it gave one."""
    if isinstance(error, errors.Throttled):
        return error.after + rng.uniform(0.0, 0.5)
    most: float = min(RETRY_FIRST * 2 ** min(failures - 1, 10), RETRY_MOST)
    return rng.uniform(0.5, 1.0) * most
