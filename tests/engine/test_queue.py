"""The work queue keeps its four guarantees, in virtual time."""

import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.engine.queue import FRESH, INITIAL, WorkQueue
from tests.kube.doubles import in_virtual_time


def a_queue(observe=lambda _seconds: None):
    return WorkQueue[str](random.Random(1), observe)


def clock():
    return asyncio.get_running_loop().time()


async def taken(queue, seconds=0.0):
    """What is given within that time, each key done at once."""
    keys = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                keys.append(await queue.get())
                queue.done(keys[-1])
    except TimeoutError:
        return keys


async def gap(queue):
    """Virtual seconds until the next key comes."""
    began = clock()
    queue.done(await queue.get())
    return clock() - began


def test_a_key_that_waits_is_there_once_however_often_it_is_added():
    async def world():
        queue = a_queue()
        for _ in range(3):
            queue.add("a")
            queue.add("b")
        assert len(queue) == 2
        assert await taken(queue) == ["a", "b"]

    in_virtual_time(world())


def test_a_key_has_the_highest_priority_it_was_added_with():
    async def world():
        queue = a_queue()
        for key in ("old", "older", "mixed"):
            queue.add(key, INITIAL)
        queue.add("mixed", FRESH)
        queue.add("old", INITIAL)
        queue.add("new", FRESH)
        queue.add("new", INITIAL)
        assert await taken(queue) == ["mixed", "new", "old", "older"]

    in_virtual_time(world())


def test_a_key_in_work_is_given_to_nobody_and_comes_again_when_it_was_added_meanwhile():
    async def world():
        queue = a_queue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a", INITIAL)
        queue.add("a", FRESH)
        queue.add("b", FRESH)
        assert await taken(queue) == ["b"], "a is in work"
        queue.add("c", INITIAL)
        queue.done("a")
        assert await taken(queue) == ["a", "c"], "with the highest priority of those additions"

    in_virtual_time(world())


def test_a_key_that_was_not_added_while_in_work_does_not_come_again():
    async def world():
        queue = a_queue()
        queue.add("a")
        assert await taken(queue, 1000) == ["a"]

    in_virtual_time(world())


@pytest.mark.parametrize("delays", [(5, 30), (30, 5)], ids=["earlier first", "later first"])
def test_a_delayed_key_comes_at_the_earliest_of_its_times(delays):
    async def world():
        queue = a_queue()
        for seconds in delays:
            queue.add_after("a", seconds)
        assert await gap(queue) == pytest.approx(5)
        assert await taken(queue, 1000) == [], "the later time is forgotten"

    in_virtual_time(world())


def test_add_brings_a_delayed_key_at_once():
    async def world():
        queue = a_queue()
        queue.add_after("a", 30)
        queue.add("a")
        assert await gap(queue) == 0
        assert await taken(queue, 1000) == []

    in_virtual_time(world())


def test_a_delay_of_a_key_in_work_counts_from_when_it_was_asked_for():
    async def world():
        queue = a_queue()
        queue.add("a")
        await queue.get()
        queue.add_after("a", 3)
        await asyncio.sleep(10)
        queue.done("a")
        assert await gap(queue) == 0

    in_virtual_time(world())


def test_a_backed_off_key_comes_later_each_time_until_it_is_forgotten():
    async def world():
        queue, gaps = a_queue(), []
        for _ in range(20):
            queue.add_backoff("a")
            gaps.append(await gap(queue))
        assert 0 < gaps[0] <= 0.005
        assert gaps[-1] <= 60
        assert all(seconds >= 30 for seconds in gaps[-3:]), "never beyond the most, never far below it"
        for before, after in pairwise(gaps[:10]):
            assert before < 2 * after <= 8 * before, "doubled, give or take the jitter"
        queue.forget("a")
        queue.add_backoff("a")
        assert await gap(queue) <= 0.005

    in_virtual_time(world())


def test_backoff_of_one_key_is_not_that_of_another():
    async def world():
        queue = a_queue()
        for _ in range(10):
            queue.add_backoff("a")
            await gap(queue)
        queue.add_backoff("a")
        queue.add_backoff("b")
        assert await taken(queue, 0.006) == ["b"]
        assert await taken(queue, 10) == ["a"]

    in_virtual_time(world())


def test_get_waits_for_a_key_and_only_one_of_many_gets_it():
    async def world():
        queue = a_queue()
        waiters = [asyncio.ensure_future(queue.get()) for _ in range(3)]
        await asyncio.sleep(1)
        queue.add("a")
        queue.add("b")
        await asyncio.sleep(1)
        assert sorted(waiter.result() for waiter in waiters if waiter.done()) == ["a", "b"]
        for waiter in waiters:
            waiter.cancel()

    in_virtual_time(world())


def test_idle_is_when_nothing_waits_and_nothing_is_in_work_whatever_is_delayed():
    async def world():
        queue = a_queue()
        queue.add_after("later", 100)
        await queue.wait_idle()
        queue.add("a")
        await queue.get()
        queue.add("a")
        idle = asyncio.ensure_future(queue.wait_idle())
        queue.done("a")
        await asyncio.sleep(1)
        assert not idle.done(), "it waits again"
        assert await taken(queue) == ["a"]
        await asyncio.sleep(1)
        assert idle.done()

    in_virtual_time(world())


def test_how_long_a_key_waited_is_told_from_its_first_addition():
    async def world():
        waits = []
        queue = a_queue(waits.append)
        queue.add("a", INITIAL)
        await asyncio.sleep(2)
        queue.add("a", FRESH)
        await asyncio.sleep(3)
        assert await taken(queue) == ["a"]
        assert waits == [pytest.approx(5)]

    in_virtual_time(world())


class Model:
    """What the guarantees say, as plainly as possible: who waits with which priority since which addition."""

    def __init__(self):
        self.waiting, self.working, self.delayed, self.order = {}, {}, {}, 0

    def add(self, key, priority):
        self.delayed.pop(key, None)
        if key in self.working:
            before = self.working[key]
            self.working[key] = priority if before is None else min(before, priority)
        elif key not in self.waiting or self.waiting[key][0] > priority:
            self.order += 1
            self.waiting[key] = (priority, self.order)

    def add_after(self, key, at):
        self.delayed[key] = min(at, self.delayed.get(key, at))

    def advance(self, now):
        for key, at in sorted(self.delayed.items(), key=lambda item: item[1]):
            if at <= now:
                self.add(key, FRESH)

    def get(self):
        key = min(self.waiting, key=self.waiting.get, default=None)
        if key is not None:
            del self.waiting[key]
            self.working[key] = None
        return key

    def done(self, key):
        again = self.working.pop(key)
        if again is not None:
            self.add(key, again)


_KEYS = st.sampled_from("abc")
_STEPS = st.one_of(
    st.tuples(st.just("add"), _KEYS, st.sampled_from([FRESH, INITIAL])),
    st.tuples(st.just("add_after"), _KEYS, st.integers(1, 9)),
    st.tuples(st.just("sleep"), st.just(""), st.integers(1, 9)),
    st.tuples(st.just("get"), st.just(""), st.just(0)),
    st.tuples(st.just("done"), _KEYS, st.just(0)),
)


async def _step(queue, model, step):
    match step:
        case ("add", key, priority):
            queue.add(key, priority)
            model.add(key, priority)
        case ("add_after", key, seconds):
            # Half seconds: no two timers of different moments ever meet.
            queue.add_after(key, seconds + 0.5)
            model.add_after(key, clock() + seconds + 0.5)
        case ("sleep", _, seconds):
            await asyncio.sleep(seconds)
        case ("get", _, _) if model.waiting:
            assert await queue.get() == model.get()
        case ("done", key, _) if key in model.working:
            queue.done(key)
            model.done(key)


@settings(max_examples=80, deadline=None)
@given(st.lists(_STEPS, max_size=60))
def test_it_does_what_a_simple_model_does(steps):
    async def world():
        queue, model = a_queue(), Model()
        for step in steps:
            await _step(queue, model, step)
            await asyncio.sleep(0.001)  # timers that are due have fired
            model.advance(clock())
            assert len(queue) == len(model.waiting)
            assert queue._idle.is_set() == (not model.waiting and not model.working)

    in_virtual_time(world())
