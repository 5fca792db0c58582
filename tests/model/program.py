"""One controller: the real store, queue, loops, writer and informers, in an event loop of their own.

Only the API, the logs and the collector are stood in for. Nothing of it survives `kill`.
"""

import asyncio
import random
from collections import Counter
from typing import NamedTuple

import msgspec

from controller.core.contract import JOB_UID_LABEL, Keys
from controller.core.model import Now
from controller.core.parse import Parser
from controller.core.snapshot import Export
from controller.engine import loops
from controller.engine.parts import STALE_AFTER_SECONDS, Parts
from controller.engine.queue import WorkQueue
from controller.engine.store import Store
from controller.kube.api import JOBS, PODS
from controller.kube.informer import Informer
from controller.kube.lease import LeaseLost
from controller.kube.writer import Writer
from tests.model.api import Api
from tests.model.readers import Readers
from tests.model.virtual import VirtualLoop

KEYS = Keys()
WORKERS = 2


class Sender(NamedTuple):
    """Who sends a call, and what it could know when it did."""

    program: "Program"
    fresh: bool
    held: bool
    call: object
    document: object


class _Meta(msgspec.Struct):
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815 — Kubernetes' own name
    labels: dict[str, str] = {}


class _Named(msgspec.Struct):
    metadata: _Meta


_NAMED = msgspec.json.Decoder(_Named)


class Watched(Store):
    """The store, which remembers how often each slot was looked at, and what was known then."""

    def __init__(self, policy, program):
        super().__init__(policy)
        self._program = program
        self.looks = Counter()
        self.knew = {}

    def snapshot(self, slot, **known):
        self.looks[slot] += 1
        self.knew[slot] = dict(self._program.known), set(self._program.pods_known)
        return super().snapshot(slot, **known)


class Collector:
    """Where one program's traces go."""

    def __init__(self, world, program):
        self._world, self._program = world, program

    def submit(self, job_uid, tree):
        self._world.traces.setdefault(job_uid, []).append(tree)
        self._try(job_uid)
        return True

    def tell(self, job_uid, part):
        self._world.traces.setdefault(job_uid, []).append(part)
        return True

    def _try(self, job_uid):
        if self._program.dead:
            return
        if not self._world.collects:
            self._world.agenda.after(5.0, self._try, job_uid)
            return
        self._program.soon(loops.export_news, self._program.parts, job_uid, Export.ACCEPTED)


class Complaints:
    """Listens to the loops for what no class of errors foresees."""

    def __init__(self, world):
        self._world = world

    def failed(self, slot, error):
        self._world.complaints.append(f"{slot}: {error!r}")

    def unreadable(self, found):
        self._world.complaints.append(f"unreadable: {found}")

    def __getattr__(self, _what):
        return lambda *_about: None


class Program:
    """A process of the controller."""

    def __init__(self, world, name, *, behind=0):
        self.name = name
        self.dead = self.frozen = False
        self.freeze_at_write = False
        self.die_before = self.die_after = None
        """Number of the write that it will not send, or whose answer it will not see."""
        self.writes = 0
        self.known = {}
        """Newest version that it has been shown of each Job, by uid."""
        self.pods_known = set()
        """Uids of the Jobs of which it has been shown a pod."""
        self._world = world
        self._behind = {"jobs": behind, "pods": behind}
        self._heard = {}
        self.ended_well = set()
        """Kinds whose last watch ended in its turn."""
        self._loop = VirtualLoop(world.clock)
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._elected = asyncio.Event()
        self._thawed = asyncio.Event()
        self.parts = self._wire()
        self._tasks = [self._loop.create_task(work) for work in self._works()]

    def _wire(self):
        api, world = Api(self._world, self), self._world
        parser = Parser(KEYS)
        rng = random.Random(7)
        informers = tuple(
            Informer(
                api,
                resource,
                decode,
                selector=KEYS.agent_id,
                clock=self._loop.time,
                rng=rng,
                observe=lambda _what: None,
            )
            for resource, decode in ((JOBS, parser.job), (PODS, parser.pod))
        )
        self.readers = Readers(world, self)
        return Parts(
            store=Watched(world.policy, self),
            queue=WorkQueue(random.Random(7)),
            parser=parser,
            writer=Writer(api, KEYS, clock_wall=world.cluster.wall, instance=self.name),
            follower=self.readers,
            exporter=Collector(world, self) if world.policy.tracing else None,
            informers=informers,
            policy=world.policy,
            now=lambda: Now(world.cluster.wall(), self._loop.time()),
            held=lambda: world.lease.held(self),
            observer=Complaints(world),
        )

    def _works(self):
        for informer in self.parts.informers:
            yield loops.feed(self.parts, informer)
        yield loops.watch_freshness(self.parts, period=5.0)  # seldom: most of a long silence is its ticks
        yield self._lead()

    async def _lead(self):
        """As `app` does: workers begin when the caches are complete and the lease is ours."""
        await self.parts.synced.wait()
        await self._elected.wait()
        for _ in range(WORKERS):
            self._tasks.append(self._loop.create_task(loops.work(self.parts)))

    # ── Life and death ───────────────────────────────────────────────────────────────────────────

    def elect(self):
        self.soon(self._elected.set)

    def soon(self, call, *arguments):
        """In this program's own loop."""
        if not self.dead:
            self._loop.call_soon(call, *arguments)

    def is_ready(self):
        return not self.frozen and self._loop.is_ready()

    def upcoming(self):
        return float("inf") if self.frozen else self._loop.upcoming()

    def run(self):
        """As long as there is something to be done at this instant; a task that dies ends the process."""
        self._loop.run_until_blocked()
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                if not isinstance(error, LeaseLost):
                    self._world.complaints.append(f"{task.get_coro().__name__} died: {error!r}")
                self._world.kill(self)
                return

    def kill(self):
        """kill -9: what it had in memory is gone."""
        self.dead = True
        self.readers.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_blocked()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def thaw(self):
        self.frozen = self.freeze_at_write = False
        self.soon(self._thawed.set)

    # ── What the API tells ───────────────────────────────────────────────────────────────────────

    def sender(self, call, document):
        return Sender(self, self._is_fresh(), self._world.lease.held(self), call, document)

    def _is_fresh(self):
        now = self._world.clock.now
        heard = [now - self._heard.get(plural, float("-inf")) for plural in ("jobs", "pods")]
        return max(heard) < STALE_AFTER_SECONDS

    async def gate(self):
        """Every write passes here, between the decision and the network."""
        self.writes += 1
        if self.die_before == self.writes:
            self._world.agenda.after(0, self._world.kill, self)
            await asyncio.Future()
        if self.freeze_at_write:
            self._thawed.clear()
            self.frozen = True
            self._loop.stop()
            await self._thawed.wait()

    def has_written(self, _call):
        """A write of ours has taken effect, and the answer is not on its way yet."""
        if self.die_after is not None and self.writes >= self.die_after:
            self._world.kill(self)

    def list_version(self, newest):
        """The version that a list of the watches shows: an old one, if the server lags."""
        oldest = self._world.cluster.storage.oldest
        return max(newest - self._behind["jobs"], oldest)

    def listed(self, plural, page):
        self._behind[plural] = 0
        self._heard[plural] = self._world.clock.now
        self._note(plural, page.items)

    def heard(self, plural, events):
        self._heard[plural] = self._world.clock.now
        self._note(plural, [event.object for event in events if event.type != "BOOKMARK"])

    def _note(self, plural, raws):
        for raw in raws:
            meta = _NAMED.decode(raw).metadata
            if plural == "jobs":
                self.known[meta.uid] = max(self.known.get(meta.uid, 0), int(meta.resourceVersion))
            else:
                self.pods_known.add(meta.labels.get(JOB_UID_LABEL, ""))
