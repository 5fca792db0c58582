"""Runs that meet others of their agent: they wait, are turned away, or continue on a Job that runs."""

import json

import pytest

from controller.core import orphans
from controller.core.contract import Phase, Status
from devcluster.fake import Refusal
from tests.program import oracle
from tests.program.runs import HOOKS, KEYS, NAMESPACE, make_run, replay, used

REATTACH = {KEYS.reattach: "true"}
FAIL = {KEYS.on_conflict: "fail"}


class Gate:
    """What an agent waits for before it goes on."""

    def __init__(self, folder):
        self._path = folder / "gate"

    def before(self, script):
        return f"until [ -e '{self._path}' ]; do sleep 0.05; done\n{script}"

    def open(self):
        self._path.touch()


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


def run(name, script="true", task="t-1", session=None, **changes):
    """A run of the agent that all runs here are of."""
    labels = {KEYS.task_id: task, KEYS.session_id: session, **changes.pop("labels", {})}
    return make_run(name, script, labels=labels, **changes)


def labels(obj):
    return obj["metadata"]["labels"]


def decision(world, name):
    found = orphans.read(world.said(name, Status.DECISION))
    assert orphans.replay(found) == found.decision
    return found.decision


def never_ran(world, name):
    return world.pods(name) == [] and world.job(name)["spec"]["parallelism"] == 0


def history(world, name):
    return [entry["runId"] for entry in json.loads(world.said(name, Status.RUN_HISTORY))]


async def reattached(world, gate, **changes):
    """`live` works; `next`, submitted by a host that has lost sight of it, continues on it."""
    world.submit(run("live", gate.before(replay(HOOKS)), **changes))
    await world.started("live")
    await world.later_than_start_of("live")
    world.submit(run("next", notes=REATTACH))


async def both_ended(world, gate, *names):
    gate.open()
    await world.published("live", *names)
    for name in names:
        assert world.standing(name) == "Succeeded/Completed"
        assert never_ran(world, name)
        result = world.result(name)
        assert (result["runId"], result["jobUid"]) == (f"r-{name}", world.uid(name))
        assert result["usageBasis"] == "attached"
        same = {"runId", "jobUid", "usageBasis"}
        theirs = world.result("live")
        assert {k: v for k, v in result.items() if k not in same} == {
            k: v for k, v in theirs.items() if k not in same
        }
    assert world.result("live")["runId"] == "r-live"
    assert world.result("live")["usage"] == used(HOOKS)


async def test_a_run_of_another_task_waits_says_for_what_and_is_started_after_it(world, gate):
    await world.lead()
    world.submit(run("live", gate.before(replay(HOOKS))))
    await world.started("live")
    world.submit(run("next", replay(HOOKS), task="t-2"))
    await world.phase("next", Phase.QUEUED)
    assert world.standing("next") == "Queued/TaskMismatch"
    assert "live" in world.said("next", Status.MESSAGE)
    assert decision(world, "next") == "block_task_mismatch"
    gate.open()
    await world.published("live", "next")
    assert world.standing("next") == "Succeeded/Completed"
    assert decision(world, "next") == "admit"
    world.check()


async def test_a_run_that_may_not_wait_is_rejected_at_once(world, gate):
    await world.lead()
    world.submit(run("live", gate.before(replay(HOOKS)), session="s-1"))
    await world.started("live")
    world.submit(
        run("unknown", task=None, notes=FAIL),
        run("task", task="t-2", notes=FAIL),
        run("session", session="s-2", notes=FAIL),
        run("busy", session="s-1", notes=FAIL),
    )
    await world.over("unknown", "task", "session", "busy")
    found = {
        name: (world.standing(name), world.result(name)["errorCode"])
        for name in ("unknown", "task", "session", "busy")
    }
    assert found == {
        "unknown": ("Rejected/TaskUnknown", "k8s_orphan_task_unknown"),
        "task": ("Rejected/TaskMismatch", "k8s_concurrent_run_blocked"),
        "session": ("Rejected/SessionMismatch", "k8s_orphan_session_mismatch"),
        "busy": ("Rejected/AgentBusy", "k8s_concurrent_run_blocked"),
    }
    assert all(never_ran(world, name) for name in found)
    assert not world.said("live", Status.STOP), "live work is never stopped to make room"
    gate.open()
    await world.published("live", *found)
    world.check()


async def test_a_host_that_was_restarted_finds_its_run_again(world, gate):
    await world.lead()
    await reattached(world, gate)
    await world.phase("next", Phase.ATTACHED)
    assert world.standing("next") == "Attached/Reattached"
    assert world.said("next", Status.ATTACHED_TO) == f"live/{world.uid('live')}"
    await world.until(lambda: [labels(pod)[KEYS.run_id] for pod in world.pods("live")] == ["r-next"])
    assert labels(world.job("live"))[KEYS.run_id] == "r-next"
    assert history(world, "live") == ["r-live", "r-next"]
    await both_ended(world, gate, "next")
    assert world.said("next", Status.ATTACHED_PHASE) == "Succeeded"
    assert world.said("next", Status.SESSION_ID) == world.said("live", Status.SESSION_ID) != ""
    assert decision(world, "next") == "reattach"
    assert "Attached" in [reason for reason, _ in world.events("next")]
    world.check()


async def test_the_trace_of_an_attached_run_links_to_that_of_its_job(world, gate):
    await world.lead()
    await reattached(world, gate)
    await world.phase("next", Phase.ATTACHED)
    await both_ended(world, gate, "next")
    (root,) = [span for span in world.spans("live") if not span.parent_id]
    spans = world.spans("next")
    assert [span.name for span in spans if span.parent_id] == ["queued", "attached"]
    (mine,) = [span for span in spans if not span.parent_id]
    assert [(link.trace_id, link.span_id) for link in mine.links] == [(root.trace_id, root.span_id)]


async def test_the_same_run_submitted_twice_is_run_once(world, gate):
    await world.lead()
    world.submit(run("live", gate.before(replay(HOOKS)), labels={KEYS.run_id: "r-same"}))
    await world.started("live")
    world.submit(run("twin", labels={KEYS.run_id: "r-same"}))
    await world.phase("twin", Phase.ATTACHED)
    assert world.standing("twin") == "Attached/DuplicateRun"
    gate.open()
    await world.published("live", "twin")
    world.submit(run("late", labels={KEYS.run_id: "r-same"}))
    await world.published("late")
    for name in ("twin", "late"):
        assert world.standing(name) == "Succeeded/Completed"
        assert world.result(name)["summary"] == world.result("live")["summary"]
        assert (world.result(name)["jobUid"], world.result(name)["runId"]) == (world.uid(name), "r-same")
        assert never_ran(world, name)
        assert decision(world, name) == "duplicate"
    assert not world.said("live", Status.RUN_HISTORY), "a duplicate relabels nothing"
    world.check()


async def test_an_attached_run_whose_job_is_deleted_is_cancelled(world, gate):
    await world.lead()
    await reattached(world, gate)
    await world.phase("next", Phase.ATTACHED)
    world.cluster.delete("jobs", NAMESPACE, "live")
    await world.published("next")
    assert world.standing("next") == "Cancelled/JobDeleted"
    assert world.result("next")["errorCode"] == "k8s_job_deleted_externally"
    world.check()


async def test_so_it_is_if_nobody_watched_when_the_job_was_deleted(world, gate):
    world.settings["RUNHERD_LEADER_ELECTION"] = "false"
    first = await world.start()
    await reattached(world, gate)
    await world.phase("next", Phase.ATTACHED)
    await first.kill()
    world.cluster.delete("jobs", NAMESPACE, "live")
    await world.until(lambda: world.job("live") is None)
    await world.start()
    await world.published("next")
    assert world.standing("next") == "Cancelled/JobDeleted"
    world.check()


async def test_a_controller_that_is_killed_between_attaching_and_what_follows_loses_nothing(world, gate):
    world.settings["RUNHERD_LEADER_ELECTION"] = "false"
    first = await world.start()
    await reattached(world, gate)

    def attached():
        if world.said("next") != Phase.ATTACHED:
            return False
        world.cluster.faults.refusals = [Refusal(500, verbs=("patch",))]
        return True

    await world.until(attached)
    await first.kill()
    assert labels(world.job("live"))[KEYS.run_id] == "r-live", "it was killed in between"
    world.cluster.faults.refusals = []
    gate.open()
    await world.until(lambda: oracle.is_over(world.job("live")))
    await world.start()
    await both_ended(world, gate, "next")
    assert history(world, "live") == ["r-live", "r-next"]
    assert labels(world.job("live"))[KEYS.run_id] == "r-next"
    world.check()


async def test_a_job_whose_labels_must_not_be_changed_gives_its_result_all_the_same(world, gate):
    await world.lead()
    world.cluster.faults.refusals = [Refusal(403, verbs=("patch",), resources=("pods",))]
    await reattached(world, gate)
    await world.phase("next", Phase.ATTACHED)
    await both_ended(world, gate, "next")
    refused = world.cluster.requests["patch", "pods", 403]
    assert 0 < refused <= 2, "no storm of our own"
    world.check()


async def test_several_runs_may_continue_on_one_job(world, gate):
    await world.lead()
    await reattached(world, gate)
    world.submit(run("third", notes=REATTACH))
    await world.phase("third", Phase.ATTACHED)
    assert world.said("third", Status.ATTACHED_TO) == f"live/{world.uid('live')}"
    await both_ended(world, gate, "next", "third")
    assert history(world, "live") == ["r-live", "r-next", "r-third"]
    world.check()
