import asyncio
import gzip
import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from controller.core.spans import conventions
from controller.core.spantree import Span, SpanEvent, SpanKind, SpanLink, SpanTree
from controller.telemetry import traces
from controller.telemetry.traces import TraceExporter, configured
from devcluster.otlp import OtlpSink, decode_spans

TRACE = "0b8e4bd27f534c4a9d4b8f6a2f1c3d5e"


def make_tree(spans=3, trace_id=TRACE):
    root = Span(
        id=f"{1:016x}",
        parent="",
        name="RUN Reviewer",
        kind=SpanKind.SERVER,
        start=1_000,
        end=9_000,
        attributes=(
            ("cicd.pipeline.result", "failure"),
            ("n", 3),
            ("f", 0.5),
            ("b", True),
            ("l", ("x", "y")),
        ),
        events=(SpanEvent("api_retry", 2_000, (("attempt", 1),)),),
        links=(SpanLink("ab" * 16, "cd" * 8, (("agent.link.kind", "submitter"),)),),
        error="exit code 1",
    )
    rest = (
        Span(f"{n:016x}", root.id, f"execute_tool T{n}", SpanKind.INTERNAL, 2_000 + n, 3_000 + n)
        for n in range(2, spans + 1)
    )
    return SpanTree(trace_id, (("service.name", "agent-runs"), ("k8s.job.name", "run-1")), (root, *rest))


def encoded():
    return encode_spans(traces.readable(make_tree())).SerializeToString()


class Outcomes:
    def __init__(self):
        self.accepted, self.given_up, self.seen = [], [], []
        self.changed = asyncio.Event()

    def accept(self, job_uid):
        self.accepted.append(job_uid)
        self.changed.set()

    def give_up(self, job_uid):
        self.given_up.append(job_uid)
        self.changed.set()

    def observe(self, outcome, _seconds, spans):
        self.seen.append((outcome, spans))
        self.changed.set()

    @property
    def words(self):
        return [outcome for outcome, _ in self.seen]

    async def until(self, true):
        async with asyncio.timeout(100_000):
            while not true():
                self.changed.clear()
                await self.changed.wait()


class FakeCollector:
    """Refuses the traces it is told to refuse, and remembers the batches it took."""

    def __init__(self, refused=()):
        self.refused = set(refused)
        self.down = False
        self.batches = []
        self.closed = False

    def export(self, spans):
        trace_id = f"{spans[0].get_span_context().trace_id:032x}"
        if self.down or trace_id in self.refused:
            return SpanExportResult.FAILURE
        self.batches.append((trace_id, len(spans)))
        return SpanExportResult.SUCCESS

    def shutdown(self):
        self.closed = True


class AtOnce:
    """Stands for the thread where time is virtual: it would go on while a thread is waited for."""

    async def ask(self, call):
        return call()

    def end(self):
        pass


def make_exporter(outcomes, exporter, **more):
    return TraceExporter(
        accepted=outcomes.accept,
        gave_up=outcomes.give_up,
        observe=outcomes.observe,
        exporter=exporter,
        **more,
    )


def over_http(outcomes, url, **more):
    return make_exporter(outcomes, OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=2), **more)


async def export_until(exporter, outcomes, true):
    running = asyncio.ensure_future(exporter.run())
    try:
        await outcomes.until(true)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_tree_arrives_as_it_was_built():
    outcomes = Outcomes()
    async with OtlpSink() as sink:
        exporter = over_http(outcomes, sink.url)
        assert exporter.submit("job", make_tree())
        await export_until(exporter, outcomes, lambda: outcomes.accepted)
        root, *children = sink.trace(TRACE)
    assert (root.name, root.kind, root.parent_id) == ("RUN Reviewer", "SERVER", "")
    assert (root.start_ns, root.end_ns) == (1_000, 9_000)
    assert root.attributes == {
        "cicd.pipeline.result": "failure",
        "n": 3,
        "f": 0.5,
        "b": True,
        "l": ["x", "y"],
    }
    assert (root.status_code, root.status_message) == ("ERROR", "exit code 1")
    assert (root.events[0].name, root.events[0].time_ns) == ("api_retry", 2_000)
    assert (root.links[0].trace_id, root.links[0].span_id) == ("ab" * 16, "cd" * 8)
    assert root.resource == {"service.name": "agent-runs", "k8s.job.name": "run-1"}
    assert root.scope == conventions.SCOPE
    assert {(child.parent_id, child.status_code) for child in children} == {(root.span_id, "UNSET")}
    assert exporter.waiting == 0


async def test_a_trace_is_accepted_only_after_the_collector_took_it():
    outcomes = Outcomes()
    async with OtlpSink(status=400) as sink:
        exporter = over_http(outcomes, sink.url)
        exporter.submit("job", make_tree())
        await export_until(exporter, outcomes, lambda: outcomes.seen)
        assert (outcomes.words, outcomes.accepted, exporter.waiting) == (["failed"], [], 1)
        sink.status = 200
        await exporter.drain(5)
        assert (outcomes.accepted, exporter.waiting, len(sink.spans)) == (["job"], 0, 3)


async def test_a_collector_that_is_busy_for_a_moment_gets_the_trace_once():
    outcomes = Outcomes()
    async with OtlpSink(fail_next=1, fail_status=503, retry_after=0) as sink:
        exporter = over_http(outcomes, sink.url)
        exporter.submit("job", make_tree())
        await export_until(exporter, outcomes, lambda: outcomes.accepted)
        assert [request.status for request in sink.requests] == [503, 200]
        assert len(sink.spans) == 3


async def test_a_refused_connection_keeps_the_trace_and_prints_nothing(capfd):
    outcomes = Outcomes()
    async with OtlpSink() as sink:
        url = sink.url
    exporter = make_exporter(outcomes, OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=0.5))
    exporter.submit("job", make_tree())
    await export_until(exporter, outcomes, lambda: outcomes.seen)
    assert (outcomes.words, outcomes.accepted, exporter.waiting) == (["failed"], [], 1)
    assert capfd.readouterr() == ("", "")


async def test_the_standard_variables_are_honoured(monkeypatch):
    outcomes = Outcomes()
    async with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=agents")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        exporter = make_exporter(outcomes, None)
        exporter.submit("job", make_tree())
        await export_until(exporter, outcomes, lambda: outcomes.accepted)
        (request,) = sink.requests
    assert request.headers["x-team"] == "agents"
    assert gzip.decompress(request.body) == encoded()


async def test_large_traces_go_in_batches_and_a_retry_goes_on_where_it_failed():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = make_exporter(outcomes, collector)
    taken = collector.export

    def failing_once(spans):
        collector.down = len(collector.batches) == 1 and not outcomes.seen
        return taken(spans)

    collector.export = failing_once
    exporter.submit("job", make_tree(spans=1100))
    await export_until(exporter, outcomes, lambda: "failed" in outcomes.words)
    assert outcomes.accepted == []
    await exporter.drain(5)
    assert [size for _, size in collector.batches] == [512, 512, 76]
    assert outcomes.seen == [("failed", 1100), ("accepted", 1100)]


def clock():
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_a_trace_that_is_never_accepted_holds_up_nobody_and_is_given_up():
    poison, good = "ba" * 16, "ab" * 16
    outcomes, collector = Outcomes(), FakeCollector(refused=[poison])
    exporter = make_exporter(outcomes, collector, thread=AtOnce(), give_up_seconds=3600, clock=clock)
    exporter.submit("bad", make_tree(trace_id=poison))
    exporter.submit("good", make_tree(trace_id=good))
    began = clock()
    await export_until(exporter, outcomes, lambda: outcomes.given_up)
    assert (outcomes.accepted, outcomes.given_up, exporter.waiting) == (["good"], ["bad"], 0)
    assert 3600 <= clock() - began < 3662
    # Backoff: fast at first, then about once a minute.
    assert 60 < outcomes.words.count("failed") < 140


@pytest.mark.looptime
async def test_what_waited_is_sent_when_the_collector_is_back():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = True
    exporter = make_exporter(outcomes, collector, thread=AtOnce(), clock=clock)
    for number in range(20):
        exporter.submit(f"job-{number}", make_tree(trace_id=f"{number + 1:032x}"))
    await export_until(exporter, outcomes, lambda: outcomes.words.count("failed") > 60)
    collector.down = False
    await export_until(exporter, outcomes, lambda: exporter.waiting == 0)
    assert sorted(outcomes.accepted) == sorted(f"job-{number}" for number in range(20))
    assert len(collector.batches) == 20


async def test_the_queue_is_bounded_and_a_job_waits_once():
    outcomes = Outcomes()
    exporter = make_exporter(outcomes, FakeCollector(), capacity=2)
    assert [exporter.submit(uid, make_tree()) for uid in ("a", "b", "a", "c")] == [True, True, True, False]
    assert (exporter.waiting, outcomes.words) == (2, ["full"])


@pytest.mark.looptime
async def test_draining_is_bounded_and_takes_no_more():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = make_exporter(outcomes, collector, thread=AtOnce(), clock=clock)
    collector.down = True
    exporter.submit("a", make_tree())
    await exporter.drain(5)
    assert (exporter.waiting, collector.closed, outcomes.words) == (1, True, ["failed"])
    assert exporter.submit("b", make_tree()) is False
    await asyncio.wait_for(exporter.run(), 1)


async def test_a_tree_that_cannot_be_encoded_is_a_failure_of_its_own():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = make_exporter(outcomes, collector)
    exporter.submit("odd", make_tree(trace_id="no hex"))
    exporter.submit("good", make_tree())
    await export_until(exporter, outcomes, lambda: outcomes.accepted)
    assert (outcomes.accepted, outcomes.words) == (["good"], ["failed", "accepted"])


def test_only_the_parent_of_an_adopted_root_is_remote():
    tree = make_tree(spans=2)
    adopted = replace(tree, spans=(replace(tree.spans[0], parent="cd" * 8), tree.spans[1]))
    assert [span.parent.is_remote for span in traces.readable(adopted)] == [True, False]
    assert traces.readable(tree)[0].parent is None


def test_another_process_encodes_the_same_bytes():
    def elsewhere(seed):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, __file__], env=env, capture_output=True, check=True).stdout

    assert elsewhere("1").strip() == elsewhere("2").strip() == encoded().hex().encode()
    assert encoded() == encoded()
    assert len(decode_spans(encoded())) == 3


@pytest.mark.parametrize(
    ("environ", "want"),
    [
        pytest.param({}, False, id="no variable, no tracing"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False, id="a blank one is none"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True, id="base endpoint"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, True, id="traces endpoint"
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"},
            False,
            id="switched off",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, False, id="SDK disabled"
        ),
    ],
)
def test_tracing_is_on_where_a_collector_is_named(environ, want):
    assert configured(environ) is want


if __name__ == "__main__":
    sys.stdout.write(encoded().hex())


async def test_a_collector_that_hangs_does_not_hold_up_the_end_of_the_process():
    before = set(threading.enumerate())
    exporter = Hanging()
    sender = TraceExporter(accepted=print, gave_up=print, observe=lambda *_: None, exporter=exporter)
    sender.submit("uid", make_tree())
    await sender.drain(0.05)
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    exporter.release.set()


class Hanging:
    def __init__(self):
        self.release = threading.Event()

    def export(self, _spans):
        self.release.wait(10)
        return SpanExportResult.FAILURE

    def shutdown(self):
        pass


def test_resource_and_spans_say_which_conventions_they_follow():
    (of_resource,) = encode_spans(traces.readable(make_tree())).resource_spans
    (of_scope,) = of_resource.scope_spans
    assert (of_resource.schema_url, of_scope.schema_url) == (
        "https://opentelemetry.io/schemas/1.44.0",
        "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev",
    )
