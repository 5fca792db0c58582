"""What the loops do with failures, on a cluster in memory in virtual time."""

import asyncio
from itertools import count

import pytest

from controller.core.actions import PatchJob, RefreshJob, TellJob
from controller.core.contract import Phase
from controller.core.snapshot import Policy
from controller.engine import loops
from controller.kube import errors
from controller.kube.informer import Gone
from controller.kube.lease import LeaseLost
from tests.core.builders import SLOT, pod_json, stamp, uid_of
from tests.engine.virtual import OF_OTHER, OTHER, RUNNING, always, once, phase_of, virtual
from tests.engine.world import engine, merged

# ── The switch ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "outcome", "soonest", "latest"),
    [
        pytest.param(errors.Conflict("no"), "conflict", 0, 0.1, id="changed meanwhile: again at once"),
        pytest.param(errors.AlreadyExists("no"), "conflict", 0, 0.1, id="there already: again at once"),
        pytest.param(errors.Unavailable("no"), "unavailable", 0, 0.1, id="out of reach: again soon"),
        pytest.param(errors.Expired("no"), "unavailable", 0, 0.1, id="too old: again soon"),
        pytest.param(errors.Throttled("no", 7), "throttled", 7, 7.1, id="busy: when the server says"),
        pytest.param(errors.Refused("no", 422), "refused", 60, 60.1, id="refused: much later"),
        pytest.param(ValueError("no"), "failed", 0, 0.1, id="a mistake of ours: again soon"),
    ],
)
@virtual
async def test_what_follows_from_how_a_round_ended(error, outcome, soonest, latest):
    async with engine() as world:
        world.cluster.trouble = once(error)
        world.see_job()
        await asyncio.sleep(120)
        first, second = [
            at for at, action in world.cluster.calls if isinstance(action, PatchJob) and action.spec
        ][:2]
        assert soonest <= second - first <= latest
        assert world.told.outcomes[outcome] == 1
        assert phase_of(world) is Phase.STARTING
        assert len(world.cluster.admissions()) == 1


@virtual
async def test_a_job_that_is_gone_is_dropped_and_nothing_is_asked_for_it_again():
    async with engine() as world:
        world.see_job()
        world.cluster.jobs.clear()
        await asyncio.sleep(120)
        assert world.told.outcomes["not_found"] == 1
        assert world.parts.store.job(uid_of("run-1")) is None
        assert len(world.cluster.calls) <= 4, "patch, refresh, confirm"
        world.see_job("run-2")
        await asyncio.sleep(1)
        assert phase_of(world, "run-2") is Phase.STARTING, "it left no ghost behind"


@virtual
async def test_failures_are_counted_from_the_last_success():
    async with engine() as world:
        world.cluster.trouble = always(errors.Unavailable("no"), PatchJob)
        world.see_job()
        await asyncio.sleep(100)
        world.cluster.trouble = once(errors.Unavailable("no"))
        await asyncio.sleep(100)
        assert phase_of(world) is Phase.STARTING
        failed = world.told.outcomes["unavailable"]
        world.cluster.trouble = once(errors.Unavailable("no"))
        world.see_pod(status=RUNNING)
        await asyncio.sleep(1)
        assert world.told.outcomes["unavailable"] == failed + 1
        assert phase_of(world) is Phase.RUNNING, "tried again within the second"


@virtual
async def test_an_outage_is_no_storm_of_calls():
    async with engine() as world:
        world.cluster.trouble = always(errors.Unavailable("no"), object)
        world.see_job()
        await asyncio.sleep(600)
        assert len(world.cluster.calls) < 40


@virtual
async def test_writes_that_fail_while_reads_succeed_are_tried_later_each_time():
    async with engine() as world:
        world.cluster.trouble = always(errors.Unavailable("no space left"), PatchJob)
        world.see_job()
        await asyncio.sleep(600)
        tries = [action for _, action in world.cluster.calls if isinstance(action, PatchJob)]
        assert 10 < len(tries) < 40


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_refusal_skips_the_rest_of_that_job_only():
    async with engine(Policy(agent_concurrency=2), workers=0) as world:
        world.see_job("run-1")
        world.see_job("run-2")
        world.cluster.trouble = always(errors.Refused("no", 422, "Invalid"), PatchJob, "run-1")
        await asyncio.sleep(1)
        worker = asyncio.ensure_future(loops.work(world.parts))
        await asyncio.sleep(1)
        worker.cancel()
        assert {(action.name, action.reason) for action in world.cluster.told} == {("run-2", "Admitted")}
        assert phase_of(world, "run-2") is Phase.STARTING
        assert {action.name for action, _ in world.told.about("refused")} == {"run-1"}


@pytest.mark.parametrize(
    "error",
    [errors.Refused("no", 403, "Forbidden"), errors.Unavailable("no"), errors.Throttled("no", 30)],
    ids=["forbidden", "unavailable", "throttled"],
)
@virtual
async def test_events_that_can_not_be_told_do_not_hold_up_the_run(error):
    async with engine() as world:
        world.cluster.trouble = always(error, TellJob)
        world.see_job()
        await asyncio.sleep(1)
        world.see_pod(status=RUNNING)
        await asyncio.sleep(1)
        assert phase_of(world) is Phase.RUNNING
        tries = [action for _, action in world.cluster.calls if isinstance(action, TellJob)]
        assert len(tries) == 1, "not asked twice"
        assert world.told.about("refused")


@virtual
async def test_an_event_that_gets_no_answer_holds_up_the_run_for_seconds_only():
    async with engine() as world:

        async def hang(_action):
            await asyncio.sleep(3600)

        world.cluster.tell = hang
        world.see_job("run-1")
        world.see_job("run-2", **OF_OTHER)
        await asyncio.sleep(20)
        assert phase_of(world, "run-2") is Phase.STARTING


# ── Lost answers ─────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_write_whose_answer_is_lost_is_looked_up_before_anything_else_is_decided():
    async with engine() as world:
        world.cluster.lost = once(errors.Unavailable("cut"))
        world.see_job()
        await asyncio.sleep(1)
        assert [type(action) for _, action in world.cluster.calls[:2]] == [PatchJob, RefreshJob]
        assert len(world.cluster.admissions()) == 1
        assert not world.parts.store.snapshot(SLOT, fresh=True).doubts


@virtual
async def test_a_write_whose_answer_is_lost_is_told_once_when_it_is_known_to_have_been_taken_in():
    async with engine() as world:
        world.cluster.lost = once(errors.Unavailable("cut"))
        world.see_job()
        await asyncio.sleep(1)
        admitted = [a for (a,) in world.told.about("performed") if isinstance(a, PatchJob)]
        assert [patch.why for patch in admitted] == ["admit"]


@virtual
async def test_a_write_that_never_arrived_is_told_only_when_it_has():
    async with engine() as world:
        world.cluster.trouble = once(errors.Unavailable("cut"))
        world.see_job()
        await asyncio.sleep(0)
        await asyncio.sleep(0.0001)
        told = [a for (a,) in world.told.about("performed") if isinstance(a, PatchJob)]
        await asyncio.sleep(5)
        later = [a for (a,) in world.told.about("performed") if isinstance(a, PatchJob)]
        assert (told, [patch.why for patch in later]) == ([], ["admit"])


@virtual
async def test_a_start_whose_answer_is_lost_gives_the_place_to_nobody_else():
    async with engine() as world:
        world.see_job("run-1")
        world.see_job("run-2")
        world.cluster.lost = always(errors.Unavailable("cut"), PatchJob, "run-1")
        world.cluster.trouble = always(errors.Unavailable("no"), RefreshJob)
        await asyncio.sleep(300)
        assert len(world.cluster.admissions("run-1")) == 1
        assert not world.cluster.admissions("run-2")
        world.cluster.trouble = world.cluster.lost = lambda _action: None
        await asyncio.sleep(120)
        assert (phase_of(world, "run-1"), phase_of(world, "run-2")) == (Phase.STARTING, Phase.QUEUED)


@virtual
async def test_a_write_without_an_answer_is_given_up_before_another_could_lead():
    async with engine() as world:
        world.cluster.slow = 30.0
        world.see_job()
        await asyncio.sleep(5)
        world.cluster.slow = 0.0
        assert world.told.outcomes["unavailable"] == 1
        await asyncio.sleep(60)
        assert len(world.cluster.admissions()) == 1


# ── The lease ────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_without_the_lease_nothing_is_written():
    async with engine(workers=0) as world:
        world.leads = False
        world.see_job()
        await asyncio.sleep(1)
        with pytest.raises(LeaseLost):
            await loops.work(world.parts)
        assert not world.cluster.calls


@virtual
async def test_a_lease_that_runs_out_in_the_middle_of_a_plan_ends_it_there():
    async with engine(workers=0) as world:

        def lose(_action):
            world.leads = False

        world.see_job()
        world.cluster.lost = lose
        await asyncio.sleep(1)
        with pytest.raises(LeaseLost):
            await loops.work(world.parts)
        assert [type(action) for action in world.writes] == [PatchJob]


# ── Poison ───────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_poisoned_slot_backs_off_and_the_others_go_on(monkeypatch):
    real = loops.reconcile

    def reconcile(seen, now, policy):
        if seen.slot == OTHER:
            raise RecursionError("poison")
        return real(seen, now, policy)

    monkeypatch.setattr(loops, "reconcile", reconcile)
    async with engine() as world:
        world.see_job("poisoned", **OF_OTHER)
        await asyncio.sleep(1)
        world.see_job("run-1")
        await asyncio.sleep(0.1)
        assert phase_of(world) is Phase.STARTING
        await asyncio.sleep(600)
        assert {slot for slot, _ in world.told.about("failed")} == {OTHER}
        assert 10 < world.told.outcomes["failed"] < 40, "again and again, but later each time"


@virtual
async def test_a_job_that_may_not_be_started_does_not_keep_the_next_one_waiting():
    async with engine() as world:
        world.cluster.trouble = always(errors.Refused("no", 403, "Forbidden"), PatchJob, "run-1")
        world.see_job("run-1")
        world.see_job("run-2", creationTimestamp=stamp(5))
        await asyncio.sleep(2)
        assert phase_of(world, "run-2") is Phase.STARTING
        world.cluster.trouble = lambda _action: None
        world.cluster.jobs.pop(uid_of("run-2"))
        world.jobs.give(Gone(world.parts.store.job(uid_of("run-2"))))
        await asyncio.sleep(120)
        assert phase_of(world, "run-1") is Phase.STARTING, "it is tried again"


@virtual
async def test_a_job_that_can_not_be_written_holds_up_no_other_of_its_slot():
    async with engine(Policy(agent_concurrency=2)) as world:
        world.cluster.trouble = always(errors.Unavailable("no"), PatchJob, "run-1")
        world.see_job("run-1")
        world.see_job("run-2")
        await asyncio.sleep(2)
        assert phase_of(world, "run-2") is Phase.STARTING


PULLING = [{"name": "claude", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]


def every_third(error, kind):
    calls = count()

    def trouble(action):
        if isinstance(action, kind) and next(calls) % 3 == 2:
            raise error

    return trouble


@virtual
async def test_a_write_that_fails_does_not_begin_a_wait_anew():
    async with engine(Policy(start_timeout_seconds=600)) as world:
        world.see_job()
        await asyncio.sleep(1)
        slow = {"spec": {"nodeName": "n"}, "status": {"phase": "Pending", "containerStatuses": PULLING}}
        world.see_pod(**slow)
        world.cluster.pods["x"] = {**merged(pod_json("run-1-x", job="run-1"), slow), "job": uid_of("run-1")}
        world.cluster.trouble = every_third(errors.Unavailable("no"), PatchJob)
        await asyncio.sleep(660)
        stops = [patch for patch in world.cluster.patches if "activeDeadlineSeconds" in patch.spec]
        assert len(stops) == 1
