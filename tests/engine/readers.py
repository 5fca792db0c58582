"""A log follower on a cluster without kubelet: pods whose containers start, write and end as told."""

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress

from controller.core.actions import FollowLog
from controller.core.transcript import LogState
from controller.engine.log_follower import LogFollower

SECONDS = 15.0
STARTED = "2026-01-01T00:00:00Z"
ENDED = "2026-01-01T00:01:00Z"


class Seen:
    """What a follower says, and a way to wait for it."""

    def __init__(self):
        self.logs = {}
        self.streams = self.most_streams = self.lines = self.waiting = self.said = 0
        self.reads = Counter()
        self.failures = []
        self._changed = asyncio.Event()

    def publish(self, job_uid, log):
        self.logs[job_uid, log.pod_uid] = log
        self.said += 1
        self._changed.set()

    # The observer's side.

    def log_stream(self, change):
        self.streams += change
        self.most_streams = max(self.streams, self.most_streams)
        self._changed.set()

    def log_read(self, outcome):
        self.reads[outcome] += 1
        self._changed.set()

    def log_lines(self, lines, _size, _newest):
        self.lines += lines
        self._changed.set()

    def log_failed(self, action, error):
        self.failures.append((action.pod, error))
        self._changed.set()

    def logs_waiting(self, count):
        self.waiting = count
        self._changed.set()

    # The test's side.

    async def until(self, holds):
        async with asyncio.timeout(SECONDS):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def of(self, pod):
        return next((log for (job, _), log in self.logs.items() if job == f"job-{pod}"), None)

    def state(self, pod="pod"):
        log = self.of(pod)
        return log.state if log else None

    async def end_of(self, pod="pod"):
        await self.until(lambda: self.state(pod) not in (None, LogState.READING))
        return self.of(pod)


class Pods:
    """The pods of a test."""

    def __init__(self, cluster):
        self._cluster = cluster

    def start(self, name="pod", names=("claude",)):
        self.create(name, names=names)
        self._status(name, "Running", {"running": {"startedAt": STARTED}}, names)

    def create(self, name="pod", node="fake-node", names=("claude",)):
        spec = {"nodeName": node} if node else {}
        spec["containers"] = [{"name": container, "image": "x"} for container in names]
        self._cluster.create("pods", {"metadata": {"namespace": "default", "name": name}, "spec": spec})

    def run(self, name="pod"):
        self._status(name, "Running", {"running": {"startedAt": STARTED}})

    def write(self, *lines, name="pod", container="claude", **when):
        for line in lines:
            self._cluster.append_log("default", name, container, line, **when)

    def end(self, name="pod", code=0):
        ended = {"exitCode": code, "reason": "Completed", "startedAt": STARTED, "finishedAt": ENDED}
        self._status(name, "Succeeded", {"terminated": ended})

    def delete(self, name="pod"):
        self._cluster.delete("pods", "default", name, gracePeriodSeconds=0)

    def _status(self, name, phase, state, names=("claude",)):
        told = {"ready": False, "restartCount": 0, "image": "x", "imageID": "x", "state": state}
        statuses = [{"name": container} | told for container in names]
        patch = {"status": {"phase": phase, "containerStatuses": statuses}}
        self._cluster.patch("pods", "default", name, patch, subresource="status")

    def follow(self, name="pod", *, ended=False, output="text"):
        """What a plan asks for."""
        found = self._cluster.get("pods", "default", name)
        uid = found["metadata"]["uid"] if found else f"uid-{name}"
        return FollowLog("default", name, uid, f"job-{name}", "claude", output, ended)


@asynccontextmanager
async def following(kube, streams=500):
    """A follower at work, and what it says."""
    seen = Seen()
    follower = LogFollower(kube, seen.publish, seen, random.Random(1), streams=streams)
    task = asyncio.ensure_future(follower.run())
    await asyncio.sleep(0)  # its task group is open
    try:
        yield follower, seen
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
