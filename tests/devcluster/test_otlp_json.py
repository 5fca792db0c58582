from devcluster import otlp_json
from devcluster.otlp import Span, SpanEvent, SpanLink

ANSWER = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "agent-runs"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "runherd", "version": "1"},
                    "spans": [
                        {
                            "traceId": "ab" * 16,
                            "spanId": "cd" * 8,
                            "parentSpanId": "ef" * 8,
                            "name": "chat m",
                            "kind": 3,
                            "startTimeUnixNano": "1700000000000000001",
                            "endTimeUnixNano": "1700000000000000009",
                            "attributes": [
                                {"key": "tokens", "value": {"intValue": "7"}},
                                {"key": "cost", "value": {"doubleValue": 0.5}},
                                {"key": "cached", "value": {"boolValue": False}},
                                {
                                    "key": "reasons",
                                    "value": {"arrayValue": {"values": [{"stringValue": "x"}]}},
                                },
                                {"key": "nothing", "value": {}},
                            ],
                            "events": [{"timeUnixNano": "5", "name": "api_retry"}],
                            "links": [{"traceId": "12" * 16, "spanId": "34" * 8}],
                            "status": {"code": 2, "message": "exit code 1"},
                        },
                        {"traceId": "ab" * 16, "spanId": "ef" * 8},
                    ],
                }
            ],
        }
    ]
}


def test_a_span_is_the_same_value_as_one_that_came_as_protobuf():
    span, bare = otlp_json.spans(ANSWER)
    assert span == Span(
        trace_id="ab" * 16,
        span_id="cd" * 8,
        parent_id="ef" * 8,
        name="chat m",
        kind="CLIENT",
        start_ns=1700000000000000001,
        end_ns=1700000000000000009,
        attributes={"tokens": 7, "cost": 0.5, "cached": False, "reasons": ["x"], "nothing": None},
        events=(SpanEvent("api_retry", 5, {}),),
        links=(SpanLink("12" * 16, "34" * 8, {}),),
        status_code="ERROR",
        status_message="exit code 1",
        resource={"service.name": "agent-runs"},
        scope="runherd",
    )
    assert (bare.parent_id, bare.kind, bare.status_code, bare.start_ns) == ("", "UNSPECIFIED", "UNSET", 0)


def test_an_answer_without_a_trace_has_no_spans():
    assert otlp_json.spans({}) == ()
