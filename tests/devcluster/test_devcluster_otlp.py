import gzip

import aiohttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from devcluster.otlp import OtlpSink

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def one_span() -> bytes:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "runherd"
    scope = group.scope_spans.add()
    scope.scope.name = "tests"
    span = scope.spans.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, name="run", kind=1)
    span.start_time_unix_nano, span.end_time_unix_nano = 5, 9
    span.attributes.add(key="n").value.int_value = 3
    span.attributes.add(key="list").value.array_value.values.add().bool_value = True
    span.events.add(name="tool", time_unix_nano=6)
    span.links.add(trace_id=b"\x03" * 16, span_id=b"\x04" * 8)
    span.status.code, span.status.message = 2, "no"
    return message.SerializeToString()


async def post(sink: OtlpSink, body: bytes, **headers: str) -> int:
    url = f"{sink.url}/v1/traces"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=PROTOBUF | headers) as reply,
    ):
        return reply.status


async def test_spans_arrive_decoded_and_raw():
    async with OtlpSink() as sink:
        assert await post(sink, gzip.compress(one_span()), **{"Content-Encoding": "gzip"}) == 200

        (span,) = sink.spans
        assert (span.trace_id, span.span_id, span.parent_id) == ("01" * 16, "02" * 8, "")
        assert (span.name, span.kind, span.start_ns, span.end_ns) == ("run", "INTERNAL", 5, 9)
        assert span.attributes == {"n": 3, "list": [True]}
        assert (span.resource, span.scope) == ({"service.name": "runherd"}, "tests")
        assert (span.status_code, span.status_message) == ("ERROR", "no")
        assert span.events[0].name == "tool"
        assert span.links[0].trace_id == "03" * 16
        assert gzip.decompress(sink.requests[0].body) == one_span()
        assert sink.trace("01" * 16) == [span]


async def test_failures_are_switchable_and_keep_nothing():
    async with OtlpSink() as sink:
        sink.fail_next = 1
        assert [await post(sink, one_span()), await post(sink, one_span())] == [503, 200]
        sink.status = 400
        assert await post(sink, one_span()) == 400
        assert len(sink.spans) == 1
        assert [request.status for request in sink.requests] == [503, 200, 400]


async def test_a_body_that_is_no_protobuf_is_refused():
    async with OtlpSink() as sink:
        assert await post(sink, b"\xff\xff\xff") == 400
