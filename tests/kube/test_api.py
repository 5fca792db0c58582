import asyncio
import json
from contextlib import aclosing

import pytest
from aiohttp import web

from controller.kube import errors
from controller.kube.api import EVENTS, JOBS, PODS
from controller.kube.transport import READ_SECONDS
from tests.kube.doubles import a_list, event, events_of, eventually, status, stream

FULL = 'Job "run" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes'
ETCD = "etcdserver: request is too large"
TOO_LARGE = {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1}


@pytest.mark.parametrize(
    ("code", "body", "headers", "want"),
    [
        pytest.param(404, status(404, "NotFound"), {}, errors.NotFound, id="404 is NotFound"),
        pytest.param(409, status(409, "Conflict"), {}, errors.Conflict, id="409 is Conflict"),
        pytest.param(
            409,
            status(409, "AlreadyExists"),
            {},
            errors.AlreadyExists,
            id="409 may say that it is there already",
        ),
        pytest.param(410, status(410, "Expired"), {}, errors.Expired, id="410 is Expired"),
        pytest.param(403, status(403, "Forbidden"), {}, errors.Refused, id="403 is Refused"),
        pytest.param(422, status(422, "Invalid"), {}, errors.Refused, id="422 is Refused"),
        pytest.param(413, "too big", {}, errors.TooLarge, id="413 in plain text is TooLarge"),
        pytest.param(422, status(422, "Invalid", FULL), {}, errors.TooLarge, id="422 of full annotations"),
        pytest.param(
            500, status(500, "", ETCD), {}, errors.TooLarge, id="500 of an object too large for etcd"
        ),
        pytest.param(400, {"error": "no message"}, {}, errors.Refused, id="400 without a message is Refused"),
        pytest.param(401, status(401, "Unauthorized"), {}, errors.Unavailable, id="401 is Unavailable"),
        pytest.param(
            429, "Too many requests", {"Retry-After": "3"}, errors.Throttled, id="429 in plain text"
        ),
        pytest.param(429, status(429), {}, errors.Throttled, id="429 without Retry-After"),
        pytest.param(503, "", {"Retry-After": "2"}, errors.Throttled, id="503 that says when"),
        pytest.param(503, "", {}, errors.Unavailable, id="503 that does not"),
        pytest.param(500, [1, 2], {}, errors.Unavailable, id="500 with odd JSON"),
        pytest.param(
            502, "<html>", {"Retry-After": "Wed"}, errors.Unavailable, id="502 with an odd Retry-After"
        ),
        pytest.param(
            504, status(504, "Timeout", **TOO_LARGE), {}, errors.Expired, id="504 of a lagging cache"
        ),
        pytest.param(302, "", {"Location": "/login"}, errors.Unavailable, id="a redirect is not followed"),
    ],
)
async def test_a_status_becomes_the_error_that_says_what_to_do(script, code, body, headers, want):
    async def answer(_request):
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=code, text=text, headers=headers)

    script.answer = answer
    async with script.kube() as kube:
        with pytest.raises(errors.KubeError) as caught:
            await kube.patch(JOBS, "ns", "job", b"{}")
    assert type(caught.value) is want
    if code not in (504, 302):
        assert caught.value.code == (code if want is not errors.Throttled else 429)
    assert len(script.asked) == (2 if code == 401 else 1), "only 401 is tried again, with new credentials"


async def test_retry_after_is_told_and_not_believed_without_bounds(script):
    told = iter(("7", "999999"))

    async def answer(_request):
        return web.Response(status=429, headers={"Retry-After": next(told)})

    script.answer = answer
    async with script.kube() as kube:
        for want in (7.0, 300.0):
            with pytest.raises(errors.Throttled) as caught:
                await kube.get(PODS, "ns", "pod")
            assert caught.value.after == want


async def test_each_call_is_one_request_as_kubernetes_wants_it(script):
    async def answer(request):
        return a_list([], 5) if request.method == "GET" else web.json_response({})

    script.answer = answer
    async with script.kube() as kube:
        await kube.page(JOBS, selector="D/a in (b, c)", field_selector="a=b", limit=7, token="t+/==")  # noqa: S106 — a continue token
        await kube.page(PODS, namespace="ns")
        await kube.get(JOBS, "ns", "a/b")
        await kube.patch(JOBS, "ns", "job", b'{"a":1}')
        await kube.create(EVENTS, "ns", b"{}")
        await kube.replace(JOBS, "ns", "job", b"{}")
    assert dict(script.asked[0].query) == {
        "labelSelector": "D/a in (b, c)",
        "fieldSelector": "a=b",
        "limit": "7",
        "continue": "t+/==",
    }
    assert [f"{r.method} {r.raw_path}" for r in script.asked[1:]] == [
        "GET /api/v1/namespaces/ns/pods?limit=500",
        "GET /apis/batch/v1/namespaces/ns/jobs/a%2Fb",
        "PATCH /apis/batch/v1/namespaces/ns/jobs/job",
        "POST /apis/events.k8s.io/v1/namespaces/ns/events",
        "PUT /apis/batch/v1/namespaces/ns/jobs/job",
    ]
    assert [r.content_type for r in script.asked[3:]] == [
        "application/merge-patch+json",
        "application/json",
        "application/json",
    ]
    assert await script.asked[3].read() == b'{"a":1}'


async def test_a_page_says_from_where_to_watch_and_how_to_go_on(script):
    async def answer(_request):
        return a_list(["a", "b"], 77, "next")

    script.answer = answer
    async with script.kube() as kube:
        page = await kube.page(JOBS)
    assert (page.version, page.token) == ("77", "next")
    assert [json.loads(bytes(item))["metadata"]["name"] for item in page.items] == ["a", "b"]


@pytest.mark.parametrize("body", ["<html>", '{"items":[]}', '{"metadata":{},"items":3}', "\xff"])
async def test_a_list_that_is_none_is_unavailable(script, body):
    async def answer(_request):
        return web.Response(body=body.encode("latin-1"))

    script.answer = answer
    async with script.kube() as kube:
        with pytest.raises(errors.Unavailable):
            await kube.page(JOBS)


async def watched(kube, **options):
    """All events as (type, name or version), and what ended the watch."""
    seen = []
    try:
        async with aclosing(events_of(kube, JOBS, version="5", timeout_seconds=400, **options)) as events:
            async for e in events:  # kept also when the watch fails, so no comprehension
                name = json.loads(bytes(e.object))["metadata"].get("name", "")
                seen.append((e.type, name))
    except errors.KubeError as e:
        return seen, type(e)
    return seen, None


async def test_a_watch_asks_for_bookmarks_and_yields_them(script):
    async def answer(request):
        mark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n'
        return await stream(request, event("ADDED", "a", 6), mark)

    script.answer = answer
    async with script.kube() as kube:
        assert await watched(kube, namespace="ns", selector="x=y") == (
            [("ADDED", "a"), ("BOOKMARK", "")],
            None,
        )
    assert dict(script.asked[0].query) == {
        "labelSelector": "x=y",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "400",
    }


async def test_events_are_split_at_newlines_only(script):
    odd = event("ADDED", "a", 6, note="NOTE").replace(b"NOTE", "\u0085 \u2028 é".encode())
    whole = odd + event("MODIFIED", "a", 7)

    async def answer(request):
        return await stream(request, *(whole[i : i + 17] for i in range(0, len(whole), 17)))

    script.answer = answer
    async with script.kube() as kube:
        assert await watched(kube) == ([("ADDED", "a"), ("MODIFIED", "a")], None)


@pytest.mark.parametrize(
    ("told", "want"),
    [
        pytest.param(status(410, "Expired"), errors.Expired, id="410"),
        pytest.param(status(500, "InternalError"), errors.Unavailable, id="500"),
        pytest.param(status(429, "TooManyRequests", retryAfterSeconds=4), errors.Throttled, id="429"),
        pytest.param(status(403, "Forbidden"), errors.Refused, id="403"),
        pytest.param({"odd": True}, errors.Unavailable, id="something else"),
    ],
)
async def test_an_error_in_the_stream_comes_after_the_events_before_it(script, told, want):
    async def answer(request):
        error = json.dumps({"type": "ERROR", "object": told}).encode() + b"\n"
        return await stream(request, event("ADDED", "a", 6) + error + event("ADDED", "b", 7))

    script.answer = answer
    async with script.kube() as kube:
        assert await watched(kube) == ([("ADDED", "a")], want)


@pytest.mark.parametrize(
    ("chunks", "then", "want"),
    [
        pytest.param([b'{"type":"ADD'], "end", errors.Unavailable, id="ends in the middle of an event"),
        pytest.param([b""], "cut", errors.Unavailable, id="connection cut"),
        pytest.param([b"hello\n"], "end", errors.Expired, id="speaks no JSON"),
        pytest.param([b'{"type":1}\n'], "end", errors.Expired, id="speaks of no event"),
    ],
)
async def test_a_watch_that_breaks_says_how_to_go_on(script, chunks, then, want):
    async def answer(request):
        return await stream(request, event("ADDED", "a", 6), *chunks, then=then)

    script.answer = answer
    async with script.kube() as kube:
        assert await watched(kube) == ([("ADDED", "a")], want)


async def test_a_watch_that_falls_silent_is_noticed(script, monkeypatch):
    monkeypatch.setitem(READ_SECONDS, "watch", 0.1)

    async def answer(request):
        return await stream(request, event("ADDED", "a", 6), then="hang")

    script.answer = answer
    async with script.kube() as kube:
        assert await watched(kube) == ([("ADDED", "a")], errors.Unavailable)


async def test_a_refused_call_disturbs_nobody_else(script):
    release = asyncio.Event()

    async def answer(request):
        if request.method == "PATCH":
            return web.json_response(status(403, "Forbidden"), status=403)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("ADDED", "a", 6))
        await release.wait()
        await response.write(event("ADDED", "b", 7))
        return response

    script.answer = answer
    async with (
        script.kube() as kube,
        aclosing(events_of(kube, JOBS, version="5", timeout_seconds=400)) as events,
    ):
        assert (await anext(events)).type == "ADDED"
        for _ in range(5):
            with pytest.raises(errors.Refused):
                await kube.patch(JOBS, "ns", "job", b"{}")
        release.set()
        assert b'"b"' in bytes((await anext(events)).object)
    assert len(script.asked) == 6


async def test_a_full_pool_of_logs_holds_up_no_write(script):
    async def answer(request):
        if request.path.endswith("/log"):
            return await stream(request, b"2026-01-01T00:00:00.000000000Z hi\n", then="hang")
        return web.json_response({})

    async def follow(kube):
        async with aclosing(kube.log("ns", "pod", "agent", follow=True)) as chunks:
            async for _ in chunks:
                pass

    script.answer = answer
    async with script.kube(log_streams=20) as kube:
        follows = [asyncio.ensure_future(follow(kube)) for _ in range(30)]
        await eventually(lambda: len(script.asked) == 20)
        assert await asyncio.wait_for(kube.patch(JOBS, "ns", "job", b"{}"), 2) == b"{}"
        for task in follows:
            task.cancel()
        await asyncio.gather(*follows, return_exceptions=True)


async def test_a_log_is_asked_for_with_timestamps_and_comes_as_it_is(script):
    async def answer(request):
        return await stream(request, b"a\r\x85", b"\nb")

    script.answer = answer
    async with script.kube() as kube:
        log = kube.log("ns", "pod", "agent", follow=True, since="2026-01-01T00:00:00Z")
        assert b"".join([chunk async for chunk in log]) == b"a\r\x85\nb"
        assert [chunk async for chunk in kube.log("ns", "pod", "agent", follow=False)]
    asked, again = script.asked
    assert asked.path == "/api/v1/namespaces/ns/pods/pod/log"
    assert dict(asked.query) == {
        "container": "agent",
        "timestamps": "true",
        "follow": "true",
        "sinceTime": "2026-01-01T00:00:00Z",
    }
    assert dict(again.query) == {"container": "agent", "timestamps": "true"}


@pytest.mark.parametrize(
    ("code", "message", "want"),
    [
        (400, 'container "a" in pod "p" is waiting to start: ContainerCreating', errors.NotStarted),
        (400, 'container "a" in pod "p" is not available', errors.NotStarted),
        (400, "pod p does not have a host assigned", errors.NotStarted),
        (204, "", errors.NotStarted),
        (400, "container a is not valid for pod p", errors.Refused),
        (404, 'pods "p" not found', errors.PodGone),
        (404, "the server could not find the requested resource ( pods/log p)", errors.Unavailable),
        (500, "Get https://node:10250/containerLogs: dial tcp: no route to host", errors.Unavailable),
        (403, "forbidden", errors.Refused),
    ],
)
async def test_why_a_log_cannot_be_read(script, code, message, want):
    async def answer(_request):
        return web.json_response(status(code, message=message) if message else None, status=code)

    script.answer = answer
    async with script.kube() as kube:
        with pytest.raises(errors.KubeError) as caught:
            _ = [chunk async for chunk in kube.log("ns", "p", "agent", follow=True)]
    assert type(caught.value) is want


async def test_every_call_is_measured_once(script):
    seen = []

    async def answer(request):
        match request.method, request.query.get("watch"):
            case "GET", "true":
                return await stream(request, event("ADDED", "a", 6))
            case "GET", None:
                return a_list([], 5)
            case _:
                return web.json_response(status(409), status=409)

    script.answer = answer
    async with script.kube(observe=lambda *what: seen.append(what[:3])) as kube:
        await kube.page(JOBS)
        await watched(kube)
        with pytest.raises(errors.Conflict):
            await kube.replace(JOBS, "ns", "a", b"{}")
        script.url = "http://127.0.0.1:9"
    async with script.kube(observe=lambda *what: seen.append(what[:3])) as kube:
        with pytest.raises(errors.Unavailable):
            await kube.get(PODS, "ns", "a")
        assert (await watched(kube))[1] is errors.Unavailable
    assert seen == [
        ("list", "jobs", 200),
        ("watch", "jobs", 200),
        ("update", "jobs", 409),
        ("get", "pods", 0),
        ("watch", "jobs", 0),
    ]
