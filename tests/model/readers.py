"""Stands for the log follower: what agents say reaches the store as the world wants; late, cut, or never."""

from dataclasses import dataclass, field

from controller.core.transcript import AgentLog, AttemptLog, LogState
from controller.engine import loops


@dataclass
class _Reading:
    ended: bool = False
    urgent: bool = False
    restarts: int = 0
    read_at: float | None = None
    read: AgentLog = field(default_factory=AgentLog)


class Readers:
    """The readers of one program."""

    def __init__(self, world, program):
        self._world, self._program = world, program
        self._open = {}
        world.readers.append(self)

    def close(self):
        self._world.readers.remove(self)

    def follow(self, action):
        reading = self._open.setdefault((action.job_uid, action.pod_uid), _Reading())
        reading.restarts = action.restarts
        reading.ended, reading.urgent = reading.ended or action.ended, action.urgent
        key = (action.job_uid, action.pod_uid)
        self._program.soon(self._publish, key, LogState.READING)
        self._program.soon(self._look, key)

    def forget(self, job_uid):
        for key in [key for key in self._open if key[0] == job_uid]:
            del self._open[key]

    def poke(self, pod_uid=None):
        """There is more in a log, or logs can be read again."""
        for key in self._open:
            if pod_uid in (None, key[1]):
                self._program.soon(self._look, key)

    def _look(self, key):
        """Reads what there is; the last read of an ended container says how it went."""
        reading = self._open.get(key)
        if reading is None or self._world.logs_stuck:
            return
        kubelet = self._world.kubelet
        if not kubelet.has_log(key[1]):
            self._finish(key, self._without_end(reading))
            return
        reading.read, reading.read_at = kubelet.words(key[1]), self._program.parts.now().mono
        if reading.ended:
            self._finish(key, LogState.TRUNCATED if self._world.logs_cut else LogState.COMPLETE)
        else:
            self._publish(key, LogState.READING)

    @staticmethod
    def _without_end(reading):
        if reading.read.claim is not None and not reading.read.turn_open:
            return LogState.COMPLETE
        return LogState.TRUNCATED if reading.read.lines else LogState.MISSING

    def _finish(self, key, state):
        self._open[key].ended = True
        self._publish(key, state)
        self._open.pop(key, None)

    def _publish(self, key, state):
        reading = self._open.get(key)
        if reading is not None:
            log = AttemptLog(
                key[1],
                state,
                reading.read,
                streaming=True,
                final=reading.ended,
                urgent=reading.urgent,
                works=not self._world.logs_stuck,
                restarts=reading.restarts,
                read_at=reading.read_at,
            )
            loops.log_news(self._program.parts, key[0], log)
