import asyncio
import gzip
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK

from controller.core.spans import conventions
from controller.core.spantree import Span, SpanEvent, SpanKind, SpanLink, SpanTree
from controller.telemetry import otlp
from controller.telemetry.answers import Answer, Verdict
from controller.telemetry.traces import OtlpSender, configured
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
    tree = make_tree()
    return otlp.request([(tree, tree.spans)])


async def send(url, tree=None, seconds=2.0):
    """What comes of one request."""
    tree = tree or make_tree()
    sender = OtlpSender(f"{url}/v1/traces", seconds)
    try:
        return await asyncio.to_thread(sender.send, [(tree, tree.spans)])
    finally:
        sender.shutdown()


@asynccontextmanager
async def server(answer):
    """Something at the collector's address that answers in a way of its own."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_tree_arrives_as_it_was_built():
    async with OtlpSink() as sink:
        assert await send(sink.url) == Answer(Verdict.ACCEPTED, "200")
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


async def test_the_standard_variables_are_honoured(monkeypatch):
    tree = make_tree()
    async with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=agents")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        await asyncio.to_thread(OtlpSender().send, [(tree, tree.spans)])
        (request,) = sink.requests
    assert request.headers["x-team"] == "agents"
    assert gzip.decompress(request.body) == encoded()


async def test_a_collector_that_is_busy_for_a_moment_gets_the_spans_once():
    async with OtlpSink(fail_next=1, fail_status=503, retry_after=0) as sink:
        assert (await send(sink.url)).accepted
        assert [request.status for request in sink.requests] == [503, 200]
        assert len(sink.spans) == 3


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (401, Verdict.UNAUTHORIZED),
        (413, Verdict.TOO_LARGE),
        (500, Verdict.UNAVAILABLE),
    ],
)
async def test_it_is_told_why_the_collector_takes_nothing(status, verdict):
    async with OtlpSink(status=status) as sink:
        assert (await send(sink.url)).verdict is verdict
        assert len(sink.requests) == 1


async def test_a_collector_that_wants_to_be_left_alone_says_for_how_long():
    async with OtlpSink(status=429, retry_after=30) as sink:
        answer = await send(sink.url)
        assert (answer.verdict, answer.wait) == (Verdict.THROTTLED, 30.0)


async def test_a_redirect_is_no_acceptance_and_is_not_followed():
    seen = []

    async def login(request):
        seen.append((request.method, request.path))
        raise web.HTTPFound("/login")

    async with server(login) as url:
        assert (await send(url)).verdict is Verdict.MISDIRECTED
    assert seen == [("POST", "/v1/traces")]


async def test_a_page_that_answers_everything_is_no_collector():
    async def page(_request):
        return web.Response(text="<h1>Welcome</h1>", content_type="text/html")

    async with server(page) as url:
        assert (await send(url)).verdict is Verdict.MISDIRECTED


async def test_spans_that_were_left_out_of_what_was_accepted_are_told():
    async def picky(_request):
        reply = ExportTraceServiceResponse()
        reply.partial_success.rejected_spans = 2
        reply.partial_success.error_message = "too old"
        return web.Response(body=reply.SerializeToString(), content_type="application/x-protobuf")

    async with server(picky) as url:
        assert await send(url) == Answer(Verdict.ACCEPTED, "200 too old", rejected=2)


async def test_a_collector_that_is_not_there_is_unreachable_and_nothing_is_printed(capfd):
    async with OtlpSink() as sink:
        url = sink.url
    answer = await send(url, seconds=0.5)
    assert answer.verdict is Verdict.UNREACHABLE
    assert "refused" in answer.said
    assert capfd.readouterr() == ("", "")


async def test_a_collector_that_hangs_is_waited_for_no_longer_than_it_may_take():
    forever = asyncio.Event()

    async def hang(_request):
        await forever.wait()
        return web.Response()

    async with server(hang) as url:
        answer = await send(url, seconds=0.5)
        forever.set()
    assert answer.verdict is Verdict.TIMEOUT


async def test_a_collector_without_the_right_tls_is_told_as_such():
    async with OtlpSink() as sink:
        answer = await send(sink.url.replace("http:", "https:"), seconds=0.5)
    assert answer.verdict is Verdict.TLS


async def test_a_tree_that_cannot_be_encoded_is_told_and_nothing_is_sent():
    async with OtlpSink() as sink:
        answer = await send(sink.url, make_tree(trace_id="no hex"))
        assert (answer.verdict, sink.requests) == (Verdict.UNENCODABLE, [])


def test_only_the_parent_of_an_adopted_root_is_remote():
    tree = make_tree(spans=2)
    adopted = replace(tree, spans=(msgspec.structs.replace(tree.spans[0], parent="cd" * 8), tree.spans[1]))
    message = ExportTraceServiceRequest.FromString(otlp.request([(adopted, adopted.spans)]))
    spans = message.resource_spans[0].scope_spans[0].spans
    assert [bool(span.flags & SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK) for span in spans] == [True, False]


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


def test_resource_and_spans_say_which_conventions_they_follow():
    (of_resource,) = ExportTraceServiceRequest.FromString(encoded()).resource_spans
    (of_scope,) = of_resource.scope_spans
    assert (of_resource.schema_url, of_scope.schema_url) == (
        "https://opentelemetry.io/schemas/1.44.0",
        "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev",
    )


if __name__ == "__main__":
    sys.stdout.write(encoded().hex())
