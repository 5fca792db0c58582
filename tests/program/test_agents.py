"""One agent, one run at a time: who waits, for how long, and that a restart or a new name changes nothing."""

import asyncio

from controller.core.contract import Phase, Status
from tests.program import oracle
from tests.program.runs import API_RETRY, HOOKS, KEYS, NAMESPACE, SUBAGENT, make_run, replay


def last_write(world, kind, uid, holds):
    """Version of the first write after which that held."""
    history = world.cluster.history
    return next(w.version for w in history if w.kind == kind and w.uid == uid and holds(w.object))


async def test_a_second_run_of_an_agent_waits_until_the_first_ones_pod_has_ended(world):
    await world.lead()
    world.submit(make_run("first", replay(SUBAGENT, 0.02)), make_run("second", replay(API_RETRY)))
    await world.until(lambda: world.standing("second") == "Queued/AgentBusy")
    assert "first" in world.said("second", Status.MESSAGE)
    await world.published("first", "second")
    world.check()
    (pod,) = world.pods("first")
    ended = last_write(
        world, "Pod", pod["metadata"]["uid"], lambda p: p["status"]["phase"] in ("Succeeded", "Failed")
    )
    (start,) = oracle.unsuspended(world.cluster.history, world.uid("second"))
    assert start.version > ended
    assert [world.said(name) for name in ("first", "second")] == [Phase.SUCCEEDED] * 2


async def test_an_agent_with_two_places_runs_two_and_the_third_waits(world):
    world.settings["RUNHERD_AGENT_CONCURRENCY"] = "2"
    await world.lead()
    names = ["a", "b", "c"]  # of the same second: in the order of their names
    world.submit(*(make_run(name, replay(HOOKS, 0.05)) for name in names))
    await world.until(lambda: world.standing("c") == "Queued/AgentBusy")
    await world.published(*names)
    world.check(limit=2)
    judge, most = oracle.Judge(2), 0
    for write in world.cluster.history:
        judge.look(write)
        most = max([most, *(len(judge.places(slot)) for slot in list(judge.of_slot))])
    assert most == 2, "both places were used"


async def test_a_run_that_was_submitted_running_holds_its_agents_place(world):
    await world.lead()
    world.submit(make_run("running", replay(HOOKS, 0.05), suspend=False))
    await world.started("running")
    world.submit(make_run("waiting", replay(API_RETRY)))
    await world.until(lambda: world.standing("waiting") == "Queued/AgentBusy")
    await world.published("running", "waiting")
    world.check()


async def test_the_same_name_again_is_another_run_with_a_trace_of_its_own(world):
    first = await world.lead()
    world.submit(make_run("run", replay(HOOKS, 0.1)))
    await world.started("run")
    before = world.uid("run")
    assert await first.stop() == 0
    world.cluster.delete("jobs", NAMESPACE, "run")
    await world.until(lambda: world.job("run") is None)
    world.submit(make_run("run", replay(API_RETRY)))
    await world.lead()
    await world.published("run")
    assert world.uid("run") != before
    assert world.said("run", Status.TRACE_ID) == world.uid("run").replace("-", "")
    assert world.result("run")["jobUid"] == world.uid("run")
    assert world.result("run")["numTurns"] == 1, "what the first one said is not the second one's"
    world.check()


async def test_a_start_finds_what_has_ended_meanwhile_and_leaves_alone_what_is_published(world):
    first = await world.lead()
    names = [f"run-{number}" for number in range(8)]
    world.submit(*(make_run(name, replay(API_RETRY, 0.005), agent=name) for name in names))
    await world.published(*names)
    assert await first.stop() == 0
    published = len(world.cluster.history)
    world.submit(make_run("meanwhile", replay(API_RETRY), agent="other", suspend=False))
    await world.until(lambda: oracle.is_over(world.job("meanwhile")))
    await world.lead()
    await world.published("meanwhile")
    later = [w for w in world.cluster.history[published:] if w.actor == oracle.ACTOR and w.kind == "Job"]
    assert {write.name for write in later} == {"meanwhile"}
    assert world.standing("meanwhile") == "Succeeded/Completed"


async def test_a_standby_takes_over_when_the_first_one_is_stopped(world):
    first = await world.lead()
    leader = world.holder()
    second = await world.start()
    world.submit(make_run("first", replay(SUBAGENT, 0.05)), make_run("second", replay(API_RETRY)))
    await world.started("first")
    assert world.holder() == leader
    assert not [line for line in second.messages() if line.startswith(("admit", "queue", "report"))]
    clock = asyncio.get_running_loop().time
    assert await first.stop() == 0
    began = clock()
    await world.until(lambda: world.holder() not in ("", leader))
    assert clock() - began < 10
    await world.published("first", "second")
    assert len({w.object["spec"]["holderIdentity"] for w in world.cluster.history if w.kind == "Lease"}) == 3
    world.check()


async def test_each_trace_is_accepted_once_though_the_collector_was_down_at_first(world):
    world.sink.status = 503
    await world.lead()
    names = ["one", "two", "three"]
    world.submit(*(make_run(name, replay(API_RETRY), agent=name) for name in names))
    await world.over(*names)
    async with asyncio.timeout(30):
        while not world.sink.requests:  # noqa: ASYNC110 — the sink has no event to wait for
            await asyncio.sleep(0.05)
    assert not any(world.said(name, Status.TRACE_EXPORTED) for name in names)
    world.sink.status = 200
    await world.published(*names)
    for name in names:
        ids = [span.span_id for span in world.spans(name)]
        assert ids
        assert len(ids) == len(set(ids))


async def test_a_run_whose_job_is_deleted_in_mid_run_is_closed_in_event_metric_and_trace(world):
    controller = await world.lead()
    world.submit(make_run("first", replay(SUBAGENT, 0.2)))
    await world.started("first")
    uid = world.uid("first")
    world.cluster.delete("jobs", NAMESPACE, "first", propagationPolicy="Background")
    trace = uid.replace("-", "")
    async with asyncio.timeout(30):
        while not world.sink.trace(trace):  # noqa: ASYNC110 — the sink has no event to wait for
            await asyncio.sleep(0.05)
    (root,) = (dict(span.attributes) for span in world.sink.trace(trace) if not span.parent_id)
    assert (root["cicd.pipeline.result"], root["agent.run.reason"]) == ("cancellation", "JobDeleted")
    assert "JobDeleted" in [reason for reason, _ in world.events("first")]
    counted = await controller.metrics()
    assert counted['runherd_runs_finished_total{phase="Cancelled",reason="JobDeleted"}'] == 1
    world.check()


async def test_a_job_that_lost_its_label_holds_its_place_until_it_is_over(world):
    await world.lead()
    world.submit(make_run("first", replay(HOOKS, 0.06)))
    await world.started("first")
    nobody = {"metadata": {"labels": {KEYS.agent_id: None}}}
    (pod,) = world.pods("first")
    world.cluster.patch("jobs", NAMESPACE, "first", nobody)
    world.cluster.patch("pods", NAMESPACE, pod["metadata"]["name"], nobody)
    world.submit(make_run("second", replay(API_RETRY)))
    await world.until(lambda: world.standing("second") == "Queued/AgentBusy")
    await world.until(lambda: oracle.is_over(world.job("first")))
    assert world.said("second") == Phase.QUEUED
    await world.published("second", seconds=20)
