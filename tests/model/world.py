"""Everything together: a cluster, its hosts, and the controllers. Nothing moves but by `pass_time`."""

import random

from controller.core.contract import Keys
from controller.core.snapshot import Policy
from devcluster.fake.resources import CONFIG_MAP, JOB, POD, SECRET
from tests.model.cluster import Cluster
from tests.model.kubelet import Kubelet, Script
from tests.model.lease import Leadership
from tests.model.program import Program
from tests.model.streams import Wires
from tests.model.trouble import Trouble
from tests.model.virtual import LIVELOCK, Agenda, Clock
from tests.model.watchman import Watchman
from tests.program.runs import make_run

KEYS = Keys()
_OWNED = {"secret": SECRET, "configmap": CONFIG_MAP}
RESTART_SECONDS = 1.0
TICK = 1e-6
"""A timer is never early, and no clock stands still: a wait of 1e-13 s must not be begun for ever."""


class World:
    """`pass_time` moves it; whatever is wrong with a write is in `watchman.found` right after it."""

    def __init__(self, policy=None, *, controllers=1, lease=True):
        random.seed(7)  # the suffixes of pod names
        self.policy = policy or Policy()
        self.clock = Clock()
        self.agenda = Agenda(self.clock)
        self.cluster = Cluster(self.agenda)
        self.scripts, self.readers, self.traces, self.complaints = {}, [], {}, []
        self.watchman = Watchman(self)
        self.cluster.storage.listen(self.watchman.look)
        self.kubelet = Kubelet(self.cluster, self._script_of, self._poked)
        self.wires, self.trouble = Wires(), Trouble()
        self.latency = 0.0
        self.log_lag = 0.0
        self.logs_stuck = self.logs_cut = False
        self.collects = True
        self.with_lease = lease
        self.behind = 0
        """So many versions old is what the next program to start is shown first."""
        self.behind_after_crash = 0
        self.restart_seconds = RESTART_SECONDS
        self.programs = []
        self.deaths = 0
        self.lease = Leadership(self)
        for _ in range(controllers):
            self.start()

    # ── Time ─────────────────────────────────────────────────────────────────────────────────────

    def pass_time(self, seconds=0.0):
        """So much time passes, and all that belongs into it happens."""
        until = self.clock.now + seconds
        while True:
            self._settle()
            upcoming = min([self.agenda.upcoming(), *(program.upcoming() for program in self.programs)])
            if upcoming > until:
                break
            self.clock.now = max(self.clock.now, upcoming) + TICK
        self.clock.now = max(self.clock.now, until)
        self._settle()

    def _settle(self):
        turns = 0
        while self._turn():
            turns += 1
            assert turns < LIVELOCK, "somebody is never done, and no time passes"

    def _turn(self):
        some = self.agenda.happen()
        for program in tuple(self.programs):
            if not program.dead and program.is_ready():
                program.run()
                some = True
        return some

    # ── Controllers ──────────────────────────────────────────────────────────────────────────────

    def start(self):
        """A program begins with nothing in memory."""
        program = Program(self, f"controller-{self.deaths}-{len(self.programs)}", behind=self.behind)
        self.behind = 0
        self.programs.append(program)
        self.lease.fill()
        return program

    def kill(self, program):
        """kill -9. Kubernetes starts it again."""
        if program.dead:
            return
        self.deaths += 1
        self.programs.remove(program)
        program.kill()
        if self.with_lease:
            self.lease.left(program)
        elif self.lease.holder is program:
            self.lease.holder = None
        self.behind = self.behind or self.behind_after_crash
        self.agenda.after(self.restart_seconds, self.start)

    def thaw(self):
        """Programs that were stopped go on; one that leads no more does what it was about to, and ends."""
        for program in [program for program in self.programs if program.frozen]:
            program.thaw()
            if self.lease.holder is not program or not self.lease.held(program):
                program.run()
                self._settle()
                self.kill(program)

    def close(self):
        for program in tuple(self.programs):
            self.programs.remove(program)
            program.kill()

    # ── Hosts ────────────────────────────────────────────────────────────────────────────────────

    def submit(self, name, *scripts, **run):
        """A host submits a run; its attempts go as scripted, the last script for all further ones."""
        made = self.cluster.create(JOB, make_run(name, **run))
        if made is not None:
            self.scripts[made.object["metadata"]["uid"]] = list(scripts) or [Script()]
        return made

    def annotate(self, name, **notes):
        """The host writes annotations of its own; names by their last part, `_` for `-`."""
        own = {KEYS.host_prefix + key.replace("_", "-"): value for key, value in notes.items()}
        self.cluster.patch(JOB, name, {"metadata": {"annotations": own}})

    def label(self, name, **labels):
        own = {KEYS.host_prefix + key.replace("_", "-"): value for key, value in labels.items()}
        self.cluster.patch(JOB, name, {"metadata": {"labels": own}})

    def provide(self, name):
        """The host makes what its run waits for: the Secrets and ConfigMaps that `owned` names."""
        if (job := self.cluster.job(name)) is None:
            return
        meta = job["metadata"]
        named = (meta.get("annotations") or {}).get(KEYS.owned, "")
        labels = {KEYS.run_id: (meta.get("labels") or {}).get(KEYS.run_id, "")}
        for kind, _, own in (each.partition("/") for each in named.split(",") if each):
            self.cluster.create(_OWNED[kind], {"metadata": {"name": own, "labels": labels}})

    def set_spec(self, name, **fields):
        self.cluster.patch(JOB, name, {"spec": fields})

    def delete(self, name, policy="Background"):
        self.cluster.delete(JOB, name, propagationPolicy=policy)

    def holds_on_to(self, name, finalizer):
        """Sets or removes a finalizer of somebody else's."""
        self.cluster.patch(JOB, name, {"metadata": {"finalizers": [finalizer] if finalizer else None}})

    # ── Pods ─────────────────────────────────────────────────────────────────────────────────────

    def pods(self):
        return self.cluster.objects(POD)

    def forget_label(self, pod):
        """A pod's label is taken off: it leaves the watch, though it lives."""
        self.cluster.patch(POD, pod["metadata"]["name"], {"metadata": {"labels": {KEYS.agent_id: None}}})

    def _script_of(self, pod):
        uid = next(owner["uid"] for owner in pod["metadata"]["ownerReferences"] if owner.get("controller"))
        scripts = self.scripts[uid]
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    def _poked(self, pod_uid):
        self.agenda.after(self.log_lag, self._poke, pod_uid)

    def _poke(self, pod_uid=None):
        for readers in tuple(self.readers):
            readers.poke(pod_uid)

    # ── Peace ────────────────────────────────────────────────────────────────────────────────────

    def make_peace(self):
        """Faults stop: whatever can work works. Agents that are at work go on for ever."""
        self.trouble.clear()
        self.latency = self.log_lag = 0.0
        self.logs_stuck = self.logs_cut = False
        self.collects = True
        self.behind = 0
        self.restart_seconds = RESTART_SECONDS
        self.cluster.jobs.lag = 0.05
        self.kubelet.lag = 0.1
        self.kubelet.still = True
        self.wires.speak()
        for program in self.programs:
            program.freeze_at_write = False
            program.die_before = program.die_after = None
        self.thaw()
        for uid, life in self.kubelet.lives.items():
            self.kubelet.clean_up(uid) if life.lost else self.kubelet.heal(uid)
        for job in self.cluster.objects(JOB):
            if job["metadata"].get("deletionTimestamp"):
                self.holds_on_to(job["metadata"]["name"], None)
            self.provide(job["metadata"]["name"])
        self._poke()

    def let_agents_end(self):
        """Every agent that is at work has its last word, and exits."""
        for uid in tuple(self.kubelet.lives):
            self.kubelet.finish(uid)
