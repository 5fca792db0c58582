"""Every expression of dashboard and alerts, asked of a Prometheus that scrapes a controller with runs."""

import math
import re
from collections import Counter
from contextlib import asynccontextmanager

import aiohttp
import pytest

from controller.core.contract import Phase
from tests.chart import dashboard, rendering
from tests.chart.prometheus import promtool, scraping
from tests.program import runs
from tests.program.stage import stage

pytestmark = pytest.mark.chart

LABELS = {"namespace": rendering.NAMESPACE, "pod": f"{rendering.NAME}-7d9-x"}
RULES = {"prometheusRule": {"enabled": True}}
FILLED = {"$__rate_interval": "5m", "$__range": "5m", "$namespace": ".*"}
EMPTY = {
    "RunherdAbsent": "a controller is scraped",
}
"""What gives nothing here, and why."""
OVER = ("good", "retried", "bad", "other", "cancelled", "odd")
COMPARES = re.compile(r"\s(?:>|==)\s")


def filled(expr):
    for variable, value in FILLED.items():
        expr = expr.replace(variable, value)
    return expr


def groups():
    return rendering.only("PrometheusRule", RULES)["spec"]


def measured():
    """What each alert compares with its limit."""
    for group in groups()["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], COMPARES.split(rule["expr"], maxsplit=1)[0]


ASKED = [*((title, filled(expr)) for title, expr in dashboard.expressions()), *measured()]


async def play(world):
    """Runs that end well, fail, are cancelled, live and wait; one of a shape that nobody expects."""
    world.submit(
        runs.make_run("good", runs.replay(runs.SUBAGENT)),
        runs.make_run("retried", runs.replay(runs.API_RETRY), agent="a-2"),
        runs.make_run("bad", "exit 3", agent="a-3"),
        runs.make_run("other", runs.replay(runs.OPENCODE_TOOLS), agent="a-4", adapter="opencode_k8s"),
        runs.make_run("cancelled", "sleep 600", agent="a-5"),
        runs.make_run("live", runs.replay(runs.SUBAGENT, then="sleep 600"), agent="a-6"),
        runs.make_run("waits", agent="a-6"),
        runs.make_run("odd", agent="a-7", notes={runs.KEYS.on_conflict: "perhaps"}),
    )
    await world.started("cancelled")
    world.cluster.patch(
        "jobs",
        runs.NAMESPACE,
        "cancelled",
        {"metadata": {"annotations": {runs.KEYS.cancel_requested: "enough"}}},
    )
    await world.published(*OVER)
    await world.phase("live", Phase.FINISHING)
    await world.phase("waits", Phase.QUEUED)


@asynccontextmanager
async def scraped(folder):
    """(Prometheus, controller, world), once all that was played has been scraped."""
    async with stage(folder) as world:
        controller = await world.lead()
        target = f"127.0.0.1:{controller.probe_port}"
        async with scraping(folder, target, LABELS, groups()) as prometheus:
            await prometheus.until("count_over_time(runherd_lease_held[1m]) > 1")
            await play(world)
            await prometheus.until(f'sum(runherd_runs{{phase=~"Succeeded|Failed|Cancelled"}}) == {len(OVER)}')
            await prometheus.until(
                'runherd_traces_waiting == 0 and on () runherd_runs{phase="Queued", reason="AgentBusy"} > 0'
            )
            yield prometheus, controller, world


async def test_every_expression_of_dashboard_and_alerts_gives_what_it_is_about(tmp_path, checked):
    async with scraped(tmp_path) as (prometheus, controller, world):
        empty = []
        for title, expr in ASKED:
            found = await prometheus.query(expr)
            if not any(math.isfinite(value) for _, value in found) and title not in EMPTY:
                empty.append((title, expr, found))
        assert empty == []
        for name in EMPTY:
            assert [await prometheus.query(expr) for title, expr in ASKED if title == name] == [[]]
        checked("expressions, with Prometheus", answered=len(ASKED) - len(EMPTY), empty=len(EMPTY))
        await _rules_are_healthy(prometheus)
        await _scrape_is_clean(controller, checked)
        await _numbers_are_the_runs(prometheus, world)


async def _rules_are_healthy(prometheus):
    """Prometheus itself evaluates them, and none fires on a healthy controller."""
    (group,) = (await prometheus.get("rules"))["groups"]
    told = {rule["name"]: (rule["health"], rule["state"], rule.get("lastError")) for rule in group["rules"]}
    assert len(told) == len(groups()["groups"][0]["rules"])
    assert {name: words for name, words in told.items() if words != ("ok", "inactive", None)} == {}


async def _scrape_is_clean(controller, checked):
    """promtool knows Prometheus' conventions; and this is how much there is to scrape."""
    async with aiohttp.request("GET", f"http://127.0.0.1:{controller.probe_port}/metrics") as reply:
        text = await reply.text()
    assert promtool("check", "metrics", given=text) == (0, "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    checked("one scrape", series=len(lines), bytes=len(text))


async def _numbers_are_the_runs(prometheus, world):
    ended = await prometheus.query("sum by (phase) (runherd_runs_finished_total) > 0")
    assert {labels["phase"]: value for labels, value in ended} == Counter(map(world.said, OVER))
    (board,) = [expr for title, expr in ASKED if title == "Queued"]
    assert await prometheus.query(board) == [({}, 1.0)]
    (spent,) = await prometheus.query("sum(runherd_cost_usd_total)")
    assert spent[1] == pytest.approx(sum(world.result(name).get("costUsd", 0) for name in OVER))


def test_a_reason_is_given_only_for_what_is_asked():
    assert set(EMPTY) <= {title for title, _ in ASKED}
