"""A real Prometheus that scrapes the controller's pod, asked all that dashboard and alerts ask."""

import asyncio
import base64
import json
import math
import re
from urllib.parse import urlsplit

import yaml

from controller.core.contract import Phase
from e2e.conftest import told
from e2e.installation import NAMESPACE
from e2e.runs import API_RETRY, HOOKS, SUBAGENT, make_run, replay
from tests.chart.prometheus import scraping
from tests.chart.test_prometheus import ASKED, EMPTY, LABELS, groups
from tests.program.runs import KEYS

OVER = {
    "good": "Succeeded/Completed",
    "retried": "Succeeded/Completed",
    "bad": "Failed/ContainerError",
    "cancelled": "Cancelled/CancelledByHost",
}
METRIC = re.compile(r"\b(?:runherd|process)_\w+")


def through_the_api_server(kubeconfig, folder, pod):
    """(address, scrape config): the proxy to a pod's port, with the rights of the kubeconfig."""
    config = yaml.safe_load(kubeconfig.read_text())
    (cluster,), (user,) = (config[kind] for kind in ("clusters", "users"))
    server = urlsplit(cluster["cluster"]["server"])
    tls = {"ca_file": written(folder / "ca.crt", cluster["cluster"]["certificate-authority-data"])}
    way = {
        "scheme": server.scheme,
        "metrics_path": f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics",
        "tls_config": tls,
    }
    if "token" in user["user"]:
        way["authorization"] = {"credentials": user["user"]["token"]}
    else:
        tls["cert_file"] = written(folder / "client.crt", user["user"]["client-certificate-data"])
        tls["key_file"] = written(folder / "client.key", user["user"]["client-key-data"])
    return f"{server.hostname}:{server.port or 443}", way


def written(path, data):
    path.write_bytes(base64.b64decode(data))
    return str(path)


def play(stage):
    """Runs that end well, fail, are cancelled, live and wait."""
    stage.submit(
        make_run("good", replay(SUBAGENT)),
        make_run("retried", replay(API_RETRY)),
        make_run("bad", "exit 3"),
        make_run("cancelled", "sleep 600"),
        make_run("live", f"{replay(HOOKS, lines=6)}\nsleep 600"),
        make_run("odd", agent="a-odd", notes={KEYS.on_conflict: "perhaps"}),
    )
    stage.starts("cancelled", "live")
    stage.submit(make_run("waits", agent="a-live"))
    cancel = {"metadata": {"annotations": {KEYS.cancel_requested: "enough"}}}
    stage.api.patch("jobs", stage.namespace, "cancelled", cancel)
    stage.published(*OVER, seconds=90)
    stage.stands("waits", f"{Phase.QUEUED}/AgentBusy")


async def ask(prometheus):
    """Titles of what gave numbers, and of what did not with the reason: that nothing of it has happened."""
    answered, empty = [], {}
    for title, expr in ASKED:
        found = await prometheus.query(expr)
        if any(math.isfinite(value) for _, value in found):
            answered.append(title)
            continue
        counted = [await prometheus.query(f"sum({name}) > 0") for name in METRIC.findall(expr)]
        empty[title] = EMPTY.get(title) or ("nothing of it has happened" if not all(counted) else "")
    return answered, empty


def test_a_real_prometheus_has_numbers_for_all_that_dashboard_and_alerts_ask(
    stage, installation, kubeconfig, tmp_path
):
    pod = stage.until(installation.leader, 60)["metadata"]["name"]
    target, way = through_the_api_server(kubeconfig, tmp_path, pod)

    async def look():
        async with scraping(tmp_path, target, LABELS, groups(), way) as prometheus:
            await prometheus.until("runherd_lease_held == 1 and count_over_time(runherd_lease_held[1m]) > 1")
            await asyncio.to_thread(play, stage)
            await prometheus.until('runherd_runs{phase="Queued", reason="AgentBusy"} > 0')
            await prometheus.until(f"sum(increase(runherd_runs_finished_total[5m])) > {len(OVER) - 1}")
            await prometheus.until("sum(increase(runherd_tool_calls_total[5m])) > 0")
            await prometheus.until("runherd_traces_waiting == 0")
            return await ask(prometheus), (await prometheus.get("rules"))["groups"]

    (answered, empty), (group,) = asyncio.run(look())
    told(f"{len(answered)} expressions of dashboard and alerts have numbers; without: {json.dumps(empty)}")
    assert {name: stage.standing(name) for name in OVER} == OVER
    assert [title for title, reason in empty.items() if not reason] == []
    assert len(answered) > len(ASKED) * 3 / 4
    unwell = {rule["name"]: rule.get("lastError") for rule in group["rules"] if rule["health"] != "ok"}
    assert unwell == {}
