"""Writes to what is there: preconditions, what may not change, kinds of patches."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON, JSON_PATCH, STRATEGIC
from devcluster.conformance.manifests import NAME, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene

STRANGER = "11111111-2222-3333-4444-555555555555"


def annotated(**metadata: str) -> JSON:
    """A merge patch of an annotation, with preconditions."""
    return {"metadata": {"annotations": {"a": "b"}} | metadata}


async def held(s: Scene) -> JSON:
    """A suspended Job that its controller has done with."""
    await s.create("jobs", manifests.job(s.image, suspend=True))
    return await s.until("jobs", NAME, lambda job: "Suspended" in manifests.true_conditions(job))


@scenario(
    {
        "patch": (
            '409 Conflict: Operation cannot be fulfilled on jobs.batch "it": the object '
            "has been modified; please apply your changes to the latest version and try "
            "again"
        ),
        "details": {"name": "it", "group": "batch", "kind": "jobs"},
        "put": (
            '409 Conflict: Operation cannot be fulfilled on jobs.batch "it": the object '
            "has been modified; please apply your changes to the latest version and try "
            "again"
        ),
        "patch of what would not change": (
            "409 Conflict: Operation cannot be fulfilled on "
            'jobs.batch "it": the object has been modified; '
            "please apply your changes to the latest version "
            "and try again"
        ),
        "patch of the newest": "200 Job",
        "version rose": True,
        "no number": '500 : strconv.ParseUint: parsing "abc": invalid syntax',
    }
)
async def stale_versions(s: Scene) -> None:
    """A write that is based on an older version is a conflict."""
    old = await held(s)
    new = await s.change("jobs", NAME, {"metadata": {"labels": {"a": "b"}}})
    stale = old["metadata"]["resourceVersion"]
    reply = await s.patch("jobs", NAME, annotated(resourceVersion=stale))
    s.refused("patch", reply)
    s.note("details", reply.object["details"])
    s.refused("put", await s.put("jobs", NAME, old))
    s.refused(
        "patch of what would not change",
        await s.patch("jobs", NAME, {"metadata": {"resourceVersion": stale}}),
    )
    fresh = (await s.read("jobs", NAME))["metadata"]["resourceVersion"]
    s.refused("patch of the newest", await s.patch("jobs", NAME, annotated(resourceVersion=fresh)))
    s.note("version rose", int(fresh) >= version(new) > version(old))
    s.refused("no number", await s.patch("jobs", NAME, annotated(resourceVersion="abc")))


@scenario(
    {
        "merge patch": (
            '422 Invalid: Job.batch "it" is invalid: [metadata.uid: Invalid '
            'value: "{uid}": field is immutable'
        ),
        "fields": [
            "metadata.uid",
            "spec.selector",
            "spec.template.metadata.labels[batch.kubernetes.io/controller-uid]",
            "spec.template.metadata.labels[controller-uid]",
        ],
        "merge patch with the right version": (
            '422 Invalid: Job.batch "it" is invalid: '
            '[metadata.uid: Invalid value: "{uid}": field '
            "is immutable"
        ),
        "merge patch with an old version": (
            "409 Conflict: Operation cannot be fulfilled on "
            'jobs.batch "it": the object has been modified; '
            "please apply your changes to the latest version "
            "and try again"
        ),
        "merge patch with the right uid": "200 Job",
        "put": (
            '409 Conflict: Operation cannot be fulfilled on jobs.batch "it": '
            "StorageError: invalid object, Code: 4, Key: /registry/jobs/{namespace}/it, "
            "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
            "precondition: {uid}, UID in object meta: {uid}"
        ),
        "delete": (
            '409 Conflict: Operation cannot be fulfilled on Job.batch "it": the UID in '
            "the precondition ({uid}) does not match the UID in record ({uid}). The "
            "object might have been deleted and then recreated"
        ),
        "delete details": {"name": "it", "group": "batch", "kind": "Job"},
        "delete of an old version": (
            "409 Conflict: Operation cannot be fulfilled on "
            'Job.batch "it": the ResourceVersion in the precondition '
            "(1) does not match the ResourceVersion in"
        ),
        "merge patch of the status": (
            '422 Invalid: Job.batch "it" is invalid: metadata.uid: Invalid value: "{uid}": field is immutable'
        ),
    }
)
async def wrong_uid(s: Scene) -> None:
    """A write that means another object of that name."""
    made = await held(s)
    reply = await s.patch("jobs", NAME, annotated(uid=STRANGER))
    s.refused("merge patch", reply, ", spec.template")
    s.note("fields", sorted({cause["field"] for cause in reply.object["details"]["causes"]}))
    fresh = (await s.read("jobs", NAME))["metadata"]["resourceVersion"]
    both = await s.patch("jobs", NAME, annotated(uid=STRANGER, resourceVersion=fresh))
    s.refused("merge patch with the right version", both, ", spec.template")
    both = await s.patch("jobs", NAME, annotated(uid=STRANGER, resourceVersion="1"))
    s.refused("merge patch with an old version", both)
    s.refused(
        "merge patch with the right uid", await s.patch("jobs", NAME, annotated(uid=made["metadata"]["uid"]))
    )
    now = await s.read("jobs", NAME)
    now["metadata"]["uid"] = STRANGER
    s.refused("put", await s.put("jobs", NAME, now))
    reply = await s.delete("jobs", NAME, preconditions={"uid": STRANGER})
    s.refused("delete", reply)
    s.note("delete details", reply.object["details"])
    reply = await s.delete("jobs", NAME, preconditions={"resourceVersion": "1"})
    s.refused("delete of an old version", reply, " record (")
    status = {"metadata": {"uid": STRANGER}, "status": {"active": 1}}
    s.refused("merge patch of the status", await s.patch("jobs", NAME, status, part="status"))


@scenario(
    {
        "same": [200, True],
        "empty": [200, True],
        "absent removed": [200, True],
        "put": [200, True],
        "first event": ["MODIFIED", {"a": "c"}, True],
    }
)
async def patches_that_change_nothing(s: Scene) -> None:
    """They leave the version, and nobody who watches hears of them."""
    made = await s.create("configmaps", manifests.plain("ConfigMap", data={"a": "b"}))
    since = made["metadata"]["resourceVersion"]
    async with s.watch("configmaps", resourceVersion=since, fieldSelector=f"metadata.name={NAME}") as seen:
        for name, body in (
            ("same", {"data": {"a": "b"}}),
            ("empty", {}),
            ("absent removed", {"data": {"z": None}}),
        ):
            reply = await s.patch("configmaps", NAME, body)
            s.note(name, [reply.status, version(reply.object) == version(made)])
        put = await s.put("configmaps", NAME, made)
        s.note("put", [put.status, version(put.object) == version(made)])
        changed = await s.change("configmaps", NAME, {"data": {"a": "c"}})
        event = await seen.next() or {}
        s.note(
            "first event",
            [event["type"], event["object"]["data"], version(event["object"]) == version(changed)],
        )


@scenario(
    {
        "merge": {"c": "d", "e": "f"},
        "JSON patch whose test fails": (
            "422 Invalid: the server rejected our request due to an error in our request"
        ),
        "JSON patch of what is absent": (
            "422 Invalid: the server rejected our request due to an error in our request"
        ),
        "JSON patch": {"c": "d", "e": "f", "g": "h"},
        "strategic patch of an owner, again and again": 1,
        "strategic patch of another owner": ["other", "it"],
        "finalizers": ["example.com/a"],
    }
)
async def kinds_of_patches(s: Scene) -> None:
    """Merge, strategic and JSON patches."""
    made = await s.create("configmaps", manifests.plain("ConfigMap", data={"a": "b", "c": "d"}))
    merged = await s.change("configmaps", NAME, {"data": {"a": None, "e": "f"}})
    s.note("merge", merged["data"])
    tested = [{"op": "test", "path": "/data/c", "value": "x"}]
    s.refused("JSON patch whose test fails", await s.patch("configmaps", NAME, tested, JSON_PATCH))
    missing = [{"op": "remove", "path": "/data/none"}]
    s.refused("JSON patch of what is absent", await s.patch("configmaps", NAME, missing, JSON_PATCH))
    done = await s.patch("configmaps", NAME, [{"op": "add", "path": "/data/g", "value": "h"}], JSON_PATCH)
    s.note("JSON patch", done.object["data"])
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": NAME, "uid": made["metadata"]["uid"]}
    await s.create("secrets", manifests.plain("Secret"))
    for _ in "twice":
        reply = await s.patch("secrets", NAME, {"metadata": {"ownerReferences": [owner]}}, STRATEGIC)
    s.note("strategic patch of an owner, again and again", len(reply.object["metadata"]["ownerReferences"]))
    other = await s.create("configmaps", manifests.plain("ConfigMap", "other"))
    second = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"]}
    reply = await s.patch("secrets", NAME, {"metadata": {"ownerReferences": [second]}}, STRATEGIC)
    s.note(
        "strategic patch of another owner", [o["name"] for o in reply.object["metadata"]["ownerReferences"]]
    )
    reply = await s.patch("secrets", NAME, {"metadata": {"finalizers": ["example.com/a"]}}, STRATEGIC)
    s.note("finalizers", reply.object["metadata"]["finalizers"])
    s.must(await s.patch("secrets", NAME, {"metadata": {"finalizers": None}}))


@scenario(
    {
        "create": "201 ConfigMap",
        "get": '404 NotFound: configmaps "it" not found',
        "unknown": (
            '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: dryRun: '
            'Unsupported value: ["Some"]: supported values: "All"'
        ),
    }
)
async def dry_runs(s: Scene) -> None:
    """They answer as if, and do nothing."""
    query = {"dryRun": "All"}
    s.refused("create", await s.post("configmaps", manifests.plain("ConfigMap"), query=query))
    s.refused("get", await s.get("configmaps", NAME))
    s.refused("unknown", await s.post("configmaps", manifests.plain("ConfigMap"), query={"dryRun": "Some"}))


@scenario(
    {
        "apply": "201 ConfigMap",
    }
)
async def server_side_apply(s: Scene) -> None:
    """An apply creates what is not there."""
    query = {"fieldManager": "conformance"}
    path = s.path("configmaps", NAME)
    media = "application/apply-patch+yaml"
    s.refused("apply", await s.call("PATCH", path, manifests.plain("ConfigMap"), media=media, query=query))
