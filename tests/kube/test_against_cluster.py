"""Informer, log and lease over real sockets, against the fake cluster and its faults."""

import asyncio
import random
import time
from contextlib import aclosing, suppress

import msgspec
import pytest

from controller.core import contract
from controller.kube import errors
from controller.kube.api import JOBS, Kube
from controller.kube.informer import Gone, Informer, Upsert
from controller.kube.lease import Lease, LeaseLost
from controller.kube.logs import ContainerLog
from controller.kube.transport import READ_SECONDS
from devcluster.fake.faults import Refusal
from tests.kube.doubles import eventually


class Seen(msgspec.Struct, frozen=True):
    class Meta(msgspec.Struct, frozen=True):
        namespace: str
        name: str
        uid: str
        version: str = msgspec.field(name="resourceVersion")

    metadata: Meta
    namespace = property(lambda self: self.metadata.namespace)
    name = property(lambda self: self.metadata.name)
    uid = property(lambda self: self.metadata.uid)
    version = property(lambda self: self.metadata.version)


class View:
    """What a caller makes of an informer's changes."""

    def __init__(self, kube):
        self.of = {}
        self.told = []
        self.informer = Informer(
            kube,
            JOBS,
            lambda raw: msgspec.json.decode(raw, type=Seen),
            selector="watched",
            clock=time.monotonic,
            rng=random.Random(1),
            observe=self.told.append,
        )

    async def keep(self):
        async with aclosing(self.informer.changes()) as batches:
            async for batch in batches:
                for change in batch:
                    match change:
                        case Upsert(found):
                            self.of[found.name] = (found.uid, found.version)
                        case Gone(found):
                            assert self.of.pop(found.name)[0] == found.uid


def job(name, label="watched"):
    container = {"name": "claude", "image": "x"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"namespace": "default", "name": name, "labels": {label: "yes"}}
    return {"metadata": metadata, "spec": {"suspend": True, "template": template}}


def there(cluster):
    jobs = [found["metadata"] for found in cluster.list("jobs")]
    jobs = [meta for meta in jobs if "watched" in meta.get("labels", {})]
    return {meta["name"]: (meta["uid"], meta["resourceVersion"]) for meta in jobs}


@pytest.fixture
async def view(kube):
    seen = View(kube)
    task = asyncio.ensure_future(seen.keep())
    yield seen
    assert not task.done(), task.result()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def churn(cluster, dice, number):
    """One thing that happens to one of a few Jobs."""
    name = f"job-{dice.randrange(8)}"
    if cluster.get("jobs", "default", name) is None:
        cluster.create("jobs", job(name))
    elif dice.random() < 0.3:
        cluster.delete("jobs", "default", name)
    else:
        cluster.patch("jobs", "default", name, {"metadata": {"annotations": {"n": str(number)}}})


async def test_the_view_follows_the_cluster_over_pages_labels_and_new_uids(cluster, view):
    for number in range(1100):
        cluster.create("jobs", job(f"old-{number}"))
    await eventually(lambda: view.informer.synced and view.of == there(cluster))
    cluster.patch("jobs", "default", "old-1", {"metadata": {"labels": {"watched": None}}})
    cluster.delete("jobs", "default", "old-2")
    cluster.create("jobs", job("old-2"))
    cluster.create("jobs", job("elsewhere", label="other"))
    await eventually(lambda: view.of == there(cluster))
    assert "old-1" not in view.of


@pytest.mark.parametrize("seed", [0, 2])
async def test_after_all_kinds_of_faults_the_view_is_right(cluster, view, seed):
    dice = random.Random(seed)
    cluster.faults.seed = seed
    cluster.faults.refusals = [
        Refusal(status=s, share=0.1, retry_after=a) for s, a in ((503, None), (429, 0))
    ]
    cluster.faults.cut_watches_every = 0.15
    cluster.faults.keep_versions = 5
    for number in range(400):
        churn(cluster, dice, number)
        await asyncio.sleep(0.002)
    cluster.faults.clear()
    await eventually(lambda: view.of == there(cluster), 20)
    assert {"reconnect", "unavailable", "throttled", "expired"} & set(view.told), "there were faults"


async def test_a_half_open_watch_is_noticed(cluster, view, monkeypatch):
    monkeypatch.setitem(READ_SECONDS, "watch", 1.05)
    cluster.faults.half_open = ("watches",)
    cluster.cut_watches()
    await eventually(lambda: view.informer.synced)
    cluster.create("jobs", job("late"))
    await eventually(lambda: view.told.count("reconnect") >= 2)
    cluster.faults.clear()
    await eventually(lambda: view.of == there(cluster))


def pod(**spec):
    container = {"name": "claude", "image": "x"}
    return {"metadata": {"namespace": "default", "name": "pod"}, "spec": {"containers": [container], **spec}}


def running_pod(cluster):
    cluster.create("pods", pod(nodeName="fake-node"))
    state = {"name": "claude", "ready": True, "restartCount": 0, "image": "x", "imageID": "x"}
    state["state"] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    patch = {"status": {"phase": "Running", "containerStatuses": [state]}}
    cluster.patch("pods", "default", "pod", patch, subresource="status")


def end_container(cluster):
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-01T00:00:00Z"}
    state = {"name": "claude", "ready": False, "restartCount": 0, "image": "x", "imageID": "x"}
    state["state"] = {"terminated": ended | {"finishedAt": "2026-01-01T00:01:00Z"}}
    patch = {"status": {"phase": "Succeeded", "containerStatuses": [state]}}
    cluster.patch("pods", "default", "pod", patch, subresource="status")


async def test_a_log_that_is_cut_all_the_time_comes_whole(cluster, kube):
    running_pod(cluster)
    start = contract.instant("2026-01-01T00:00:00Z")
    want = [(start + (n // 3) * 400_000_000, b"line %d " % n + b"x" * (n % 50)) for n in range(400)]
    log, seen, ended = ContainerLog(kube, "default", "pod", "claude"), [], asyncio.Event()

    async def follow():
        while True:
            last = ended.is_set()
            with suppress(errors.Unavailable):
                async for batch in log.read(follow=True):
                    seen.extend(batch)
                if last:
                    return seen.extend(log.finish())
            await asyncio.sleep(0.01)

    async def write():
        cluster.faults.cut_logs_every = 0.05
        for at, line in want:
            cluster.append_log("default", "pod", "claude", line, at=at)
            await asyncio.sleep(0.002)
        end_container(cluster)
        cluster.faults.clear()
        ended.set()

    async with asyncio.timeout(20):
        await asyncio.gather(follow(), write())
    assert [(line.at, line.data) for line in seen] == want
    assert not log.gap


async def test_why_there_is_no_log_yet_or_any_more(cluster, kube):
    async def error():
        with pytest.raises(errors.NoLog) as caught:
            _ = [batch async for batch in ContainerLog(kube, "default", "pod", "claude").read(follow=False)]
        return type(caught.value)

    assert await error() is errors.PodGone
    cluster.create("pods", pod())
    assert await error() is errors.NotStarted, "not scheduled"
    cluster.delete("pods", "default", "pod", gracePeriodSeconds=0)
    cluster.create("pods", pod(nodeName="fake-node"))
    assert await error() is errors.NotStarted, "not started"


class Candidate:
    """One that wants to lead, on connections of its own."""

    def __init__(self, kube, number):
        self.told = []
        self.rivals = []
        self.twice = False
        self.lease = Lease(
            kube,
            "default",
            "runherd",
            f"id-{number}",
            clock=time.monotonic,
            rng=random.Random(number),
            observe=self.hear,
            duration=1.0,
            renew_deadline=0.6,
            retry=0.15,
        )
        self.task = None

    def hear(self, what):
        self.told.append(what)
        if what in ("acquired", "renewed"):
            self.twice = self.twice or any(rival.lease.held() for rival in self.rivals)

    def start(self):
        self.task = asyncio.ensure_future(self.lead())

    async def lead(self):
        while True:
            await self.lease.wait_acquired()
            with suppress(LeaseLost):
                await self.lease.keep()

    async def stop(self):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def candidates(cluster, tmp_path):
    path = str(cluster.write_kubeconfig(tmp_path / "kubeconfig"))
    kubes = [await Kube.connect(kubeconfig=path) for _ in range(2)]
    a, b = (Candidate(kube, number) for number, kube in enumerate(kubes))
    a.rivals, b.rivals = [b], [a]
    yield a, b
    for candidate in (a, b):
        await candidate.stop()
    for kube in kubes:
        await kube.aclose()
    assert [a.twice, b.twice] == [False, False], "two led at once"


async def test_two_candidates_hand_over_and_survive_an_outage(cluster, candidates):
    a, b = candidates
    a.start()
    await eventually(a.lease.held)
    b.start()
    await eventually(lambda: a.told.count("renewed") >= 3)
    await a.stop()
    await a.lease.release()
    await eventually(b.lease.held, 0.9)
    a.start()
    cluster.faults.refusals = [Refusal(status=503)]
    await eventually(lambda: not b.lease.held())
    assert not a.lease.held()
    cluster.faults.clear()
    await eventually(lambda: a.lease.held() or b.lease.held())
    (found,) = cluster.list("leases", "default")
    assert found["spec"]["leaseTransitions"] >= 1
