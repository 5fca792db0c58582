"""Lists: versions, pages, selectors."""

import asyncio
import base64
import json

from devcluster.conformance import manifests
from devcluster.conformance.connection import MERGE
from devcluster.conformance.manifests import NAME, fields, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene

FAR = "4000000000"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = METADATA.replace("Metadata", "MetadataList")


async def three(s: Scene) -> list[int]:
    """Three ConfigMaps; their versions."""
    made = []
    for name in ("c-1", "c-2", "c-3"):
        meta = {"name": name, "labels": {"n": name}}
        made.append(await s.create("configmaps", manifests.plain("ConfigMap") | {"metadata": meta}))
    return [version(obj) for obj in made]


def names(reply: object) -> list[str]:
    """The names of a list's items, without what the cluster itself puts into every namespace."""
    items = getattr(reply, "object", {}).get("items") or []
    return [item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith("c-")]


@scenario(
    {
        "versions rise": True,
        "kind": ["ConfigMapList", "v1", ["apiVersion", "items", "kind", "metadata"]],
        "not older than its items": True,
        "fields of an item": ["metadata"],
        "order": ["c-1", "c-2", "c-3"],
        "exactly an older version": [["c-1", "c-2"], True],
        "not older than a version": [200, True],
        "any version": 200,
    }
)
async def list_versions(s: Scene) -> None:
    """A list has a version of its own, not older than the newest thing on it."""
    versions = await three(s)
    s.note("versions rise", versions == sorted(set(versions)))
    reply = await s.get("configmaps")
    s.note("kind", [reply.object["kind"], reply.object["apiVersion"], fields(reply.object)])
    s.note("not older than its items", version(reply.object) >= versions[-1])
    s.note("fields of an item", fields(reply.object["items"][0]))
    s.note("order", names(reply))
    old = await s.get("configmaps", resourceVersion=str(versions[1]), resourceVersionMatch="Exact")
    s.note("exactly an older version", [names(old), version(old.object) == versions[1]])
    newer = await s.get("configmaps", resourceVersion=str(versions[1]), resourceVersionMatch="NotOlderThan")
    s.note("not older than a version", [newer.status, version(newer.object) >= versions[1]])
    cached = await s.get("configmaps", resourceVersion="0")
    s.note("any version", cached.status)


@scenario(
    {
        "with a selector": [["c-1"], True, False],
        "with a field selector": [["c-1"], True, False],
        "all pages": [["c-1", "c-2", "c-3"], True],
        "remaining without a selector": 1,
        "last page": [False, False],
    }
)
async def pages(s: Scene) -> None:
    """A list in pages is one list, as it was at its first page."""
    await three(s)
    first = await s.get("configmaps", limit="1", labelSelector="n")
    meta = first.object["metadata"]
    s.note("with a selector", [names(first), "continue" in meta, "remainingItemCount" in meta])
    first = await s.get("configmaps", limit="1", fieldSelector="metadata.name!=kube-root-ca.crt")
    meta = first.object["metadata"]
    s.note("with a field selector", [names(first), "continue" in meta, "remainingItemCount" in meta])
    await s.delete("configmaps", "c-2")
    rest, token = names(first), meta["continue"]
    while token:
        more = await s.get(
            "configmaps", limit="1", fieldSelector="metadata.name!=kube-root-ca.crt", **{"continue": token}
        )
        same = version(more.object) == version(first.object)
        rest, token = rest + names(more), more.object["metadata"].get("continue")
    s.note("all pages", [rest, same])
    await s.create(
        "leases", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
    )
    await s.create(
        "leases", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "b"}}
    )
    page = await s.get("leases", limit="1")
    s.note("remaining without a selector", page.object["metadata"].get("remainingItemCount"))
    last = await s.get("leases", limit="1", **{"continue": page.object["metadata"]["continue"]})
    s.note(
        "last page", ["continue" in last.object["metadata"], "remainingItemCount" in last.object["metadata"]]
    )


@scenario(
    {
        "no number": (
            "400 BadRequest: invalid resource version: resourceVersion: Invalid "
            'value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
        ),
        "match without a version": (
            '422 Invalid: ListOptions.meta.k8s.io "" is invalid: '
            "resourceVersionMatch: Forbidden: resourceVersionMatch is "
            "forbidden unless resourceVersion is provided"
        ),
        "unknown match": (
            '422 Invalid: ListOptions.meta.k8s.io "" is invalid: '
            'resourceVersionMatch: Unsupported value: "Roughly": supported '
            'values: "Exact", "NotOlderThan", ""'
        ),
        "exactly any": (
            '422 Invalid: ListOptions.meta.k8s.io "" is invalid: '
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is '
            'forbidden for resourceVersion "0"'
        ),
        "no token": "400 BadRequest: invalid continue token: continue key is",
        "token and version": (
            "400 BadRequest: specifying resource version is not allowed when using continue"
        ),
        "no limit": '400 BadRequest: strconv.ParseInt: parsing "many": invalid syntax',
    }
)
async def lists_refused(s: Scene) -> None:
    """Versions and tokens that no list understands."""
    s.refused("no number", await s.get("jobs", resourceVersion="abc"))
    s.refused("match without a version", await s.get("jobs", resourceVersionMatch="Exact"))
    s.refused("unknown match", await s.get("jobs", resourceVersion="1", resourceVersionMatch="Roughly"))
    s.refused("exactly any", await s.get("jobs", resourceVersion="0", resourceVersionMatch="Exact"))
    s.refused("no token", await s.get("jobs", limit="1", **{"continue": "nonsense"}), " not valid")
    token = base64.urlsafe_b64encode(
        json.dumps({"v": "meta.k8s.io/v1", "rv": 5, "start": "a\u0000"}).encode()
    )
    both = await s.get("jobs", resourceVersion="5", **{"continue": token.decode().rstrip("=")})
    s.refused("token and version", both)
    s.refused("no limit", await s.get("jobs", limit="many"))


@scenario(
    {
        "list": [
            504,
            "Timeout",
            "Timeout: Too large resource version: 4000000000, current",
            [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            1,
        ],
        "list says when to come again": "1",
        "get": [
            504,
            "Timeout",
            "Timeout: Too large resource version: 4000000000, current",
            [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            1,
        ],
        "get says when to come again": "1",
    }
)
async def versions_to_come(s: Scene) -> None:
    """A version that the server has not reached is waited for, then told."""
    listed, got = await asyncio.gather(
        s.get("jobs", resourceVersion=FAR, resourceVersionMatch="NotOlderThan"),
        s.get("jobs", "none", resourceVersion=FAR),
    )
    for name, reply in (("list", listed), ("get", got)):
        told = reply.object
        s.note(
            name,
            [
                reply.status,
                told["reason"],
                told["message"].rpartition(": ")[0],
                told["details"].get("causes"),
                told["details"].get("retryAfterSeconds"),
            ],
        )
        s.note(f"{name} says when to come again", reply.headers.get("Retry-After"))


@scenario(
    {
        "n": ["c-1", "c-2", "c-3"],
        "!n": [],
        "n=c-1": ["c-1"],
        "n!=c-1": ["c-2", "c-3"],
        "n in (c-1,c-2)": ["c-1", "c-2"],
        "n notin (c-1)": ["c-2", "c-3"],
        "n,n!=c-3": ["c-1", "c-2"],
        "n==c-2": ["c-2"],
        "by name": ["c-2"],
        "in nothing": "400 BadRequest",
        "no key": "400 BadRequest",
        "no label value": "400 BadRequest",
        "unknown field": (
            '400 BadRequest: "data.a" is not a known field selector: only '
            '"metadata.name", "metadata.namespace"'
        ),
        "no field selector": ("400 BadRequest: invalid selector: 'nonsense'; can't understand 'nonsense'"),
        "unknown field of jobs": '400 BadRequest: field label "spec.suspend" not supported for Job',
        "phase": [200],
    }
)
async def selectors(s: Scene) -> None:
    """Label and field selectors."""
    await three(s)
    for text in ("n", "!n", "n=c-1", "n!=c-1", "n in (c-1,c-2)", "n notin (c-1)", "n,n!=c-3", "n==c-2"):
        s.note(text, names(await s.get("configmaps", labelSelector=text)))
    s.note("by name", names(await s.get("configmaps", fieldSelector="metadata.name=c-2")))
    s.refused("in nothing", await s.get("configmaps", labelSelector="n in ("), ":")
    s.refused("no key", await s.get("configmaps", labelSelector="=a"), ":")
    s.refused("no label value", await s.get("configmaps", labelSelector="n=a b"), ":")
    s.refused("unknown field", await s.get("configmaps", fieldSelector="data.a=b"))
    s.refused("no field selector", await s.get("configmaps", fieldSelector="nonsense"))
    s.refused("unknown field of jobs", await s.get("jobs", fieldSelector="spec.suspend=true"))
    s.note("phase", [(await s.get("pods", fieldSelector="status.phase!=Running")).status])


@scenario(
    {
        "patch": [200, "PartialObjectMetadata", "meta.k8s.io/v1", ["apiVersion", "kind", "metadata"]],
        "list": [200, "PartialObjectMetadataList", [["apiVersion", "kind", "metadata"]]],
        "columns of jobs": [
            "Name",
            "Status",
            "Completions",
            "Duration",
            "Age",
            "Containers",
            "Images",
            "Selector",
        ],
        "columns of pods": [
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP",
            "Node",
            "Nominated Node",
            "Readiness Gates",
        ],
        "columns of events": [
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject",
            "Source",
            "Message",
            "First Seen",
            "Count",
            "Name",
        ],
    }
)
async def metadata_only(s: Scene) -> None:
    """An answer without the content, also to a patch that changes nothing."""
    await s.create("secrets", manifests.plain("Secret", stringData={"a": "b"}))
    path = s.path("secrets", NAME)
    reply = await s.call("PATCH", path, {}, media=MERGE, headers={"Accept": METADATA})
    s.note(
        "patch",
        [reply.status, reply.object["kind"], reply.object["apiVersion"], manifests.fields(reply.object)],
    )
    reply = await s.call(
        "GET",
        s.path("secrets"),
        headers={"Accept": METADATA_LIST},
    )
    s.note(
        "list",
        [reply.status, reply.object["kind"], [manifests.fields(item) for item in reply.object["items"]]],
    )
    table = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    for plural in ("jobs", "pods", "events"):
        reply = await s.call("GET", s.path(plural), headers=table)
        s.note(f"columns of {plural}", [c["name"] for c in reply.object["columnDefinitions"]])
