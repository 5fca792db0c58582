"""Every alert of the chart: fires when it should and says why, is silent when not, and has its section."""

import re
from typing import NamedTuple

import pytest
import yaml

from tests.chart import rendering
from tests.chart.prometheus import promtool

pytestmark = pytest.mark.chart

PAGE = rendering.ROOT / "docs" / "alerts.md"
RUNBOOKS = "https://docs.example.com/alerts.md"
ON = {"prometheusRule": {"enabled": True, "runbookUrl": RUNBOOKS}}
POD = {"namespace": rendering.NAMESPACE, "pod": f"{rendering.NAME}-7d9-x"}
OTHER = {"namespace": rendering.NAMESPACE, "pod": "another-7d9-x"}


def series(name, values, of=POD, **labels):
    matched = ",".join(f'{key}="{value}"' for key, value in (of | labels).items())
    return {"series": f"runherd_{name}{{{matched}}}", "values": values}


def ended(phase, values, reason="AgentError"):
    return series("runs_finished_total", values, phase=phase, reason=reason)


def lag(bucket, values):
    return series("event_lag_seconds_bucket", values, le=bucket)


def rounds(outcome, values):
    return series("reconciles_total", values, outcome=outcome)


def exports(outcome, values):
    return series("trace_exports_total", values, outcome=outcome)


class Case(NamedTuple):
    """What there is to see, minute by minute, and whether an alert fires in that minute."""

    alert: str
    what: str
    minute: int
    seen: tuple
    labels: dict | None = None
    """Besides severity; None: it is silent."""
    fills: tuple = ()
    """What its annotations say where the rule has a template, in order."""


CASES = (
    Case("RunherdAbsent", "nothing is scraped", 6, (), {"namespace": rendering.NAMESPACE}),
    Case(
        "RunherdAbsent",
        "only another program is scraped",
        6,
        (series("build_info", "1x10", OTHER, version="1"),),
        {"namespace": rendering.NAMESPACE},
    ),
    Case("RunherdAbsent", "one is scraped", 6, (series("build_info", "1x10", version="1"),)),
    Case("RunherdAbsent", "a restart", 8, (series("build_info", "1 1 _ _ _ 1x10", version="1"),)),
    Case("RunherdNotLeading", "none leads", 3, (series("lease_held", "0x10"),), {}),
    Case(
        "RunherdNotLeading",
        "one of two leads",
        3,
        (series("lease_held", "0x10"), series("lease_held", "1x10", POD | {"pod": f"{rendering.NAME}-2"})),
    ),
    Case(
        "RunherdWatchStale",
        "a watch is silent",
        3,
        (series("watch_staleness_seconds", "100x10", resource="pods"),),
        {"resource": "pods"},
        ("pods", "1m 40s", "pods"),
    ),
    Case(
        "RunherdWatchStale",
        "bookmarks come",
        9,
        (series("watch_staleness_seconds", "59 3 60 5 58x10", resource="pods"),),
    ),
    Case(
        "RunherdWritesRefused",
        "writes are refused",
        20,
        (rounds("refused", "0+1x30"),),
        POD | {"outcome": "refused"},
        ("15",),
    ),
    Case("RunherdWritesRefused", "all goes well", 20, (rounds("refused", "0x30"), rounds("done", "0+9x30"))),
    Case("RunherdWritesRefused", "once, long ago", 29, (rounds("refused", "0 1x30"),)),
    Case(
        "RunherdRoundsFailing",
        "rounds fail",
        20,
        (rounds("failed", "0+2x30"),),
        POD | {"outcome": "failed"},
        ("30",),
    ),
    Case("RunherdRoundsFailing", "conflicts are normal", 20, (rounds("conflict", "0+2x30"),)),
    Case(
        "RunherdSlow",
        "changes wait for long",
        25,
        (lag("5", "0x40"), lag("10", "0+10x40"), lag("+Inf", "0+10x40")),
        {},
        ("9.95s",),
    ),
    Case(
        "RunherdSlow",
        "changes are acted on",
        25,
        (lag("5", "0+10x40"), lag("10", "0+10x40"), lag("+Inf", "0+10x40")),
    ),
    Case("RunherdSlow", "nothing happens", 25, (lag("5", "0x40"), lag("10", "0x40"), lag("+Inf", "0x40"))),
    Case(
        "RunherdTracesNotAccepted",
        "the collector is down",
        25,
        (exports("failed", "0+1x40"), exports("accepted", "0x40")),
        POD | {"outcome": "failed"},
    ),
    Case(
        "RunherdTracesNotAccepted",
        "some get through",
        25,
        (exports("failed", "0+1x40"), exports("accepted", "0+1x40")),
    ),
    Case(
        "RunherdTraceLost",
        "traces are given up",
        65,
        (exports("gave_up", "0+1x70"),),
        POD | {"outcome": "gave_up"},
        ("60",),
    ),
    Case(
        "RunherdTraceLost",
        "they are only late",
        65,
        (exports("gave_up", "0x70"), exports("failed", "0+1x70")),
    ),
    Case(
        "RunherdAgentSilent",
        "two are silent",
        6,
        (series("runs", "2x10", phase="Running", reason="AgentSilent"),),
        {},
        ("2",),
    ),
    Case(
        "RunherdAgentSilent",
        "all work",
        6,
        (
            series("runs", "0x10", phase="Running", reason="AgentSilent"),
            series("runs", "9x10", phase="Running", reason="AgentWorking"),
        ),
    ),
    Case(
        "RunherdRunsFailing",
        "most fail",
        70,
        (ended("Failed", "0+2x80"), ended("TimedOut", "0+1x80"), ended("Succeeded", "0+2x80", "Completed")),
        {},
        ("60%",),
    ),
    Case(
        "RunherdRunsFailing",
        "few fail",
        70,
        (ended("Failed", "0+1x80"), ended("Succeeded", "0+4x80", "Completed")),
    ),
    Case(
        "RunherdRunsFailing",
        "all of three fail",
        50,
        (ended("Failed", "0x9 1x9 2x9 3x50"), ended("Succeeded", "0x80", "Completed")),
    ),
    Case(
        "RunherdRunsFailing",
        "hosts cancel and are turned away",
        70,
        (
            ended("Cancelled", "0+5x80", "CancelledByHost"),
            ended("Rejected", "0+5x80", "AgentBusy"),
            ended("Succeeded", "0+1x80", "Completed"),
        ),
    ),
    Case("RunherdRunsFailing", "nothing ends", 70, (ended("Failed", "0x80"), ended("Succeeded", "0x80"))),
    Case(
        "RunherdSpendHigh",
        "two models cost much",
        65,
        (
            series("cost_usd_total", "0+2x70", model="a", basis="run"),
            series("cost_usd_total", "0+3x70", model="b", basis="run"),
        ),
        {},
        ("300",),
    ),
    Case("RunherdSpendHigh", "little", 65, (series("cost_usd_total", "0+1x70", model="a", basis="run"),)),
    Case(
        "RunherdSpendHigh",
        "what earlier runs of a session cost is no news",
        65,
        (series("cost_usd_total", "0+50x70", model="a", basis="session"),),
    ),
    Case("RunherdStrayPods", "one for long", 16, (series("stray_pods", "1x30"),), {}, ("1",)),
    Case("RunherdStrayPods", "one for minutes", 16, (series("stray_pods", "1x5 0x30"),)),
)


def spec(given=ON):
    return rendering.only("PrometheusRule", given)["spec"]


def rules(given=ON):
    return {rule["alert"]: rule for group in spec(given)["groups"] for rule in group["rules"]}


def annotations(rule, fills):
    """As Prometheus fills them in: it takes them by name."""
    left = list(fills)
    return {
        name: re.sub(r"\{\{.*?\}\}", lambda _: left.pop(0), rule["annotations"][name])
        for name in sorted(rule["annotations"])
    }


def expected(case):
    if case.labels is None:
        return []
    rule = rules()[case.alert]
    return [{"exp_labels": rule["labels"] | case.labels, "exp_annotations": annotations(rule, case.fills)}]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_it_fires_when_it_should_and_only_then(case, tmp_path, checked):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec()))
    test = {
        "interval": "1m",
        "input_series": list(case.seen),
        "alert_rule_test": [
            {"eval_time": f"{case.minute}m", "alertname": case.alert, "exp_alerts": expected(case)}
        ],
    }
    file = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(file))
    code, said = promtool("test", "rules", tmp_path / "test.yaml")
    assert code == 0, said
    checked("alerts, with promtool", **{"silent" if case.labels is None else "firing": 1})


def test_every_alert_is_seen_firing_and_silent():
    firing = {case.alert for case in CASES if case.labels is not None}
    silent = {case.alert for case in CASES if case.labels is None}
    assert set(rules()) == firing == silent


@pytest.mark.parametrize("path", rendering.CASES, ids=rendering.case)
def test_promtool_takes_the_rules(path, tmp_path, checked):
    for found in rendering.of_kind("PrometheusRule", path.read_text()):
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(found["spec"]))
        code, said = promtool("check", "rules", "--lint-fatal", tmp_path / "rules.yaml")
        assert code == 0, said
        checked("rules, with promtool", values=1)


def test_every_alert_leads_to_its_section():
    sections = set(re.findall(r"^## (\w+)$", PAGE.read_text(), re.MULTILINE))
    assert sections == set(rules())
    for name, rule in rules().items():
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"


def test_the_page_lists_each_alert_with_its_severity():
    listed = dict(re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert listed == {name: rule["labels"]["severity"] for name, rule in rules().items()}


def test_without_an_address_there_is_no_link():
    found = rules({"prometheusRule": {"enabled": True}})
    assert all("runbook_url" not in rule["annotations"] for rule in found.values())


def test_limits_are_as_they_are_set():
    given = {"prometheusRule": {"enabled": True, "failureRatio": 0.25, "spendUsdPerHour": 20.5}}
    assert "> 0.25 and" in " ".join(rules(given)["RunherdRunsFailing"]["expr"].split())
    assert rules(given)["RunherdSpendHigh"]["expr"].endswith("> 20.5")
    free = rules({"prometheusRule": {"enabled": True, "spendUsdPerHour": 0}})
    assert "RunherdSpendHigh" not in free
