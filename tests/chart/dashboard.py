"""charts/runherd/files/dashboard.json, made of what is said here.

`python -m tests.chart.dashboard` writes it anew; a test compares them. Everything that is shown comes from
bounded labels; single runs are in the table of traces only.
"""

import json
import sys

from controller.core.spans import conventions
from tests.chart import rendering

FILE = rendering.CHART / "files" / "dashboard.json"
OF = 'namespace=~"$namespace"'
RATE = "[$__rate_interval]"
RANGE = "[$__range]"
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
TEMPO = {"type": "tempo", "uid": "${tempo}"}
ENDED = 'phase=~"Succeeded|Failed|TimedOut"'


def total(name, by="", also="", over=RATE, how="increase"):
    """What a counter grew by, over all pods."""
    matched = ", ".join(filter(None, (OF, also)))
    return f"sum{f' by ({by}) ' if by else ''}({how}({name}{{{matched}}}{over}))"


def standing(phases, by=""):
    """Runs that stand in these phases. A standby sees the same runs: the maximum over pods is taken."""
    one = f'max by (namespace, phase, reason) (runherd_runs{{phase=~"{phases}", {OF}}})'
    return f"sum{f' by ({by}) ' if by else ''}({one})"


def quantile(q, name, by="", also=""):
    matched = ", ".join(filter(None, (OF, also)))
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({q}, sum by ({labels}) (rate({name}_bucket{{{matched}}}{RATE})))"


def panel(title, text, *targets, unit="short", **more):
    """A chart over time. `targets`: (expression, legend)."""
    kind = more.pop("type", "timeseries")
    custom = {"fillOpacity": 10, "showPoints": "never"} if kind == "timeseries" else {}
    if more.pop("stacked", False):
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 60, "lineWidth": 0}
    defaults = {"unit": unit, "min": 0} | ({"custom": custom} if custom else {})
    return {
        "title": title,
        "description": text,
        "type": kind,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": defaults | more.pop("defaults", {}), "overrides": []},
        "targets": [
            {"refId": chr(65 + place), "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend}
            for place, (expr, legend) in enumerate(targets)
        ],
    } | more


def stat(title, text, expr, unit="short", **defaults):
    """One number for the whole range, or for now."""
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    return panel(title, text, (expr, ""), unit=unit, type="stat", options=options, defaults=defaults)


def steps(*pairs):
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in pairs]}


def stats():
    ended = total("runherd_runs_finished_total", also=ENDED, over=RANGE)
    good = total("runherd_runs_finished_total", also='phase="Succeeded"', over=RANGE)
    return [
        stat("Running", "Agents at work now.", standing("Starting|Running|Finishing")),
        stat("Queued", "Runs that wait now.", standing("Queued")),
        stat(
            "Success rate",
            "Of the runs that ended in this time, by themselves.",
            f"{good} / ({ended} > 0)",
            "percentunit",
            max=1,
            thresholds=steps((None, "red"), (0.5, "orange"), (0.8, "green")),
        ),
        stat(
            "Spend",
            "What runs that ended in this time cost, as agents claim.",
            total("runherd_cost_usd_total", also='basis="run"', over=RANGE),
            "currencyUSD",
        ),
        stat(
            "Tokens",
            "Of all kinds, in this time.",
            total("runherd_tokens_total", also='basis="run"', over=RANGE),
        ),
        stat(
            "Longest silence",
            "Of an agent that is told to be silent; 0 if none is.",
            f"max(runherd_longest_silence_seconds{{{OF}}})",
            "s",
            thresholds=steps((None, "green"), (1, "orange")),
        ),
    ]


def runs():
    return [
        panel(
            "Runs by phase",
            "Runs that are not over, as they stand.",
            (standing("Queued|Starting|Running|Finishing|Attached", "phase"), "{{phase}}"),
            stacked=True,
        ),
        panel(
            "Runs that ended",
            "By their terminal phase.",
            (total("runherd_runs_finished_total", "phase"), "{{phase}}"),
            stacked=True,
        ),
        panel(
            "Queue wait",
            "From a Job's creation to its start, of runs that ended; and how long the oldest waits now.",
            (quantile(0.5, "runherd_run_queue_duration_seconds"), "p50"),
            (quantile(0.95, "runherd_run_queue_duration_seconds"), "p95"),
            (f'max(runherd_oldest_run_age_seconds{{phase="Queued", {OF}}})', "oldest now"),
            unit="s",
        ),
        panel(
            "Startup",
            "p95 of the parts of a start, of runs that ended.",
            (quantile(0.95, "runherd_run_start_stage_duration_seconds", "stage"), "{{stage}}"),
            (quantile(0.95, "runherd_run_start_duration_seconds"), "whole"),
            unit="s",
        ),
        panel(
            "Run duration",
            "From the agent's start to its end.",
            (quantile(0.5, "runherd_run_duration_seconds"), "p50"),
            (quantile(0.95, "runherd_run_duration_seconds"), "p95"),
            unit="s",
        ),
        panel(
            "Decisions",
            "Verdicts on waiting runs, and runs that we stopped.",
            (total("runherd_decisions_total", "decision"), "{{decision}}"),
            (total("runherd_stops_total", "reason"), "stopped: {{reason}}"),
        ),
    ]


def money():
    read = total("runherd_tokens_total", also='basis="run", type="cache_read"')
    ended = total("runherd_runs_finished_total", also=ENDED)
    asked = total("runherd_tokens_total", also='basis="run", type!="output"')
    return [
        panel(
            "Cost by model",
            "US dollars, counted when runs end.",
            (total("runherd_cost_usd_total", "model", 'basis="run"'), "{{model}}"),
            unit="currencyUSD",
            stacked=True,
        ),
        panel(
            "Tokens",
            "By kind; input is what was in no cache.",
            (total("runherd_tokens_total", "type", 'basis="run"'), "{{type}}"),
            stacked=True,
        ),
        panel(
            "Cache hits",
            "Share of the input that came from the cache.",
            (f"{read} / ({asked} > 0)", "hits"),
            unit="percentunit",
        ),
        panel(
            "Turns a run",
            "Turns and retries of the model's API, of runs that ended.",
            (f"{total('runherd_agent_turns_total')} / ({ended} > 0)", "turns"),
            (f"{total('runherd_subagents_total')} / ({ended} > 0)", "subagents"),
        ),
    ]


def work():
    calls = total("runherd_tool_calls_total", "tool")
    errors = total("runherd_tool_errors_total", "tool")
    failed = total("runherd_runs_finished_total", "phase, reason", 'phase!="Succeeded"')
    return [
        panel(
            "Tool calls",
            "By tool, of runs that ended; those of MCP servers are one.",
            (f"topk(10, {calls} > 0)", "{{tool}}"),
            stacked=True,
        ),
        panel(
            "Tool errors",
            "Share of calls that failed, by tool.",
            (f"{errors} / ({calls} > 0)", "{{tool}}"),
            unit="percentunit",
        ),
        panel(
            "Retries and denials",
            "Calls of a model's API that agents tried again; uses of tools that were forbidden.",
            (total("runherd_agent_api_retries_total"), "API retries"),
            (total("runherd_permission_denials_total"), "permission denials"),
            (total("runherd_odd_log_lines_total"), "odd log lines"),
            (total("runherd_runs_without_usage_total"), "runs without usage"),
        ),
        panel(
            "Failures by reason",
            "Runs that did not succeed.",
            (f"{failed} > 0", "{{phase}}/{{reason}}"),
            stacked=True,
        ),
    ]


def traces():
    base = 'resource.service.name = "$service" && name =~ "RUN .*"'
    told = ", ".join(
        (
            f"span.{conventions.PIPELINE_RESULT}",
            f"span.{conventions.RUN_REASON}",
            f"span.{conventions.COST_USD}",
            f"span.{conventions.TURNS}",
            f"resource.{conventions.JOB_NAME}",
        )
    )
    failed = f'span.{conventions.PIPELINE_RESULT} =~ "failure|error|timeout"'
    return [
        _table("Latest runs", "Each row opens the run's trace.", f"{{ {base} }} | select({told})"),
        _table("Failed runs", "Likewise.", f"{{ {base} && {failed} }} | select({told})"),
    ]


def _table(title, text, query):
    target = {"refId": "A", "datasource": TEMPO, "queryType": "traceql", "tableType": "traces", "limit": 50}
    return {
        "title": title,
        "description": text,
        "type": "table",
        "datasource": TEMPO,
        "fieldConfig": {"defaults": {}, "overrides": []},
        "targets": [target | {"query": query}],
    }


def health():
    mine = f"* on (namespace, pod) group_left () runherd_build_info{{{OF}}}"
    return [
        panel("Who leads", "1 while this controller may act.", (f"runherd_lease_held{{{OF}}}", "{{pod}}")),
        panel(
            "Silence of the watches",
            "From 90 s on nothing is decided.",
            (f"max by (resource) (runherd_watch_staleness_seconds{{{OF}}})", "{{resource}}"),
            unit="s",
        ),
        panel(
            "From event to action",
            "And how long slots wait for a worker.",
            (quantile(0.5, "runherd_event_lag_seconds"), "p50"),
            (quantile(0.99, "runherd_event_lag_seconds"), "p99"),
            (quantile(0.99, "runherd_queue_latency_seconds"), "queue p99"),
            (quantile(0.99, "runherd_work_duration_seconds"), "work p99"),
            unit="s",
        ),
        panel(
            "Queue",
            "Slots that wait, and rounds that did not end well.",
            (f"sum(runherd_queue_depth{{{OF}}})", "depth"),
            (total("runherd_reconciles_total", "outcome", 'outcome!="done"'), "{{outcome}}"),
        ),
        panel(
            "Calls of the API server",
            "By verb and answer.",
            (total("runherd_api_calls_total", "verb, code", how="rate"), "{{verb}} {{code}}"),
            unit="reqps",
        ),
        panel(
            "Slow calls",
            "p99 by verb, and calls that were answered with 429.",
            (quantile(0.99, "runherd_api_call_duration_seconds", "verb"), "{{verb}}"),
            (total("runherd_api_throttled_total"), "throttled"),
            unit="s",
        ),
        panel(
            "Lists and watches",
            "Begun again, by why.",
            (total("runherd_watch_restarts_total", "resource, what"), "{{resource}} {{what}}"),
        ),
        panel(
            "Logs",
            "Streams, logs without one, and reads that went wrong.",
            (f"sum(runherd_log_streams{{{OF}}})", "streams"),
            (f"sum(runherd_logs_waiting{{{OF}}})", "waiting"),
            (total("runherd_log_reads_total", "outcome", 'outcome!~"ended|polled"'), "{{outcome}}"),
        ),
        panel(
            "Log lag",
            "Age of lines when they are read.",
            (quantile(0.5, "runherd_log_lag_seconds"), "p50"),
            (quantile(0.99, "runherd_log_lag_seconds"), "p99"),
            unit="s",
        ),
        panel(
            "Bytes of log",
            "Read a second.",
            (total("runherd_log_bytes_total", how="rate"), "bytes"),
            unit="Bps",
        ),
        panel(
            "Traces",
            "Waiting for the collector, and tries.",
            (f"sum(runherd_traces_waiting{{{OF}}})", "waiting"),
            (f"sum(runherd_trace_spool_spans{{{OF}}})", "spans waiting"),
            (total("runherd_trace_exports_total", "outcome"), "{{outcome}}"),
            (total("runherd_trace_export_failures_total", "reason"), "{{reason}}"),
            (total("runherd_trace_spans_rejected_total"), "spans left out"),
        ),
        panel(
            "Odd things",
            "Input of a wrong shape, stray pods, objects and results with trouble.",
            (total("runherd_odd_input_total"), "odd input"),
            (f"max(runherd_stray_pods{{{OF}}})", "stray pods"),
            (
                total("runherd_owned_objects_total", also='answer=~"refused|forbidden"'),
                "owned objects refused",
            ),
            (total("runherd_results_stored_total", "outcome"), "result {{outcome}}"),
            (total("runherd_writes_squeezed_total"), "writes squeezed"),
        ),
        panel(
            "Memory", "Resident.", (f"process_resident_memory_bytes{{{OF}}} {mine}", "{{pod}}"), unit="bytes"
        ),
        panel(
            "CPU",
            "Cores; 1 is a full event loop.",
            (f"rate(process_cpu_seconds_total{{{OF}}}{RATE}) {mine}", "{{pod}}"),
        ),
    ]


ROWS = (
    ("", stats, 4, 4),
    ("Runs", runs, 8, 8),
    ("Cost and tokens", money, 6, 8),
    ("Tools, retries, failures", work, 6, 8),
    ("Traces", traces, 12, 9),
    ("The controller", health, 8, 7),
)
"""Title, its panels, how wide and how high one of them is (of 24 columns)."""


def panels():
    y = 0
    for title, made, wide, high in ROWS:
        if title:
            yield {
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
            }
            y += 1
        shown = made()
        for place, each in enumerate(shown):
            across = 24 // wide
            spot = {"h": high, "w": wide, "x": place % across * wide, "y": y + place // across * high}
            yield each | {"gridPos": spot}
        y += -(-len(shown) // (24 // wide)) * high


def variables():
    return [
        {"name": "datasource", "label": "Metrics", "type": "datasource", "query": "prometheus"},
        {"name": "tempo", "label": "Traces", "type": "datasource", "query": "tempo"},
        {
            "name": "namespace",
            "label": "Controller's namespace",
            "type": "query",
            "datasource": PROMETHEUS,
            "query": "label_values(runherd_build_info, namespace)",
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        },
        {
            "name": "service",
            "label": "service.name of the traces",
            "type": "textbox",
            "query": "agent-runs",
            "current": {"text": "agent-runs", "value": "agent-runs"},
        },
    ]


def dashboard():
    """The whole board."""
    return {
        "title": "runherd: agent runs",
        "uid": "runherd",
        "description": "Runs of AI coding agents, what they cost, and the controller that looks after them.",
        "tags": ["runherd"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": variables()},
        "panels": list(panels()),
    }


def text():
    return json.dumps(dashboard(), indent=2) + "\n"


def expressions():
    """(panel's title, PromQL) of all that is asked of Prometheus."""
    for each in dashboard()["panels"]:
        for target in each.get("targets", ()):
            if "expr" in target:
                yield each["title"], target["expr"]


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write(f"wrote {FILE.name}\n")
