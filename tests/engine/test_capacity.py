"""The ledger of places against a model that looks at everything each time."""

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.model import Slot
from controller.core.snapshot import Contender, Policy
from controller.engine.capacity import Ledger

COMPANIES = ("", "c-1", "c-2")


def slot(name):
    return Slot("agents", name, "claude_k8s")


def contender(name, company="c-1", created=0):
    return Contender(created, name, f"uid-{name}", company)


class Model:
    """What should be the case, without any cleverness: every slot that has a turn starts its run at once."""

    def __init__(self, company, cluster, places):
        self.company, self.cluster, self.places = company, cluster, places
        self.waiting, self.running = {}, {}

    def in_slot(self, where):
        return sum(at == where for at, _ in self.running.values())

    def of_company(self, company):
        return sum(of == company for _, of in self.running.values())

    def admissible(self):
        return [
            (self.of_company(one.company), one)
            for where, one in self.waiting.values()
            if self.in_slot(where) < self.places
            and not 0 < self.cluster <= len(self.running)
            and not 0 < self.company <= self.of_company(one.company)
        ]

    def start_all(self):
        started = []
        while able := self.admissible():
            _, one = min(able)
            where, _ = self.waiting.pop(one.uid)
            self.running[one.uid] = (where, one.company)
            started.append(one.uid)
        return started


class World:
    """The ledger, and slots that ask it and start whoever has a turn; in the model's words."""

    def __init__(self, company, cluster, places):
        self.model = Model(company, cluster, places)
        self.woken = []
        policy = Policy(company_concurrency=company, cluster_concurrency=cluster)
        self.ledger = Ledger(policy, self.woken.append)
        self.started = []

    def look_at(self, where):
        """As the loops do: the slot asks, and starts those that have a turn."""
        model = self.model
        mine = sorted(one for at, one in model.waiting.values() if at == where)
        free = max(model.places - model.in_slot(where), 0)
        taken, asking = Counter(), []
        for one in mine:
            taken[one.company] += 1
            if taken[one.company] <= free:
                asking.append(one)
        self.ledger.contend(where, tuple(asking), free)
        for uid in sorted(self.ledger.view(where, ()).granted):
            at, one = model.waiting.pop(uid)
            model.running[uid] = (at, one.company)
            self.started.append(uid)
            self.ledger.hold(uid, one.company)

    def settle(self, *touched):
        self.woken += touched
        while self.woken:
            self.look_at(self.woken.pop(0))


LIMITS = st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 2))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("arrives"), st.integers(0, 3), st.sampled_from(COMPANIES)),
        st.tuples(st.just("ends"), st.integers(0, 30), st.just("")),
        st.tuples(st.just("leaves"), st.integers(0, 30), st.just("")),
        st.tuples(st.just("intrudes"), st.integers(0, 3), st.sampled_from(COMPANIES)),
    ),
    max_size=40,
)


def happen(world, number, what, which, company):
    """One thing happens in the world; the slot that it touches."""
    model = world.model
    if what == "arrives":
        one = contender(f"run-{number:02}", company, created=number // 3)
        model.waiting[one.uid] = (slot(f"a-{which}"), one)
        return slot(f"a-{which}")
    if what == "intrudes":  # submitted running: it is never held back, and counts
        model.running[f"uid-{number}"] = (slot(f"a-{which}"), company)
        world.ledger.hold(f"uid-{number}", company)
        return slot(f"a-{which}")
    found = sorted(model.running if what == "ends" else model.waiting)
    if not found:
        return None
    uid = found[which % len(found)]
    where, _ = (model.running if what == "ends" else model.waiting).pop(uid)
    world.ledger.forget(uid)
    return where


@settings(max_examples=300, deadline=None)
@given(LIMITS, EVENTS)
def test_whatever_comes_and_goes_the_right_ones_run_and_nobody_waits_for_nothing(limits, events):
    world = World(*limits)
    for number, event in enumerate(events):
        touched = happen(world, number, *event)
        if touched is None:
            continue
        allowed = Counter(world.started) + Counter(expected(world.model))
        world.settle(touched)
        assert Counter(world.started) == allowed
        assert not world.model.admissible(), "nobody who could run waits"
        assert len(world.ledger.view(touched, ()).granted) == 0


def expected(model):
    """Who starts next by the model, without starting them."""
    other = Model(model.company, model.cluster, model.places)
    other.waiting, other.running = dict(model.waiting), dict(model.running)
    return other.start_all()


@pytest.fixture
def one_at_a_time():
    return Ledger(Policy(cluster_concurrency=1), [].append)


def turns(ledger, *names):
    return [name for name in names if ledger.view(slot(name), ()).granted]


def test_a_company_with_a_thousand_waiting_runs_does_not_starve_another_one():
    ledger = Ledger(Policy(cluster_concurrency=10), [].append)
    for number in range(1000):
        ledger.contend(slot(f"many-{number}"), (contender(f"many-{number}", "many", number),), 1)
    ledger.contend(slot("one"), (contender("one", "few", 5000),), 1)
    assert not turns(ledger, "one")
    ledger.forget("uid-many-3")
    ledger.give_turns()
    assert turns(ledger, "one")


def test_the_company_with_the_fewest_running_comes_first_then_the_oldest_then_by_name(one_at_a_time):
    ledger = one_at_a_time
    ledger.hold("uid-x", "c-1")
    waiting = [("b", "c-2", 7), ("a", "c-2", 7), ("old", "c-1", 0), ("young", "c-3", 9)]
    for name, company, created in waiting:
        ledger.contend(slot(name), (contender(name, company, created),), 1)
    order = []
    ledger.hold("uid-y", "c-1")  # two of its runs were there before there was a limit
    ledger.forget("uid-x")
    current = "uid-y"
    for _ in waiting:
        ledger.forget(current)
        ledger.give_turns()
        (name,) = turns(ledger, *(name for name, _, _ in waiting))
        order.append(name)
        current = f"uid-{name}"
    assert order == ["old", "a", "b", "young"], "when nobody runs, age decides"


def test_turns_that_are_not_used_are_given_to_the_next(one_at_a_time):
    ledger = one_at_a_time
    ledger.contend(slot("a"), (contender("a"),), 1)
    ledger.contend(slot("b"), (contender("b", created=1),), 1)
    assert turns(ledger, "a", "b") == ["a"]
    ledger.give_back("uid-a")
    ledger.give_turns()
    assert turns(ledger, "a", "b") == ["b"]
    ledger.contend(slot("b"), (), 1)
    assert turns(ledger, "a", "b") == []
    ledger.contend(slot("a"), (contender("a"),), 1)
    assert turns(ledger, "a", "b") == ["a"]


def test_a_slot_in_doubt_keeps_its_turn_and_gets_no_other_one(one_at_a_time):
    ledger = one_at_a_time
    ledger.contend(slot("a"), (contender("a"), contender("a-2", "c-2")), 2)
    ledger.contend(slot("b"), (contender("b", created=1),), 1)
    ledger.stand_aside(slot("a"))
    assert turns(ledger, "a", "b") == ["a"]
    ledger.forget("uid-a")
    ledger.give_turns()
    assert turns(ledger, "a", "b") == ["b"]


def test_a_run_that_got_its_turn_counts_once_when_it_is_seen_to_run(one_at_a_time):
    ledger = one_at_a_time
    ledger.contend(slot("a"), (contender("a"),), 1)
    ledger.hold("uid-a", "c-1")
    view = ledger.view(slot("a"), ("c-1",))
    assert (view.running, dict(view.of_company), view.granted) == (1, {"c-1": 1}, frozenset())


def test_what_ran_already_when_it_got_its_turn_is_not_counted_for_ever():
    ledger = Ledger(Policy(company_concurrency=2), lambda _slot: None)
    ledger.hold("uid-a", "c-1")
    ledger.contend(slot("a"), (contender("a"),), 1)
    ledger.hold("uid-a", "c-1")
    ledger.forget("uid-a")
    assert ledger.view(slot("a"), ("c-1",)).of_company["c-1"] == 0


def test_what_vanished_keeps_the_place_of_its_company():
    ledger = Ledger(Policy(company_concurrency=1), [].append)
    ledger.hold("uid-a", "c-1")
    ledger.hold("uid-a", None)
    ledger.contend(slot("b"), (contender("b"),), 1)
    assert not turns(ledger, "b")
    ledger.forget("uid-a")
    ledger.give_turns()
    assert turns(ledger, "b")


def test_a_change_costs_the_same_however_many_wait():
    def cost(waiting):
        ledger = Ledger(Policy(company_concurrency=5, cluster_concurrency=100), lambda _slot: None)
        for number in range(waiting):
            name = f"{number:06}"
            ledger.contend(slot(name), (contender(name, f"c-{number % 500}", number),), 1)
        began = time.process_time()
        for number in range(1000):
            ledger.forget(f"uid-{number:06}")
            ledger.give_turns()
        return time.process_time() - began

    assert cost(40_000) < 5 * cost(2_000) + 0.05
