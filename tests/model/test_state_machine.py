"""Hosts, agents, networks and crashes, in any order that hypothesis thinks of.

S1 to S6 are looked at with every write, L1 and L2 at the end. A failure prints its seed and the steps that
led to it; `make model` plays more of them, with a new seed if none is given.
"""

import os
import random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from controller.core.contract import KUEUE_QUEUE_LABEL, Keys
from controller.core.snapshot import Policy
from devcluster.fake.resources import JOB
from tests.model.kubelet import Script
from tests.model.peace import come_to_rest
from tests.model.trouble import FATES, READS, WRITES
from tests.model.world import World

KEYS = Keys()
STEPS = 25
STAGES = [Phase.generate, Phase.shrink]
SEED = int(
    os.environ.get("RUNHERD_MODEL_SEED")
    or (random.randrange(2**32) if os.environ.get("RUNHERD_EXPLORE") else 20261126)
)

_PICK = st.integers(0, 7)
_AGENTS = st.sampled_from(["a-1", "a-1", "a-1", "a-2", "a-3"])
_NAMES = st.sampled_from([f"run-{n}" for n in range(6)])
_SCRIPTS = st.sampled_from(
    [
        Script(),
        Script(works=0.5, lingers=0.0),
        Script(works=40.0, lingers=10.0),
        Script(works=400.0),
        Script(works=2.0, code=1, says="error"),
        Script(works=2.0, code=1, says="nothing"),
        Script(works=2.0, says="nothing"),
        Script(start="ErrImageNeverPull"),
        Script(start="ImagePullBackOff"),
        Script(start="Unscheduled"),
        Script(works=2.0, code=3),
        Script(works=2.0, lingers=20.0, again=True),
    ]
)
_WISHES = st.fixed_dictionaries(
    {},
    optional={
        "reattach": st.just("true"),
        "on_conflict": st.sampled_from(["queue", "fail"]),
        "retain": st.just("true"),
        "cancel_requested": st.just("before it began"),
        "owned": st.sampled_from(["secret/one", "secret/one,configmap/two"]),
    },
)
_LABELS = st.fixed_dictionaries(
    {},
    optional={
        KEYS.run_id: st.sampled_from(["r-1", "r-2"]),
        KEYS.task_id: st.sampled_from(["t-1", "t-2"]),
        KEYS.session_id: st.sampled_from(["s-1", "s-2"]),
        KEYS.company_id: st.sampled_from(["c-1", "c-2"]),
    },
)
_SPECS = st.sampled_from(
    [{}] * 6
    + [
        {"backoffLimit": 2},
        {"activeDeadlineSeconds": 20},
        {"ttlSecondsAfterFinished": 0},
        {"ttlSecondsAfterFinished": 30},
        {"suspend": False},
        {"parallelism": 2, "completions": 2},
        {"labels": {KEYS.run_id: None}},
        {"labels": {KUEUE_QUEUE_LABEL: "gpus"}},
    ]
)
_RUNS = st.tuples(_LABELS, _WISHES, _SPECS)
_SECONDS = st.sampled_from([0.0, 0.1, 0.3, 1.0, 3.0, 6.0, 11.0, 30.0, 61.0, 95.0, 310.0])
_NET_LAGS = st.sampled_from([0.0, 0.0, 0.0, 3.0, 20.0, 40.0])
_CALM_LAGS = st.sampled_from([0.0, 0.0, 0.0, 3.0, 20.0])
_LAGS = st.sampled_from([0.0, 0.5, 3.0, 20.0])


class Runs(RuleBasedStateMachine):
    """A few agents with a few runs each, and everything that may happen to them."""

    @initialize(
        limit=st.sampled_from([1, 1, 1, 2]),
        tracing=st.booleans(),
        controllers=st.sampled_from([1, 1, 2]),
        weather=st.tuples(_NET_LAGS, _NET_LAGS, _CALM_LAGS, _CALM_LAGS),
        work=st.none() | _SCRIPTS,
    )
    def begin(self, limit, tracing, controllers, weather, work):
        """The weather of a whole example, and perhaps an agent with too much work from the start."""
        policy = Policy(agent_concurrency=limit, tracing=tracing)
        self.world = World(policy, controllers=controllers, lease=controllers > 1)
        self.world.pass_time(1.0)
        self.world.wires.lag = {"jobs": weather[0], "pods": weather[1]}
        self.slow_down(weather[2], weather[3], 0.0)
        if work is not None:
            self.submit_several([f"run-{n}" for n in range(3)], "a-1", work)
            self.world.pass_time(3.0)

    def pick(self, number):
        """Some Job that there is, by name; empty if there is none."""
        names = sorted(job["metadata"]["name"] for job in self.world.cluster.objects(JOB))
        return names[number % len(names)] if names else ""

    # ── Hosts ────────────────────────────────────────────────────────────────────────────────────

    @rule(name=_NAMES, agent=_AGENTS, scripts=st.lists(_SCRIPTS, min_size=1, max_size=2), run=_RUNS)
    def submit(self, name, agent, scripts, run):
        labels, wishes, spec = run
        notes = {KEYS.host_prefix + key.replace("_", "-"): text for key, text in wishes.items()}
        more = {**spec, "labels": {**labels, **spec.get("labels", {})}}
        self.world.submit(name, *scripts, agent=agent, notes=notes, **more)

    @rule(names=st.permutations([f"run-{n}" for n in range(6)]), agent=_AGENTS, script=_SCRIPTS)
    def submit_several(self, names, agent, script):
        """One agent has work for hours."""
        for name in names[:3]:
            self.world.submit(name, script, agent=agent)

    @rule(
        pick=_PICK,
        what=st.sampled_from(
            [
                "delete",
                "delete orphaning",
                "suspend",
                "suspend",
                "resume",
                "hold",
                "let go",
                "no limits",
                "one limit",
            ]
        ),
    )
    def meddle(self, pick, what):
        """Somebody with the right to does something to a Job."""
        if not (name := self.pick(pick)):
            return
        match what:
            case "delete":
                self.world.delete(name)
            case "delete orphaning":
                self.world.delete(name, "Orphan")
            case "suspend" | "resume":
                self.world.set_spec(name, suspend=what == "suspend")
            case "hold" | "let go":
                self.world.holds_on_to(name, ["example.org/hold"] if what == "hold" else None)
            case "no limits" | "one limit":
                self.world.set_spec(name, parallelism=0 if what == "no limits" else 1)

    @rule(
        pick=_PICK, what=st.sampled_from(["cancel_requested", "acknowledged", "retain", "rival", "provide"])
    )
    def annotate(self, pick, what):
        """What hosts write on their Jobs, and beside them."""
        if not (name := self.pick(pick)):
            return
        if what == "provide":
            self.world.provide(name)
        else:
            self.world.annotate(name, **{what: "true"})

    @rule(pick=_PICK, what=st.sampled_from(["another run", "another session", "lost", "found"]))
    def relabel(self, pick, what):
        """Old adapters give a Job another run; a label that everybody selects by is lost, and found again."""
        if not (name := self.pick(pick)):
            return
        match what:
            case "another run":
                self.world.label(name, run_id="r-9")
            case "another session":
                self.world.label(name, session_id="s-9")
            case "lost":
                self.world.label(name, agent_id=None)
            case "found":
                labels = self.world.cluster.job(name)["spec"]["template"]["metadata"]["labels"]
                self.world.label(name, agent_id=labels[KEYS.agent_id])

    # ── Nodes ────────────────────────────────────────────────────────────────────────────────────

    @rule(
        pick=_PICK,
        what=st.sampled_from(["exit 0", "exit 1", "evict", "remove", "lose node", "lose label", "clean up"]),
    )
    def befall(self, pick, what):
        """Something happens to a pod."""
        pods = self.world.pods()
        if not pods:
            return
        pod, kubelet = pods[pick % len(pods)], self.world.kubelet
        uid = pod["metadata"]["uid"]
        match what:
            case "exit 0" | "exit 1":
                kubelet.exit(uid, int(what[-1]))
            case "evict":
                kubelet.exit(uid, 137, "Evicted")
            case "remove":
                kubelet.remove(uid)
            case "lose node":
                kubelet.lives[uid].lost = True
            case "lose label":
                self.world.forget_label(pod)
            case "clean up":
                kubelet.clean_up(uid)

    @rule(kubelet=_LAGS, jobs=_LAGS, logs=_LAGS)
    def slow_down(self, kubelet, jobs, logs):
        self.world.kubelet.lag = 0.1 + kubelet
        self.world.cluster.jobs.lag = 0.05 + jobs
        self.world.log_lag = logs

    @rule(what=st.sampled_from(["stuck", "cut", "fine", "no collector", "collector"]))
    def hold_up(self, what):
        """Logs can't be read, or not to their end; nobody takes traces."""
        self.world.logs_stuck, self.world.logs_cut = what == "stuck", what == "cut"
        if what in ("no collector", "collector"):
            self.world.collects = what == "collector"
        self.world._poke()

    # ── The network ──────────────────────────────────────────────────────────────────────────────

    @rule(seconds=_SECONDS)
    def wait(self, seconds):
        self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from([2.0, 5.0, 8.0]))
    def wait_a_bit(self, seconds):
        self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 20.0, 40.0]), plural=st.sampled_from(["jobs", "pods"]))
    def delay_events(self, seconds, plural):
        self.world.wires.lag[plural] = seconds

    @rule(
        plural=st.sampled_from(["jobs", "pods"]),
        what=st.sampled_from(
            ["silent", "cut", "cut and forgotten", "dark", "dark for long", "again", "speak"]
        ),
    )
    def disturb(self, plural, what):
        """Something happens to the watches of a kind."""
        match what:
            case "silent":
                self.world.wires.silent.add(plural)
            case "cut" | "cut and forgotten":
                if what == "cut and forgotten":
                    self.world.cluster.storage.compact()
                self.world.wires.cut(plural)
            case "dark" | "dark for long":
                self.world.trouble.dark.add(plural)
                self.world.wires.cut(plural)
                self.world.pass_time(0.0 if what == "dark" else 100.0)
            case "again":
                self.world.wires.replay(plural, 3)
            case "speak":
                self.world.trouble.dark.clear()
                self.world.wires.speak()

    @rule(
        fate=st.sampled_from(sorted(FATES)),
        verbs=st.sampled_from([("patch",), WRITES, READS, (*WRITES, *READS)]),
        calls=st.sampled_from([1, 1, 2, 5, 30]),
    )
    def trouble(self, fate, verbs, calls):
        self.world.trouble.add(fate, verbs, calls)

    @rule(seconds=st.sampled_from([0.0, 0.2, 2.0, 8.0, 20.0]))
    def slow_calls(self, seconds):
        self.world.latency = seconds

    # ── Controllers ──────────────────────────────────────────────────────────────────────────────

    def leader(self):
        return self.world.lease.holder

    @precondition(lambda self: self.leader() is not None)
    @rule(
        when=st.sampled_from(["now", "before a write", "after a write"]),
        behind=st.sampled_from([0, 0, 1, 5, 20]),
        down=st.sampled_from([0.1, 5.0, 60.0]),
    )
    def crash(self, when, behind, down):
        """kill -9; whoever follows may meet a server that lags."""
        leader, self.world.behind, self.world.restart_seconds = self.leader(), behind, down
        match when:
            case "now":
                self.world.kill(leader)
            case "before a write":
                leader.die_before = leader.writes + 1
            case "after a write":
                leader.die_after = leader.writes + 1

    @precondition(lambda self: self.leader() is not None)
    @rule(what=st.sampled_from(["cut off", "stop", "stop for long", "stop at a write"]))
    def lose_lead(self, what):
        """The leader can't renew its lease, or is stopped (SIGSTOP) at once or just before it would write."""
        leader = self.leader()
        if what in ("stop", "stop for long"):
            leader.frozen = True
        elif what == "stop at a write":
            leader.freeze_at_write = True
        self.world.lease.cut_off()
        if what == "stop for long":
            self.world.pass_time(16.0)

    @rule()
    def thaw(self):
        self.world.thaw()

    # ── What must hold ───────────────────────────────────────────────────────────────────────────

    @invariant()
    def nothing_is_wrong(self):
        if hasattr(self, "world"):
            nothing(self.world.watchman.found + self.world.complaints)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        try:
            nothing(come_to_rest(self.world))
        finally:
            self.world.close()


def nothing(found):
    assert not found, "\n".join(found)


def play(examples, number=SEED):
    """So many examples. The seed is printed: RUNHERD_MODEL_SEED plays them again."""
    print(f"RUNHERD_MODEL_SEED={number}")  # noqa: T201 — to play it again
    machine = seed(number)(type("Runs", (Runs,), {}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=False,
            print_blob=True,
            phases=STAGES,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_few_lives_of_runs():
    play(100)


@pytest.mark.slow
def test_many_lives_of_runs():
    play(int(os.environ.get("RUNHERD_MODEL_EXAMPLES", "2000")))
