"""Reading and following container logs: options, refusals, long lines, rotation."""

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest

from devcluster.fake import FakeCluster, Options
from tests.devcluster.fake_api import PODS, Client, make_pod, pod_when, serving

LOG = f"{PODS}/pod/log"
SECOND = 1_000_000_000
NOON = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) * SECOND


def container(state, name="agent", **more):
    return {"name": name, "restartCount": 0, "state": state} | more


def set_states(api, *statuses):
    api.cluster.patch(
        "pods", "default", "pod", {"status": {"containerStatuses": statuses}}, subresource="status"
    )


@pytest.fixture
async def pod(api):
    """A running pod whose log the test writes."""
    api.cluster.create("pods", make_pod(nodeName="fake-node"))
    set_states(api, container({"running": {}}))
    return api


def write(api, *lines, at=None):
    for line in lines:
        api.cluster.append_log("default", "pod", "agent", line, at=at)


async def test_lines_come_as_they_were_written(pod):
    odd = [
        b"plain",
        b"bad \xff\xfe bytes",
        b"carriage\rreturn",
        b"\xc2\x85 \xe2\x80\xa8",
        b"",
        b"x" * 3_000_000,
    ]
    write(pod, *odd)
    assert (await pod.get(LOG))[1] == b"".join(line + b"\n" for line in odd)


async def test_timestamps_have_nine_digits_and_stand_once_before_a_long_line(pod):
    write(pod, b"y" * 40_000, at=NOON + 5)
    _, body = await pod.get(f"{LOG}?timestamps=true")
    assert body == b"2026-01-01T12:00:00.000000005Z " + b"y" * 40_000 + b"\n"


@pytest.mark.parametrize(
    ("query", "want"),
    [
        ("", b"0\n1\n2\n3\n"),
        ("tailLines=2", b"2\n3\n"),
        ("tailLines=0", b""),
        ("tailLines=9", b"0\n1\n2\n3\n"),
        ("limitBytes=3", b"0\n1"),
        ("sinceTime=2026-01-01T12:00:02Z", b"2\n3\n"),
        ("sinceTime=2026-01-01T12:00:02.9Z", b"2\n3\n"),
        ("sinceSeconds=3600", b""),
        ("follow=true&limitBytes=2", b"0\n"),
    ],
)
async def test_parts_of_a_log(pod, query, want):
    for second in range(4):
        write(pod, str(second).encode(), at=NOON + second * SECOND + 7)
    assert await pod.get(f"{LOG}?{query}") == (200, want)


async def test_a_follow_goes_on_until_the_container_has_ended(pod):
    write(pod, b"first")
    async with pod.session.get(f"{pod.cluster.url}{LOG}?follow=true") as reply:
        assert await reply.content.readline() == b"first\n"
        write(pod, b"second")
        assert await reply.content.readline() == b"second\n"
        write(pod, b"last")
        set_states(pod, container({"terminated": {"exitCode": 0}}))
        assert await reply.content.read() == b"last\n"


async def test_a_follow_ends_with_its_pod(pod):
    async with pod.session.get(f"{pod.cluster.url}{LOG}?follow=true") as reply:
        pod.cluster.delete("pods", "default", "pod", gracePeriodSeconds=0)
        assert await reply.content.read() == b""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ContainerCreating", "is waiting to start: ContainerCreating"),
        ("PodInitializing", "is waiting to start: PodInitializing"),
        ("ErrImagePull", "is waiting to start: image can't be pulled"),
        ("ImagePullBackOff", "is waiting to start: trying and failing to pull image"),
    ],
)
async def test_a_container_that_waits_has_no_log_yet(pod, reason, words):
    set_states(pod, container({"waiting": {"reason": reason}}))
    status, body = await pod.get(LOG)
    assert (status, body["reason"]) == (400, "BadRequest")
    assert body["message"] == f'container "agent" in pod "pod" {words}'


async def test_containers_must_be_named_and_known(api):
    pod = make_pod(nodeName="fake-node")
    pod["spec"]["containers"].append(pod["spec"]["containers"][0] | {"name": "side"})
    pod["spec"]["initContainers"] = [pod["spec"]["containers"][0] | {"name": "init"}]
    api.cluster.create("pods", pod)
    status, body = await api.get(LOG)
    assert status == 400
    assert body["message"] == (
        "a container name must be specified for pod pod, choose one of: [init agent side]"
    )
    status, body = await api.get(f"{LOG}?container=none")
    assert (status, body["message"]) == (400, "container none is not valid for pod pod")


async def test_an_absent_pod_and_an_unscheduled_one(api):
    assert (await api.get(LOG))[0] == 404
    api.cluster.create("pods", make_pod())
    assert (await api.get(LOG))[0] == 204


async def test_contradicting_options_are_refused(pod):
    status, body = await pod.get(f"{LOG}?sinceSeconds=1&sinceTime=2026-01-01T12:00:00Z")
    assert (status, body["reason"]) == (422, "Invalid")


async def test_the_log_of_the_instance_before(cluster_client):
    cluster = cluster_client.cluster
    cluster.create("pods", make_pod(script="echo run; exit 1", restartPolicy="OnFailure"))
    await pod_when(
        cluster, lambda pod: pod["status"].get("containerStatuses", [{}])[0].get("restartCount", 0) >= 1
    )
    assert await cluster_client.get(f"{LOG}?previous=true") == (200, b"run\n")


@pytest.fixture
async def cluster_client():
    async with serving() as client:
        yield client


async def test_there_is_no_log_before_the_first_restart(cluster_client):
    cluster = cluster_client.cluster
    cluster.create("pods", make_pod(script="sleep 30", terminationGracePeriodSeconds=0))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    status, body = await cluster_client.get(f"{LOG}?previous=true")
    assert (status, body["message"]) == (400, 'previous terminated container "agent" in pod "pod" not found')


async def test_output_of_a_process_is_followed_to_its_end(cluster_client):
    cluster = cluster_client.cluster
    script = "head -c 5000000 /dev/zero | tr '\\\\0' z; echo; printf '\\\\377\\\\n'; echo err >&2; printf end"
    cluster.create("pods", make_pod(script=f"sleep 0.1; {script.replace(chr(92) * 2, chr(92))}"))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    status, body = await cluster_client.get(f"{LOG}?follow=true")
    assert status == 200
    lines = body.split(b"\n")
    assert len(lines[0]) == 5_000_000
    assert sorted(lines[1:]) == sorted([b"\xff", b"err", b"end"])


async def test_rotation_shows_the_newest_part_and_a_follow_loses_nothing():
    options = Options(container_log_max_size=20_000, container_log_max_files=2)
    async with serving(kubelet=False, job_controller=False, options=options) as api:
        api.cluster.create("pods", make_pod(nodeName="fake-node"))
        set_states(api, container({"running": {}}))
        async with api.session.get(f"{api.cluster.url}{LOG}?follow=true") as reply:
            lines = [f"line {n:05}".encode() for n in range(3000)]
            for line in lines:
                write(api, line)
            set_states(api, container({"terminated": {"exitCode": 0}}))
            assert (await reply.content.read()).splitlines() == lines
        _, rest = await api.get(LOG)
        assert 0 < len(rest.splitlines()) < 1000
        assert rest.splitlines() == lines[-len(rest.splitlines()) :]


async def test_many_follows_at_once():
    async with FakeCluster() as cluster:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            client = Client(cluster, session)
            for n in range(20):
                cluster.create(
                    "pods", make_pod(f"pod-{n}", script="for i in 1 2 3; do echo $i; sleep 0.05; done")
                )
            await cluster.wait(lambda: all(p["status"]["phase"] != "Pending" for p in cluster.list("pods")))
            answers = await asyncio.gather(
                *(client.get(f"{PODS}/pod-{n}/log?follow=true") for n in range(20))
            )
        assert answers == [(200, b"1\n2\n3\n")] * 20
