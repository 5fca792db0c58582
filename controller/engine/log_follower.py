"""Reads the logs that the plans ask for, folds their lines, and puts what they say into the store.

One task a log, within a budget of streams. Lines are folded, never kept. Whether a log is needed, and when
waiting for one is given up, is decided in `core`; here is only how to read one to its end: follow, come back
where the stream broke, and after the container has ended read once more, so that nothing is missed. Logs that
have ended don't wait for those that go on. A log that can't be folded is told, and holds up no other.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Protocol

from controller.core.actions import FollowLog
from controller.core.agents import fold
from controller.core.transcript import AgentLog, AttemptLog, LogState
from controller.kube import errors
from controller.kube.api import Kube
from controller.kube.logs import ContainerLog, Line

_RETRY_FIRST: Final = 0.2
_RETRY_MOST: Final = 10.0
"""Seconds between two tries to read a log that can't be read just now."""

_END_NOTICE: Final = 1.0
"""Seconds to wait for word that the container has ended before a stream that ended is opened again."""

_SILENT_AFTER_END: Final = 30.0
"""Seconds that a stream may be silent once its container has ended; while it runs, silence is normal."""

_LAST_READS: Final = 16
"""Streams beyond the budget, for logs that have ended: they are soon over, and a result waits for them."""


class Observer(Protocol):
    """Told what happens to logs; plain numbers for metrics."""

    def log_stream(self, change: int) -> None:
        """A stream was opened (1) or has ended (-1)."""

    def log_read(self, outcome: str) -> None:
        """One connection ended: `ended`, `not_started`, `gone`, `throttled`, `refused` or `unavailable`."""

    def log_lines(self, lines: int, size: int) -> None:
        """So many more lines and bytes were folded."""

    def log_failed(self, action: FollowLog, error: Exception) -> None:
        """A log could not be folded: a mistake of this program. It is not read any further."""


class LogFollower:
    """Follows logs for as long as its task group lives. `publish(job_uid, log)` is told of every news."""

    def __init__(
        self,
        kube: Kube,
        publish: Callable[[str, AttemptLog], None],
        observer: Observer,
        rng: random.Random,
        streams: int = 500,
    ) -> None:
        self._kube = kube
        self._publish = publish
        self._observer = observer
        self._rng = rng
        self._streams = asyncio.Semaphore(streams)
        self._last_reads = asyncio.Semaphore(_LAST_READS)
        self._readers: dict[tuple[str, str], tuple[_Reader, asyncio.Task[None]]] = {}
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Keeps the readers' task group open. Never ends."""
        async with self._group:
            await asyncio.Event().wait()

    def follow(self, action: FollowLog) -> None:
        """Read this log, or tell its reader that the container has ended. Never waits."""
        key = (action.job_uid, action.pod_uid)
        if key in self._readers:
            reader = self._readers[key][0]
            reader.tell()
        else:
            reader = _Reader(action, self._kube, self._publish, self._observer)
            work = reader.read(self._streams, self._last_reads, self._rng)
            task = self._group.create_task(work, name=f"log {action.pod}")
            self._readers[key] = (reader, task)
            task.add_done_callback(lambda task: self._drop(key, task))
        if action.ended:
            reader.tell_ended()

    def forget(self, job_uid: str) -> None:
        """Nothing about this Job is of interest any more."""
        for key in [key for key in self._readers if key[0] == job_uid]:
            self._readers.pop(key)[1].cancel()

    def _drop(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if key in self._readers and self._readers[key][1] is task:
            del self._readers[key]


class _Reader:
    """One log, from its first line to its last."""

    def __init__(
        self,
        action: FollowLog,
        kube: Kube,
        publish: Callable[[str, AttemptLog], None],
        observer: Observer,
    ) -> None:
        self._action = action
        self._log = ContainerLog(kube, action.namespace, action.pod, action.container)
        self._fold = fold.fold_for(action.output)
        self._publish = publish
        self._observer = observer
        self._seen = AgentLog()
        self._ended = asyncio.Event()
        self._streaming = False
        self._patience: tuple[asyncio.Timeout, float] | None = None
        """What is being waited for, and how many seconds more once the container has ended."""

    def tell(self) -> None:
        """Say once more what has been read: whoever asks has not got it."""
        self._say(LogState.READING)

    def tell_ended(self) -> None:
        """The container has ended: the next end of the log is its last."""
        self._ended.set()
        self._be_impatient()
        self._say(LogState.READING)

    async def read(
        self, streams: asyncio.Semaphore, last_reads: asyncio.Semaphore, rng: random.Random
    ) -> None:
        """Until everything there is has been read, or it is certain that no more can be had."""
        try:
            await self._read(streams, last_reads, rng)
        except Exception as error:  # noqa: BLE001 — a poisoned log is told, and holds up no other
            self._observer.log_failed(self._action, error)
            self._say(LogState.TRUNCATED if self._seen.lines else LogState.MISSING)

    async def _read(
        self, streams: asyncio.Semaphore, last_reads: asyncio.Semaphore, rng: random.Random
    ) -> None:
        failures = idle = 0
        while True:
            before = self._seen.lines
            try:
                async with self._turn(streams, last_reads) as final:
                    await self._read_once(follow=not final)
            except errors.KubeError as error:
                if self._is_last_word(error):
                    self._observer.log_read("gone")
                    self._finish(self._state_without_end())
                    return
                self._observer.log_read(_outcome(error))
                failures += 1
                await asyncio.sleep(_delay(error, failures, rng))
                continue
            failures = 0
            idle = idle + 1 if self._seen.lines == before else 0
            self._observer.log_read("ended")
            if final:
                self._finish(LogState.TRUNCATED if self._log.gap else LogState.COMPLETE)
                return
            await self._wait_ended(min(_END_NOTICE * 2.0 ** min(idle, 10), _RETRY_MOST))

    @asynccontextmanager
    async def _turn(self, streams: asyncio.Semaphore, last_reads: asyncio.Semaphore) -> AsyncIterator[bool]:
        """A stream to read with; whether the container has ended, so that its end is the log's."""
        try:
            async with self._waiting(0.0):
                await streams.acquire()
        except TimeoutError:
            async with last_reads:
                yield True
            return
        try:
            yield self._ended.is_set()
        finally:
            streams.release()

    async def _read_once(self, *, follow: bool) -> None:
        self._observer.log_stream(1)
        try:
            async with self._waiting(_SILENT_AFTER_END), aclosing(self._log.read(follow=follow)) as batches:
                async for batch in batches:
                    self._take(batch)
                    self._be_impatient()
        except TimeoutError as error:
            raise errors.Unavailable("the container has ended, but its log does not") from error
        finally:
            self._observer.log_stream(-1)

    def _take(self, batch: tuple[Line, ...]) -> None:
        before, first = self._seen, not self._streaming
        for line in batch:
            self._fold.feed(line.at, line.data, line.cut)
        self._seen, self._streaming = self._fold.seen(), True
        self._observer.log_lines(len(batch), sum(len(line.data) for line in batch))
        if first or _is_news(before, self._seen):
            self._say(LogState.READING)

    @asynccontextmanager
    async def _waiting(self, seconds: float) -> AsyncIterator[None]:
        """As long as it takes while the container runs; once it has ended, so long from the last news."""
        async with asyncio.timeout(None) as timeout:
            self._patience = timeout, seconds
            self._be_impatient()
            try:
                yield
            finally:
                self._patience = None

    def _be_impatient(self) -> None:
        if self._patience is not None and self._ended.is_set():
            timeout, seconds = self._patience
            if not timeout.expired():
                timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _wait_ended(self, seconds: float) -> None:
        """The stream has ended by itself. Usually the container has too, and word of it is on its way."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return

    def _is_last_word(self, error: errors.KubeError) -> bool:
        """The log can't be had any more. While its container runs, a kubelet may find it again."""
        return isinstance(error, errors.LogGone) and (
            isinstance(error, errors.PodGone) or self._ended.is_set()
        )

    def _state_without_end(self) -> LogState:
        """The log went before its end was seen: only the agent's own closing word makes it whole."""
        seen = self._seen
        if seen.claim is not None and not seen.turn_open and not self._log.gap:
            return LogState.COMPLETE
        return LogState.TRUNCATED if seen.lines else LogState.MISSING

    def _finish(self, state: LogState) -> None:
        for line in self._log.finish():
            self._fold.feed(line.at, line.data, line.cut)
        self._seen, self._streaming = self._fold.seen(), True
        self._ended.set()
        self._say(state)

    def _say(self, state: LogState) -> None:
        log = AttemptLog(self._action.pod_uid, state, self._seen, self._streaming, self._ended.is_set())
        self._publish(self._action.job_uid, log)


def _is_news(before: AgentLog, after: AgentLog) -> bool:
    """What somebody waits for; counters ride along with other writes and wake nobody."""
    return (
        before.session_id != after.session_id
        or before.model != after.model
        or before.claim is not after.claim
        or before.turn_open != after.turn_open
        or before.retrying != after.retrying
        or (before.lines == 0) != (after.lines == 0)
    )


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
    most: float = min(_RETRY_FIRST * 2 ** min(failures - 1, 10), _RETRY_MOST)
    return rng.uniform(0.5, 1.0) * most
