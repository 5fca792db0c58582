import math
import re
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from controller.core.census import Census, take
from controller.core.contract import Phase, Reason
from controller.core.tally import Stage, Tally, ToolUse
from controller.core.transcript import ModelUsage
from controller.telemetry.metrics import Metrics
from tests.core.builders import at, make_job

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
OPUS = ModelUsage("claude-opus-5", 10, 20, 300, 40, 0.5)
TALLY = Tally(
    queued=4.0,
    started=7.0,
    stages=((Stage.SCHEDULING, 1.0), (Stage.AGENT, 2.0)),
    ran=90.0,
    attempts=2,
    claimed=True,
    session="s-1",
    model="claude-opus-5",
    cost_usd=0.75,
    usage=(OPUS,),
    turns=3,
    retries=1,
    subagents=1,
    denials=2,
    odd_lines=5,
    tools=(ToolUse("Bash", 4, 1), ToolUse("mcp__github__search", 2, 0), ToolUse("", 3, 0)),
)


def census(standings, **changes):
    return Census(standings, changes.get("oldest", {}), changes.get("silence", 0.0), frozenset())


def series(metrics):
    text = metrics.render()[0].decode()
    return {
        (sample.name, *dict(sorted(sample.labels.items())).values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def everything_happens(metrics):
    metrics.runs.stand(census({("Running", "AgentSilent"): 2}, oldest={"Running": 60.0}, silence=9.0))
    metrics.runs.finished(Phase.FAILED, Reason.OOM_KILLED)
    metrics.runs.took(Phase.FAILED, TALLY)
    metrics.agents.used(TALLY)
    metrics.runs.decided("reattach")
    metrics.runs.stopped(Reason.CANCELLED_BY_HOST)
    metrics.runs.strays_are(1)
    metrics.work.event_handled(0.01)
    metrics.work.queue_is(4)
    metrics.work.began(0.01)
    metrics.work.ended("conflict", 0.01)
    metrics.cluster.called("patch", "jobs", 429, 0.01)
    metrics.cluster.watch_silent("pods", 95.0)
    metrics.cluster.watch_restarted("jobs", "relist")
    metrics.cluster.odd_input("paperclip.io/traceparent")
    metrics.cluster.object_unreadable("Job")
    metrics.cluster.event("told")
    metrics.logs.streams_are(3)
    metrics.logs.read(lines=10, size=1000, lag_seconds=0.2)
    metrics.logs.ended("polled")
    metrics.exports.tried("accepted", 0.1, 20)
    metrics.exports.failed("unreachable")
    metrics.exports.rejected(2)
    metrics.exports.waiting_are(5, 70, 9000)
    metrics.exports.held_are(123)
    metrics.work.lease_is(held=True)


def test_what_happened_can_be_read_back():
    metrics = Metrics()
    everything_happens(metrics)
    assert {
        ("runherd_runs", "Running", "AgentSilent"): 2,
        ("runherd_runs", "Queued", "AgentBusy"): 0,
        ("runherd_oldest_run_age_seconds", "Running"): 60,
        ("runherd_longest_silence_seconds",): 9,
        ("runherd_runs_finished_total", "Failed", "OOMKilled"): 1,
        ("runherd_run_queue_duration_seconds_sum",): 4,
        ("runherd_run_start_duration_seconds_sum",): 7,
        ("runherd_run_start_stage_duration_seconds_sum", "scheduling"): 1,
        ("runherd_run_duration_seconds_bucket", "120.0", "Failed"): 1,
        ("runherd_run_duration_seconds_bucket", "60.0", "Failed"): 0,
        ("runherd_run_attempts_total",): 2,
        ("runherd_decisions_total", "reattach"): 1,
        ("runherd_stops_total", "CancelledByHost"): 1,
        ("runherd_stray_pods",): 1,
        ("runherd_event_lag_seconds_count",): 1,
        ("runherd_queue_depth",): 4,
        ("runherd_queue_latency_seconds_count",): 1,
        ("runherd_work_duration_seconds_count",): 1,
        ("runherd_reconciles_total", "conflict"): 1,
        ("runherd_api_calls_total", "429", "jobs", "patch"): 1,
        ("runherd_api_throttled_total",): 1,
        ("runherd_api_call_duration_seconds_count", "patch"): 1,
        ("runherd_watch_staleness_seconds", "pods"): 95,
        ("runherd_watch_restarts_total", "jobs", "relist"): 1,
        ("runherd_log_streams",): 3,
        ("runherd_log_lines_total",): 10,
        ("runherd_log_bytes_total",): 1000,
        ("runherd_log_lag_seconds_count",): 1,
        ("runherd_log_reads_total", "polled"): 1,
        ("runherd_trace_exports_total", "accepted"): 1,
        ("runherd_trace_spans_total",): 20,
        ("runherd_traces_waiting",): 5,
        ("runherd_trace_export_failures_total", "unreachable"): 1,
        ("runherd_trace_spans_rejected_total",): 2,
        ("runherd_trace_spool_spans",): 70,
        ("runherd_trace_spool_bytes",): 9000,
        ("runherd_trace_held_spans",): 123,
        ("runherd_odd_input_total", "paperclip.io/traceparent"): 1,
        ("runherd_unreadable_objects_total", "Job"): 1,
        ("runherd_events_total", "told"): 1,
        ("runherd_lease_held",): 1,
    }.items() <= series(metrics).items()


def test_what_an_agent_used_can_be_read_back():
    metrics = Metrics()
    everything_happens(metrics)
    assert {
        ("runherd_tokens_total", "run", "claude-opus-5", "input"): 10,
        ("runherd_tokens_total", "run", "claude-opus-5", "output"): 20,
        ("runherd_tokens_total", "run", "claude-opus-5", "cache_read"): 300,
        ("runherd_tokens_total", "run", "claude-opus-5", "cache_write"): 40,
        ("runherd_cost_usd_total", "run", "claude-opus-5"): 0.75,
        ("runherd_agent_turns_total",): 3,
        ("runherd_agent_api_retries_total",): 1,
        ("runherd_subagents_total",): 1,
        ("runherd_permission_denials_total",): 2,
        ("runherd_odd_log_lines_total",): 5,
        ("runherd_tool_calls_total", "Bash"): 4,
        ("runherd_tool_errors_total", "Bash"): 1,
        ("runherd_tool_calls_total", "mcp"): 2,
        ("runherd_tool_calls_total", "other"): 3,
        ("runherd_runs_without_usage_total",): 0,
    }.items() <= series(metrics).items()


def test_an_agent_that_never_said_what_it_used_is_counted_as_that():
    metrics = Metrics()
    metrics.agents.used(TALLY._replace(claimed=False, usage=(), cost_usd=None))
    metrics.agents.used(Tally())
    found = series(metrics)
    assert found["runherd_runs_without_usage_total",] == 1
    assert sum(value for name, value in found.items() if name[0] == "runherd_cost_usd_total") == 0


@pytest.mark.parametrize(
    ("told", "by_model", "want"),
    [
        pytest.param(1.0, 0.75, {"claude-opus-5": 0.75, "claude-haiku-5": 0.25}, id="the rest"),
        pytest.param(0.5, 0.75, {"claude-haiku-5": 0.5}, id="less than its parts: the whole counts"),
        pytest.param(None, 0.75, {"claude-opus-5": 0.75}, id="only the parts are known"),
        pytest.param(0.75 - 1e-13, 0.75, {"claude-opus-5": 0.75}, id="the same, added in another order"),
    ],
)
def test_costs_by_model_add_up_to_what_the_run_is_said_to_have_cost(told, by_model, want):
    metrics = Metrics()
    used = replace(OPUS, cost_usd=by_model)
    metrics.agents.used(TALLY._replace(model="claude-haiku-5", cost_usd=told, usage=(used,)))
    costs = {name[2]: value for name, value in series(metrics).items() if name[0] == "runherd_cost_usd_total"}
    assert {model: value for model, value in costs.items() if value} == want


def test_standings_that_emptied_go_back_to_zero():
    metrics = Metrics()
    metrics.runs.stand(census({("Running", "AgentWorking"): 2, ("Running", "made up"): 1}))
    metrics.runs.stand(census({("Succeeded", "Completed"): 2}))
    runs = {name: value for name, value in series(metrics).items() if name[0] == "runherd_runs"}
    assert {name: value for name, value in runs.items() if value} == {
        ("runherd_runs", "Succeeded", "Completed"): 2
    }


def test_known_series_exist_before_anything_happens():
    fresh = series(Metrics())
    for name in [
        ("runherd_runs_finished_total", "Succeeded", "Completed"),
        ("runherd_runs_finished_total", "Failed", "Preempted"),
        ("runherd_reconciles_total", "refused"),
        ("runherd_trace_exports_total", "gave_up"),
        ("runherd_tool_errors_total", "Bash"),
        ("runherd_stops_total", "StartTimeout"),
        ("runherd_run_duration_seconds_count", "TimedOut"),
    ]:
        assert fresh[name] == 0


def test_a_model_at_work_has_its_series_before_its_run_is_counted():
    metrics = Metrics()
    metrics.agents.models_at_work(["claude-opus-5"])
    assert series(metrics)["runherd_cost_usd_total", "run", "claude-opus-5"] == 0


def test_no_stream_of_foreign_words_grows_the_number_of_series():
    metrics = Metrics()
    for n in range(2000):
        word = f"word-{n}"
        metrics.runs.finished(word, word)
        metrics.runs.stopped(word)
        metrics.runs.took(word, TALLY)
        metrics.runs.stand(census({(word, word): 1}, oldest={word: 1.0}))
        metrics.agents.used(
            TALLY._replace(
                model=word, usage=(ModelUsage(word, 1, 1, 1, 1, 0.1),), tools=(ToolUse(word, 1, 1),)
            )
        )
        metrics.agents.models_at_work([word])
        metrics.work.ended(word, 0.1)
        metrics.cluster.called(word, word, n, 0.1)
        metrics.cluster.watch_silent(word, 1)
        metrics.cluster.watch_restarted(word, word)
        metrics.cluster.odd_input(word)
        metrics.cluster.object_unreadable(word)
        metrics.logs.ended(word)
        metrics.exports.tried(word, 0.1, 1)
    counted = {word[0] for word in series(metrics)}
    assert len(series(metrics)) < 6000
    assert "runherd_tokens_total" in counted
    assert series(metrics)["runherd_odd_input_total", "other"] > 1900


def test_a_model_whose_name_is_no_name_is_another():
    metrics = Metrics()
    metrics.agents.models_at_work(["", "a\nb", "x" * 200, "ok-1[1m]"])
    models = {name[2] for name in series(metrics) if name[0] == "runherd_cost_usd_total"}
    assert models == {"other", "ok-1[1m]"}


def test_every_metric_has_our_prefix_and_a_help_text():
    metrics = Metrics()
    everything_happens(metrics)
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        assert re.match(r"runherd_|process_", family.name)
        assert family.documentation


def test_no_label_could_hold_an_id():
    labels = {label.name for of in Metrics().families.subjects.values() for f in of for label in f.labels}
    assert not {name for name in labels if re.search("run|agent|job|pod|session|task|company|uid|id$", name)}


def test_openmetrics_is_spoken_when_asked_for():
    metrics = Metrics()
    everything_happens(metrics)
    body, content_type = metrics.render(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert "runherd_runs_finished" in {family.name for family in openmetrics(body.decode())}


def test_a_clock_that_went_back_counts_as_no_time():
    metrics = Metrics()
    metrics.work.event_handled(-5)
    metrics.logs.read(1, 1, lag_seconds=-3)
    assert series(metrics)["runherd_event_lag_seconds_sum",] == pytest.approx(0)
    assert series(metrics)["runherd_log_lag_seconds_sum",] == pytest.approx(0)


def ceiling(family):
    """Series that a family can have at most, whatever comes."""
    words = [max(label.limit, len(label.known)) + (label.limit != 1) for label in family.labels]
    buckets = len(getattr(family.metric, "_kwargs", {}).get("buckets", ())) + 3
    return math.prod(words) * (buckets if family.kind == "histogram" else 1)


def test_the_number_of_series_has_a_bound_that_a_prometheus_does_not_feel():
    bounds = {f.name: ceiling(f) for of in Metrics().families.subjects.values() for f in of}
    assert max(bounds.values()) < 3000
    assert sum(bounds.values()) < 6000


def test_five_thousand_runs_make_no_more_series_than_five():
    def scraped(runs):
        metrics = Metrics()
        everything_happens(metrics)
        jobs = (make_job(f"run-{n}", phase="Running", reason="AgentWorking") for n in range(runs))
        metrics.runs.stand(take(jobs, at(100)))
        for n in range(runs):
            metrics.runs.took(Phase.SUCCEEDED, TALLY)
            metrics.agents.used(TALLY._replace(session=f"s-{n}"))
        return len(series(metrics))

    assert scraped(5000) == scraped(5) < 800
