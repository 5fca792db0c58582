"""Create, read, update, delete: codes, reasons and shapes of single objects."""

import pytest

from tests.devcluster.fake_api import JOBS, JSON_PATCH, PODS, STRATEGIC, make_job, make_pod


def secret(name="s", **metadata):
    return {"metadata": {"name": name} | metadata, "stringData": {"prompt": "hi"}}


async def created(api, **spec):
    status, job = await api.post(JOBS, make_job(**spec))
    assert status == 201, job
    return job


async def test_a_created_job_has_the_defaults_of_a_real_one(api):
    job = await created(api)
    meta, spec = job["metadata"], job["spec"]
    assert (job["kind"], job["apiVersion"]) == ("Job", "batch/v1")
    assert meta["generation"] == 1
    assert int(meta["resourceVersion"]) > 0
    assert (spec["parallelism"], spec["completions"], spec["suspend"]) == (1, 1, False)
    assert (spec["completionMode"], spec["podReplacementPolicy"]) == ("NonIndexed", "TerminatingOrFailed")
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
    assert spec["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": meta["uid"],
        "batch.kubernetes.io/job-name": "run",
        "controller-uid": meta["uid"],
        "job-name": "run",
    }
    (container,) = spec["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert job["status"] == {}


async def test_a_status_given_at_creation_is_dropped(api):
    _, job = await api.post(JOBS, make_job() | {"status": {"succeeded": 1}})
    assert job["status"] == {}
    _, pod = await api.post(PODS, make_pod() | {"status": {"phase": "Running"}})
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


async def test_the_same_name_twice_is_already_exists(api):
    await created(api)
    status, body = await api.post(JOBS, make_job())
    assert (status, body["reason"]) == (409, "AlreadyExists")
    assert body["message"] == 'jobs.batch "run" already exists'
    assert body["details"] == {"name": "run", "group": "batch", "kind": "jobs"}


async def test_generate_name_makes_a_name(api):
    job = make_job()
    job["metadata"] = {"generateName": "run-"}
    _, body = await api.post(JOBS, job)
    assert body["metadata"]["name"].startswith("run-")
    assert len(body["metadata"]["name"]) == len("run-") + 5


async def test_an_absent_object_is_not_found(api):
    status, body = await api.get(f"{JOBS}/none")
    assert (status, body["reason"], body["message"]) == (404, "NotFound", 'jobs.batch "none" not found')


async def test_an_absent_namespace_is_not_found_until_it_is_created(api):
    path = "/apis/batch/v1/namespaces/team/jobs"
    job = make_job()
    job["metadata"]["namespace"] = "team"
    status, body = await api.post(path, job)
    assert (status, body["message"]) == (404, 'namespaces "team" not found')
    assert (await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}}))[0] == 201
    assert (await api.post(path, job))[0] == 201


async def test_a_namespace_that_does_not_match_the_address_is_refused(api):
    job = make_job()
    job["metadata"]["namespace"] = "kube-system"
    status, body = await api.post(JOBS, job)
    assert (status, body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/apis/batch/v1beta1/namespaces/default/jobs", 404),
        ("/apis/apps/v1/deployments", 404),
        ("/api/v1/namespaces/default/pods/p/exec", 501),
        ("/nothing", 404),
        ("/version/", 200),
        ("/apis/batch/v1", 200),
        ("/readyz", 200),
    ],
)
async def test_addresses(api, path, want):
    assert (await api.get(path))[0] == want


async def test_a_body_of_another_kind_is_a_bad_request(api):
    status, body = await api.post(JOBS, make_pod())
    assert (status, body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    "spec",
    [
        {"completionMode": "Indexed"},
        {"podFailurePolicy": {"rules": []}},
        {"pod": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}},
        {"container": {"livenessProbe": {"exec": {}}}},
        {"pod": {"activeDeadlineSeconds": 3}},
    ],
    ids=["indexed", "pod failure policy", "hostPath", "probe", "pod deadline"],
)
async def test_what_is_not_modelled_is_refused_with_501(api, spec):
    status, body = await api.post(JOBS, make_job(**spec))
    assert (status, body["reason"]) == (501, "NotImplemented")


async def test_merge_patch_with_a_stale_version_is_a_conflict(api):
    job = await created(api)
    await api.patch(f"{JOBS}/run", {"metadata": {"annotations": {"a": "1"}}})
    stale = {"metadata": {"resourceVersion": job["metadata"]["resourceVersion"], "annotations": {"a": "2"}}}
    status, body = await api.patch(f"{JOBS}/run", stale)
    assert (status, body["reason"]) == (409, "Conflict")
    assert "the object has been modified" in body["message"]


async def test_merge_patch_with_another_uid_is_invalid(api):
    await created(api)
    status, body = await api.patch(f"{JOBS}/run", {"metadata": {"uid": "other", "annotations": {"a": "1"}}})
    assert (status, body["reason"]) == (422, "Invalid")
    assert body["details"]["causes"][0]["field"] == "metadata.uid"


async def test_put_with_another_uid_is_a_conflict(api):
    job = await created(api)
    job["metadata"]["uid"] = "other"
    status, body = await api.put(f"{JOBS}/run", job)
    assert (status, body["reason"]) == (409, "Conflict")


async def test_a_patch_that_changes_nothing_is_no_write(api):
    await created(api)
    body = {"metadata": {"annotations": {"a": "1"}}}
    _, first = await api.patch(f"{JOBS}/run", body)
    writes = len(api.cluster.history)
    status, second = await api.patch(f"{JOBS}/run", body)
    assert status == 200
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert len(api.cluster.history) == writes


async def test_only_a_changed_spec_raises_the_generation(api):
    await created(api, suspend=True)
    _, job = await api.patch(f"{JOBS}/run", {"metadata": {"labels": {"a": "b"}}})
    assert job["metadata"]["generation"] == 1
    _, job = await api.patch(f"{JOBS}/run", {"spec": {"suspend": False}})
    assert job["metadata"]["generation"] == 2


async def test_merge_patch_with_null_removes(api):
    await created(api)
    await api.patch(f"{JOBS}/run", {"metadata": {"annotations": {"a": "1"}}})
    _, job = await api.patch(f"{JOBS}/run", {"metadata": {"annotations": {"a": None}}})
    assert "annotations" not in job["metadata"]


async def test_json_patch_tests_and_changes(api):
    await created(api)
    change = {"op": "replace", "path": "/spec/suspend", "value": True}
    status, job = await api.patch(
        f"{JOBS}/run", [{"op": "test", "path": "/metadata/name", "value": "run"}, change], JSON_PATCH
    )
    assert (status, job["spec"]["suspend"]) == (200, True)
    wrong = [{"op": "test", "path": "/metadata/name", "value": "other"}, change]
    assert (await api.patch(f"{JOBS}/run", wrong, JSON_PATCH))[0] == 422


async def test_strategic_merge_adds_an_owner_beside_the_others(api):
    api.cluster.faults.pause("garbage-collector")  # both owners are made up
    first = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}
    await api.post("/api/v1/namespaces/default/secrets", secret(ownerReferences=[first]))
    second = first | {"uid": "2", "blockOwnerDeletion": False}
    status, body = await api.patch(
        "/api/v1/namespaces/default/secrets/s", {"metadata": {"ownerReferences": [second]}}, STRATEGIC
    )
    assert status == 200
    assert [owner["uid"] for owner in body["metadata"]["ownerReferences"]] == ["2", "1"]


@pytest.mark.parametrize("body", [{"$patch": "explode"}, {"$unheard": 1}, {"metadata": {"$of": []}}], ids=str)
async def test_what_is_not_known_of_strategic_merge_is_not_made_up(api, body):
    await api.post("/api/v1/namespaces/default/secrets", secret())
    status, told = await api.patch("/api/v1/namespaces/default/secrets/s", body, STRATEGIC)
    assert (status, told["reason"]) == (501, "NotImplemented")


async def test_metadata_only_answers_show_no_secret(api):
    await api.post("/api/v1/namespaces/default/secrets", secret())
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    status, body = await api.patch("/api/v1/namespaces/default/secrets/s", {}, Accept=accept)
    assert status == 200
    assert body["kind"] == "PartialObjectMetadata"
    assert set(body) == {"kind", "apiVersion", "metadata"}
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    _, body = await api.get("/api/v1/namespaces/default/secrets", Accept=accept)
    assert body["kind"] == "PartialObjectMetadataList"
    assert set(body["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_all_annotations_together_are_limited(api):
    await created(api)
    status, body = await api.patch(f"{JOBS}/run", {"metadata": {"annotations": {"a": "x" * 262144}}})
    assert status == 422
    assert "metadata.annotations: Too long: may not be more than 262144 bytes" in body["message"]
    fits = {"metadata": {"annotations": {"a": "x" * 262143}}}
    assert (await api.patch(f"{JOBS}/run", fits))[0] == 200


async def test_a_body_beyond_three_mebibytes_is_too_large(api):
    status, body = await api.post(JOBS, b" " * (3 * 2**20 + 1))
    assert (status, body["reason"]) == (413, "RequestEntityTooLarge")


async def test_labels_are_validated(api):
    await created(api)
    status, body = await api.patch(f"{JOBS}/run", {"metadata": {"labels": {"a": "not valid"}}})
    assert (status, body["reason"]) == (422, "Invalid")


@pytest.mark.parametrize(
    ("spec", "suspended", "want"),
    [
        ({"completions": 2}, True, 422),
        ({"selector": {"matchLabels": {"a": "b"}}}, True, 422),
        ({"template": {"spec": {"terminationGracePeriodSeconds": 1}}}, True, 422),
        ({"template": {"metadata": {"labels": {"a": "b"}}}}, False, 422),
        ({"template": {"metadata": {"labels": {"a": "b"}}}}, True, 200),
        ({"suspend": False, "template": {"metadata": {"annotations": {"a": "b"}}}}, True, 200),
        ({"activeDeadlineSeconds": 1, "parallelism": 0, "ttlSecondsAfterFinished": 0}, False, 200),
        ({"parallelism": -1}, False, 422),
        ({"suspend": "yes"}, False, 422),
    ],
)
async def test_what_may_change_in_a_jobs_spec(api, spec, suspended, want):
    await created(api, suspend=suspended)
    assert (await api.patch(f"{JOBS}/run", {"spec": spec}))[0] == want


async def test_a_pods_spec_is_immutable_but_for_its_image(api):
    await api.post(PODS, make_pod())
    assert (await api.patch(f"{PODS}/pod", {"spec": {"nodeName": "n"}}))[0] == 422
    image = {"spec": {"containers": [{"name": "agent", "image": "busybox:2"}]}}
    assert (await api.patch(f"{PODS}/pod", image, STRATEGIC))[0] == 200


async def test_status_and_spec_are_written_apart(api):
    await created(api)
    _, job = await api.patch(f"{JOBS}/run", {"status": {"active": 1}})
    assert job["status"] == {}
    _, job = await api.patch(f"{JOBS}/run/status", {"status": {"active": 1}, "spec": {"suspend": True}})
    assert job["status"] == {"active": 1}
    assert job["spec"]["suspend"] is False


async def test_a_job_is_not_complete_without_what_belongs_to_it(api):
    await created(api)
    complete = {"type": "Complete", "status": "True"}
    status, body = await api.patch(f"{JOBS}/run/status", {"status": {"conditions": [complete]}})
    assert status == 422
    assert "SuccessCriteriaMet" in body["message"]


async def test_a_lease_is_replaced_only_with_its_version(api):
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    _, lease = await api.post(path, {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 15}})
    lease["spec"]["holderIdentity"] = "a"
    assert (await api.put(f"{path}/l", lease))[0] == 200
    assert (await api.put(f"{path}/l", lease))[0] == 409
    del lease["metadata"]["resourceVersion"]
    assert (await api.put(f"{path}/l", lease))[0] == 422


async def test_an_event_is_one_object_in_two_versions(api):
    event = {
        "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Job", "namespace": "default", "name": "run", "uid": "u"},
        "note": "it was admitted",
        "reason": "Admitted",
        "action": "Admit",
        "type": "Normal",
        "reportingController": "runherd",
        "reportingInstance": "runherd-0",
    }
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    status, body = await api.post(path, event)
    assert status == 201, body
    assert (body["note"], body["regarding"]["name"]) == ("it was admitted", "run")
    query = "?fieldSelector=involvedObject.uid=u,involvedObject.kind=Job"
    _, listed = await api.get(f"/api/v1/namespaces/default/events{query}")
    (core,) = listed["items"]
    assert (core["message"], core["involvedObject"]["name"]) == ("it was admitted", "run")
    assert core["reportingComponent"] == "runherd"
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}}
    status, body = await api.patch(f"{path}/e", series)
    assert (status, body["series"]["count"]) == (200, 2)


async def test_a_deletion_waits_for_finalizers(api):
    job = make_job()
    job["metadata"]["finalizers"] = ["example.com/hold"]
    await api.post(JOBS, job)
    status, body = await api.delete(f"{JOBS}/run?propagationPolicy=Background")
    assert status == 200
    assert body["metadata"]["deletionTimestamp"]
    status, body = await api.patch(f"{JOBS}/run", {"metadata": {"finalizers": ["a/b", "example.com/hold"]}})
    assert (status, body["reason"]) == (422, "Invalid")
    assert (await api.patch(f"{JOBS}/run", {"metadata": {"finalizers": None}}))[0] == 200
    assert (await api.get(f"{JOBS}/run"))[0] == 404


async def test_a_deletion_has_preconditions(api):
    job = await created(api)
    uid = job["metadata"]["uid"]
    path = f"{JOBS}/run?propagationPolicy=Background"
    assert (await api.delete(path, {"preconditions": {"uid": "other"}}))[0] == 409
    assert (await api.delete(path, {"preconditions": {"resourceVersion": "1"}}))[0] == 409
    status, body = await api.delete(path, {"preconditions": {"uid": uid}})
    assert (status, body["status"]) == (200, "Success")
    assert body["details"] == {"name": "run", "group": "batch", "kind": "jobs", "uid": uid}


async def test_a_scheduled_pod_is_deleted_gracefully(api):
    api.cluster.create("pods", make_pod())
    pod = make_pod("bound", nodeName="fake-node", terminationGracePeriodSeconds=7)
    await api.post(PODS, pod)
    assert (await api.delete(f"{PODS}/pod"))[0] == 200
    assert (await api.get(f"{PODS}/pod"))[0] == 404
    _, body = await api.delete(f"{PODS}/bound")
    assert body["metadata"]["deletionGracePeriodSeconds"] == 7
    _, body = await api.delete(f"{PODS}/bound?gracePeriodSeconds=0")
    assert (await api.get(f"{PODS}/bound"))[0] == 404


async def test_a_dry_run_changes_nothing(api):
    status, _ = await api.post(f"{JOBS}?dryRun=All", make_job())
    assert status == 201
    assert (await api.get(f"{JOBS}/run"))[0] == 404


async def test_a_configmap_holds_one_mebibyte_and_may_be_immutable(api):
    path = "/api/v1/namespaces/default/configmaps"
    body = {"metadata": {"name": "c"}, "immutable": True, "data": {"a": "x" * 2**20}}
    assert (await api.post(path, body))[0] == 201
    assert (await api.patch(f"{path}/c", {"data": {"a": "y"}}))[0] == 422
    body = {"metadata": {"name": "d"}, "data": {"a": "x" * (2**20 + 1)}}
    assert (await api.post(path, body))[0] == 422


async def test_every_write_is_remembered_with_its_author(api):
    await api.call("POST", JOBS, make_job(), User_Agent="me/1")
    write = api.cluster.history[-1]
    assert (write.kind, write.verb, write.type, write.name) == ("Job", "create", "ADDED", "run")
    assert (write.actor, write.object["metadata"]["uid"]) == ("me/1", write.uid)
    assert api.cluster.requests["create", "jobs", 201] == 1
