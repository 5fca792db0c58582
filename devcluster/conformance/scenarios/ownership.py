"""How an owner is added without a look at the content, what becomes of the owned, and labels given late."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON, MERGE, STRATEGIC, Reply
from devcluster.conformance.manifests import NAME, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.lists import METADATA
from devcluster.conformance.scenarios.writes import STRANGER, held
from devcluster.conformance.scene import Scene

_STALE = (
    '409 Conflict: Operation cannot be fulfilled on secrets "it": the object has been modified; please apply '
    "your changes to the latest version and try again"
)


def owner(of: JSON, kind: str, api_version: str = "v1", **fields: bool) -> JSON:
    """An owner reference to an object."""
    meta = of["metadata"]
    return {"apiVersion": api_version, "kind": kind, "name": meta["name"], "uid": meta["uid"]} | fields


async def owned(s: Scene, plural: str, kind: str, *owners: JSON, name: str = NAME, **fields: object) -> JSON:
    """An object that has these owners."""
    manifest = manifests.plain(kind, name, **fields)
    manifest["metadata"]["ownerReferences"] = list(owners)
    return await s.create(plural, manifest)


async def patched(s: Scene, body: JSON, media: str = MERGE, name: str = NAME) -> Reply:
    """A patch of a Secret that asks for its metadata only."""
    headers = {"Accept": METADATA}
    return await s.call("PATCH", s.path("secrets", name), body, media=media, headers=headers)


@scenario(
    {
        "look": [200, True, ["ConfigMap"]],
        "added": [200, "PartialObjectMetadata", ["apiVersion", "kind", "metadata"], ["Job", "ConfigMap"]],
        "as it was written": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": "it",
            "uid": "{uid}",
            "blockOwnerDeletion": False,
        },
        "again": [200, True],
        "of an old version": _STALE,
        "content": [{"a": "Yg=="}, True],
        "absent": '404 NotFound: secrets "none" not found',
    }
)
async def owner_added_beside_others(s: Scene) -> None:
    """A strategic patch of an immutable Secret adds an owner, guarded by the version of a look at it."""
    job = await held(s)
    other = await s.create("configmaps", manifests.plain("ConfigMap", "other"))
    made = await owned(
        s, "secrets", "Secret", owner(other, "ConfigMap"), immutable=True, stringData={"a": "b"}
    )
    look = await patched(s, {})
    meta = s.must(look)["metadata"]
    s.note("look", [look.status, version(look.object) == version(made), kinds(look.object)])
    mine = owner(job, "Job", "batch/v1", blockOwnerDeletion=False)
    guarded = {"metadata": {"resourceVersion": meta["resourceVersion"], "ownerReferences": [mine]}}
    added = await patched(s, guarded, STRATEGIC)
    s.note(
        "added",
        [added.status, added.object.get("kind"), manifests.fields(added.object), kinds(s.must(added))],
    )
    s.note("as it was written", next(o for o in owners_of(added.object) if o["kind"] == "Job"))
    again = await patched(s, {"metadata": {"ownerReferences": [mine]}}, STRATEGIC)
    s.note("again", [again.status, version(s.must(again)) == version(added.object)])
    s.refused("of an old version", await patched(s, guarded, STRATEGIC))
    now = await s.read("secrets", NAME)
    s.note("content", [now["data"], now["immutable"]])
    s.refused("absent", await patched(s, {}, name="none"))


def owners_of(obj: JSON) -> list[JSON]:
    """Its owner references."""
    found: list[JSON] = obj["metadata"].get("ownerReferences") or []
    return found


def kinds(obj: JSON) -> list[str]:
    """The kinds of its owners, in their order."""
    return [reference["kind"] for reference in owners_of(obj)]


@scenario(
    {
        "owners left": ["ConfigMap"],
    }
)
async def one_of_two_owners_goes(s: Scene) -> None:
    """Who has another owner stays, and forgets the one that is gone."""
    job = await held(s)
    other = await s.create("configmaps", manifests.plain("ConfigMap", "other"))
    mine = owner(job, "Job", "batch/v1", blockOwnerDeletion=False)
    await owned(s, "secrets", "Secret", owner(other, "ConfigMap"), mine)
    await s.delete("jobs", NAME, propagationPolicy="Background")
    left = await s.until("secrets", NAME, lambda secret: len(owners_of(secret)) == 1)
    s.note("owners left", kinds(left))


@scenario(
    {
        "given": [200, "x"],
        "first event of who selects it": ["ADDED", "it"],
        "another uid": [422, ["metadata.uid"]],
    }
)
async def pod_is_given_a_label(s: Scene) -> None:
    """A watch that selects the label hears of the pod only then."""
    pod = manifests.pod(s.image, "sleep 60")
    made = await s.create("pods", pod | {"metadata": {"name": NAME, "labels": {"a": "b"}}})
    async with s.watch("pods", labelSelector="late") as seen:
        patch = {"metadata": {"uid": made["metadata"]["uid"], "labels": {"late": "x"}}}
        given = await s.patch("pods", NAME, patch)
        s.note("given", [given.status, s.must(given)["metadata"]["labels"]["late"]])
        event = await seen.next() or {}
        s.note("first event of who selects it", [event["type"], event["object"]["metadata"]["name"]])
    wrong = await s.patch("pods", NAME, {"metadata": {"uid": STRANGER, "labels": {"late": "y"}}})
    fields = sorted({cause["field"] for cause in wrong.object["details"]["causes"]})
    s.note("another uid", [wrong.status, fields])


@scenario(
    {
        "label of the pod": "other",
    }
)
async def template_label_is_changed_with_the_start(s: Scene) -> None:
    """The patch that starts a suspended Job may also say a label of its template otherwise."""
    await held(s)
    template = {"template": {"metadata": {"labels": {"app": "other"}}}}
    async with s.watch("pods") as pods:
        await s.change("jobs", NAME, {"spec": template | {"suspend": False}})
        pod = await pods.until_object(lambda _: True)
    s.note("label of the pod", pod["metadata"]["labels"]["app"])
