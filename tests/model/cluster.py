"""The cluster without its nodes, on an agenda: storage, validation, Job controller, garbage and TTL.

All of it is `devcluster/fake`, which is held to a real cluster by `devcluster/conformance`; only when each
controller looks is decided here.
"""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import NAMESPACE_OID, uuid5

from devcluster.fake import garbage, jobs, patches
from devcluster.fake.control_loop import ControlLoop
from devcluster.fake.errors import ApiError
from devcluster.fake.faults import Faults
from devcluster.fake.job_view import Backoff
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import JOB
from devcluster.fake.resources import NAMESPACE as NAMESPACES
from devcluster.fake.storage import Storage
from tests.core.builders import NOON
from tests.model.virtual import START
from tests.program.runs import NAMESPACE

HOST = "host"


class OnAgenda(ControlLoop):
    """A control loop whose looks are entries of an agenda."""

    def enqueue(self, key):
        if key not in self._queue:
            self._queue[key] = None
            self.agenda.after(self.lag, self._look, key)

    def enqueue_after(self, key, seconds):
        self.agenda.after(max(seconds, 0), self.enqueue, key)

    def _look(self, key):
        self._queue.pop(key, None)
        self.sync(key)


class Muted:
    """Nobody reads the Events of the cluster's own components here."""

    def record(self, *_about):
        pass


class Jobs(OnAgenda, jobs.JobController):
    def __init__(self, agenda, registry, lag=0.05):
        self.agenda, self.lag = agenda, lag
        super().__init__(registry, Faults(), Backoff())
        self._recorder = Muted()


class Garbage(OnAgenda, garbage.GarbageCollector):
    def __init__(self, agenda, registry):
        self.agenda, self.lag = agenda, 0.1
        super().__init__(registry, Faults())


class Ttl(OnAgenda, garbage.TtlController):
    def __init__(self, agenda, registry):
        self.agenda, self.lag = agenda, 0.0
        super().__init__(registry, Faults())


class Cluster:
    """Objects and who looks after them. Hosts write through it; controllers have an `Api` of their own."""

    def __init__(self, agenda):
        self.agenda = agenda
        uids = count()
        self.storage = Storage()
        self.registry = Registry(
            self.storage, self.time, lambda: str(uuid5(NAMESPACE_OID, f"object {next(uids)}"))
        )
        call = Call(NAMESPACES, "", NAMESPACE, verb="create")
        self.registry.create(call, {"metadata": {"name": NAMESPACE}})
        self.jobs = Jobs(agenda, self.registry)
        Garbage(agenda, self.registry)
        Ttl(agenda, self.registry)

    def wall(self):
        """Nanoseconds since the epoch."""
        return int((NOON + self.agenda.clock.now - START) * 1_000_000) * 1000

    def time(self):
        return datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=self.agenda.clock.now - START)

    def objects(self, resource):
        """The newest state of all objects of a kind, the oldest object first."""
        found = [stored.object for stored in self.storage.items(resource)]
        return sorted(found, key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]))

    def job(self, name):
        """The Job of that name, None if there is none."""
        stored = self.storage.get(JOB, (NAMESPACE, name))
        return stored.object if stored else None

    def pods_of(self, uid):
        return self.jobs._pods_of(uid)

    def create(self, resource, body):
        """What the host asks for; None if it is refused."""
        return self._asked(self.registry.create, Call(resource, NAMESPACE, actor=HOST, verb="create"), body)

    def patch(self, resource, name, change):
        call = Call(resource, NAMESPACE, name, actor=HOST, verb="patch")
        return self._asked(self.registry.patch, call, patches.MERGE, change)

    def delete(self, resource, name, **options):
        return self._asked(
            self.registry.delete, Call(resource, NAMESPACE, name, actor=HOST, verb="delete"), options
        )

    @staticmethod
    def _asked(verb, *arguments):
        try:
            return verb(*arguments)
        except ApiError:
            return None
