"""Keeping the whole of a result, on the fake cluster: made once, never changed, never taken from others."""

import json

import pytest

from controller.core.actions import StoreResult
from controller.core.contract import Keys, sha256
from controller.kube import errors
from controller.kube.keeping import Keeping
from devcluster.fake.faults import Refusal

KEYS = Keys()
TEXT = json.dumps({"phase": "Succeeded", "summary": "☃\u0000" * 200})
NAME = "run-1"


@pytest.fixture
def run(cluster):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "claude", "image": "x"}]}}
    metadata = {"namespace": "default", "name": "run"}
    return cluster.create("jobs", {"metadata": metadata, "spec": {"suspend": True, "template": template}})


@pytest.fixture
def keeping(kube):
    return Keeping(kube, KEYS)


def asking(run, text=TEXT):
    labels = {KEYS.run_id: "r-1", KEYS.agent_id: "a-1"}
    meta = run["metadata"]
    return StoreResult("default", NAME, "run", meta["uid"], text, sha256(text.encode()), labels)


def there(cluster):
    return cluster.get("configmaps", "default", NAME)


async def test_the_whole_is_there_and_goes_with_its_job(cluster, keeping, run):
    await keeping.store(asking(run))
    found = there(cluster)
    assert found["data"] == {"result.json": TEXT}
    assert found["immutable"] is True
    assert found["metadata"]["labels"] == {KEYS.run_id: "r-1", KEYS.agent_id: "a-1"}
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "run", run["metadata"]["uid"])
    assert not owner.get("controller")
    assert not owner.get("blockOwnerDeletion")
    cluster.delete("jobs", "default", "run")
    await cluster.wait(lambda: there(cluster) is None)


async def test_keeping_it_again_changes_nothing(cluster, keeping, run):
    await keeping.store(asking(run))
    version = there(cluster)["metadata"]["resourceVersion"]
    await keeping.store(asking(run))
    assert there(cluster)["metadata"]["resourceVersion"] == version


async def test_another_result_of_the_same_run_is_not_taken_for_it(cluster, keeping, run):
    await keeping.store(asking(run))
    with pytest.raises(errors.Refused, match=f"another version of the result is kept in configmap/{NAME}"):
        await keeping.store(asking(run, "{}"))
    assert there(cluster)["data"] == {"result.json": TEXT}


async def test_what_somebody_else_has_made_is_not_taken_for_ours(cluster, keeping, run):
    note = {KEYS.status("sha256"): sha256(TEXT.encode())}
    metadata = {"namespace": "default", "name": NAME, "annotations": note}
    cluster.create("configmaps", {"metadata": metadata, "data": {"result.json": "forged"}})
    with pytest.raises(errors.Refused, match="somebody else's"):
        await keeping.store(asking(run))
    assert there(cluster)["data"] == {"result.json": "forged"}


async def test_the_content_of_what_is_there_is_never_asked_for(cluster, keeping, run):
    await keeping.store(asking(run))
    with pytest.raises(errors.Refused):
        await keeping.store(asking(run, "{}"))
    asked = {(verb, plural) for verb, plural, _ in cluster.requests}
    assert asked == {("create", "configmaps"), ("patch", "configmaps")}


async def test_a_whole_as_large_as_it_may_be_is_taken(cluster, keeping, run):
    text = json.dumps({"summary": "\\" * (383 * 1024)})
    assert 765 * 1024 < len(text) < 768 * 1024
    await keeping.store(asking(run, text))
    assert there(cluster)["data"]["result.json"] == text


@pytest.mark.parametrize("code", [403, 422, 413])
async def test_what_the_server_will_not_have_is_refused(cluster, keeping, run, code):
    cluster.faults.refusals = [Refusal(code, verbs=("create",), resources=("configmaps",))]
    with pytest.raises(errors.Refused):
        await keeping.store(asking(run))


async def test_a_namespace_that_is_gone_is_a_refusal(keeping, run):
    asked = asking(run)
    gone = StoreResult("nowhere", NAME, "run", asked.job_uid, TEXT, asked.sha256)
    with pytest.raises(errors.Refused):
        await keeping.store(gone)
