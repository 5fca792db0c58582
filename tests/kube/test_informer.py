import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.model import Unreadable
from controller.kube import errors
from controller.kube.api import JOBS
from controller.kube.informer import Gone, Informer, Synced, Upsert
from tests.kube.doubles import MemoryCluster, in_virtual_time


@dataclass(frozen=True)
class Thing:
    namespace: str
    name: str
    uid: str
    version: str


def decode(raw):
    found = msgspec.json.decode(raw)
    meta = found["metadata"]
    parts = (meta["namespace"], meta["name"], meta["uid"], meta["resourceVersion"])
    return Unreadable("Job", *parts, "odd") if found.get("odd") else Thing(*parts)


class World:
    """A cluster, an informer on it, and what a caller would make of its changes."""

    def __init__(self, seed=0):
        self.cluster = MemoryCluster()
        self.loop = asyncio.get_running_loop()
        self.told = []
        self.batches = []
        self.changes = []
        self.view = {}
        self.informer = Informer(
            self.cluster,
            JOBS,
            decode,
            clock=self.loop.time,
            rng=random.Random(seed),
            observe=self.told.append,
        )

    async def watch(self):
        async with aclosing(self.informer.changes()) as batches:
            async for batch in batches:
                assert batch, "no empty batch"
                self.batches.append(batch)
                for change in batch:
                    self.apply(change)

    def apply(self, change):
        self.changes.append(change)
        match change:
            case Upsert(found):
                old = self.view.get(found.name)
                assert old is None or old.uid == found.uid, "the old one is Gone before a new one comes"
                assert old is None or old.version != found.version, "a version is told once"
                self.view[found.name] = found
            case Gone(found):
                assert self.view.pop(found.name).uid == found.uid

    @property
    def there(self):
        return {
            name: (made["metadata"]["uid"], made["metadata"]["resourceVersion"])
            for (_, name), made in self.cluster.objects.items()
        }

    @property
    def seen(self):
        return {name: (thing.uid, thing.version) for name, thing in self.view.items()}

    def calls(self, *verbs):
        return [at for at, verb in self.cluster.calls if not verbs or verb in verbs]


def in_a_world(story, **options):
    """Tells a story beside a running informer, in virtual time."""

    async def told():
        world = World(**options)
        watching = asyncio.ensure_future(world.watch())
        try:
            await story(world)
            assert not watching.done(), "an informer never ends"
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return world

    return in_virtual_time(told())


def test_what_is_there_comes_first_then_synced_then_what_happens():
    async def story(world):
        world.cluster.put("a")
        world.cluster.put("b")
        await asyncio.sleep(1)
        assert world.informer.synced
        world.cluster.put("c")
        world.cluster.delete("a")
        await asyncio.sleep(1)

    changes = in_a_world(story).changes
    assert [
        (type(c), c.object.name, getattr(c, "initial", None)) for c in changes if not isinstance(c, Synced)
    ] == [
        (Upsert, "a", True),
        (Upsert, "b", True),
        (Upsert, "c", False),
        (Gone, "a", None),
    ]
    assert changes[2] == Synced()


def test_an_empty_cluster_is_synced_too():
    async def story(_world):
        await asyncio.sleep(1)

    assert in_a_world(story).batches == [(Synced(),)]


def test_a_long_list_comes_page_by_page():
    async def story(world):
        for n in range(1201):
            world.cluster.put(f"job-{n}")
        await asyncio.sleep(1)
        assert world.seen == world.there

    world = in_a_world(story)
    assert [len(batch) for batch in world.batches] == [500, 500, 201, 1]
    assert [verb for _, verb in world.cluster.calls] == ["list", "continue", "continue", "watch"]


def test_what_comes_together_is_told_together():
    async def story(world):
        await asyncio.sleep(1)
        for n in range(50):
            world.cluster.put(f"job-{n}")
        await asyncio.sleep(1)

    assert [len(batch) for batch in in_a_world(story).batches] == [1, 50]


def test_a_reconnect_goes_on_from_the_newest_version_without_a_list():
    async def story(world):
        world.cluster.put("a")
        for n in range(20):
            world.cluster.cut_watches()
            world.cluster.put(f"job-{n}")
            await asyncio.sleep(5)
        assert world.seen == world.there

    world = in_a_world(story)
    assert len(world.calls("list")) == 1
    assert "expired" not in world.told


def test_bookmarks_carry_a_quiet_watch_over_a_compaction():
    async def story(world):
        world.cluster.put("a")
        await asyncio.sleep(1)
        world.cluster.version += 1000  # by objects of other kinds
        await asyncio.sleep(120)
        world.cluster.compact()
        world.cluster.cut_watches()
        await asyncio.sleep(5)

    assert len(in_a_world(story).calls("list")) == 1


def test_after_an_expiry_missed_deletions_are_told_and_nothing_else():
    async def story(world):
        for name in "abc":
            world.cluster.put(name)
        await asyncio.sleep(2)
        world.cluster.cut_watches()
        world.cluster.delete("b")
        world.cluster.put("c")
        world.cluster.compact()
        await asyncio.sleep(5)
        assert world.seen == world.there

    world = in_a_world(story)
    assert [(type(c), c.object.name) for c in world.changes[4:]] == [(Upsert, "c"), (Gone, "b")]
    assert world.changes[4].initial is False
    assert world.told.count("expired") == 1


@pytest.mark.parametrize("missed", [True, False], ids=["while away", "in the watch"])
def test_a_new_uid_under_an_old_name_is_first_gone_then_new(missed):
    async def story(world):
        world.cluster.put("a")
        await asyncio.sleep(2)
        if missed:
            world.cluster.cut_watches()
        world.cluster.delete("a")
        world.cluster.put("a")
        if missed:
            world.cluster.compact()
        await asyncio.sleep(5)
        assert world.seen == world.there

    _, _, gone, new = in_a_world(story).changes
    assert isinstance(gone, Gone)
    assert isinstance(new, Upsert)
    assert gone.object.uid != new.object.uid


def test_a_continue_token_that_expired_restarts_the_list_once():
    async def story(world):
        failures = [errors.Expired("continue")]

        def trouble(verb):
            if verb == "continue" and failures:
                world.cluster.delete("job-7")
                raise failures.pop()

        world.cluster.trouble = trouble
        for n in range(700):
            world.cluster.put(f"job-{n}")
        await asyncio.sleep(1)
        assert world.informer.synced
        assert world.seen == world.there

    world = in_a_world(story)
    assert [verb for _, verb in world.cluster.calls] == ["list", "continue", "list", "continue", "watch"]


def always(error, *verbs):
    def trouble(verb):
        if verb in verbs:
            raise error

    return trouble


@pytest.mark.parametrize("verbs", [("watch",), ("list",), ("continue",)])
def test_a_server_that_always_says_410_is_asked_less_than_five_times_in_ten_seconds(verbs):
    async def story(world):
        for n in range(600):
            world.cluster.put(f"job-{n}")
        world.cluster.trouble = always(errors.Expired("410"), *verbs)
        await asyncio.sleep(300)

    world = in_a_world(story)
    # A list of several pages is one request here.
    calls = world.calls("list", "watch")
    assert max(sum(1 for other in calls if at <= other < at + 10) for at in calls) < 5
    assert len(calls) >= 10, "but it never gives up"


@pytest.mark.parametrize("error", [errors.Unavailable("503", 503), errors.Unavailable("refused")])
def test_a_dead_server_is_asked_ever_less_and_found_again(error):
    async def story(world):
        world.cluster.put("a")
        await asyncio.sleep(2)
        world.cluster.trouble = always(error, "list", "watch")
        world.cluster.cut_watches()
        world.cluster.put("b")
        await asyncio.sleep(600)
        asked = len(world.cluster.calls)
        world.cluster.trouble = always(error)
        await asyncio.sleep(61)
        assert world.seen == world.there
        assert asked < 30

    in_a_world(story)


def test_throttled_waits_as_told_and_watches_from_where_it_was():
    async def story(world):
        world.cluster.put("a")
        await asyncio.sleep(2)
        world.cluster.trouble = always(errors.Throttled("429", 20), "watch")
        world.cluster.cut_watches()
        await asyncio.sleep(60)
        world.cluster.trouble = always(errors.Throttled("429", 20))
        world.cluster.put("b")
        await asyncio.sleep(25)
        assert world.seen == world.there

    world = in_a_world(story)
    assert len(world.calls("list")) == 1
    waits = [b - a for a, b in zip(world.calls("watch")[1:], world.calls("watch")[2:], strict=False)]
    assert all(wait >= 20 for wait in waits[:3])


@pytest.mark.parametrize("error", [errors.Refused("no", 403, "Forbidden"), errors.Unavailable("no", 401)])
def test_refused_is_tried_slowly_for_ever_and_told(error):
    async def story(world):
        world.cluster.trouble = always(error, "list")
        await asyncio.sleep(600)
        world.cluster.trouble = always(error)
        await asyncio.sleep(61)
        assert world.informer.synced

    world = in_a_world(story)
    assert 10 <= world.told.count("refused") <= 21


def test_an_unreadable_object_is_told_and_its_end_too():
    async def story(world):
        world.cluster.put("a")
        world.cluster.put("b", odd=True)
        await asyncio.sleep(1)
        world.cluster.put("a", odd=True)
        await asyncio.sleep(1)
        world.cluster.cut_watches()
        world.cluster.delete("a")
        world.cluster.delete("b")
        world.cluster.compact()
        await asyncio.sleep(5)
        assert world.view == {}

    world = in_a_world(story)
    assert [(type(c).__name__, type(c.object).__name__) for c in world.changes if c != Synced()] == [
        ("Upsert", "Thing"),
        ("Upsert", "Unreadable"),
        ("Upsert", "Unreadable"),
        ("Gone", "Thing"),
        ("Gone", "Unreadable"),
    ]
    assert world.told.count("decode_error") == 2


def test_the_last_known_state_is_one_that_could_be_read():
    async def story(world):
        world.cluster.put("a")
        await asyncio.sleep(1)
        world.cluster.put("a", odd=True)
        world.cluster.delete("a")
        await asyncio.sleep(1)

    assert isinstance(in_a_world(story).changes[-1].object, Thing)


def test_silence_is_what_was_not_heard_of_the_server():
    async def story(world):
        assert world.informer.silent_for() == 0
        world.cluster.trouble = always(errors.Unavailable("refused"), "list")
        await asyncio.sleep(50)
        assert world.informer.silent_for() == pytest.approx(50)
        world.cluster.trouble = always(errors.Unavailable("refused"), "watch")
        await asyncio.sleep(70)
        assert 0 < world.informer.silent_for() < 70
        world.cluster.trouble = always(errors.Unavailable("refused"))
        await asyncio.sleep(1000)
        assert world.informer.silent_for() <= 61

    in_a_world(story)


def test_a_bug_in_decoding_is_not_swallowed():
    async def story():
        world = World()
        world.cluster.put("a")
        world.informer._decode = lambda _raw: 1 / 0
        with pytest.raises(ZeroDivisionError):
            await world.watch()

    in_virtual_time(story())


names = st.sampled_from(["a", "b", "c", "d"])
deeds = st.one_of(
    st.tuples(st.just("put"), names),
    st.tuples(st.just("put"), names),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.5, 3.0, 70.0, 400.0])),
    st.tuples(st.just("cut"), st.none()),
    st.tuples(st.just("compact"), st.none()),
    st.tuples(st.just("trouble"), st.sampled_from(["none", "503", "429", "410", "half"])),
)


def trouble_of(kind, dice):
    def trouble(_verb):
        match kind:
            case "503":
                raise errors.Unavailable("503", 503)
            case "429":
                raise errors.Throttled("429", 2)
            case "410":
                raise errors.Expired("410")
            case "half" if dice.random() < 0.5:
                raise errors.Unavailable("reset")

    return trouble


async def do(deed, what, world, dice):
    match deed:
        case "put":
            world.cluster.put(what)
        case "delete":
            world.cluster.delete(what)
        case "wait":
            await asyncio.sleep(what)
        case "cut":
            world.cluster.cut_watches()
        case "compact":
            world.cluster.compact()
        case "trouble":
            world.cluster.trouble = trouble_of(what, dice)


@settings(max_examples=120, deadline=None)
@given(history=st.lists(deeds, max_size=40), seed=st.integers(0, 1000))
def test_whatever_happens_the_view_becomes_what_is_there(history, seed):
    async def story(world):
        dice = random.Random(seed)
        world.cluster.latency = dice.choice([0, 0.05])
        for deed, what in history:
            await do(deed, what, world, dice)
        await do("trouble", "none", world, dice)
        await asyncio.sleep(65)
        assert world.informer.synced
        assert world.seen == world.there

    world = in_a_world(story, seed=seed)
    assert world.changes.count(Synced()) == 1


def test_after_a_long_silence_it_lists_and_is_not_believed_before_the_last_page():
    async def story(world):
        for n in range(600):
            world.cluster.put(f"job-{n}")
        await asyncio.sleep(2)
        world.cluster.trouble = always(errors.Unavailable("down"), "watch", "list", "continue")
        world.cluster.cut_watches()
        await asyncio.sleep(200)
        world.cluster.trouble = always(errors.Unavailable("down"), "continue")
        await asyncio.sleep(60)
        assert world.informer.silent_for() > 200, "one page of two is no news"
        world.cluster.trouble = always(errors.Unavailable("down"))
        await asyncio.sleep(70)
        assert world.informer.silent_for() < 70
        assert world.seen == world.there

    in_a_world(story)
