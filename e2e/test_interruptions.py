"""What others do to a run in its middle: deleted, suspended, evicted; and parts of the cluster restart."""

import json
import threading

import pytest

from controller.core.contract import JOB_UID_LABEL, TERMINAL, Phase
from e2e.apiserver import path
from e2e.runs import HOOKS, SUBAGENT, make_run, replay
from tests.program.runs import used

LONG = replay(SUBAGENT, 0.4)
"""About 20 s."""
SLOW = 120


def trace_of(stage, uid):
    """What the root span of a run says; None until it is there."""
    spans = stage.collected(uid)
    known = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in known]
    return roots[0] if roots else None


def test_a_run_whose_job_is_deleted_is_closed_in_its_trace(stage):
    stage.submit(make_run("deleted", LONG))
    stage.starts("deleted")
    uid = stage.uid("deleted")
    stage.delete("deleted")
    root = stage.until(lambda: trace_of(stage, uid), 60)
    said = json.dumps(dict(root.attributes))
    assert "JobDeleted" in said + root.status_message


def test_an_evicted_pod_fails_its_run_as_evicted(stage):
    stage.submit(make_run("evicted", f"trap 'exit 143' TERM\n{LONG}"))
    stage.starts("evicted")
    pod = stage.pods("evicted")[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    stage.api.call("POST", path("pods", stage.namespace, pod, "eviction"), eviction)
    stage.published("evicted")
    assert stage.standing("evicted") == "Failed/Evicted"


def test_a_run_that_was_suspended_from_outside_frees_its_place_only_when_its_pod_has_gone(stage):
    first = make_run("suspended", f"trap '' TERM\n{LONG}", agent="a-shared")
    first["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 6
    stage.submit(first)
    stage.starts("suspended")
    stage.submit(make_run("after-suspended", replay(HOOKS), agent="a-shared"))
    stage.stands("after-suspended", "Queued/AgentBusy")
    own = stage.uid("suspended")
    stage.api.patch("jobs", stage.namespace, "suspended", {"spec": {"suspend": True}})
    stage.ends("after-suspended", seconds=90)
    admitted = next(w.version for w in stage.history() if started(w, "after-suspended"))
    stage.published("suspended")
    assert stage.standing("suspended") == "Cancelled/ExternallySuspended"
    over = [
        w.version
        for w in stage.history()
        if w.kind == "Pod" and w.object["metadata"]["labels"].get(JOB_UID_LABEL) == own and has_ended(w)
    ]
    assert over, "its pod ended"
    assert min(over) < admitted


def started(write, name):
    """Whether this write let a Job go."""
    if write.kind != "Job" or write.name != name or write.previous is None:
        return False
    return bool(write.previous.object["spec"].get("suspend")) and not write.object["spec"].get("suspend")


def has_ended(write):
    return write.type == "DELETED" or write.object["status"].get("phase") in ("Succeeded", "Failed")


@pytest.mark.parametrize("component", ["kube-apiserver", "kubelet", "kube-controller-manager"])
def test_a_part_of_the_cluster_that_is_killed_in_mid_run_loses_nothing(stage, machine, component):
    names = [f"{component}-{number}" for number in range(4)]
    stage.submit(*(make_run(name, LONG) for name in names))
    stage.starts(*names)
    machine.restart(component, "--kill")
    stage.published(*names, seconds=SLOW)
    for name in names:
        assert stage.standing(name) == "Succeeded/Completed"
        result = stage.result(name)
        assert result["usage"] == used(SUBAGENT)
        assert (result["log"]["state"], result["log"]["lines"]) == ("complete", lines_of(SUBAGENT))
        assert len(stage.pods(name)) == 1


def lines_of(file):
    return len(file.read_text().splitlines())


def test_of_two_runs_of_one_agent_the_second_waits_for_the_first_ones_pod(stage):
    stage.submit(make_run("one", replay(HOOKS), agent="a-two"), make_run("two", replay(HOOKS), agent="a-two"))
    stage.stands("two", f"{Phase.QUEUED}/AgentBusy")
    stage.published("one", "two")
    assert [stage.standing(name) for name in ("one", "two")] == ["Succeeded/Completed"] * 2
    assert {"Queued", "Admitted", "ResultRecorded"} <= set(stage.events("two"))


def test_runs_of_many_agents_at_once_all_end(stage):
    names = [f"crowd-{number}" for number in range(30)]
    threads = [
        threading.Thread(target=stage.submit, args=[make_run(name, replay(HOOKS, 0.05))]) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stage.published(*names, seconds=SLOW)
    assert {stage.standing(name) for name in names} == {"Succeeded/Completed"}
    assert all(stage.said(name) in TERMINAL for name in names)
