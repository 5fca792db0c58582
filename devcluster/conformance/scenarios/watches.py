"""Watches: what they begin with, which events come in which order, how they end."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import Request
from devcluster.conformance.manifests import NAME, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene
from devcluster.conformance.watching import Watching

BY_NAME = {"fieldSelector": f"metadata.name={NAME}"}
INITIAL_END = "k8s.io/initial-events-end"


async def without_history(s: Scene) -> str:
    """Where version 1 is not remembered: with a kind that is new, or where nothing is as old as that."""
    if s.connection.kind == "fake":
        return s.path("pods")
    group = f"{s.namespace}.example.com"
    names = {"plural": "things", "singular": "thing", "kind": "Thing"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    served = {"name": "v1", "served": True, "storage": True, "schema": schema}
    kind = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [served]},
    }
    kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    s.must(await s.call("POST", kinds, kind))
    s.leave(f"{kinds}/things.{group}")
    path = f"/apis/{group}/v1/namespaces/{s.namespace}/things"
    await s.answered(lambda: s.call("GET", path), lambda reply: reply.ok)
    return path


def types(seen: Watching) -> list[str]:
    """The types of all events seen."""
    return [event["type"] for event in seen.seen]


@scenario(
    {
        "events": [["ADDED", "1"], ["MODIFIED", "2"], ["DELETED", "2"], ["ADDED", "3"]],
        "versions rise": True,
        "as the writes were answered": [True, True, True],
        "the deletion has a version of its own": True,
        "kind of an event's object": ["ConfigMap", "v1"],
    }
)
async def watch_from_a_version(s: Scene) -> None:
    """Everything after the version comes, once, in order, whenever the watch was opened."""
    await s.create("configmaps", manifests.plain("ConfigMap", "before"))
    since = (await s.get("configmaps")).object["metadata"]["resourceVersion"]
    made = await s.create("configmaps", manifests.plain("ConfigMap", data={"n": "1"}))
    changed = await s.change("configmaps", NAME, {"data": {"n": "2"}})
    await s.delete("configmaps", NAME)
    async with s.watch(
        "configmaps", resourceVersion=since, fieldSelector="metadata.name!=kube-root-ca.crt"
    ) as seen:
        last = await seen.until_gone()
        again = await s.create("configmaps", manifests.plain("ConfigMap", data={"n": "3"}))
        await seen.until_object(lambda obj: obj["data"]["n"] == "3")
    s.note("events", [[event["type"], event["object"]["data"]["n"]] for event in seen.seen])
    versions = [version(event["object"]) for event in seen.seen]
    s.note("versions rise", versions == sorted(set(versions)))
    s.note(
        "as the writes were answered",
        [versions[0] == version(made), versions[1] == version(changed), versions[3] == version(again)],
    )
    s.note("the deletion has a version of its own", version(last) > version(changed))
    s.note("kind of an event's object", [last["kind"], last["apiVersion"]])


@scenario(
    {
        "none": ["ADDED", "MODIFIED"],
        "any": ["ADDED", "MODIFIED"],
    }
)
async def watch_without_a_version(s: Scene) -> None:
    """What is there comes first, as ADDED."""
    await s.create("configmaps", manifests.plain("ConfigMap"))
    for name, query in (("none", {}), ("any", {"resourceVersion": "0"})):
        async with s.watch("configmaps", **BY_NAME, **query) as seen:
            await seen.next()
            await s.change("configmaps", NAME, {"data": {"for": name}})
            await seen.next()
        s.note(name, types(seen))


@scenario(
    {
        "events": ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"],
        "entered at the version of the change": True,
        "left at the version of the change": True,
        "left as it was last selected": [{"pick": "me"}, {"a": "b"}],
    }
)
async def watch_with_a_selector(s: Scene) -> None:
    """Who leaves the selection is DELETED for the watcher, who enters is ADDED."""
    since = (await s.get("configmaps")).object["metadata"]["resourceVersion"]
    async with s.watch("configmaps", labelSelector="pick=me", resourceVersion=since) as seen:
        await s.create("configmaps", manifests.plain("ConfigMap"))
        entered = await s.change("configmaps", NAME, {"metadata": {"labels": {"pick": "me"}}})
        await s.change("configmaps", NAME, {"data": {"a": "b"}})
        left = await s.change(
            "configmaps", NAME, {"metadata": {"labels": {"pick": None}}, "data": {"a": "c"}}
        )
        await s.change("configmaps", NAME, {"data": {"a": "d"}})
        await s.change("configmaps", NAME, {"metadata": {"labels": {"pick": "me"}}})
        await s.delete("configmaps", NAME)
        await seen.until_gone()
        await seen.until_gone()
    s.note("events", types(seen))
    enter, leave = seen.seen[0]["object"], seen.seen[2]["object"]
    s.note("entered at the version of the change", version(enter) == version(entered))
    s.note("left at the version of the change", version(leave) == version(left))
    s.note("left as it was last selected", [leave["metadata"].get("labels"), leave["data"]])


@scenario(
    {
        "answer": 200,
        "event": ["ERROR", "Status", 410, "Expired", "too old resource version: 1"],
        "then": None,
    }
)
async def watch_that_is_too_old(s: Scene) -> None:
    """A version that is not remembered is told inside the stream."""
    path = await without_history(s)
    query = {"watch": "true", "resourceVersion": "1", "timeoutSeconds": "60"}
    async with s.connection.open(Request("GET", path, query)) as response:
        s.note("answer", response.status)
        seen = Watching(response, path)
        event = await seen.next() or {}
        told = event["object"]
        s.note(
            "event",
            [event["type"], told["kind"], told["code"], told["reason"], told["message"].partition(" (")[0]],
        )
        s.note("then", await seen.next())


@scenario(
    {
        "events": ["ADDED", "BOOKMARK"],
        "bookmark": ["ConfigMap", "v1", ["apiVersion", "kind", "metadata"], ["resourceVersion"]],
        "not older than the last event": True,
        "without bookmarks": ["ADDED"],
    }
)
async def watch_ends_in_time(s: Scene) -> None:
    """A watch lasts as long as was asked, and says before its end how far it came."""
    since = (await s.get("configmaps")).object["metadata"]["resourceVersion"]
    query = {"resourceVersion": since, "timeoutSeconds": "3", "allowWatchBookmarks": "true"}
    async with s.watch("configmaps", **BY_NAME, **query) as seen:
        made = await s.create("configmaps", manifests.plain("ConfigMap"))
        await seen.rest()
    s.note("events", manifests.steps(types(seen)))
    mark = seen.seen[-1]["object"]
    s.note("bookmark", [mark["kind"], mark["apiVersion"], manifests.fields(mark), sorted(mark["metadata"])])
    s.note("not older than the last event", version(mark) >= version(made))
    async with s.watch(
        "configmaps", **query | {"allowWatchBookmarks": "false", "timeoutSeconds": "1"}, **BY_NAME
    ) as seen:
        await seen.rest()
    s.note("without bookmarks", types(seen))


@scenario(
    {
        "events": ["ADDED", "BOOKMARK", "MODIFIED"],
        "bookmark": {"k8s.io/initial-events-end": "true"},
        "not older than what it shows": True,
    }
)
async def watch_that_lists(s: Scene) -> None:
    """What is there as ADDED, then a bookmark that says so, in one stream."""
    made = await s.create("configmaps", manifests.plain("ConfigMap"))
    query = {
        "sendInitialEvents": "true",
        "allowWatchBookmarks": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    async with s.watch("configmaps", **BY_NAME, **query) as seen:
        mark = await seen.until(lambda event: event["type"] == "BOOKMARK")
        await s.change("configmaps", NAME, {"data": {"a": "b"}})
        await seen.next()
    s.note("events", types(seen))
    s.note("bookmark", mark["object"]["metadata"]["annotations"])
    s.note("not older than what it shows", version(mark["object"]) >= version(made))


@scenario(
    {
        "initial events without a match": (
            '422 Invalid: ListOptions.meta.k8s.io "" is '
            "invalid: resourceVersionMatch: Forbidden: "
            "sendInitialEvents requires setting "
            "resourceVersionMatch to NotOlderThan"
        ),
        "match without initial events": (
            '422 Invalid: ListOptions.meta.k8s.io "" is invalid: '
            "resourceVersionMatch: Forbidden: "
            "resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided"
        ),
        "no version": (
            '500 : resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
        ),
        "no selector": "400 BadRequest",
        "initial events of a list": (
            '422 Invalid: ListOptions.meta.k8s.io "" is invalid: '
            "[resourceVersionMatch: Forbidden: resourceVersionMatch "
            "is forbidden unless resourceVersion is provided, "
            "sendInitialEvents: Forbidden: sendInitialEvents is "
            "forbidden for list]"
        ),
    }
)
async def watches_refused(s: Scene) -> None:
    """Combinations of options that no watch takes."""
    watch = {"watch": "true"}
    s.refused("initial events without a match", await s.get("jobs", sendInitialEvents="true", **watch))
    s.refused(
        "match without initial events",
        await s.get("jobs", resourceVersion="1", resourceVersionMatch="NotOlderThan", **watch),
    )
    s.refused("no version", await s.get("jobs", resourceVersion="abc", **watch))
    s.refused("no selector", await s.get("jobs", labelSelector="a in (", **watch), ":")
    s.refused(
        "initial events of a list",
        await s.get("jobs", sendInitialEvents="true", resourceVersionMatch="NotOlderThan"),
    )


@scenario(
    {
        "events": ["ADDED", "MODIFIED", "DELETED"],
        "the first has no status": {},
        "the last has": [{"a": "b"}, ["Suspended"]],
        "deletion time in the last": False,
    }
)
async def watch_of_a_job(s: Scene) -> None:
    """A Job that is made, changed and deleted; the last event shows its last state."""
    since = (await s.get("jobs")).object["metadata"]["resourceVersion"]
    async with s.watch("jobs", resourceVersion=since) as seen:
        await s.create("jobs", manifests.job(s.image, suspend=True))
        await seen.until_object(lambda job: "Suspended" in manifests.true_conditions(job))
        await s.change("jobs", NAME, {"metadata": {"annotations": {"a": "b"}}})
        await s.delete("jobs", NAME, propagationPolicy="Background")
        last = await seen.until_gone()
    s.note("events", manifests.steps(types(seen)))
    s.note("the first has no status", seen.objects[0]["status"])
    s.note("the last has", [last["metadata"]["annotations"], manifests.true_conditions(last)])
    s.note("deletion time in the last", "deletionTimestamp" in last["metadata"])
