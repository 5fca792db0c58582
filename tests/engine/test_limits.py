"""Limits of companies and cluster with real loops, in virtual time: what is admitted, and in which order."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.actions import PatchJob, RefreshJob
from controller.core.contract import Phase, Reason, Status
from controller.core.snapshot import Policy
from controller.engine import loops
from controller.kube import errors
from controller.kube.informer import Upsert
from tests.core.builders import KEYS, stamp, uid_of
from tests.engine.virtual import always, once, phase_of, virtual
from tests.engine.world import PARSER, engine, merged, raw
from tests.kube.doubles import in_virtual_time

ONE = Policy(cluster_concurrency=1)
OVER = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}


def of(agent, company="", created=0):
    """What differs for a Job of that agent and company."""
    labels = {KEYS.agent_id: agent, **({KEYS.company_id: company} if company else {})}
    return {"metadata": {"labels": labels, "creationTimestamp": stamp(created)}}


def end(world, name):
    """The Job is over, and the watch says so."""
    world.cluster._save(merged(world.cluster.jobs[uid_of(name)], OVER))
    world.see_again(name)


def running(world):
    """Names of Jobs that are unsuspended and not over."""
    jobs = [PARSER.job(raw(job)) for job in world.cluster.jobs.values()]
    return sorted(job.name for job in jobs if not job.suspended and job.finished is None)


def standing(world, name):
    status = world.cluster.job(name).status
    return f"{status.get(Status.PHASE)}/{status.get(Status.REASON)}"


@virtual
async def test_a_place_that_becomes_free_wakes_the_next_in_line_whichever_slot_it_is_in():
    async with engine(ONE) as world:
        for number in range(4):
            world.see_job(f"run-{number}", **of(f"a-{number}", created=number))
            await asyncio.sleep(1)
        assert running(world) == ["run-0"]
        assert standing(world, "run-3") == "Queued/ClusterLimit"
        for number in range(3):
            end(world, f"run-{number}")
            await asyncio.sleep(0.01)
            assert running(world) == [f"run-{number + 1}"]


@virtual
async def test_a_company_at_its_limit_waits_and_another_one_does_not():
    async with engine(Policy(company_concurrency=1)) as world:
        world.see_job("first", **of("a-1", "c-1"))
        await asyncio.sleep(1)
        world.see_job("second", **of("a-2", "c-1"))
        world.see_job("other", **of("a-3", "c-2"))
        await asyncio.sleep(1)
        assert running(world) == ["first", "other"]
        assert standing(world, "second") == "Queued/CompanyLimit"
        assert "1 of 1 runs of company c-1" in world.cluster.job("second").status[Status.MESSAGE]


@virtual
async def test_a_run_that_was_submitted_running_counts_and_is_not_held_back():
    async with engine(ONE) as world:
        world.see_job("intruder", **merged(of("a-1"), {"spec": {"suspend": False}}))
        world.see_job("waits", **of("a-2"))
        await asyncio.sleep(1)
        world.see_job("another", **merged(of("a-3"), {"spec": {"suspend": False}}))
        await asyncio.sleep(1)
        end(world, "intruder")
        await asyncio.sleep(1)
        assert running(world) == ["another"]
        end(world, "another")
        await asyncio.sleep(1)
        assert running(world) == ["waits"]


@virtual
async def test_what_has_vanished_keeps_its_place_until_it_is_certain_to_be_gone():
    async with engine(ONE) as world:
        world.see_job("first", **of("a-1", "c-1"))
        await asyncio.sleep(1)
        world.see_job("second", **of("a-2", "c-1"))
        await asyncio.sleep(1)
        world.cluster.trouble = always(errors.Unavailable("no"), object)
        world.lose_job("first")
        await asyncio.sleep(60)
        assert running(world) == []
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(70)
        assert running(world) == ["second"]


@virtual
async def test_a_start_whose_answer_is_lost_keeps_its_place_until_the_cache_shows_what_came_of_it():
    async with engine(ONE) as world:
        world.cluster.lost = once(errors.Unavailable("cut"), name="first")
        world.cluster.trouble = always(errors.Unavailable("no"), RefreshJob)
        world.see_job("first", **of("a-1"))
        await asyncio.sleep(1)
        world.see_job("second", **of("a-2"))
        await asyncio.sleep(30)
        assert running(world) == ["first"]
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(60)
        assert running(world) == ["first"]
        assert standing(world, "second") == "Queued/ClusterLimit"


@virtual
async def test_a_start_that_did_not_happen_lets_the_next_one_go_first():
    async with engine(ONE) as world:
        world.cluster.trouble = always(errors.Unavailable("a webhook is down"), PatchJob, "first")
        world.see_job("first", **of("a-1"))
        await asyncio.sleep(1)
        world.see_job("second", **of("a-2", created=5))
        await asyncio.sleep(120)
        assert running(world) == ["second"]


@virtual
async def test_a_start_that_is_refused_gives_its_place_to_the_next_and_is_tried_again():
    async with engine(ONE) as world:
        world.cluster.trouble = always(errors.Refused("no", 403, "Forbidden"), PatchJob, "first")
        world.see_job("first", **of("a-1"))
        await asyncio.sleep(1)
        world.see_job("second", **of("a-2", created=5))
        await asyncio.sleep(1)
        assert running(world) == ["second"]
        world.cluster.trouble = lambda _action: None
        end(world, "second")
        await asyncio.sleep(120)
        assert running(world) == ["first"]


@virtual
async def test_a_poisoned_slot_keeps_no_place_from_others(monkeypatch):
    real = loops.reconcile

    def reconcile(seen, now, policy):
        if seen.slot.agent == "a-1":
            raise RecursionError("poison")
        return real(seen, now, policy)

    monkeypatch.setattr(loops, "reconcile", reconcile)
    async with engine(ONE) as world:
        world.see_job("first", **of("a-1"))
        await asyncio.sleep(1)
        world.see_job("second", **of("a-2", created=5))
        await asyncio.sleep(1)
        assert running(world) == ["second"]


@virtual
async def test_a_restart_keeps_the_order_whatever_is_looked_at_first():
    async with engine(ONE, workers=0) as world:
        for number in (2, 0, 1):
            world.see_job(f"run-{number}", **of(f"a-{number}", created=number))
        await asyncio.sleep(1)
        await loops.prime(world.parts)
        worker = asyncio.ensure_future(loops.work(world.parts))
        await asyncio.sleep(1)
        worker.cancel()
        assert running(world) == ["run-0"]


@virtual
async def test_a_slot_that_nothing_can_be_said_of_holds_up_no_start(monkeypatch):
    def poisoned(seen, _policy):
        raise RecursionError(seen.slot.agent)

    async with engine(ONE, workers=0) as world:
        world.see_job()
        await asyncio.sleep(1)
        with monkeypatch.context() as patched:
            patched.setattr("controller.core.contending.contenders", poisoned)
            await loops.prime(world.parts)
        assert world.told.about("failed")


@virtual
async def test_places_are_counted_over_namespaces_and_by_company_label():
    async with engine(Policy(company_concurrency=1)) as world:
        world.see_job("here", **of("a-1", "c-1"))
        await asyncio.sleep(1)
        world.see_job("there", **merged(of("a-1", "c-1"), {"metadata": {"namespace": "elsewhere"}}))
        await asyncio.sleep(1)
        assert running(world) == ["here"]
        assert standing(world, "there") == "Queued/CompanyLimit"


# ── At random ────────────────────────────────────────────────────────────────────────────────────


class Judge:
    """Looks at every admission: was there room for it, and was nobody before it?"""

    def __init__(self, world, policy):
        self.world, self.policy, self.most = world, policy, 0

    def counts(self):
        names = running(self.world)
        jobs = [self.world.cluster.job(name) for name in names]
        companies = [job.ids.company for job in jobs]
        return names, max((companies.count(company) for company in companies), default=0)

    def within(self):
        names, of_company = self.counts()
        assert len(names) <= (self.policy.cluster_concurrency or 10**6), names
        assert of_company <= (self.policy.company_concurrency or 10**6), names

    def nobody_waits_for_nothing(self):
        names = running(self.world)
        jobs = [self.world.cluster.job(name) for name in names]
        for uid in self.world.cluster.jobs:
            job = self.world.parts.store.job(uid)
            if job is None or not job.suspended:
                continue
            full = len(names) >= (self.policy.cluster_concurrency or 10**6)
            company = sum(other.ids.company == job.ids.company for other in jobs)
            assert (
                full
                or company >= (self.policy.company_concurrency or 10**6)
                or any(other.slot == job.slot for other in jobs)
            ), job.name
            assert job.phase is Phase.QUEUED
            assert job.status[Status.REASON] in (
                Reason.AGENT_BUSY,
                Reason.TASK_UNKNOWN,
                Reason.COMPANY_LIMIT,
                Reason.CLUSTER_LIMIT,
            )


def rough(rng):
    """Answers get lost and calls fail, now and then."""

    def trouble(action):
        if isinstance(action, PatchJob) and rng.random() < 0.1:
            raise rng.choice([errors.Unavailable("no"), errors.Throttled("no", 1), errors.Conflict("no")])

    return trouble


async def a_day(seed, company, cluster):
    rng, policy = random.Random(seed), Policy(company_concurrency=company, cluster_concurrency=cluster)
    async with engine(policy, workers=3) as world:
        judge = Judge(world, policy)
        world.cluster.trouble, world.cluster.lost, world.cluster.slow = rough(rng), rough(rng), 0.05
        for number in range(30):
            if rng.random() < 0.6:
                where = of(f"a-{rng.randrange(6)}", rng.choice(["", "c-1", "c-2"]), number)
                world.see_job(f"run-{number:02}", **where)
            elif names := running(world):
                end(world, rng.choice(names))
            await asyncio.sleep(rng.choice([0, 0.02, 0.5]))
            judge.within()
        world.cluster.trouble = world.cluster.lost = lambda _action: None
        await asyncio.sleep(130)
        judge.within()
        judge.nobody_waits_for_nothing()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 2), st.integers(0, 3))
def test_however_runs_come_and_go_limits_hold_and_nobody_waits_for_nothing(seed, company, cluster):
    in_virtual_time(a_day(seed, company, cluster))


@pytest.mark.parametrize("waiting", [400])
@virtual
async def test_many_that_wait_are_each_looked_at_once_when_a_place_becomes_free(waiting):
    async with engine(Policy(cluster_concurrency=2)) as world:
        for number in range(waiting):
            world.see_job(f"run-{number}", **of(f"a-{number}", created=number))
        await asyncio.sleep(5)
        rounds = world.told.outcomes.total()
        for number in range(10):
            end(world, f"run-{number}")
            await asyncio.sleep(1)
        assert world.told.outcomes.total() - rounds < 100, "not all of them, each time"
        assert running(world) == ["run-10", "run-11"]


def test_an_unlimited_store_keeps_no_ledger():
    async def look():
        async with engine(Policy()) as world:
            world.jobs.give(Upsert(PARSER.job(raw(world.cluster.add_job())), initial=False))
            await asyncio.sleep(1)
            assert world.parts.store.ledger is None
            assert phase_of(world) is Phase.STARTING

    in_virtual_time(look())
