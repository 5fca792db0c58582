"""Who is not hindered by the policies: the controller, Kubernetes' own controllers, other queues; and what an
operator can choose (contract §7)."""

import pytest

from e2e.apiserver import Refused, path
from e2e.policy_stage import BY_POLICY, EVERYTHING_OF_RUNS, PolicyStage

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("policy")


@pytest.fixture(scope="module")
def policy_stage(kubeconfig, folder):
    with PolicyStage(kubeconfig, folder) as stage:
        stage.queue = stage.account("queue", EVERYTHING_OF_RUNS)
        yield stage


@pytest.fixture(scope="module")
def strict_stage(kubeconfig, folder):
    """Only in its namespace; runs have to wait; adapters that relabel Jobs are still about."""
    values = {"requireSuspend": True, "allowRunIdRelabel": True}
    with PolicyStage(kubeconfig, folder, namespaced=True, **values) as stage:
        yield stage


def patch_spec(stage, client, name, **fields):
    return client.patch("jobs", stage.namespace, name, {"spec": fields})


# The policies themselves


@pytest.mark.parametrize("guarded", ["jobs", "secrets", "configmaps"])
def test_the_api_server_finds_no_fault_in_the_policies(policy_stage, guarded):
    where = f"{POLICIES}/{policy_stage.system}-runherd-{guarded}"

    def checked():
        found = policy_stage.admin.call("GET", where)
        status = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else None

    assert "expressionWarnings" not in policy_stage.until(checked)["typeChecking"]


# The controller


def test_the_controller_admits_relabels_and_retires_a_run(policy_stage):
    stage = policy_stage
    stage.submit("led")
    ids = {stage.key("run-id"): "another", stage.key("session-id"): "s"}
    admission = {
        "metadata": {"annotations": {stage.status("phase"): "Starting"}},
        "spec": {"suspend": False, "template": {"metadata": {"labels": {stage.key("session-id"): "s"}}}},
    }
    adoption = {"metadata": {"labels": ids, "annotations": ids}}
    retirement = {
        "suspend": False,
        "parallelism": 0,
        "activeDeadlineSeconds": 1,
        "ttlSecondsAfterFinished": 0,
    }
    for body in (admission, adoption, {"spec": {"suspend": True}}, {"spec": retirement}):
        assert stage.controller.patch("jobs", stage.namespace, "led", body)
    stage.until(lambda: stage.job("led") is None)


# Kubernetes' own controllers


def test_the_job_controller_completes_a_run_and_its_time_to_live_ends(policy_stage):
    stage = policy_stage
    stage.submit("done", suspend=False)
    stage.note("done", phase="Running")
    stage.finish("done")
    stage.until(lambda: stage.has_condition("done", "Complete"))
    assert stage.job("done")["status"]["succeeded"] == 1
    patch_spec(stage, stage.controller, "done", ttlSecondsAfterFinished=0)
    stage.until(lambda: stage.job("done") is None)


def test_the_job_controller_ends_a_run_whose_deadline_has_passed(policy_stage):
    stage = policy_stage
    stage.submit("late", suspend=False)
    stage.until(lambda: stage.pods("late"))
    stage.note("late", stop='{"reason":"CancelledByHost"}')
    patch_spec(stage, stage.controller, "late", activeDeadlineSeconds=1)
    stage.until(lambda: stage.has_condition("late", "Failed"))
    assert stage.pods("late") == []


@pytest.mark.parametrize(("way", "left"), [("Foreground", 0), ("Background", 0), ("Orphan", 1)])
def test_the_garbage_collector_ends_a_run_that_its_tenant_deletes(policy_stage, way, left):
    stage, name = policy_stage, f"deleted-{way}".lower()
    stage.submit(name, suspend=False)
    stage.note(name, phase="Running")
    stage.until(lambda: stage.pods(name))
    stage.tenant.delete("jobs", stage.namespace, name, propagationPolicy=way)
    stage.until(lambda: stage.job(name) is None)
    stage.until(lambda: len(stage.pods(name)) == left)


def test_the_garbage_collector_ends_a_run_with_more_keys_than_the_policy_walks_through(policy_stage):
    stage = policy_stage
    many = stage.run("crowded", suspend=False)
    many["metadata"]["annotations"] |= {f"example.com/{number}": "" for number in range(2000)}
    stage.admin.create("jobs", stage.namespace, many)
    stage.finish("crowded")
    stage.until(lambda: stage.has_condition("crowded", "Complete"))
    stage.tenant.delete("jobs", stage.namespace, "crowded", propagationPolicy="Foreground")
    stage.until(lambda: stage.job("crowded") is None)


# Other queues


def test_a_queue_that_is_named_starts_a_run_and_takes_it_back(policy_stage):
    stage = policy_stage
    stage.submit("queued")
    stage.note("queued", phase="Queued", reason="ExternalQueue")
    patch_spec(stage, stage.queue, "queued", suspend=False)
    stage.until(lambda: stage.job("queued")["status"].get("startTime"))
    patch_spec(stage, stage.queue, "queued", suspend=True)
    stage.until(lambda: stage.has_condition("queued", "Suspended"))
    forgotten = {"status": {"startTime": None}}
    with pytest.raises(Refused, match="only the Job controller"):
        stage.tenant.patch("jobs", stage.namespace, "queued", forgotten, "status")
    stage.queue.patch("jobs", stage.namespace, "queued", forgotten, "status")
    assert "startTime" not in stage.job("queued")["status"]


def test_a_queue_that_is_named_says_nothing_else(policy_stage):
    stage = policy_stage
    stage.submit("unforged")
    forgeries = (
        ({"metadata": {"annotations": {stage.status("phase"): "Succeeded"}}}, ""),
        ({"metadata": {"labels": {stage.key("run-id"): "x"}}}, ""),
        ({"status": {"conditions": None}}, "status"),
        ({"status": {"failed": 1}}, "status"),
    )
    before = stage.job("unforged")
    for body, subresource in forgeries:
        with pytest.raises(Refused, match=BY_POLICY):
            stage.queue.patch("jobs", stage.namespace, "unforged", body, subresource)
    assert stage.job("unforged") == before


# What can be chosen


def test_a_run_can_be_made_to_wait(strict_stage):
    stage = strict_stage
    for spec in ({"suspend": False}, {"suspend": None}):
        with pytest.raises(Refused, match=r"a run is created with suspend: true") as refused:
            stage.tenant.create("jobs", stage.namespace, stage.run("hasty", **spec))
        assert refused.value.code == 422
    stage.submit("patient")


def test_adapters_can_be_let_relabel_a_run(strict_stage):
    stage = strict_stage
    stage.submit("adopted")
    ids = {stage.key("run-id"): "mine", stage.key("session-id"): "s"}
    body = {"metadata": {"labels": ids, "annotations": ids}}
    found = stage.tenant.patch("jobs", stage.namespace, "adopted", body)
    assert found["metadata"]["labels"][stage.key("run-id")] == "mine"
    for name in ("agent-id", "adapter-type", "company-id", "task-id"):
        wrong = {"metadata": {"labels": {stage.key(name): "x"}}}
        with pytest.raises(Refused, match="ids of a run are fixed"):
            stage.tenant.patch("jobs", stage.namespace, "adopted", wrong)


def test_only_the_namespaces_that_are_watched_are_guarded(strict_stage):
    stage = strict_stage
    elsewhere = stage.run("elsewhere", suspend=False)
    elsewhere["metadata"]["annotations"][stage.status("phase")] = "x"
    stage.allow("tenant", EVERYTHING_OF_RUNS, stage.system)

    where = path("jobs", stage.system)
    stage.until(lambda: BY_POLICY not in stage.refusal(stage.tenant, "POST", where, elsewhere))
    stage.until(lambda: not stage.refusal(stage.tenant, "POST", where, elsewhere))
