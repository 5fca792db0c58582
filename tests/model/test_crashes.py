"""kill -9 around every write of every scenario: the end is that of the undisturbed run.

Two oracles, as in Sieve (OSDI 2022): the end state, masked for times; and the number of writes to each
object, of which a crash may cost one more. A restart may also meet a server that lags: it is shown an old
version first.
"""

import json
from collections import Counter
from typing import NamedTuple

import pytest

from controller.core.contract import Keys, Status
from controller.core.snapshot import Policy
from devcluster.fake.resources import JOB
from tests.model.peace import come_to_rest
from tests.model.scenarios import SCENARIOS
from tests.model.world import World
from tests.program import oracle

QUICK = ("a_success", "one_after_the_other", "a_name_used_again")
"""Played by `make test` too."""
KEYS = Keys()
POLICY = Policy(tracing=True)
MASKED = {"durationMs", "startedAt", "finishedAt", "sha256", "name"}
KEPT = (Status.PHASE, Status.REASON, Status.RESULT, Status.TRACE_ID, Status.SESSION_ID, Status.MODEL)
SPEC = ("suspend", "parallelism", "activeDeadlineSeconds", "ttlSecondsAfterFinished")


WITHOUT_LOG = {
    *("runId", "jobUid", "phase", "reason", "timedOut", "errorCode", "errorMessage"),
    *("exitCode", "signal", "sessionId", "sessionDisplayId", "model"),
}
"""What a result says even if the log is lost."""
LAST_WORD = {"exitCode", "signal"}
"""A pod that is removed with its last word says it once: who is killed before writing it down has lost it.
It is unknown then, and never another.
"""


class End(NamedTuple):
    """What a host finds on one Job."""

    keys: set
    standing: dict
    result: dict
    spec: dict


def masked(value):
    """A result without times and without the random ends of names."""
    if isinstance(value, dict):
        return {key: masked(each) for key, each in value.items() if key not in MASKED}
    return value


def end_of(world):
    """What a host finds: of each Job our keys, its standing, its result, and our part of its spec.

    Events are left out: they are best effort, and one may be lost between a write and the telling of it.
    """
    found = {}
    for job in world.cluster.objects(JOB):
        own = oracle.notes(job)
        kept = {name: own.get(name) for name in KEPT if name != Status.RESULT}
        result = masked(json.loads(own.get(Status.RESULT, "{}")))
        uid = job["metadata"]["uid"]  # of a name that is used again it is another one each time
        kept[Status.TRACE_ID] = kept[Status.TRACE_ID] == uid.replace("-", "")
        result["jobUid"] = result.get("jobUid") in (None, uid)
        spec = {name: job["spec"].get(name) for name in SPEC}
        found[job["metadata"]["name"]] = End(set(own), kept, result, spec)
    return found


def writes_of(world):
    """How often we wrote to each object, the first of a name, the second, …; heartbeats don't count."""
    order, found = {}, Counter()
    for write in world.cluster.storage.log:
        if write.kind == "Job":
            order.setdefault(write.name, {}).setdefault(write.uid, len(order.get(write.name, ())))
        if write.actor != oracle.ACTOR:
            continue
        if write.kind == "Event":
            about = write.object.get("regarding") or write.object["involvedObject"]
            found["Event", about["name"], order[about["name"]][about["uid"]], write.object["reason"]] += 1
        elif write.kind != "Job":
            found[write.kind, write.name, 0] += 1
        elif not oracle.changed(write) <= oracle.BEATS:
            found[write.kind, write.name, order[write.name][write.uid]] += 1
    return found


def comparable(end, other):
    """An end as far as it may be compared: a log may have gone with its pod while nobody read it."""
    logs = [each.result.get("log", {}).get("state") for each in (end, other)]
    if "missing" not in logs or logs == ["missing", "missing"]:
        return end
    lasting = WITHOUT_LOG if end.result.keys() & other.result.keys() >= LAST_WORD else WITHOUT_LOG - LAST_WORD
    result = {key: value for key, value in end.result.items() if key in lasting}
    return end._replace(result=result, keys=set(end.keys) - {Status.LAST_OUTPUT_AT, Status.PROGRESS})


class Played:
    """One scenario, played to its end."""

    def __init__(self, scenario, *, plan=lambda _program: None, behind=0, restart_seconds=0.2):
        world = World(POLICY, lease=False)
        try:
            world.restart_seconds = restart_seconds
            world.behind_after_crash = behind
            plan(world.programs[0])
            self.first = world.programs[0]
            scenario(world)
            self.deaths = world.deaths
            self.wrong = come_to_rest(world)
            self.end, self.writes = end_of(world), writes_of(world)
            self.sent = self.first.writes
            self.traces = {uid: list(map(repr, trees)) for uid, trees in world.traces.items()}
        finally:
            world.close()


def before(number):
    """Dies instead of sending its write of that number."""
    return lambda program: setattr(program, "die_before", number)


def after(number):
    """Dies when its write of that number has taken effect, and never reads the answer."""
    return lambda program: setattr(program, "die_after", number)


def check(calm, crashed, where):
    """The crash has changed nothing that anybody could see, and cost at most one write to an object more."""
    assert crashed.deaths, where
    assert crashed.wrong == [], where
    assert crashed.end.keys() == calm.end.keys(), where
    for name, end in crashed.end.items():
        assert comparable(end, calm.end[name]) == comparable(calm.end[name], end), (where, name)
    more = crashed.writes - calm.writes
    assert all(count <= 1 for count in more.values()), (where, more)


@pytest.fixture(scope="module")
def calm():
    """Scenarios without a crash, each played once."""
    known = {}

    def play(name):
        if name not in known:
            known[name] = Played(SCENARIOS[name])
        return known[name]

    return play


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_undisturbed_scenario_comes_to_its_end(calm, name):
    played = calm(name)
    assert played.wrong == []
    assert played.sent, "it has written something"


def named(name):
    return pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("crash", [before, after])
@pytest.mark.parametrize("name", [*map(named, SCENARIOS)])
def test_a_crash_at_any_write_changes_nothing(calm, name, crash):
    for number in range(1, calm(name).sent + 1):
        played = Played(SCENARIOS[name], plan=crash(number))
        check(calm(name), played, f"{name}: {crash.__name__} write {number}")


@pytest.mark.parametrize("behind", [1, 4, 1000])
@pytest.mark.parametrize("name", [*map(named, SCENARIOS)])
def test_nor_does_a_restart_at_a_server_that_lags(calm, name, behind):
    for number in range(1, calm(name).sent + 1):
        played = Played(SCENARIOS[name], plan=after(number), behind=behind)
        check(calm(name), played, f"{name}: after write {number}, {behind} versions behind")
