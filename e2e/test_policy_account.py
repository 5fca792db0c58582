"""What the controller's own account may not do, and that being refused disturbs nobody (contract §7)."""

import asyncio
import json
from contextlib import aclosing

import pytest

from controller.kube import errors
from controller.kube.api import JOBS, Kube, Resource
from e2e.apiserver import MERGE, Refused, path
from e2e.policy_stage import BY_POLICY, PolicyStage

SECRETS = Resource("v1", "secrets")
STRATEGIC = "application/strategic-merge-patch+json"
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

# Contract §7, with DOMAIN as the stage's.
VERBS = {
    ("batch", "jobs"): {"get", "list", "watch", "patch"},
    ("", "pods"): {"get", "list", "watch", "patch"},
    ("", "pods/log"): {"get"},
    ("", "secrets"): {"patch"},
    ("", "configmaps"): {"create", "patch"},
    ("", "events"): {"list"},
    ("events.k8s.io", "events"): {"create", "patch"},
    ("status.DOMAIN", "runs"): {"report"},
}
VERBS_AT_HOME = VERBS | {("coordination.k8s.io", "leases"): {"get", "create", "update"}}
NEVER = (
    ("create", "batch", "jobs"),
    ("delete", "batch", "jobs"),
    ("deletecollection", "batch", "jobs"),
    ("update", "batch", "jobs"),
    ("patch", "batch", "jobs/status"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("create", "", "pods/exec"),
    ("create", "", "pods/eviction"),
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "secrets"),
    ("get", "", "configmaps"),
    ("delete", "", "configmaps"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "users"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles"),
    ("patch", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("*", "*", "*"),
)


@pytest.fixture(scope="module")
def policy_stage(kubeconfig, tmp_path_factory):
    with PolicyStage(kubeconfig, tmp_path_factory.mktemp("policy")) as stage:
        stage.bare = stage.account("bare")
        yield stage


# The controller's account and Secrets


@pytest.fixture
def secret(policy_stage):
    """Of a run that is there, and whose label it carries; removed in the end."""
    stage = policy_stage
    owner = stage.submit("owner")
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "owner", "uid": owner["metadata"]["uid"]}
    labels = {stage.key("run-id"): "owner-run-id"}
    made = {"metadata": {"name": "prompt", "labels": labels}, "data": {"prompt": "aGVsbG8="}}
    stage.admin.create("secrets", stage.namespace, made)
    yield reference
    stage.admin.delete("secrets", stage.namespace, "prompt")
    stage.admin.delete("jobs", stage.namespace, "owner")
    stage.until(lambda: stage.job("owner") is None)


def patch_secret(stage, body, media=MERGE):
    return stage.controller.call("PATCH", path("secrets", stage.namespace, "prompt"), body, media)


def own(*references):
    return {"metadata": {"ownerReferences": list(references)}}


def test_the_controller_adds_itself_beside_the_other_owners_of_a_secret(policy_stage, secret):
    stage = policy_stage
    assert patch_secret(stage, {})["metadata"]["labels"]
    other = stage.admin.create("configmaps", stage.namespace, {"metadata": {"name": "other"}})
    there = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"]}
    stage.admin.patch("secrets", stage.namespace, "prompt", own(there))
    for _ in range(2):
        patch_secret(stage, own(secret | {"blockOwnerDeletion": False}), STRATEGIC)
    found = stage.admin.get("secrets", stage.namespace, "prompt")["metadata"]["ownerReferences"]
    assert [reference["kind"] for reference in found].count("Job") == 1
    assert there in found
    with pytest.raises(Refused, match="may only add a Job"):
        patch_secret(stage, own(secret))  # a merge patch leaves only this one


SECRET_CHANGES = {
    "its data": {"data": {"prompt": "Ynll"}},
    "its data, in plain": {"stringData": {"prompt": "bye"}},
    "more data": {"data": {"more": "Ynll"}},
    "no data": {"data": None},
    "for ever": {"immutable": True},
    "a label": {"metadata": {"labels": {"example.com/x": "y"}}},
    "no labels": {"metadata": {"labels": None}},
    "an annotation": {"metadata": {"annotations": {"example.com/x": "y"}}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/hold"]}},
}


@pytest.mark.parametrize("body", SECRET_CHANGES.values(), ids=SECRET_CHANGES)
@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
def test_the_controller_changes_nothing_else_of_a_secret(policy_stage, secret, body, media):
    before = policy_stage.admin.get("secrets", policy_stage.namespace, "prompt")
    with pytest.raises(Refused, match="may change nothing of a Secret but") as refused:
        patch_secret(policy_stage, body, media)
    assert refused.value.code == 403
    assert policy_stage.admin.get("secrets", policy_stage.namespace, "prompt") == before
    where = path("secrets", policy_stage.namespace, "prompt")
    assert policy_stage.tenant.call("PATCH", where, body, media, dryRun="All")


@pytest.mark.parametrize(
    "wrong",
    [
        {"controller": True},
        {"blockOwnerDeletion": True},
        {"kind": "CronJob"},
        {"apiVersion": "v1", "kind": "Pod"},
    ],
    ids=["a controller", "one that holds up deletion", "a CronJob", "a Pod"],
)
def test_the_controller_adds_no_other_owner_to_a_secret(policy_stage, secret, wrong):
    with pytest.raises(Refused, match="may only add a Job"):
        patch_secret(policy_stage, own(secret | wrong))


def test_the_controller_owns_no_secret_that_is_no_runs(policy_stage, secret):
    policy_stage.admin.patch("secrets", policy_stage.namespace, "prompt", {"metadata": {"labels": None}})
    with pytest.raises(Refused, match="only Secrets that carry the label"):
        patch_secret(policy_stage, own(secret))


def test_the_controller_owns_no_secret_that_another_controls(policy_stage, secret):
    controlled = own(secret | {"controller": True})
    policy_stage.admin.patch("secrets", policy_stage.namespace, "prompt", controlled)
    with pytest.raises(Refused, match="and have no controller"):
        patch_secret(policy_stage, {"metadata": {"ownerReferences": None}})


# The controller's account and ConfigMaps


@pytest.fixture
def config_map(policy_stage):
    """Of a run that is there, and whose label it carries; removed in the end."""
    stage = policy_stage
    owner = stage.submit("owner")
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "owner", "uid": owner["metadata"]["uid"]}
    labels = {stage.key("run-id"): "owner-run-id"}
    made = {"metadata": {"name": "files", "labels": labels}, "data": {"prompt": "hello"}}
    stage.admin.create("configmaps", stage.namespace, made)
    yield reference
    stage.admin.delete("configmaps", stage.namespace, "files")
    stage.admin.delete("jobs", stage.namespace, "owner")
    stage.until(lambda: stage.job("owner") is None)


def patch_config_map(stage, body, media=MERGE):
    return stage.controller.call("PATCH", path("configmaps", stage.namespace, "files"), body, media)


def test_the_controller_adds_itself_to_the_owners_of_a_config_map(policy_stage, config_map):
    assert patch_config_map(policy_stage, {})["metadata"]["labels"]
    for _ in range(2):
        patch_config_map(policy_stage, own(config_map | {"blockOwnerDeletion": False}), STRATEGIC)
    found = policy_stage.admin.get("configmaps", policy_stage.namespace, "files")["metadata"]
    assert [reference["kind"] for reference in found["ownerReferences"]] == ["Job"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"prompt": "bye"}},
        {"binaryData": {"more": "Ynll"}},
        {"immutable": True},
        {"metadata": {"labels": {"example.com/x": "y"}}},
    ],
    ids=["its data", "more data", "for ever", "a label"],
)
def test_the_controller_changes_nothing_else_of_a_config_map(policy_stage, config_map, body):
    with pytest.raises(Refused, match="may change nothing of a ConfigMap but") as refused:
        patch_config_map(policy_stage, body)
    assert refused.value.code == 403


def test_the_controller_adds_no_other_owner_to_a_config_map(policy_stage, config_map):
    with pytest.raises(Refused, match="may only add a Job"):
        patch_config_map(policy_stage, own(config_map | {"controller": True}))


# What the account may do at all


def granted(client, namespace):
    """All that an account may do there, as `kubectl auth can-i --list` has it: {(group, resource): verbs}."""
    asked = {"spec": {"namespace": namespace}}
    status = client.call("POST", RULES, asked)["status"]
    assert not status["incomplete"]
    found = {}
    for rule in status["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.mark.parametrize(("home", "wanted"), [(False, VERBS), (True, VERBS_AT_HOME)])
def test_the_controllers_account_may_do_what_the_contract_says(policy_stage, home, wanted):
    stage = policy_stage
    namespace = stage.system if home else stage.namespace
    bare, own_verbs = granted(stage.bare, namespace), granted(stage.controller, namespace)
    beyond = {key: more for key, verbs in own_verbs.items() if (more := verbs - bare.get(key, set()))}
    allowed = {
        (group.replace("DOMAIN", stage.domain), name): verbs for (group, name), verbs in wanted.items()
    }
    assert not {key: verbs for key, verbs in beyond.items() if verbs - allowed.get(key, set())}
    for needed in (("batch", "jobs"), ("", "pods/log"), (f"status.{stage.domain}", "runs")):
        assert beyond[needed] == allowed[needed]


@pytest.mark.parametrize(("verb", "group", "resource"), NEVER, ids=lambda part: part or "core")
def test_the_controllers_account_is_refused_everything_else(policy_stage, verb, group, resource):
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource}
    for namespace in (policy_stage.namespace, policy_stage.system):
        asked = {"spec": {"resourceAttributes": attributes | {"namespace": namespace}}}
        assert policy_stage.controller.call("POST", ACCESS, asked)["status"]["allowed"] is False


# Streams


@pytest.fixture
async def kube(policy_stage):
    """The controller's own client, with its own account."""
    made = await Kube.connect(kubeconfig=str(policy_stage.controller.kubeconfig))
    yield made
    await made.aclose()
    async with asyncio.timeout(10):
        await all_closed()


async def all_closed():
    """TLS connections end some time after their client; the loop would tell of what it has to leave open."""
    loop = asyncio.get_running_loop()
    while len(loop._selector.get_map()) > 1:  # noqa: ASYNC110 — nobody tells; one is the loop's own
        await asyncio.sleep(0.01)


async def be_refused(kube, stage):
    """Three times by the policy, three times by the roles."""
    body = json.dumps(SECRET_CHANGES["its data"]).encode()
    for _ in range(3):
        with pytest.raises(errors.Refused, match=BY_POLICY):
            await kube.patch(SECRETS, stage.namespace, "prompt", body)
        with pytest.raises(errors.Refused, match="cannot get resource"):
            await kube.get(SECRETS, stage.namespace, "prompt")


async def test_a_refusal_leaves_the_watches_of_its_client_open(policy_stage, secret, kube):
    stage = policy_stage
    version = stage.job("owner")["metadata"]["resourceVersion"]
    async with aclosing(
        kube.watch(JOBS, namespace=stage.namespace, version=version, timeout_seconds=30)
    ) as watch:
        assert await anext(watch) == ()
        await be_refused(kube, stage)
        stage.note("owner", phase="Queued")
        (seen,) = await anext(watch)
    assert json.loads(bytes(seen.object))["metadata"]["annotations"][stage.status("phase")] == "Queued"


async def test_a_refusal_leaves_the_logs_of_its_client_open(policy_stage, secret, kube):
    stage = policy_stage
    if not stage.admin.list("nodes"):
        pytest.skip("a control plane without a node: nothing to read a log of")
    pod = stage.talk("talking", "for i in $(seq 300); do echo said-$i; sleep 0.1; done")
    async with aclosing(kube.log(stage.namespace, pod, "claude", follow=True)) as log:
        await read_until(log, b"said-1\n")
        await be_refused(kube, stage)
        await read_until(log, b"said-20\n")


async def read_until(log, wanted):
    """Raises StopAsyncIteration if the log ends before."""
    seen = b""
    while wanted not in seen:
        seen += await anext(log)
