import asyncio
import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.kube import errors
from controller.kube.lease import Lease, LeaseLost
from tests.kube.doubles import MemoryCluster, eventually, in_virtual_time

NAME = ("ns", "runherd")


class Candidate:
    """A process that wants to lead, on its own way to the API server.

    `held` becomes true when a lease is acquired or renewed, and only then: so it is enough to look there.
    """

    def __init__(self, cluster, identity, seed=0, rivals=(), **options):
        self.rivals = rivals
        self.way = Way(cluster)
        self.told = []
        self.lost = ""
        self.lease = Lease(
            self.way,
            *NAME,
            identity,
            clock=asyncio.get_running_loop().time,
            rng=random.Random(seed),
            observe=self.hear,
            **options,
        )
        self.task = None
        self.twice = False

    def hear(self, what):
        self.told.append(what)
        if what in ("acquired", "renewed"):
            self.twice = self.twice or any(rival.lease.held() for rival in self.rivals)

    def start(self):
        self.task = asyncio.ensure_future(self.run())

    async def run(self):
        while True:
            await self.lease.wait_acquired()
            try:
                await self.lease.keep()
            except LeaseLost as e:
                self.lost = str(e)

    async def crash(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def stop(self):
        await self.crash()
        await self.lease.release()


class Way:
    """One candidate's connection: it may be cut, hang, or lose answers."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.state = "up"

    async def pass_through(self, verb, *args):
        if self.state == "cut":
            raise errors.Unavailable("cut")
        if self.state == "hangs":
            await asyncio.Event().wait()
        answer = await getattr(self.cluster, verb)(*args)
        if self.state == "loses answers":
            raise errors.Unavailable("lost")
        return answer

    async def get(self, *args):
        return await self.pass_through("get", *args)

    async def create(self, *args):
        return await self.pass_through("create", *args)

    async def replace(self, *args):
        return await self.pass_through("replace", *args)


class Watcher:
    """Looks ten times a second who believes to lead."""

    def __init__(self, *candidates):
        self.candidates = candidates
        self.leading = ""
        self.task = asyncio.ensure_future(self.look())

    async def look(self):
        while True:
            self.leading += "#" if any(candidate.lease.held() for candidate in self.candidates) else "."
            await asyncio.sleep(0.1)

    def longest_without(self):
        """Seconds, of the longest time in which nobody led after somebody had."""
        return max((len(gap) for gap in re.findall(r"\.+", self.leading.strip("."))), default=0) / 10


def rivals(cluster, seed=0):
    a, b = Candidate(cluster, "a", seed), Candidate(cluster, "b", seed + 1)
    a.rivals, b.rivals = (b,), (a,)
    return a, b


async def ended(*candidates):
    for candidate in candidates:
        await candidate.crash()
        assert not candidate.twice, "two led at once"


def two_candidates(story):
    """Tells a story of two candidates under watch."""

    async def told():
        cluster = MemoryCluster()
        a, b = rivals(cluster)
        watcher = Watcher(a, b)
        a.start()
        await asyncio.sleep(1)
        b.start()
        await asyncio.sleep(30)
        assert a.lease.held()
        await story(cluster, a, b)
        watcher.task.cancel()
        await ended(a, b)
        return watcher

    return in_virtual_time(told())


def test_the_first_leads_and_goes_on_leading():
    async def story(cluster, a, b):
        cluster.calls.clear()
        await asyncio.sleep(240)
        assert a.lease.held()
        assert "acquired" not in b.told
        writes = [at for at, verb in cluster.calls if verb == "replace"]
        assert 240 / 2.4 - 1 <= len(writes) <= 240 / 2

    assert two_candidates(story).longest_without() == 0


def test_after_a_crash_the_other_leads_within_nineteen_seconds():
    async def story(_cluster, a, b):
        await a.crash()
        await asyncio.sleep(19)
        assert b.lease.held()

    assert two_candidates(story).longest_without() >= 5 - 2.4, "it stopped before the other began"


def test_after_a_release_the_other_leads_within_a_retry():
    async def story(cluster, a, b):
        await a.stop()
        assert not a.lease.held()
        assert cluster.objects[NAME]["spec"]["holderIdentity"] == ""
        assert cluster.objects[NAME]["spec"]["leaseDurationSeconds"] == 1
        await asyncio.sleep(2.5)
        assert b.lease.held()
        assert cluster.objects[NAME]["spec"]["leaseTransitions"] == 1

    two_candidates(story)


def test_a_renewal_cancelled_on_its_way_does_not_hinder_the_release():
    async def story(cluster, a, b):
        cluster.latency = 0.4
        await eventually(lambda: cluster.calls[-1][1] == "replace")
        await asyncio.sleep(0.35)
        cluster.put("runherd", spec=cluster.objects[NAME]["spec"])  # it was written, the answer is under way
        await a.stop()
        await asyncio.sleep(3.5)
        assert b.lease.held()

    two_candidates(story)


@pytest.mark.parametrize("state", ["cut", "hangs"])
def test_who_cannot_renew_stops_before_another_begins(state):
    async def story(_cluster, a, b):
        a.way.state = state
        await asyncio.sleep(10.1)
        assert not a.lease.held()
        assert a.lost
        assert not b.lease.held()
        await asyncio.sleep(9)
        assert b.lease.held()

    two_candidates(story)


def test_an_outage_for_all_leaves_nobody_leading_and_heals():
    async def story(_cluster, a, b):
        a.way.state = b.way.state = "cut"
        await asyncio.sleep(60)
        assert not a.lease.held()
        assert not b.lease.held()
        a.way.state = b.way.state = "up"
        await asyncio.sleep(20)
        assert a.lease.held() or b.lease.held()

    two_candidates(story)


def test_lost_answers_are_found_out_to_be_our_own_writes():
    async def story(_cluster, a, b):
        for _ in range(3):
            a.way.state = "loses answers"
            await asyncio.sleep(4)
            a.way.state = "up"
            await asyncio.sleep(4)
        assert a.lease.held()
        assert "acquired" not in b.told

    assert two_candidates(story).longest_without() == 0


def test_a_lease_taken_by_force_is_given_up():
    async def story(cluster, a, _b):
        cluster.put("runherd", spec={"holderIdentity": "thief", "leaseDurationSeconds": 15})
        await asyncio.sleep(2.5)
        assert not a.lease.held()
        assert "thief" in a.lost

    two_candidates(story)


def test_a_deleted_lease_is_made_again_by_who_leads():
    async def story(cluster, a, b):
        await b.crash()
        cluster.delete("runherd")
        await asyncio.sleep(3)
        assert a.lease.held()
        assert cluster.objects[NAME]["spec"]["holderIdentity"] == "a"

    two_candidates(story)


def test_a_clock_far_away_decides_nothing():
    async def story():
        cluster = MemoryCluster()
        spec = {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "1999-01-01T00:00:00.000000Z"}
        cluster.put("runherd", spec=spec)
        a = Candidate(cluster, "a")
        a.start()
        await asyncio.sleep(14)
        assert not a.lease.held(), "the record is old by its own words, not by our clock"
        await asyncio.sleep(4)
        assert a.lease.held()
        await a.crash()

    in_virtual_time(story())


def test_the_record_is_as_kubernetes_wants_it_and_keeps_what_others_wrote():
    async def story():
        cluster = MemoryCluster()
        a = Candidate(cluster, "a", wall=lambda: 1_767_225_600_000_000_000)
        await a.lease.wait_acquired()
        made = cluster.objects[NAME]
        assert made["apiVersion"] == "coordination.k8s.io/v1"
        assert made["spec"] == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }
        cluster.objects[NAME]["metadata"]["labels"] = {"team": "x"}
        a.start()
        await asyncio.sleep(10)
        assert cluster.objects[NAME]["metadata"]["labels"] == {"team": "x"}
        await a.crash()

    in_virtual_time(story())


@pytest.mark.parametrize("error", [errors.Refused("no", 403, "Forbidden"), errors.NotFound("no namespace")])
def test_missing_rights_are_told_with_the_verbs_that_are_needed(error):
    async def story():
        cluster = MemoryCluster()

        def trouble(_verb):
            raise error

        cluster.trouble = trouble
        with pytest.raises(errors.Refused, match="get, create and update") as caught:
            await Candidate(cluster, "a").lease.wait_acquired()
        assert caught.value.code == error.code

    in_virtual_time(story())


def test_rights_that_go_away_while_leading_end_it_at_the_deadline():
    async def story(cluster, a, _b):
        def trouble(_verb):
            raise errors.Refused("no", 403, "Forbidden")

        cluster.trouble = trouble
        await asyncio.sleep(7.5)
        assert a.lease.held()
        await asyncio.sleep(3)
        assert not a.lease.held()
        a.task.cancel()

    two_candidates(story)


def test_times_that_are_not_safe_are_refused_at_once():
    with pytest.raises(ValueError, match="duration"):
        Lease(None, "ns", "n", "a", clock=lambda: 0, rng=None, observe=None, duration=10, renew_deadline=10)


@settings(max_examples=60, deadline=None)
@given(
    states=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["up", "cut", "hangs", "loses answers"]), st.floats(0, 25)
        ),
        max_size=12,
    ),
    latency=st.sampled_from([0, 0.3, 1.5, 2.5]),
    seed=st.integers(0, 99),
)
def test_two_never_lead_at_once_whatever_the_connections_do(states, latency, seed):
    async def story():
        cluster = MemoryCluster()
        cluster.latency = latency
        a, b = rivals(cluster, seed)
        a.start()
        b.start()
        for who, state, seconds in states:
            {"a": a, "b": b}[who].way.state = state
            await asyncio.sleep(seconds)
        a.way.state = b.way.state = "up"
        cluster.latency = 0
        await asyncio.sleep(25)
        assert a.lease.held() or b.lease.held()
        await ended(a, b)

    in_virtual_time(story())


def test_the_spec_survives_a_round_trip_of_json():
    async def story():
        cluster = MemoryCluster()
        cluster.put("runherd", spec=None)
        a = Candidate(cluster, "a")
        await a.lease.wait_acquired()
        assert json.loads(json.dumps(cluster.objects[NAME]))["spec"]["holderIdentity"] == "a"

    in_virtual_time(story())
