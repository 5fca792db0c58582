"""Runs that their hosts or others end, and how long Jobs and Secrets stay: on a real cluster."""

import pytest

from controller.core.contract import Phase, Status
from e2e.installation import ACKNOWLEDGED_SECONDS
from e2e.runs import API_RETRY, HOOKS, SUBAGENT, make_run, replay
from tests.program import oracle
from tests.program.runs import KEYS, used

LONG = replay(SUBAGENT, 0.5)
CANCEL = {"metadata": {"annotations": {KEYS.cancel_requested: "the issue was closed"}}}
ACKNOWLEDGED = {"metadata": {"annotations": {KEYS.acknowledged: "yes"}}}
RETAINED = {KEYS.retain: "true"}
PREPARE = {"name": "prepare", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent"}
ENDLESS = {"initContainers": [PREPARE | {"command": ["sleep", "600"]}]}
SLOW = 120


def change(stage, name, patch):
    stage.api.patch("jobs", stage.namespace, name, patch)


def pods_ever(stage, uid):
    return {w.uid for w in stage.history() if w.kind == "Pod" and oracle.owner(w.object) == uid}


def gone(stage, *names, seconds=SLOW):
    stage.until(lambda: all(stage.job(name) is None for name in names), seconds)


def test_a_cancel_ends_a_run_wherever_it_stands(stage):
    task = {KEYS.task_id: "t-1"}
    stage.submit(make_run("runs", LONG, agent="a-1"), make_run("starts", pod=ENDLESS, agent="a-2"))
    stage.submit(make_run("carries", LONG, agent="a-3", labels=task))
    stage.starts("runs", "carries")
    stage.until(lambda: stage.said("runs", Status.SESSION_ID))
    stage.stands("starts", "Starting/InitRunning")
    stage.later_than_start_of("carries")
    stage.submit(make_run("waits", replay(HOOKS), agent="a-1"))
    for name in ("early", "late"):
        stage.submit(make_run(name, agent="a-3", labels=task, notes={KEYS.reattach: "true"}))
        stage.stands(name, "Attached/Reattached")
        stage.later_than(name)
    stage.stands("waits", "Queued/AgentBusy")
    for name in ("waits", "runs", "starts", "early"):
        change(stage, name, CANCEL)
    stage.ends("waits", "runs", "starts", "early")
    assert stage.said("carries") == Phase.RUNNING, "a later run continues on it"
    change(stage, "late", CANCEL)
    stage.published("waits", "runs", "starts", "early", "late", "carries")
    for name in ("waits", "runs", "starts", "early", "late", "carries"):
        assert stage.standing(name) == "Cancelled/CancelledByHost", name
        assert stage.result(name)["errorCode"] == "cancelled"
    assert stage.result("runs")["sessionId"], "it can be resumed"
    assert pods_ever(stage, stage.uid("waits")) == set()
    assert {"Queued", "Cancelled"} <= set(stage.events("waits"))
    assert {"Admitted", "Stopping", "ResultRecorded"} <= set(stage.events("runs"))


def test_a_cancel_after_the_end_changes_nothing(stage):
    stage.submit(make_run("done", replay(API_RETRY)))
    stage.published("done")
    change(stage, "done", CANCEL)
    stage.submit(make_run("after-done", replay(API_RETRY)))
    stage.published("after-done")
    assert stage.standing("done") == "Succeeded/Completed"
    assert not stage.said("done", Status.STOP)


def test_a_run_that_somebody_suspends_is_closed_and_does_not_start_again(stage):
    stage.submit(make_run("held", LONG))
    stage.starts("held")
    change(stage, "held", {"spec": {"suspend": True}})
    stage.published("held")
    assert stage.standing("held") == "Cancelled/ExternallySuspended"
    assert len(pods_ever(stage, stage.uid("held"))) == 1


def test_a_start_that_takes_too_long_is_stopped_and_named(stage):
    stage.submit(make_run("stuck", pod=ENDLESS))
    stage.published("stuck")
    assert stage.standing("stuck") == "Failed/StartTimeout"


def test_an_agent_that_hangs_and_a_sidecar_that_outlives_one_are_stopped(stage):
    stage.submit(make_run("hangs", replay(SUBAGENT, then="sleep 600"), agent="a-1"))
    job = make_run("outlived", replay(API_RETRY), agent="a-2")
    containers = job["spec"]["template"]["spec"]["containers"]
    containers.append(containers[0] | {"name": "proxy", "command": ["sleep", "600"]})
    stage.submit(job)
    stage.published("hangs", "outlived")
    assert stage.standing("hangs") == "Succeeded/CompletedHung"
    assert stage.result("hangs")["usage"] == used(SUBAGENT)
    assert stage.standing("outlived") == "Succeeded/Completed"


def test_a_ttl_of_0_waits_for_the_result_and_an_acknowledgement_ends_the_waiting(stage):
    stage.submit(make_run("at-once", replay(SUBAGENT), ttlSecondsAfterFinished=0))
    stage.submit(make_run("kept", replay(HOOKS), ttlSecondsAfterFinished=0, notes=RETAINED))
    stage.published("at-once", "kept")
    assert (stage.standing("at-once"), stage.said("at-once", Status.HOST_TTL)) == ("Succeeded/Completed", "0")
    assert stage.result("at-once")["usage"] == used(SUBAGENT)
    stage.until(lambda: stage.job("at-once")["spec"].get("ttlSecondsAfterFinished", 0) >= 300)
    for name in ("at-once", "kept"):
        change(stage, name, ACKNOWLEDGED)
    gone(stage, "at-once", seconds=ACKNOWLEDGED_SECONDS + 30)
    assert "ttlSecondsAfterFinished" not in stage.job("kept")["spec"]


def test_jobs_that_never_ran_are_collected_without_a_pod(stage):
    two = make_run("two-pods", replay(HOOKS), parallelism=2, completions=2)
    unwanted = make_run("unwanted", replay(HOOKS), notes={KEYS.cancel_requested: "never mind"})
    stage.submit(two, unwanted)
    stage.published("two-pods", "unwanted")
    assert stage.standing("two-pods") == "Rejected/InvalidRun"
    uids = [stage.uid(name) for name in ("two-pods", "unwanted")]
    for name in ("two-pods", "unwanted"):
        change(stage, name, ACKNOWLEDGED)
    gone(stage, "two-pods", "unwanted", seconds=ACKNOWLEDGED_SECONDS + 60)
    assert [pods_ever(stage, uid) for uid in uids] == [set(), set()]


def test_a_secret_is_waited_for_used_and_collected_with_its_job(stage):
    source = {"envFrom": [{"secretRef": {"name": "private-key"}}]}
    says = 'test "$KEY" = open-sesame || exit 9\n' + replay(HOOKS)
    stage.submit(make_run("private", says, container=source))
    stage.stands("private", "Queued/ObjectMissing")
    secret = {"metadata": {"name": "private-key", "labels": {KEYS.run_id: "r-private"}}}
    stage.api.create("secrets", stage.namespace, secret | {"stringData": {"KEY": "open-sesame"}})
    stage.published("private")
    assert stage.standing("private") == "Succeeded/Completed"
    owners = stage.api.get("secrets", stage.namespace, "private-key")["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [stage.uid("private")]
    stage.delete("private")
    stage.until(lambda: stage.api.get("secrets", stage.namespace, "private-key") is None)


@pytest.mark.parametrize("labels", [{}, {KEYS.run_id: "r-victim"}], ids=["without a label", "of another run"])
def test_nobody_can_have_somebody_elses_secret_collected(stage, labels):
    name = f"thief-{len(labels)}"
    theirs = {"metadata": {"name": f"theirs-{len(labels)}", "labels": labels}, "stringData": {"KEY": "x"}}
    stage.api.create("secrets", stage.namespace, theirs)
    stage.submit(make_run(name, replay(HOOKS), notes={KEYS.owned: f"secret/theirs-{len(labels)}"}))
    stage.published(name)
    assert "OwnedRefused" in stage.events(name)
    left = stage.api.get("secrets", stage.namespace, f"theirs-{len(labels)}")
    assert "ownerReferences" not in left["metadata"]


def test_pods_whose_template_has_no_labels_are_found_and_labelled(stage):
    job = make_run("bare", replay(SUBAGENT, 0.3), suspend=False)
    job["spec"]["template"]["metadata"] = {}
    stage.submit(job)
    uid = stage.until(lambda: stage.job("bare"))["metadata"]["uid"]
    pods = {"labelSelector": f"batch.kubernetes.io/controller-uid={uid}"}

    def labelled():
        found = stage.api.list("pods", stage.namespace, **pods)
        return found and found[0]["metadata"]["labels"].get(KEYS.agent_id) == "a-bare"

    stage.until(labelled)
    stage.published("bare")
    assert stage.standing("bare") == "Succeeded/Completed"
