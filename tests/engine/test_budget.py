"""The budget of heartbeats: alone, and in virtual time with two thousand live runs."""

import asyncio
from collections import Counter, defaultdict, deque
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.actions import PatchJob
from controller.core.contract import Keys, Phase, Status, instant
from controller.core.snapshot import Policy
from controller.engine.budget import BYTES_A_SECOND, WRITES_A_SECOND, Heartbeats
from controller.kube import errors
from controller.kube.informer import Upsert
from tests.core.builders import NOON, SECOND, make_job, stamp, uid_of
from tests.engine.virtual import always, once, phase_of, virtual
from tests.engine.world import PARSER, engine, merged, raw

KEYS = Keys()
START = 1000
"""The second at which virtual time begins."""
OBSERVED, EVERY = KEYS.status(Status.OBSERVED_AT), KEYS.status(Status.HEARTBEAT_SECONDS)


def budget(runs=0, kib=5, seconds=60):
    made = Heartbeats(Policy(heartbeat_seconds=seconds))
    for number in range(runs):
        made.see(make_job(f"run-{number}", phase="Running", size_kib=kib))
    return made


def interval(made):
    return made.policy.heartbeat_seconds


# ── The interval in force ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("runs", "kib", "least", "most"),
    [
        pytest.param(0, 5, 60, 60, id="none"),
        pytest.param(900, 5, 60, 60, id="as many as fit"),
        pytest.param(2000, 5, 125, 140, id="too many writes"),
        pytest.param(900, 200, 280, 310, id="too many bytes"),
    ],
)
def test_the_interval_stretches_as_far_as_the_budget_asks(runs, kib, least, most):
    assert least <= interval(budget(runs, kib)) <= most


def test_the_interval_comes_back_when_runs_have_ended_and_does_not_follow_each_one():
    made = budget(2000)
    stretched = interval(made)
    for number in range(2000):
        made.forget(uid_of(f"run-{number}"))
        if number < 100:
            assert interval(made) == stretched
    assert interval(made) == 60


def test_a_run_that_is_over_has_no_heartbeat_to_pay_for():
    made = budget(2000)
    for number in range(2000):
        made.see(make_job(f"run-{number}", phase="Succeeded", over="Complete"))
    assert interval(made) == 60


def test_a_run_that_ended_while_its_heartbeat_had_to_wait_leaves_nothing_behind():
    made = budget(1)
    made.pause(100.0, 10.0)
    uid = uid_of("run-0")
    made.see(make_job("run-0", phase="Finishing", over="Complete"))
    assert made.wait(uid, 101.0) > 0
    made.forget(uid)
    assert not made._booked


# ── The budget by itself ─────────────────────────────────────────────────────────────────────────


def within(sent):
    """No second holds more than the budget; one object that is bigger than all of it goes alone."""
    of_second = deque()
    for at, size in sent:
        of_second.append((at, size))
        while of_second[0][0] <= at - 1 + 1e-6:  # floats
            of_second.popleft()
        assert len(of_second) <= WRITES_A_SECOND
        assert len(of_second) == 1 or sum(size for _, size in of_second) <= BYTES_A_SECOND


SIZES = st.lists(st.sampled_from([1, 5, 40, 300, 1400]), min_size=1, max_size=60)
LATE = st.lists(st.integers(0, 1500).map(lambda ms: ms / 1000), min_size=1, max_size=60)


@settings(deadline=None)
@given(SIZES, LATE)
def test_no_second_holds_more_than_the_budget_however_late_they_come_back(sizes, late):
    made, sent = Heartbeats(Policy()), []
    due = {}
    for number, kib in enumerate(sizes):
        job = make_job(f"run-{number}", phase="Running", size_kib=kib)
        made.see(job)
        due[job.uid] = (0.0, kib * 1024)
    for step in range(20_000):
        if not due:
            break
        uid = min(due, key=due.get)
        at, size = due[uid]
        at += late[step % len(late)] if step % 3 == 0 else 0
        at = max(at, sent[-1][0] if sent else 0)
        seconds = made.wait(uid, at)
        if seconds:
            due[uid] = (at + seconds, size)
        else:
            del due[uid]
            sent.append((at, size))
    assert not due, "each gets its turn"
    within(sent)


def test_late_ones_take_their_turn_in_the_order_they_came():
    made = budget(100)
    waits = [made.wait(uid_of(f"run-{number}"), 0.0) for number in range(100)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(99 / WRITES_A_SECOND)


def test_a_pause_holds_all_back_and_grows_while_the_server_stays_busy():
    made = budget(3)
    first, second, third = (uid_of(f"run-{number}") for number in range(3))
    made.pause(0.0, 7)
    made.pause(0.5, 1)  # another worker was told the same
    assert made.wait(first, 1.0) == 6.0
    made.pause(7.0, 7)
    assert made.wait(first, 8.0) == 13.0
    assert made.wait(first, 21.0) == 0
    made.accepted()
    made.pause(30.0, 7)
    assert made.wait(second, 30.0) == 7.0
    made.pause(30.0, 90)
    assert made.wait(third, 30.0) == pytest.approx(90, abs=0.1), "what the server asks for is kept"


# ── With loops, in virtual time ──────────────────────────────────────────────────────────────────


def already_live(world, runs, *, observed=-10, kib=0, promised="60"):
    """So many runs of as many agents that were at work before this controller came."""
    for number in range(runs):
        name = f"run-{number}"
        said = "Admitted; Kubernetes has not made a pod yet."
        notes = {
            "schema": "1",
            "phase": "Starting",
            "reason": "Admitted",
            "message": said,
            "since": stamp(900),
        }
        notes |= {"observed-at": stamp(START + observed), "heartbeat-seconds": promised}
        notes |= {"trace-id": uid_of(name).replace("-", "")}
        annotations = {KEYS.status(key): value for key, value in notes.items()} | {
            "foreign": "x" * kib * 1024
        }
        job = world.cluster.add_job(
            name,
            metadata={"labels": {KEYS.agent_id: f"a-{number}"}, "annotations": annotations},
            spec={"suspend": False},
            status={"startTime": stamp(900)},
        )
        world.jobs.give(Upsert(PARSER.job(raw(job)), initial=True))


def beats(world):
    """(second since the start, name, bytes) of each heartbeat that was asked for."""
    return [
        (at - START, action.name, len(raw(world.cluster.jobs[action.job_uid])))
        for at, action in world.cluster.calls
        if isinstance(action, PatchJob) and action.beat
    ]


def keeps_its_word(history):
    """Each observed gap is at most twice the interval that hosts were told before it."""
    for (before, promised), (after, _) in pairwise(history):
        assert after - before <= 2 * promised, (before, after, promised)


def told(world):
    """By name: when a host saw which interval."""
    seen = defaultdict(list)
    for patch in world.cluster.patches:
        if (at := patch.annotations.get(OBSERVED)) is None:
            continue
        every = patch.annotations.get(EVERY) or (seen[patch.name][-1][1] if seen[patch.name] else 60)
        seen[patch.name].append((instant(at) // SECOND - NOON - START, int(every)))
    return seen


@virtual
async def test_two_thousand_live_runs_beat_evenly_within_the_budget_and_as_often_as_they_say():
    async with engine(Policy(), workers=4) as world:
        already_live(world, 2000)
        await asyncio.sleep(560)
        sent = beats(world)
        assert {name for _, name, _ in sent} == {f"run-{number}" for number in range(2000)}
        sent.sort()
        within([(at, size) for at, _, size in sent])
        for name, history in told(world).items():
            keeps_its_word(history)
            assert history[-1][1] == 129, name
        of_second = Counter(int(at) for at, _, _ in sent)
        calm = [of_second[second] for second in range(300, 558)]
        assert min(calm) >= 3
        assert sum(calm) == 2 * 2000, "two intervals: each twice"
        assert world.told.outcomes.total() < 4 * len(sent), "and waiting costs little"


@virtual
async def test_big_jobs_beat_less_often():
    async with engine(Policy(), workers=4) as world:
        already_live(world, 150, kib=400)
        await asyncio.sleep(200)
        sent = beats(world)
        within([(at, size) for at, _, size in sent])
        (every,) = {every for history in told(world).values() for _, every in history[1:]}
        assert 90 <= every <= 105
        assert {name for _, name, _ in sent} == {f"run-{number}" for number in range(150)}


@virtual
async def test_a_start_after_a_long_while_is_no_burst():
    async with engine(Policy(), workers=4) as world:
        already_live(world, 300, observed=-3600)
        await asyncio.sleep(100)
        sent = beats(world)
        within([(at, size) for at, _, size in sent])
        firsts = {}
        for at, name, _ in sent:
            firsts.setdefault(name, at)
        assert len(firsts) == 300
        assert 14 < max(firsts.values()) < 17, "each as soon as the budget allows"


@virtual
async def test_while_the_server_is_busy_only_heartbeats_are_left_out():
    async with engine(Policy(heartbeat_seconds=5)) as world:
        already_live(world, 40, promised="5")
        await asyncio.sleep(20)
        world.cluster.trouble = once(errors.Throttled("busy", 30), name="run-7")
        await asyncio.sleep(10)
        refused_at = max(at for at, name, _ in beats(world) if name == "run-7")
        world.see_job("new", metadata={"labels": {KEYS.agent_id: "another"}})
        await asyncio.sleep(1)
        assert phase_of(world, "new") is Phase.STARTING, "other writes go on"
        await asyncio.sleep(60)
        assert refused_at + 30 <= min(at for at, _, _ in beats(world) if at > refused_at) < refused_at + 31
        within([(at, size) for at, _, size in sorted(beats(world))])


@virtual
async def test_while_writes_fail_heartbeats_pause_longer_each_time_and_come_back():
    async with engine(Policy(heartbeat_seconds=5)) as world:
        already_live(world, 40, promised="5")
        await asyncio.sleep(20)
        world.cluster.trouble = always(errors.Unavailable("no space left"), PatchJob)
        before = len(beats(world))
        await asyncio.sleep(600)
        assert len(beats(world)) - before < 100, "else there would be five thousand"
        world.cluster.trouble = lambda _action: None
        await asyncio.sleep(90)
        recent = {name for at, name, _ in beats(world) if at > 620}
        assert len(recent) == 40


@virtual
async def test_the_terminal_patch_takes_the_heartbeat_away_and_none_follows():
    async with engine(Policy(heartbeat_seconds=5)) as world:
        world.see_job()
        await asyncio.sleep(30)
        assert len(beats(world)) >= 4
        over = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "x"}]}}
        world.cluster._save(merged(world.cluster.jobs[uid_of("run-1")], over))
        world.see_again()
        await asyncio.sleep(60)
        job = world.cluster.job()
        assert job.phase is Phase.FAILED
        assert {Status.OBSERVED_AT, Status.HEARTBEAT_SECONDS}.isdisjoint(job.status)
        assert max(at for at, _, _ in beats(world)) <= 30
