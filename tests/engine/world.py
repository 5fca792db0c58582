"""The engine's loops on a cluster in memory, in virtual time: real store, queue and decisions.

`Cluster` stands for the API server and `kube/writer` together; `trouble` and `lost` are raised before and
after a call has taken effect.
"""

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from controller.core.actions import PatchJob, Presence, TellJob
from controller.core.contract import SECOND, Keys
from controller.core.model import Now
from controller.core.parse import Parser
from controller.core.snapshot import Ownership, Policy
from controller.engine import loops
from controller.engine.parts import Parts
from controller.engine.queue import WorkQueue
from controller.engine.store import Store
from controller.kube import errors
from controller.kube.adoption import Adopted
from controller.kube.informer import Gone, Synced, Upsert
from controller.kube.writer import _merge_patch
from tests.core.builders import NOON, job_json, pod_json, raw, uid_of

PARSER = Parser(Keys())


def merged(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def _said(action):
    return action.job_uid, action.reason, action.note


class Cluster:
    """Jobs by uid, as JSON; every write is remembered."""

    def __init__(self):
        self.jobs = {}
        self.pods = {}
        self.patches = []
        self.stored = {}
        """name -> the StoreResult that made the ConfigMap."""
        self.objects = {}
        """(kind, name) -> what is said of a Secret or ConfigMap; missing if it is not here."""
        self.said = {}
        """Uid of a pod or Job -> Events about it, as JSON."""
        self.told = []
        self.events = {}
        self.calls = []
        self.version = 100
        self.trouble = lambda _action: None
        self.lost = lambda _action: None
        self.slow = 0.0

    def add_job(self, name="run-1", **changes):
        job = merged(job_json(name), changes)
        self._save(job)
        return job

    def add_pod(self, job="run-1", **changes):
        """A pod that no watch shows."""
        pod = {**merged(pod_json(f"{job}-x", job=job), changes), "job": uid_of(job)}
        self.pods[pod["metadata"]["uid"]] = pod
        return pod

    def _save(self, job):
        self.version += 1
        job["metadata"]["resourceVersion"] = str(self.version)
        self.jobs[job["metadata"]["uid"]] = job

    def job(self, name="run-1"):
        return PARSER.job(raw(self.jobs[uid_of(name)]))

    def admissions(self, name="run-1"):
        return [p for p in self.patches if p.name == name and p.spec.get("suspend") is False]

    # The writer's side.

    async def _called(self, action):
        self.calls.append((asyncio.get_running_loop().time(), action))
        if self.slow:
            await asyncio.sleep(self.slow)
        self.trouble(action)

    async def patch_job(self, action):
        await self._called(action)
        job = self.jobs.get(action.job_uid)
        if job is None:
            raise errors.NotFound(action.name)
        if action.version and action.version != job["metadata"]["resourceVersion"]:
            raise errors.Conflict(action.name)
        self.patches.append(action)
        self._save(merged(job, _merge_patch(replace(action, version=""))))
        self.lost(action)
        return raw(self.jobs[action.job_uid])

    async def patch_pod(self, action):
        await self._called(action)
        pod = self.pods.get(action.pod_uid)
        if pod is None:
            raise errors.NotFound(action.name)
        self.version += 1
        pod["metadata"]["labels"] |= action.labels
        pod["metadata"]["annotations"] = merged(pod["metadata"].get("annotations"), dict(action.annotations))
        pod["metadata"]["resourceVersion"] = str(self.version)
        return raw(pod)

    async def own(self, action):
        await self._called(action)
        return self.objects.get((action.kind, action.name), Adopted(Ownership.MISSING))

    async def store(self, action):
        await self._called(action)
        if self.stored.setdefault(action.name, action).sha256 != action.sha256:
            said = f"another version of the result is kept in configmap/{action.name}"
            raise errors.Refused(said, 409, "AlreadyExists")

    async def tell(self, action):
        await self._called(action)
        if _said(action) in self.events:
            return True
        self.events[_said(action)] = 1
        self.told.append(action)
        return False

    async def told_before(self, action):
        await self._called(action)
        return self.events[_said(action)]

    async def tell_again(self, action, count):
        await self._called(action)
        if _said(action) not in self.events:
            raise errors.NotFound(action.name)
        self.events[_said(action)] = count

    async def refresh(self, action):
        await self._called(action)
        job = self.jobs.get(action.job_uid)
        return raw(job) if job else None

    async def pods_of(self, action):
        await self._called(action)
        return [raw(pod) for pod in self.pods.values() if pod["job"] == action.job_uid]

    async def events_of(self, action):
        await self._called(action)
        return [raw(event) for event in self.said.get(action.about, ())]

    async def confirm_gone(self, action):
        await self._called(action)
        pods = [pod for pod in self.pods.values() if pod["job"] == action.job_uid]
        if action.job_uid in self.jobs or any(not PARSER.pod(raw(pod)).ended for pod in pods):
            return Presence.RUNS
        return Presence.ABSENT


class Watch:
    """Stands for an informer: gives the changes that a test puts in."""

    def __init__(self):
        self.synced = True
        self.silence = 0.0
        self._changes = asyncio.Queue()

    def silent_for(self):
        return self.silence

    def give(self, *changes):
        self._changes.put_nowait(changes)

    async def changes(self):
        while True:
            changes = await self._changes.get()
            if any(isinstance(change, Synced) for change in changes):
                self.synced = True
            yield changes


class Told:
    """Remembers what the loops say: (what, about)."""

    def __init__(self):
        self.said = []
        self.outcomes = Counter()

    def __getattr__(self, what):
        return lambda *about: self.said.append((what, *about))

    def reconciled(self, outcome, _seconds):
        self.outcomes[outcome] += 1

    def about(self, what):
        return [entry[1:] for entry in self.said if entry[0] == what]


class Follower:
    """Stands for the log follower: remembers what it was asked."""

    def __init__(self):
        self.followed = []
        self.forgotten = []

    def follow(self, action):
        self.followed.append(action)

    def forget(self, job_uid):
        self.forgotten.append(job_uid)


class Engine:
    """Loops at work."""

    def __init__(self, policy, exporter=None):
        self.cluster, self.told, self.follower = Cluster(), Told(), Follower()
        self.jobs, self.pods = Watch(), Watch()
        self.leads = True
        self.ahead = 0
        """Seconds by which the wall clock goes wrong."""
        queue = WorkQueue(random.Random(1))
        self.parts = Parts(
            store=Store(policy, wake=queue.add),
            queue=queue,
            parser=PARSER,
            writer=self.cluster,
            follower=self.follower,
            exporter=exporter,
            informers=(self.jobs, self.pods),
            policy=policy,
            now=self.now,
            held=lambda: self.leads,
            observer=self.told,
        )

    def now(self):
        mono = asyncio.get_running_loop().time()
        return Now((NOON + self.ahead) * SECOND + int(mono * SECOND), mono)

    def see_job(self, name="run-1", **changes):
        """There is such a Job, and the watch says so."""
        job = self.cluster.add_job(name, **changes)
        self.jobs.give(Upsert(PARSER.job(raw(job)), initial=False))

    def see_again(self, name="run-1", *, initial=False):
        self.jobs.give(Upsert(self.cluster.job(name), initial))

    def lose_job(self, name="run-1"):
        """The Job is deleted, and the watch says so."""
        job = PARSER.job(raw(self.cluster.jobs.pop(uid_of(name))))
        self.jobs.give(Gone(job))

    def see_pod(self, job="run-1", **changes):
        self.pods.give(Upsert(PARSER.pod(raw(merged(pod_json(f"{job}-x", job=job), changes))), initial=False))

    @property
    def writes(self):
        return [action for _, action in self.cluster.calls if isinstance(action, PatchJob | TellJob)]


@asynccontextmanager
async def engine(policy=None, exporter=None, workers=1):
    """All loops run; with no workers a test begins them itself."""
    made = Engine(policy or Policy(), exporter)
    works = [loops.feed(made.parts, made.jobs), loops.feed(made.parts, made.pods)]
    works += [loops.watch_freshness(made.parts), loops.keep_series(made.parts)]
    works += [*(loops.work(made.parts) for _ in range(workers))]
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield made
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
