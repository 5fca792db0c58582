import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from controller.core.contract import Phase, Reason
from controller.telemetry.metrics import Metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def series(metrics):
    text = metrics.render()[0].decode()
    return {
        (sample.name, *dict(sorted(sample.labels.items())).values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def everything_happens(metrics, n=1):
    metrics.runs_by_phase({Phase.RUNNING: 2})
    metrics.run_finished(Phase.FAILED, Reason.OOM_KILLED)
    metrics.run_admitted()
    metrics.run_stopped(Reason.CANCELLED_BY_HOST)
    metrics.event_handled(0.01)
    metrics.queue_is(4)
    metrics.work_began(0.01)
    metrics.work_ended("conflict", 0.01)
    metrics.api_call("patch", "jobs", 409, 0.01)
    metrics.watch_silent("pods", 95.0)
    metrics.watch_restarted("jobs", "relist")
    metrics.log_streams_are(3)
    metrics.log_read(lines=10, size=1000)
    metrics.log_ended("complete")
    metrics.trace_export("accepted", 0.1, 20)
    metrics.traces_waiting_are(5)
    metrics.odd_input("paperclip.io/traceparent")
    metrics.object_unreadable("Job")
    metrics.event_told()
    metrics.event_failed()
    metrics.lease_is(held=True)


def test_what_happened_can_be_read_back():
    metrics = Metrics()
    everything_happens(metrics)
    assert {
        ("runherd_runs", "Running"): 2,
        ("runherd_runs", "Queued"): 0,
        ("runherd_runs_finished_total", "Failed", "OOMKilled"): 1,
        ("runherd_admissions_total",): 1,
        ("runherd_stops_total", "CancelledByHost"): 1,
        ("runherd_event_lag_seconds_count",): 1,
        ("runherd_queue_depth",): 4,
        ("runherd_queue_latency_seconds_count",): 1,
        ("runherd_work_duration_seconds_count",): 1,
        ("runherd_reconciles_total", "conflict"): 1,
        ("runherd_api_calls_total", "409", "jobs", "patch"): 1,
        ("runherd_api_call_duration_seconds_count", "patch"): 1,
        ("runherd_watch_staleness_seconds", "pods"): 95,
        ("runherd_watch_restarts_total", "jobs", "relist"): 1,
        ("runherd_log_streams",): 3,
        ("runherd_log_lines_total",): 10,
        ("runherd_log_bytes_total",): 1000,
        ("runherd_log_reads_total", "complete"): 1,
        ("runherd_trace_exports_total", "accepted"): 1,
        ("runherd_trace_spans_total",): 20,
        ("runherd_traces_waiting",): 5,
        ("runherd_odd_input_total", "paperclip.io/traceparent"): 1,
        ("runherd_unreadable_objects_total", "Job"): 1,
        ("runherd_events_total", "told"): 1,
        ("runherd_events_total", "failed"): 1,
        ("runherd_lease_held",): 1,
    }.items() <= series(metrics).items()


def test_phases_that_emptied_go_back_to_zero():
    metrics = Metrics()
    metrics.runs_by_phase({Phase.RUNNING: 2})
    metrics.runs_by_phase({Phase.SUCCEEDED: 2})
    assert series(metrics)["runherd_runs", "Running"] == 0


def test_known_series_exist_before_anything_happens():
    fresh = series(Metrics())
    assert fresh["runherd_runs_finished_total", "Succeeded", "Completed"] == 0
    assert fresh["runherd_reconciles_total", "refused"] == 0
    assert fresh["runherd_trace_exports_total", "gave_up"] == 0


def test_no_stream_of_foreign_words_grows_the_number_of_series():
    metrics = Metrics()
    for n in range(2000):
        word = f"word-{n}"
        metrics.run_finished(word, word)
        metrics.run_stopped(word)
        metrics.work_ended(word, 0.1)
        metrics.api_call(word, word, n, 0.1)
        metrics.watch_silent(word, 1)
        metrics.watch_restarted(word, word)
        metrics.log_ended(word)
        metrics.trace_export(word, 0.1, 1)
        metrics.odd_input(word)
        metrics.object_unreadable(word)
        metrics.runs_by_phase({word: 1})
    assert len(series(metrics)) < 5000
    assert series(metrics)["runherd_odd_input_total", "other"] > 1900


def test_every_metric_has_our_prefix_and_a_help_text():
    metrics = Metrics()
    everything_happens(metrics)
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        assert re.match(r"runherd_|process_", family.name)
        assert family.documentation


def test_openmetrics_is_spoken_when_asked_for():
    metrics = Metrics()
    everything_happens(metrics)
    body, content_type = metrics.render(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert "runherd_runs_finished" in {family.name for family in openmetrics(body.decode())}


def test_a_clock_that_went_back_counts_as_no_time():
    metrics = Metrics()
    metrics.event_handled(-5)
    assert series(metrics)["runherd_event_lag_seconds_sum",] == pytest.approx(0)
