"""Every fault switch does what it says, and nothing else."""

import asyncio
import json
import time

import aiohttp
import pytest

from devcluster.fake import Refusal
from tests.devcluster.fake_api import JOBS, PODS, make_job, make_pod

ALL_JOBS = "/apis/batch/v1/jobs"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
RUNNING = {
    "phase": "Running",
    "containerStatuses": [{"name": "agent", "restartCount": 0, "state": {"running": {}}}],
}


async def until_cut(reply):
    """What came before the connection was cut."""
    parts = []
    try:
        while part := await reply.content.readany():
            parts.append(part)
    except aiohttp.ClientError:
        return b"".join(parts)
    pytest.fail("the stream ended properly")


async def test_a_share_of_calls_is_refused_repeatably(api):
    async def codes():
        api.cluster.faults.seed = 7
        return [(await api.get(JOBS))[0] for _ in range(40)]

    api.cluster.faults.refusals = [Refusal(503, share=0.5)]
    first = await codes()
    assert set(first) == {200, 503}
    assert await codes() == first


async def test_a_refusal_may_name_verbs_resources_and_a_count(api):
    api.cluster.faults.refusals = [Refusal(500, verbs=("create",), resources=("jobs",), count=1)]
    assert (await api.get(JOBS))[0] == 200
    assert (await api.post(PODS, make_pod()))[0] == 201
    assert (await api.post(JOBS, make_job()))[0] == 500
    assert (await api.post(JOBS, make_job()))[0] == 201


async def test_a_refusal_may_end_by_itself(api):
    api.cluster.faults.refusals = [Refusal(503, seconds=0)]
    assert (await api.get(JOBS))[0] == 200


async def test_too_many_requests_are_plain_text_with_retry_after(api):
    api.cluster.faults.refusals = [Refusal(429, retry_after=3)]
    async with api.session.get(api.cluster.url + JOBS) as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
        assert reply.content_type == "text/plain"


async def test_exempt_resources_are_left_alone(api):
    api.cluster.faults.refusals = [Refusal(503)]
    api.cluster.faults.exempt = ("leases",)
    assert (await api.get(LEASES))[0] == 200
    assert (await api.get(JOBS))[0] == 503


async def test_a_lost_answer_is_a_write_that_happened(api):
    api.cluster.faults.lost_answers = 1
    with pytest.raises(aiohttp.ClientError):
        await api.post(JOBS, make_job())
    assert api.cluster.get("jobs", "default", "run")
    assert (await api.post(JOBS, make_job()))[0] == 409


async def test_conflicts_are_answered_without_a_write(api):
    await api.post(JOBS, make_job())
    api.cluster.faults.conflict_share = 1
    status, body = await api.patch(f"{JOBS}/run", {"spec": {"suspend": True}})
    assert (status, body["reason"]) == (409, "Conflict")
    api.cluster.faults.clear()
    assert (await api.patch(f"{JOBS}/run", {"spec": {"suspend": True}}))[0] == 200


async def test_latency_delays_every_call(api):
    api.cluster.faults.latency_ms = 60
    begun = time.monotonic()
    await api.get(JOBS)
    assert time.monotonic() - begun >= 0.06


async def test_watches_are_closed_properly(api):
    api.cluster.faults.close_watches_every = 0.05
    async with api.watch(ALL_JOBS, resourceVersion=api.cluster.storage.version) as event:
        assert await event() is None


async def test_watches_are_cut_in_the_middle_of_a_line(api):
    async with api.session.get(f"{api.cluster.url}{ALL_JOBS}?watch=1") as reply:
        api.cluster.create("jobs", make_job())
        api.cluster.cut_watches()
        part = await until_cut(reply)
        assert part
        assert not part.endswith(b"\n")
        with pytest.raises(json.JSONDecodeError):
            json.loads(part)


async def test_a_half_open_watch_is_accepted_and_silent_until_the_fault_ends(api):
    api.cluster.faults.half_open = ("watches",)
    async with api.watch(ALL_JOBS, resourceVersion=api.cluster.storage.version) as event:
        api.cluster.create("jobs", make_job())
        pending = asyncio.create_task(event())
        _, waiting = await asyncio.wait({pending}, timeout=0.1)
        assert waiting
        api.cluster.faults.half_open = ()
        assert (await pending)["type"] == "ADDED"


async def test_only_the_newest_versions_are_kept(api):
    version = api.cluster.storage.version
    api.cluster.faults.keep_versions = 2
    for name in "abc":
        api.cluster.create("jobs", make_job(name, suspend=True))
    async with api.watch(ALL_JOBS, resourceVersion=version) as event:
        assert (await event())["object"]["code"] == 410
    async with api.watch(ALL_JOBS, resourceVersion=version + 1) as event:
        assert (await event())["object"]["metadata"]["name"] == "b"


async def test_gone_may_come_over_http(api):
    version = api.cluster.storage.version
    api.cluster.faults.gone_over_http = True
    api.cluster.create("jobs", make_job())
    api.cluster.compact()
    status, body = await api.get(f"{ALL_JOBS}?watch=1&resourceVersion={version}")
    assert (status, body["reason"]) == (410, "Expired")


async def test_a_log_follow_is_cut_in_the_middle_of_a_line(api):
    api.cluster.create("pods", make_pod(nodeName="fake-node"))
    api.cluster.patch("pods", "default", "pod", {"status": RUNNING}, subresource="status")
    async with api.session.get(f"{api.cluster.url}{PODS}/pod/log?follow=true") as reply:
        api.cluster.append_log("default", "pod", "agent", b"a whole line")
        assert await reply.content.readline() == b"a whole line\n"
        api.cluster.append_log("default", "pod", "agent", b"another line")
        api.cluster.cut_logs()
        part = await until_cut(reply)
        assert part
        assert b"\n" not in part


async def test_switches_over_http(api):
    wanted = {"latency_ms": 1, "refusals": [{"status": 500, "verbs": ["list"]}], "exempt": ["leases"]}
    status, body = await api.put("/devcluster/faults", wanted)
    assert (status, body["latency_ms"], body["exempt"]) == (200, 1, ["leases"])
    assert (await api.get(JOBS))[0] == 500
    assert (await api.put("/devcluster/faults", {"no_such": 1}))[0] == 400
    assert (await api.put("/devcluster/faults", {}))[0] == 200
    assert (await api.get(JOBS))[0] == 200
    version = api.cluster.storage.version
    api.cluster.create("jobs", make_job())
    assert (await api.call("POST", "/devcluster/compact"))[0] == 200
    async with api.watch(ALL_JOBS, resourceVersion=version) as event:
        assert (await event())["type"] == "ERROR"


async def test_a_paused_job_controller_does_nothing_until_it_is_resumed(cluster):
    cluster.faults.pause("job-controller")
    cluster.create("jobs", make_job())
    await asyncio.sleep(0)
    cluster.faults.latency_ms = 0  # any switch wakes the controllers: a paused one must not mind
    assert cluster.list("pods") == []
    cluster.faults.resume("job-controller")
    await cluster.wait(lambda: cluster.list("pods"))
