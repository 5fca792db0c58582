"""Lists, pages, selectors, watches, bookmarks, compaction: what a reflector lives on."""

import asyncio

import pytest

from devcluster.fake import Options, lists
from tests.devcluster.fake_api import JOBS, PODS, make_job, make_pod, serving

ALL_JOBS = "/apis/batch/v1/jobs"


def labelled(name, **labels):
    job = make_job(name, suspend=True)
    job["metadata"]["labels"] = labels
    return job


async def create(api, *jobs):
    for job in jobs:
        api.cluster.create("jobs", job)


async def names(api, query=""):
    status, body = await api.get(f"{JOBS}{query}")
    assert status == 200, body
    return [item["metadata"]["name"] for item in body["items"]]


async def test_a_list_has_a_version_and_items_without_kind(api):
    await create(api, labelled("b"), labelled("a"))
    _, body = await api.get(JOBS)
    assert (body["kind"], body["apiVersion"]) == ("JobList", "batch/v1")
    assert body["metadata"]["resourceVersion"] == str(api.cluster.storage.version)
    assert [item["metadata"]["name"] for item in body["items"]] == ["a", "b"]
    assert not {"kind", "apiVersion"} & set(body["items"][0])


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        ("app=x", ["one"]),
        ("app==x", ["one"]),
        ("app!=x", ["none", "two"]),
        ("app", ["one", "two"]),
        ("!app", ["none"]),
        ("app in (x, z)", ["one"]),
        ("app notin (x)", ["none", "two"]),
        ("app,size=2", ["two"]),
        ("d.io/agent-id", ["none"]),
        ("size>1", ["two"]),
    ],
)
async def test_label_selectors(api, selector, want):
    await create(api, labelled("one", app="x", size="1"), labelled("two", app="y", size="2"))
    await create(api, labelled("none", **{"d.io/agent-id": "1"}))
    assert await names(api, "?labelSelector=" + selector.replace(" ", "%20").replace(">", "%3E")) == want


async def test_field_selectors(api):
    await create(api, labelled("one"), labelled("two"))
    assert await names(api, "?fieldSelector=metadata.name=two") == ["two"]
    status, body = await api.get(f"{JOBS}?fieldSelector=spec.suspend=true")
    assert (status, body["reason"]) == (400, "BadRequest")
    api.cluster.create("pods", make_pod())
    _, body = await api.get(f"{PODS}?fieldSelector=status.phase=Pending,spec.nodeName=")
    assert len(body["items"]) == 1
    _, body = await api.get(f"{PODS}?fieldSelector=status.phase!=Pending")
    assert body["items"] == []


async def test_pages_show_one_version(api):
    await create(api, *(labelled(f"job-{n}") for n in range(5)))
    _, first = await api.get(f"{JOBS}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 3
    api.cluster.delete("jobs", "default", "job-3")
    api.cluster.create("jobs", labelled("job-9"))
    _, second = await api.get(f"{JOBS}?limit=2&continue={first['metadata']['continue']}")
    _, third = await api.get(f"{JOBS}?limit=2&continue={second['metadata']['continue']}")
    pages = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert pages == [f"job-{n}" for n in range(5)]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1
    assert "continue" not in third["metadata"]


async def test_a_continue_token_expires_with_its_version_and_comes_with_another(api):
    await create(api, *(labelled(f"job-{n}") for n in range(3)))
    _, first = await api.get(f"{JOBS}?limit=1")
    await create(api, labelled("later"))
    api.cluster.compact()
    status, body = await api.get(f"{JOBS}?limit=1&continue={first['metadata']['continue']}")
    assert (status, body["reason"]) == (410, "Expired")
    _, rest = await api.get(f"{JOBS}?continue={body['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["job-1", "job-2", "later"]
    version = first["metadata"]["resourceVersion"]
    status, body = await api.get(f"{JOBS}?resourceVersion={version}&resourceVersionMatch=Exact")
    assert (status, body["message"]) == (410, "The resourceVersion for the provided list is too old.")


async def test_a_list_from_the_cache_is_not_paged(api):
    await create(api, *(labelled(f"job-{n}") for n in range(3)))
    _, body = await api.get(f"{JOBS}?limit=1&resourceVersion=0")
    assert len(body["items"]) == 3


async def test_a_version_of_the_future_times_out(api, monkeypatch):
    monkeypatch.setattr(lists, "WAIT_FOR_VERSION", 0.05)
    status, body = await api.get(f"{JOBS}?resourceVersion=999999")
    assert (status, body["reason"]) == (504, "Timeout")
    assert body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_watch_replays_then_goes_on(api):
    version = api.cluster.storage.version
    await create(api, labelled("a"))
    async with api.watch(ALL_JOBS, resourceVersion=version) as event:
        added = await event()
        assert (added["type"], added["object"]["kind"]) == ("ADDED", "Job")
        api.cluster.patch("jobs", "default", "a", {"metadata": {"annotations": {"x": "1"}}})
        modified = await event()
        assert (modified["type"], modified["object"]["metadata"]["annotations"]) == ("MODIFIED", {"x": "1"})
        api.cluster.delete("jobs", "default", "a")
        deleted = await event()
        assert deleted["type"] == "DELETED"
        assert deleted["object"]["metadata"]["annotations"] == {"x": "1"}
        versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in (added, modified, deleted)]
        assert versions == sorted(set(versions))


@pytest.mark.parametrize("query", [{}, {"resourceVersion": 0}])
async def test_a_watch_without_a_version_begins_with_what_is_there(api, query):
    await create(api, labelled("a"))
    async with api.watch(ALL_JOBS, **query) as event:
        assert (await event())["type"] == "ADDED"


async def test_an_object_enters_and_leaves_a_selection(api):
    await create(api, labelled("a", run="1"), labelled("b"))
    version = api.cluster.storage.version
    async with api.watch(ALL_JOBS, resourceVersion=version, labelSelector="run") as event:
        api.cluster.patch("jobs", "default", "b", {"metadata": {"labels": {"run": "2"}}})
        assert ((await event())["type"]) == "ADDED"
        api.cluster.patch("jobs", "default", "a", {"metadata": {"labels": {"run": None}}})
        left = await event()
        assert left["type"] == "DELETED"
        assert left["object"]["metadata"]["labels"] == {"run": "1"}
        assert left["object"]["metadata"]["resourceVersion"] == str(api.cluster.storage.version)
        api.cluster.delete("jobs", "default", "a")  # nobody who did not see it hears of its end
        api.cluster.delete("jobs", "default", "b")
        assert (await event())["object"]["metadata"]["name"] == "b"


async def test_a_watch_from_a_compacted_version_gets_one_error_event(api):
    version = api.cluster.storage.version
    await create(api, labelled("a"), labelled("b"))
    api.cluster.compact()
    async with api.watch(ALL_JOBS, resourceVersion=version) as event:
        error = await event()
        assert error["type"] == "ERROR"
        assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
        assert error["object"]["message"].startswith("too old resource version")
        assert await event() is None


async def test_bookmarks_come_by_time_and_carry_the_newest_version():
    async with serving(kubelet=False, job_controller=False, options=Options(bookmark_every=0.05)) as api:
        version = api.cluster.storage.version
        async with api.watch(ALL_JOBS, resourceVersion=version, allowWatchBookmarks="true") as event:
            api.cluster.create("configmaps", {"metadata": {"name": "unseen"}})
            bookmark = await event()
            assert bookmark["type"] == "BOOKMARK"
            assert bookmark["object"]["kind"] == "Job"
            assert int(bookmark["object"]["metadata"]["resourceVersion"]) == version + 1


async def test_a_watch_ends_properly_after_its_timeout(api):
    async with api.watch(ALL_JOBS, resourceVersion=api.cluster.storage.version, timeoutSeconds=1) as event:
        assert await event() is None


WATCH_LIST = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


async def test_watch_list_ends_its_initial_events_with_a_bookmark(api):
    await create(api, labelled("a"), labelled("b"))
    async with api.watch(ALL_JOBS, **WATCH_LIST) as event:
        assert [(await event())["type"] for _ in range(2)] == ["ADDED", "ADDED"]
        bookmark = await event()
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        await create(api, labelled("c"))
        assert (await event())["object"]["metadata"]["name"] == "c"


async def test_watch_list_is_refused_without_its_gate_or_its_match(api):
    query = "&".join(f"{key}={value}" for key, value in WATCH_LIST.items())
    status, _ = await api.get(f"{ALL_JOBS}?watch=1&sendInitialEvents=true")
    assert status == 422
    api.cluster.faults.watch_list = False
    status, body = await api.get(f"{ALL_JOBS}?watch=1&{query}")
    assert status == 422
    assert "sendInitialEvents" in body["message"]


async def test_many_watchers_see_every_write_once_and_in_order(api):
    version, seen = api.cluster.storage.version, []

    async def follow():
        async with api.watch(ALL_JOBS, resourceVersion=version) as event:
            seen.append([(await event())["object"]["metadata"]["name"] for _ in range(50)])

    watchers = [asyncio.create_task(follow()) for _ in range(5)]
    await create(api, *(labelled(f"job-{n:02}") for n in range(50)))
    await asyncio.gather(*watchers)
    assert seen == [[f"job-{n:02}" for n in range(50)]] * 5


async def test_a_watch_in_one_namespace_does_not_see_another(api):
    version = api.cluster.storage.version
    async with api.watch(JOBS, resourceVersion=version) as event:
        other = labelled("other")
        other["metadata"]["namespace"] = "kube-system"
        await create(api, other, labelled("mine"))
        assert (await event())["object"]["metadata"]["name"] == "mine"


async def test_tables_have_a_row_for_every_object(api):
    await create(api, labelled("a"))
    _, body = await api.get(JOBS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert body["kind"] == "Table"
    assert body["rows"][0]["cells"][0] == "a"
    assert len(body["rows"][0]["cells"]) == len(body["columnDefinitions"])


async def test_a_list_of_several_megabytes_arrives_whole(api):
    for n in range(20):
        job = labelled(f"job-{n}")
        job["metadata"]["annotations"] = {"big": "x" * 200_000}
        await create(api, job)
    _, body = await api.get(JOBS)
    assert len(body["items"]) == 20
