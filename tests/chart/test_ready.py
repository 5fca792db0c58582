"""The program of `helm test`: which pods it asks, and when it is content."""

import asyncio
import importlib.util

import pytest
from aiohttp import web

from tests.chart import rendering


@pytest.fixture
def ready():
    spec = importlib.util.spec_from_file_location("ready", rendering.CHART / "files/ready.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_pod(name, *, phase="Running", deleted=False, address="127.0.0.1"):
    metadata = {"name": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    return {"metadata": metadata, "status": {"phase": phase, "podIP": address}}


@pytest.fixture
async def controller():
    """What a controller answers; `answers` can be changed."""
    answers = {"/readyz": (200, "watch jobs: ok\n"), "/metrics": (200, "runherd_lease_held 1.0\n")}

    async def answer(request):
        status, text = answers[request.path]
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield answers, str(runner.addresses[0][1])
    await runner.cleanup()


async def trouble(ready, pods, port):
    """In a thread: it waits for its answers."""
    ready.listed = lambda *_: pods
    return await asyncio.to_thread(ready.trouble, "here", "app=x", port)


@pytest.mark.parametrize(
    ("pod", "asked"),
    [
        pytest.param(make_pod("a"), True, id="one that runs"),
        pytest.param(make_pod("a", phase="Pending", address=""), True, id="one that has not started yet"),
        pytest.param(make_pod("a", phase="Failed"), False, id="one that was evicted"),
        pytest.param(make_pod("a", deleted=True), False, id="one that is being deleted"),
    ],
)
def test_it_asks(ready, pod, asked):
    assert (list(ready.meant([pod])) == ["a"]) is asked


async def test_one_that_is_ready_and_leads_is_all_that_is_wanted(ready, controller):
    _, port = controller
    assert await trouble(ready, [make_pod("a")], port) == []


async def test_one_that_is_not_ready_is_told_with_its_own_words(ready, controller):
    answers, port = controller
    answers["/readyz"] = (503, "watch jobs: stale: silent for 91 s\n")
    (told,) = await trouble(ready, [make_pod("a")], port)
    assert told == "a is not ready (503): watch jobs: stale: silent for 91 s\n"


async def test_nobody_who_leads_is_told(ready, controller):
    answers, port = controller
    answers["/metrics"] = (200, "runherd_lease_held 0.0\n")
    assert await trouble(ready, [make_pod("a")], port) == ["0 controllers lead; it must be one"]


async def test_no_pod_at_all_is_told(ready, controller):
    assert "no pod of app=x in here" in await trouble(ready, [], controller[1])


async def test_a_pod_that_does_not_answer_is_told(ready):
    told = await trouble(ready, [make_pod("a")], "1")
    assert told[0].startswith("a is not ready (0)")
