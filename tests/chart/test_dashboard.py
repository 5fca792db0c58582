"""The dashboard's structure. What its expressions give is in test_prometheus.py."""

import json
import re

import pytest

from controller.telemetry.metrics import Metrics
from tests.chart import dashboard

BOARD = json.loads(dashboard.FILE.read_text())
SHOWN = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
SUFFIXES = ("_bucket", "_sum", "_count")


def test_it_is_what_is_said_in_the_code():
    assert dashboard.FILE.read_text() == dashboard.text()


def test_grafana_keeps_it_the_same_dashboard_wherever_it_is_installed():
    assert BOARD["uid"] == "runherd"
    assert '"id":' not in dashboard.text()


def test_it_fits_into_a_configmap():
    assert len(dashboard.text().encode()) < 2**20 / 4


def test_it_asks_which_data_sources_to_use():
    kinds = {v["name"]: v["query"] for v in BOARD["templating"]["list"] if v["type"] == "datasource"}
    assert kinds == {"datasource": "prometheus", "tempo": "tempo"}
    used = {source["uid"] for panel in SHOWN for source in (panel["datasource"], *_sources(panel))}
    assert used == {"${datasource}", "${tempo}"}


def _sources(panel):
    return [target["datasource"] for target in panel["targets"]]


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel):
    assert panel["description"]
    assert panel["targets"]
    if panel["datasource"] == dashboard.PROMETHEUS:
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_fill_rows_and_do_not_overlap():
    taken = set()
    for panel in BOARD["panels"]:
        spot = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(spot["x"], spot["x"] + spot["w"])
            for y in range(spot["y"], spot["y"] + spot["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells
        taken |= cells


def test_every_expression_looks_at_the_chosen_namespace_only():
    for _, expr in dashboard.expressions():
        metrics = re.findall(r"\b(?:runherd|process)_\w+(\{[^}]*\})?", expr)
        assert all('namespace=~"$namespace"' in matched for matched in metrics), expr


def test_every_metric_that_is_shown_is_counted_and_nearly_every_one_is_shown():
    declared = {f.name for of in Metrics().families.subjects.values() for f in of}
    shown = {
        re.sub(f"({'|'.join(SUFFIXES)})$", "", name)
        for _, expr in dashboard.expressions()
        for name in re.findall(r"\brunherd_\w+", expr)
    }
    assert shown <= declared
    assert declared - shown == {
        "runherd_log_lines_total",  # bytes tell more
        "runherd_trace_spans_total",
        "runherd_trace_spool_bytes",  # the spans are shown
        "runherd_trace_held_spans",
        "runherd_trace_export_duration_seconds",
        "runherd_unreadable_objects_total",
        "runherd_events_total",
        "runherd_event_lists_total",
        "runherd_run_attempts_total",
    }


def test_labels_in_legends_and_sums_are_labels_of_their_metrics():
    labels = {
        f.name: {label.name for label in f.labels} for of in Metrics().families.subjects.values() for f in of
    }
    for _, expr in dashboard.expressions():
        (name, *_) = re.findall(r"\brunherd_\w+|\bprocess_\w+", expr)
        by = {word.strip() for found in re.findall(r"by \(([^)]*)\)", expr) for word in found.split(",")}
        known = labels.get(re.sub(f"({'|'.join(SUFFIXES)})$", "", name), set())
        assert by - known <= {"le", "namespace", "pod"}, expr


def test_runs_are_listed_by_their_traces():
    tables = [panel for panel in SHOWN if panel["type"] == "table"]
    assert [panel["title"] for panel in tables] == ["Latest runs", "Failed runs"]
    for panel in tables:
        (target,) = panel["targets"]
        assert (target["queryType"], target["tableType"]) == ("traceql", "traces")
        assert "span.cicd.pipeline.result" in target["query"]
        assert 'resource.service.name = "$service"' in target["query"]
