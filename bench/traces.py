"""Spans built and encoded per second, beside the same spans made with OpenTelemetry's own tracer."""

import time
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from bench import scenes
from bench.figure import Figure, Progress, Size, in_turns
from controller.core import facts
from controller.core.contract import Status
from controller.core.snapshot import Run
from controller.core.spans import tree
from controller.core.spantree import SpanKind, SpanTree
from controller.telemetry import otlp

_KINDS: Final = {
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
}


class Kept(SpanProcessor):
    """Keeps every span that has ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """One more."""
        self.spans.append(span)


def measure(size: Size, progress: Progress) -> list[Figure]:
    (run,) = next(s.seen.runs for s in scenes.scenes(size.tool_calls) if s.name == "its trace")
    tree = _tree(run)
    count = len(tree.spans)
    progress(f"{size.traces} traces of {count} spans")
    ours, theirs = in_turns(
        size.rounds,
        lambda: size.traces * count / _ours(run, size.traces),
        lambda: size.traces * count / _theirs(tree, size.traces),
    )
    details = {"spans": count, "bytes_a_span": len(otlp.request([(tree, tree.spans)])) / count}
    return [
        Figure(
            "spans built and encoded", ours, "spans/s", theirs, "the SDK's tracer, encoded", details=details
        )
    ]


def _tree(run: Run) -> SpanTree:
    return tree.build(run, facts.decode(run.job.status.get(Status.FACTS, "")), scenes.POLICY)


def _ours(run: Run, times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        tree = _tree(run)
        otlp.request([(tree, tree.spans)])
    return time.process_time() - began


def _theirs(tree: SpanTree, times: int) -> float:
    provider, kept = TracerProvider(), Kept()
    provider.add_span_processor(kept)
    tracer: Any = provider.get_tracer("bench")
    began = time.process_time()
    for _ in range(times):
        kept.spans.clear()
        for span in tree.spans:
            with_times = tracer.start_span(
                span.name,
                kind=_KINDS[span.kind],
                attributes=dict(span.attributes),
                start_time=span.start,
            )
            for event in span.events:
                with_times.add_event(event.name, dict(event.attributes), event.at)
            with_times.end(span.end)
        _encoded(kept.spans)
    taken = time.process_time() - began
    provider.shutdown()
    return taken


def _encoded(made: list[ReadableSpan]) -> int:
    """Bytes of the request to a collector."""
    return len(encode_spans(made).SerializeToString())
