"""An OTLP collector that pods of the cluster can reach, in a thread of its own.

Owns: that thread. Never: looks into spans.
"""

import asyncio
import threading

from devcluster.otlp import OtlpSink


class Collector:
    """`with Collector(host) as collector:`; `url` for exporters, `trace` for tests."""

    def __init__(self, host):
        self._sink = OtlpSink(host=host)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._end = asyncio.Event()

    @property
    def url(self):
        return self._sink.url

    @property
    def spans(self):
        """All that came, oldest first."""
        return list(self._sink.spans)

    def trace(self, trace_id):
        return self._sink.trace(trace_id)

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the collector did not start in 10 s")
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _serve(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_the_end())

    async def _until_the_end(self):
        async with self._sink:
            self._ready.set()
            await self._end.wait()
