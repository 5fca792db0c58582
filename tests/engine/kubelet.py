"""Logs in virtual time: what containers have written, and a kubelet that serves it as it is told to."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress

from controller.core import contract
from controller.core.actions import FollowLog
from controller.engine.log_follower import LogFollower
from controller.kube import errors
from tests.engine.readers import Seen

START = 1_767_225_600 * contract.SECOND  # 2026-01-01T00:00:00Z


class Read:
    """One connection, and what became of it."""

    def __init__(self, pod, since, *, follow):
        self.pod, self.follow, self.since = pod, follow, since
        self.began = asyncio.get_running_loop().time()
        self.over = False


class Kubelet:
    """Stands for `Kube.log`. Each line is written at the loop's time, in nanoseconds after START."""

    def __init__(self):
        self.lines = {}
        self.reads = []
        self.trouble = lambda _read: None
        """Called before a connection opens; what it raises, the reader gets."""
        self.deaf = set()
        """Pods whose streams are open and say nothing."""
        self.latency = 0.0
        self.chunk = 1 << 16
        self.open = self.most = 0
        self._written = {}
        self._ended = set()
        self._cuts = 0

    # The world.

    def start(self, *pods):
        for pod in pods:
            self.lines[pod] = []
            self._written[pod] = asyncio.Event()

    def write(self, pod, *lines):
        at = START + int(asyncio.get_running_loop().time() * contract.SECOND)
        self.lines[pod] += [(at + number, line) for number, line in enumerate(lines)]
        self._stir(pod)

    def end(self, pod):
        self._ended.add(pod)
        self._stir(pod)

    def cut(self):
        """Every stream that is open breaks."""
        self._cuts += 1
        for pod in self.lines:
            self._stir(pod)

    def _stir(self, pod):
        self._written[pod].set()
        self._written[pod] = asyncio.Event()

    # What the reader asks.

    async def log(self, _namespace, pod, _container, *, follow, since=""):
        read = Read(pod, since, follow=follow)
        self.reads.append(read)
        self.open += 1
        self.most = max(self.open, self.most)
        try:
            await asyncio.sleep(self.latency)
            self.trouble(read)
            yield b""
            begin = contract.instant(since) if since else 0
            cuts = self._cuts
            sent = next((n for n, (at, _) in enumerate(self.lines[pod]) if at >= begin), len(self.lines[pod]))
            while True:
                ended, written = pod in self._ended, self._written[pod]
                if cuts != self._cuts:
                    raise errors.Unavailable("cut")
                if not (follow and pod in self.deaf):
                    body = b"".join(_record(*line) for line in self.lines[pod][sent:])
                    sent = len(self.lines[pod])
                    for start in range(0, len(body), self.chunk):
                        yield body[start : start + self.chunk]
                if ended or not follow:
                    return
                await written.wait()
        finally:
            self.open -= 1
            read.over = True

    # What a test asks.

    def of(self, pod):
        return [read for read in self.reads if read.pod == pod]

    def streams(self):
        return {read.pod for read in self.reads if read.follow and not read.over}


def _record(at, line):
    return f"{contract.rfc3339(at)[:-1]}.{at % contract.SECOND:09d}Z ".encode() + line + b"\n"


def wanted(pod, **more):
    """What a plan asks for."""
    return FollowLog("ns", pod, f"uid-{pod}", f"job-{pod}", "claude", "text", **more)


@asynccontextmanager
async def followed(kubelet, streams=500, clock=None):
    """A follower at work, and what it says. Times are the loop's, if no clock says otherwise."""
    seen = Seen()
    clock = clock or asyncio.get_running_loop().time
    follower = LogFollower(kubelet, seen.publish, seen, random.Random(1), streams=streams, clock=clock)
    task = asyncio.ensure_future(follower.run())
    await asyncio.sleep(0)
    try:
        yield follower, seen
        assert not task.done(), task.exception()
        assert not seen.failures
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
