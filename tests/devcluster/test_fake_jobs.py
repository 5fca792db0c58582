"""The Job controller: pods, counters, conditions and their order, deadlines, suspension, TTL, garbage."""

import pytest

from tests.devcluster.fake_api import conditions, finished, make_job, pod_when

STOP = {"suspend": False, "parallelism": 0, "activeDeadlineSeconds": 1}


def statuses(cluster, name="run"):
    """Every status the Job has had, in order."""
    return [
        write.object.get("status", {})
        for write in cluster.history
        if write.kind == "Job" and write.name == name and write.type != "DELETED"
    ]


def reasons(cluster):
    return [event["reason"] for event in cluster.list("events") if event["involvedObject"]["kind"] == "Job"]


async def suspended(cluster, **spec):
    cluster.create("jobs", make_job(suspend=True, **spec))
    return await cluster.wait(lambda: "Suspended" in conditions(cluster.get("jobs", "default", "run")))


def patch(cluster, **spec):
    cluster.patch("jobs", "default", "run", {"spec": spec})


async def test_a_job_that_succeeds_is_declared_in_two_steps(cluster):
    cluster.create("jobs", make_job())
    job = await finished(cluster)
    assert conditions(job) == ["SuccessCriteriaMet", "Complete"]
    assert job["status"]["conditions"][1]["reason"] == "CompletionsReached"
    assert job["status"]["succeeded"] == 1
    assert job["status"]["uncountedTerminatedPods"] == {}
    assert {"startTime", "completionTime"} <= set(job["status"])
    assert "active" not in job["status"]
    met = next(
        s for s in statuses(cluster) if [c["type"] for c in s.get("conditions", [])] == ["SuccessCriteriaMet"]
    )
    (pod,) = cluster.list("pods")
    assert met["uncountedTerminatedPods"] == {"succeeded": [pod["metadata"]["uid"]]}
    assert "succeeded" not in met
    assert "finalizers" not in pod["metadata"]
    assert sorted(reasons(cluster)) == ["Completed", "SuccessfulCreate"]


async def test_a_job_that_fails_is_declared_in_two_steps(cluster):
    cluster.create("jobs", make_job(script="exit 3"))
    job = await finished(cluster)
    assert conditions(job) == ["FailureTarget", "Failed"]
    assert {c["reason"] for c in job["status"]["conditions"]} == {"BackoffLimitExceeded"}
    assert job["status"]["failed"] == 1
    assert "completionTime" not in job["status"]
    assert "BackoffLimitExceeded" in reasons(cluster)


async def test_a_failed_pod_is_replaced_up_to_the_limit(cluster):
    cluster.create("jobs", make_job(script="exit 1", backoffLimit=2))
    job = await finished(cluster)
    assert job["status"]["failed"] == 3
    assert len(cluster.list("pods")) == 3


async def test_restarts_on_failure_count_against_the_limit(cluster):
    cluster.create("jobs", make_job(script="exit 1", pod={"restartPolicy": "OnFailure"}, backoffLimit=1))
    job = await finished(cluster)
    assert conditions(job) == ["FailureTarget", "Failed"]
    assert sum(1 for write in cluster.history if write.kind == "Pod" and write.type == "ADDED") == 1


async def test_a_suspended_job_has_no_pods_and_no_start_time(cluster):
    await suspended(cluster)
    job = cluster.get("jobs", "default", "run")
    assert "startTime" not in job["status"]
    assert cluster.list("pods") == []
    patch(cluster, suspend=False)
    job = await finished(cluster)
    assert [c["reason"] for c in job["status"]["conditions"] if c["type"] == "Suspended"] == ["JobResumed"]
    assert {"Suspended", "Resumed"} <= set(reasons(cluster))


async def test_suspending_a_started_job_deletes_its_pods_without_counting_them(cluster):
    cluster.create("jobs", make_job(script="sleep 60", pod={"terminationGracePeriodSeconds": 1}))
    first = await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    patch(cluster, suspend=True)
    await cluster.wait(lambda: not cluster.list("pods"))
    await cluster.wait(lambda: not cluster.get("jobs", "default", "run")["status"].get("terminating"))
    job = cluster.get("jobs", "default", "run")
    assert conditions(job) == ["Suspended"]
    assert "failed" not in job["status"]
    patch(cluster, suspend=False)
    second = await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_job_that_is_suspended_when_its_pod_has_succeeded_is_complete(cluster):
    cluster.create("jobs", make_job(script="sleep 0.3"))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    cluster.faults.pause("job-controller")
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Succeeded")
    patch(cluster, suspend=True)
    cluster.faults.resume("job-controller")
    job = await finished(cluster)
    assert conditions(job) == ["SuccessCriteriaMet", "Complete"]
    assert "startTime" in job["status"]


async def test_a_held_job_ends_by_its_deadline_without_a_pod(cluster):
    await suspended(cluster)
    patch(cluster, **STOP)
    job = await finished(cluster)
    assert conditions(job)[-2:] == ["FailureTarget", "Failed"]
    assert {c["reason"] for c in job["status"]["conditions"] if c["type"] != "Suspended"} == {
        "DeadlineExceeded"
    }
    assert not [write for write in cluster.history if write.kind == "Pod"]


async def test_retiring_a_job_removes_it(cluster):
    await suspended(cluster)
    patch(cluster, **STOP, ttlSecondsAfterFinished=0)
    await cluster.wait(lambda: cluster.get("jobs", "default", "run") is None)


async def test_a_deadline_set_later_stops_a_running_job_only_when_its_pod_is_gone(cluster):
    script = "trap 'sleep 0.2; exit 7' TERM; sleep 60 & wait"
    cluster.create("jobs", make_job(script=script))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    patch(cluster, activeDeadlineSeconds=1)
    job = await finished(cluster)
    assert conditions(job) == ["FailureTarget", "Failed"]
    assert job["status"]["failed"] == 1
    targets = [
        s for s in statuses(cluster) if [c["type"] for c in s.get("conditions", [])] == ["FailureTarget"]
    ]
    assert any(status["terminating"] == 1 for status in targets)
    await cluster.wait(lambda: not cluster.list("pods"))


async def test_a_finished_job_goes_when_its_time_has_come(cluster):
    cluster.create("jobs", make_job())
    await finished(cluster)
    patch(cluster, ttlSecondsAfterFinished=0)
    await cluster.wait(lambda: cluster.get("jobs", "default", "run") is None)
    await cluster.wait(lambda: not cluster.list("pods"))


async def test_deleting_a_job_collects_what_it_owns(cluster):
    cluster.create("jobs", make_job())
    job = await finished(cluster)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "run", "uid": job["metadata"]["uid"]}
    for plural in ("secrets", "configmaps"):
        cluster.create(plural, {"metadata": {"name": "owned", "ownerReferences": [owner]}})
    cluster.delete("jobs", "default", "run")
    await cluster.wait(lambda: not any(cluster.list(plural) for plural in ("secrets", "configmaps", "pods")))


async def test_an_object_with_a_made_up_owner_is_collected(cluster):
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "run", "uid": "made-up"}
    cluster.create("configmaps", {"metadata": {"name": "c", "ownerReferences": [owner]}})
    await cluster.wait(lambda: not cluster.list("configmaps"))


async def test_an_object_with_a_living_owner_left_only_loses_the_other(cluster):
    keeper = cluster.create("configmaps", {"metadata": {"name": "keeper"}})
    goer = cluster.create("configmaps", {"metadata": {"name": "goer"}})
    owners = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"], "uid": o["metadata"]["uid"]}
        for o in (keeper, goer)
    ]
    cluster.create("secrets", {"metadata": {"name": "s", "ownerReferences": owners}})
    cluster.delete("configmaps", "default", "goer")
    await cluster.wait(
        lambda: (
            [o["name"] for o in cluster.get("secrets", "default", "s")["metadata"]["ownerReferences"]]
            == ["keeper"]
        )
    )


@pytest.mark.parametrize(("policy", "pods"), [("Background", 0), ("Foreground", 0), ("Orphan", 1)])
async def test_propagation_policies(cluster, policy, pods):
    cluster.create("jobs", make_job())
    await finished(cluster)
    cluster.delete("jobs", "default", "run", propagationPolicy=policy)
    await cluster.wait(lambda: cluster.get("jobs", "default", "run") is None)
    await cluster.wait(lambda: len(cluster.list("pods")) == pods)
    if pods:
        assert "ownerReferences" not in cluster.list("pods")[0]["metadata"]


async def test_a_job_of_the_same_name_is_another_job(cluster):
    cluster.create("jobs", make_job(script="sleep 60", pod={"terminationGracePeriodSeconds": 0}))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    cluster.delete("jobs", "default", "run")
    cluster.create("jobs", make_job())
    job = await finished(cluster)
    assert job["status"]["succeeded"] == 1
    uid = job["metadata"]["uid"]
    await cluster.wait(
        lambda: all(p["metadata"]["labels"]["controller-uid"] == uid for p in cluster.list("pods"))
    )


async def test_a_deleted_namespace_is_emptied_first(cluster):
    cluster.create("namespaces", {"metadata": {"name": "team"}})
    job = make_job(script="sleep 60", pod={"terminationGracePeriodSeconds": 0})
    job["metadata"]["namespace"] = "team"
    cluster.create("jobs", job)
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running", "team")
    cluster.delete("namespaces", "", "team")
    assert cluster.get("namespaces", "", "team")["status"]["phase"] == "Terminating"
    await cluster.wait(lambda: cluster.get("namespaces", "", "team") is None)
    assert cluster.list("jobs", "team") == []


async def test_fifty_jobs_at_once_all_complete(cluster):
    for n in range(50):
        cluster.create("jobs", make_job(f"run-{n}"))
    await cluster.wait(
        lambda: sum("Complete" in conditions(job) for job in cluster.list("jobs")) == 50, timeout=20
    )
