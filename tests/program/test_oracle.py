"""The oracle sees what it is there to see: each of S1 to S5, broken on purpose."""

import hashlib
import json

import pytest

from controller.core.contract import Status
from devcluster.fake import FakeCluster, patches
from devcluster.fake.registry import Call
from devcluster.fake.resources import BY_PLURAL
from tests.program import oracle
from tests.program.runs import KEYS, NAMESPACE, make_run


@pytest.fixture
async def cluster():
    async with FakeCluster(kubelet=False, job_controller=False) as fake:
        yield fake


def as_us(cluster, name, change, plural="jobs"):
    """A write in our name."""
    call = Call(BY_PLURAL[plural], NAMESPACE, name, actor=oracle.ACTOR, verb="patch")
    cluster.registry.patch(call, patches.MERGE, change)


def say(cluster, name, **notes):
    own = {KEYS.status(key.replace("_", "-")): value for key, value in notes.items()}
    as_us(cluster, name, {"metadata": {"annotations": own}})


def faults(cluster):
    return [fault.partition(":")[0] for fault in oracle.faults(cluster.history)]


def a_run(cluster, name="run", **changes):
    return cluster.create("jobs", make_run(name, **changes))["metadata"]["uid"]


async def test_a_run_as_it_should_be_has_no_faults(cluster):
    uid = a_run(cluster)
    as_us(cluster, "run", {"spec": {"suspend": False}})
    say(cluster, "run", phase="Starting", trace_id=uid.replace("-", ""))
    say(cluster, "run", phase="Running")
    say(cluster, "run", phase="Failed", result=json.dumps({"jobUid": uid}))
    say(cluster, "run", trace_exported="now")
    assert faults(cluster) == []


async def test_a_deletion_by_us_is_seen(cluster):
    a_run(cluster)
    call = Call(BY_PLURAL["jobs"], NAMESPACE, "run", actor=oracle.ACTOR, verb="delete")
    cluster.registry.delete(call, {})
    assert "S1" in faults(cluster)


async def test_two_places_of_one_agent_are_seen(cluster):
    for name in ("one", "two"):
        a_run(cluster, name)
        as_us(cluster, name, {"spec": {"suspend": False}})
    assert faults(cluster) == ["S2"]


async def test_a_place_that_only_a_pod_holds_is_seen(cluster):
    labels = make_run("gone")["metadata"]["labels"] | {"batch.kubernetes.io/controller-uid": "gone"}
    spec = {"containers": [{"name": "claude", "image": "x"}]}
    cluster.create(
        "pods", {"metadata": {"name": "pod", "namespace": NAMESPACE, "labels": labels}, "spec": spec}
    )
    a_run(cluster)
    as_us(cluster, "run", {"spec": {"suspend": False}})
    assert faults(cluster) == ["S2"]


async def test_runs_that_were_submitted_running_may_overfill_a_slot_but_nobody_is_added_to_them(cluster):
    a_run(cluster, "one", suspend=False)
    a_run(cluster, "two", suspend=False)
    assert faults(cluster) == []
    a_run(cluster, "three")
    as_us(cluster, "three", {"spec": {"suspend": False}})
    assert faults(cluster) == ["S2"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("Running", "Starting"), ("Failed", "Succeeded"), ("Succeeded", "Running")],
)
async def test_a_phase_that_goes_back_is_seen(cluster, before, after):
    a_run(cluster)
    say(cluster, "run", phase=before)
    say(cluster, "run", phase=after)
    assert faults(cluster) == ["S3"]


async def test_a_result_that_is_written_twice_is_seen(cluster):
    uid = a_run(cluster)
    for turns in (1, 2):
        say(cluster, "run", result=json.dumps({"jobUid": uid, "numTurns": turns}), phase="Failed")
    assert faults(cluster) == ["S3"]


@pytest.mark.parametrize("notes", [{"result": '{"jobUid": "other"}'}, {"trace_id": "0" * 32}])
async def test_what_was_computed_from_another_job_is_seen(cluster, notes):
    a_run(cluster)
    say(cluster, "run", **notes)
    assert faults(cluster) == ["S4"]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"annotations": {"theirs": "x"}}},
        {"metadata": {"labels": {"theirs": "x"}}},
        {"metadata": {"finalizers": ["example.org/theirs"]}},
        {"spec": {"backoffLimit": 3}},
    ],
    ids=["an annotation", "a label", "a finalizer", "the spec"],
)
async def test_a_write_to_what_is_not_ours_is_seen(cluster, change):
    a_run(cluster)
    as_us(cluster, "run", change)
    assert faults(cluster) == ["S5"]


async def test_a_write_to_a_pod_is_seen(cluster):
    spec = {"containers": [{"name": "claude", "image": "x"}]}
    cluster.create("pods", {"metadata": {"name": "pod", "namespace": NAMESPACE}, "spec": spec})
    as_us(cluster, "pod", {"metadata": {"labels": {"x": "y"}}}, "pods")
    assert faults(cluster) == ["S5"]


def whole_result(uid, **changes):
    """What the controller makes of a result that is too big."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "run", "uid": uid}
    digest = {KEYS.status("sha256"): hashlib.sha256(b"{}").hexdigest()}
    meta = {"name": f"run-{uid}", "namespace": NAMESPACE, "annotations": digest, "ownerReferences": [owner]}
    return {"metadata": meta, "data": {"result.json": "{}"}, "immutable": True} | changes


def made_by_us(cluster, made):
    call = Call(BY_PLURAL["configmaps"], NAMESPACE, actor=oracle.ACTOR, verb="create")
    cluster.registry.create(call, made)


async def test_the_whole_of_a_result_may_be_kept_beside_its_job(cluster):
    made_by_us(cluster, whole_result(a_run(cluster)))
    assert faults(cluster) == []


@pytest.mark.parametrize("changes", [{"immutable": None}, {"data": {"result.json": "[]"}}], ids=str)
async def test_any_other_object_of_ours_is_seen(cluster, changes):
    made_by_us(cluster, whole_result(a_run(cluster), **changes))
    assert faults(cluster) == ["S5"]


async def attach(cluster):
    """A run that continues on another's Job."""
    uid = a_run(cluster)
    a_run(cluster, "next")
    say(cluster, "next", phase="Attached", attached_to=f"run/{uid}")
    return uid


def relabelled(to):
    return {"metadata": {"labels": {KEYS.run_id: to}, "annotations": {KEYS.run_id: to}}}


async def test_a_job_may_get_the_ids_of_a_run_that_continues_on_it_and_its_pods_after_it(cluster):
    uid = await attach(cluster)
    labels = {"batch.kubernetes.io/controller-uid": uid}
    spec = {"containers": [{"name": "claude", "image": "x"}]}
    pod = {"metadata": {"name": "pod", "namespace": NAMESPACE, "labels": labels}, "spec": spec}
    cluster.create("pods", pod)
    as_us(cluster, "run", relabelled("r-next"))
    as_us(cluster, "pod", relabelled("r-next"), "pods")
    assert faults(cluster) == []


@pytest.mark.parametrize("plural", ["jobs", "pods"])
async def test_ids_of_a_run_that_does_not_continue_there_are_seen(cluster, plural):
    uid = await attach(cluster)
    labels = {"batch.kubernetes.io/controller-uid": uid}
    spec = {"containers": [{"name": "claude", "image": "x"}]}
    cluster.create(
        "pods", {"metadata": {"name": "run", "namespace": NAMESPACE, "labels": labels}, "spec": spec}
    )
    as_us(cluster, "run", relabelled("r-other"), plural)
    assert faults(cluster) == ["S5"]


async def test_heartbeats_are_told_from_other_patches(cluster):
    uid = a_run(cluster)
    say(cluster, "run", phase="Running")
    say(cluster, "run", observed_at="now", progress="{}")
    found = oracle.patches(cluster.history, uid)
    assert (len(found.all), len(found.weighty)) == (2, 1)
    assert oracle.changed(found.all[1]) == {Status.OBSERVED_AT, Status.PROGRESS}
