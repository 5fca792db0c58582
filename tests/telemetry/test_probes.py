import aiohttp

from controller.telemetry.metrics import Metrics
from controller.telemetry.probes import Probes


async def get(probes, path, **headers):
    url = f"http://127.0.0.1:{probes.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as reply:
        return reply.status, await reply.text(), reply.headers["Content-Type"]


async def test_a_living_and_ready_controller_answers_200():
    async with Probes(0, lambda: True, lambda: {"jobs": None, "lease": None}, Metrics()) as probes:
        assert (await get(probes, "/healthz"))[0] == 200
        assert (await get(probes, "/readyz"))[:2] == (200, "jobs: ok\nlease: ok\n")


async def test_a_stale_watch_makes_unready_but_not_dead():
    checks = {"jobs": None, "watch": "stale watch: pods silent for 95 s"}
    async with Probes(0, lambda: True, lambda: checks, Metrics()) as probes:
        status, text, _ = await get(probes, "/readyz")
        assert status == 503
        assert "watch: stale watch: pods silent for 95 s" in text
        assert (await get(probes, "/healthz"))[0] == 200


async def test_a_dead_task_makes_unhealthy():
    async with Probes(0, lambda: False, dict, Metrics()) as probes:
        assert (await get(probes, "/healthz"))[0] == 503


async def test_the_checks_are_asked_anew_each_time():
    checks = {"jobs": "not listed yet"}
    async with Probes(0, lambda: True, lambda: checks, Metrics()) as probes:
        assert (await get(probes, "/readyz"))[0] == 503
        checks["jobs"] = None
        assert (await get(probes, "/readyz"))[0] == 200


async def test_metrics_are_scraped_in_the_format_asked_for():
    metrics = Metrics()
    metrics.runs.decided("admit")
    async with Probes(0, lambda: True, dict, metrics) as probes:
        status, text, content_type = await get(probes, "/metrics")
        assert (status, 'runherd_decisions_total{decision="admit"} 1.0' in text) == (200, True)
        assert content_type.startswith("text/plain")
        _, text, content_type = await get(probes, "/metrics", Accept="application/openmetrics-text")
        assert content_type.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")


async def test_stopping_twice_is_the_same_as_once():
    probes = Probes(0, lambda: True, dict, Metrics())
    await probes.start()
    await probes.stop()
    await probes.stop()
