"""Runs that are ended by their host, by others, or because they can't start: the whole program."""

import asyncio

import pytest

from controller.core.contract import Phase, Status
from tests.program import oracle
from tests.program.runs import API_RETRY, KEYS, MAX_TURNS, NAMESPACE, SUBAGENT, make_run, replay, used

CANCEL = {"metadata": {"annotations": {KEYS.cancel_requested: "the issue was closed"}}}
SLOW_START = {"initContainers": [{"name": "prepare", "image": "busybox:1.36", "command": ["sleep", "600"]}]}


def change(world, name, patch):
    return world.cluster.patch("jobs", NAMESPACE, name, patch)


def pods_ever(world, name):
    """Uids of all pods that a Job has ever had."""
    uid = world.uid(name)
    return {w.uid for w in world.cluster.history if w.kind == "Pod" and oracle.owner(w.object) == uid}


async def test_a_cancel_ends_a_run_wherever_it_stands(world):
    await world.lead()
    world.submit(make_run("runs", replay(SUBAGENT, 0.5), agent="a-1"))
    world.submit(make_run("starts", replay(API_RETRY), agent="a-2", pod=SLOW_START))
    await world.started("runs")
    await world.until(lambda: world.said("runs", Status.SESSION_ID))
    world.submit(make_run("waits", replay(API_RETRY), agent="a-1"))
    world.submit(make_run("next", replay(API_RETRY), agent="a-1"))
    await world.phase("waits", Phase.QUEUED)
    await world.until(lambda: world.said("starts", Status.REASON) == "InitRunning")
    for name in ("waits", "runs", "starts"):
        change(world, name, CANCEL)
    await world.over("waits", "runs", "starts")
    for name in ("waits", "runs", "starts"):
        assert world.standing(name) == "Cancelled/CancelledByHost", name
        result = world.result(name)
        assert (result["errorCode"], result["phase"]) == ("cancelled", "Cancelled")
        assert "the issue was closed" in result["errorMessage"]
    assert pods_ever(world, "waits") == set()
    assert world.job("waits")["spec"]["parallelism"] == 0
    assert world.result("runs")["sessionId"] == world.said("runs", Status.SESSION_ID), "it can be resumed"
    assert world.result("runs")["log"]["lines"] > 0, "what it had said is kept"
    for name in ("runs", "starts"):
        stops = [w for w in oracle.patches(world.cluster.history, world.uid(name)).all if _stops(w)]
        assert len(stops) == 1, "one patch, with its reason"
        assert "stop" in oracle.changed(stops[0])
    await world.published("next", "waits", "runs", "starts")
    assert world.standing("next") == "Succeeded/Completed"
    world.check()


def _stops(write):
    before = write.previous.object["spec"].get("activeDeadlineSeconds")
    return write.object["spec"].get("activeDeadlineSeconds") == 1 != before


async def test_a_cancel_after_the_end_changes_nothing(world):
    await world.lead()
    world.submit(make_run("done", replay(API_RETRY)))
    await world.published("done")
    change(world, "done", CANCEL)
    world.submit(make_run("later", replay(API_RETRY)))
    await world.published("later")
    assert world.standing("done") == "Succeeded/Completed"
    assert not world.said("done", Status.STOP)
    world.check()


async def test_a_cancel_before_the_controller_comes_is_heard(world):
    world.submit(make_run("unwanted", replay(API_RETRY)))
    change(world, "unwanted", CANCEL)
    await world.lead()
    await world.over("unwanted")
    assert world.standing("unwanted") == "Cancelled/CancelledByHost"
    assert pods_ever(world, "unwanted") == set()
    world.check()


async def test_a_run_that_is_suspended_after_its_start_is_closed_and_its_place_freed_with_its_pod(world):
    await world.lead()
    world.submit(make_run("held", f"trap '' TERM\n{replay(SUBAGENT, 0.3)}"))
    await world.started("held")
    world.submit(make_run("next", replay(API_RETRY)))
    await world.phase("next", Phase.QUEUED)
    change(world, "held", {"spec": {"suspend": True}})
    await world.over("held")
    assert world.standing("held") == "Cancelled/ExternallySuspended"
    assert len(pods_ever(world, "held")) == 1
    spec = world.job("held")["spec"]
    assert (spec["suspend"], spec["parallelism"], spec["activeDeadlineSeconds"]) == (False, 0, 1)
    await world.published("next", "held")
    assert world.standing("next") == "Succeeded/Completed"
    world.check()


async def test_an_end_that_was_natural_before_the_suspension_stays(world):
    await world.lead()
    world.submit(make_run("done", replay(API_RETRY)))
    await world.started("done")
    await world.until(lambda: oracle.is_over(world.job("done")))
    change(world, "done", {"spec": {"suspend": True}})
    await world.published("done")
    assert world.standing("done") == "Succeeded/Completed"
    world.check()


async def test_starts_that_get_nowhere_are_stopped_and_named(world):
    world.cluster.faults.pause("scheduler")
    await world.lead(RUNHERD_UNSCHEDULABLE_TIMEOUT_SECONDS="2")
    world.submit(make_run("no-node", replay(API_RETRY)))
    await world.until(lambda: world.said("no-node", Status.STOP))
    await world.over("no-node")
    assert world.standing("no-node") == "Failed/Unschedulable"
    assert world.result("no-node")["errorCode"] == "k8s_pod_schedule_failed"
    world.check()


async def test_a_run_that_gets_no_pod_is_stopped_and_named(world):
    await world.lead(RUNHERD_START_TIMEOUT_SECONDS="2")
    world.cluster.faults.pause("job-controller")
    world.submit(make_run("no-pod", replay(API_RETRY)))
    await world.until(lambda: world.said("no-pod", Status.STOP))
    world.cluster.faults.resume()
    await world.over("no-pod")
    assert world.standing("no-pod") == "Failed/PodMissing"
    world.check()


async def test_the_host_s_own_deadline_is_its_own(world):
    await world.lead()
    world.submit(make_run("slow", replay(SUBAGENT, 2), activeDeadlineSeconds=3))
    await world.over("slow")
    assert world.standing("slow") == "TimedOut/DeadlineExceeded"
    assert world.result("slow")["timedOut"] is True
    world.check()


@pytest.mark.slow
async def test_a_job_of_another_queue_is_left_waiting_and_stopped_once_it_runs(world):
    await world.lead()
    queued = make_run("queued", replay(SUBAGENT, 0.5), labels={"kueue.x-k8s.io/queue-name": "gpus"})
    world.submit(queued)
    await world.phase("queued", Phase.QUEUED)
    change(world, "queued", CANCEL)
    await asyncio.sleep(3)  # time in which nothing may happen
    assert world.standing("queued") == "Queued/ExternalQueue"
    change(world, "queued", {"spec": {"suspend": False}})
    await world.over("queued")
    assert world.standing("queued") == "Cancelled/CancelledByHost"
    world.check()


HANGS = {"RUNHERD_HANG_TIMEOUT_SECONDS": "3"}
RUNS_ON = {"name": "proxy", "image": "busybox:1.36", "command": ["sleep", "600"]}


async def test_an_agent_that_does_not_exit_after_its_result_is_stopped_and_its_result_decides(world):
    await world.lead(**HANGS)
    world.submit(make_run("hangs", replay(SUBAGENT, then="sleep 600"), agent="a-1"))
    world.submit(make_run("failed", replay(MAX_TURNS, then="sleep 600"), agent="a-2"))
    await world.until(lambda: world.said("hangs", Status.SESSION_ID))
    await world.later_than_start_of("hangs")
    world.submit(make_run("attached", agent="a-1", notes={KEYS.reattach: "true"}))
    await world.over("hangs", "failed", "attached")
    assert world.standing("hangs") == world.standing("attached") == "Succeeded/CompletedHung"
    assert world.standing("failed") == "Failed/MaxTurns"
    result = world.result("hangs")
    assert (result["usage"], result["log"]["state"]) == (used(SUBAGENT), "complete")
    assert world.result("failed")["errorCode"] == "max_turns_exhausted"
    assert "errorMessage" not in result
    assert "Stopping" in dict(world.events("hangs"))
    world.check()


async def test_a_sidecar_that_outlives_its_agent_is_stopped_and_the_agent_has_the_last_word(world):
    await world.lead(**HANGS)
    agent = {"name": "claude", "image": "busybox:1.36", "command": ["sh", "-c", replay(API_RETRY)]}
    broken = agent | {"command": ["sh", "-c", "exit 3"]}
    world.submit(make_run("outlived", agent="a-1", pod={"containers": [agent, RUNS_ON]}))
    world.submit(make_run("broken", agent="a-2", adapter="x", pod={"containers": [broken, RUNS_ON]}))
    await world.over("outlived", "broken")
    assert world.standing("outlived") == "Succeeded/Completed"
    assert world.standing("broken") == "Failed/ContainerError"
    assert world.result("broken")["exitCode"] == 3
    world.check()


async def test_a_silent_agent_is_told_of_and_stopped_if_that_is_wanted(world):
    await world.lead(RUNHERD_SILENT_AFTER_SECONDS="2", RUNHERD_STALL_STOP_SECONDS="25")
    world.submit(make_run("silent", f"{replay(SUBAGENT, lines=6)}\nsleep 600"))
    await world.until(lambda: world.said("silent", Status.REASON) == "AgentSilent")
    await world.until(lambda: "Silent" in dict(world.events("silent")))
    await world.over("silent")
    assert world.standing("silent") == "TimedOut/StalledTooLong"
    assert world.result("silent")["timedOut"] is True
    world.check()
