"""A cluster, a collector and controllers as processes; waits for what the cluster shows, with a deadline."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager

import aiohttp

from controller.core.contract import SECOND, TERMINAL, Phase, Status, instant
from devcluster.fake import Backoff, FakeCluster, Options, Timing
from devcluster.otlp import OtlpSink
from tests.program import oracle
from tests.program.runs import KEYS, NAMESPACE, ROOT

SECONDS = 60.0
QUICK = Timing(pull_backoff=0.3, crash_backoff=0.1, config_retry=0.2)
LEASE = "runherd"


class Controller:
    """One controller's process. Its log is a file of one JSON object a line."""

    def __init__(self, process, log):
        self.process = process
        self._log = log

    def said(self):
        """What it has said so far."""
        return [json.loads(line) for line in self._lines() if line.startswith("{")]

    def messages(self):
        return [line["message"] for line in self.said()]

    def complaints(self):
        """Anything that no class of errors foresees, and all that is no line of its log."""
        strange = [line for line in self._lines() if not line.startswith("{")]
        return strange + [line for line in self.said() if "exception" in line]

    def _lines(self):
        """Whole lines only: one may be half written, for ever if its writer was killed."""
        return self._log.read_text("utf-8", "replace").split("\n")[:-1]

    async def says(self, words, seconds=60.0):
        """Until it has said this."""
        async with asyncio.timeout(seconds):
            while not any(words in m for m in self.messages()):  # noqa: ASYNC110 — it is another process
                await asyncio.sleep(0.05)

    def signal(self, number):
        self.process.send_signal(number)

    async def kill(self):
        """As when a node dies: nothing is finished or given back."""
        self.process.kill()
        await self.process.wait()

    async def stop(self):
        """As Kubernetes does it. Its exit code."""
        self.process.terminate()
        async with asyncio.timeout(15):
            return await self.process.wait()

    @property
    def probe_port(self):
        return int(next(m for m in self.messages() if m.startswith("probes")).rpartition(" ")[2])

    async def metrics(self):
        """All that it measures: name with labels -> value."""
        async with aiohttp.request("GET", f"http://127.0.0.1:{self.probe_port}/metrics") as reply:
            lines = (await reply.text()).splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    async def measures(self, name, holds=bool):
        """All that it measures, once this is more than nothing, or so: gauges are shown at times."""
        async with asyncio.timeout(20):
            while not holds((found := await self.metrics()).get(name)):  # noqa: ASYNC110 — as a scraper
                await asyncio.sleep(0.2)
            return found


class Stage:
    """The world of one test."""

    def __init__(self, cluster, sink, folder):
        self.cluster = cluster
        self.sink = sink
        self.folder = folder
        self.settings = {}
        self.controllers = []

    # Controllers

    async def start(self, **settings):
        """A controller; not leading yet."""
        log = self.folder / f"controller-{len(self.controllers)}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "controller",
                cwd=ROOT,
                env=self.environ() | self.settings | settings,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.controllers.append(Controller(process, log))
        return self.controllers[-1]

    async def lead(self, **settings):
        """A controller that leads."""
        before = self.holder()
        started = await self.start(**settings)
        await self.until(lambda: self.holder() not in ("", before))
        return started

    def holder(self):
        lease = self.cluster.get("leases", NAMESPACE, LEASE)
        return lease["spec"].get("holderIdentity", "") if lease else ""

    def environ(self):
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RUNHERD_", "OTEL_", "KUBE"))
        }
        return kept | {
            "KUBECONFIG": str(self.cluster.write_kubeconfig(self.folder / "kubeconfig")),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url,
            "RUNHERD_PROBE_PORT": "0",
            "RUNHERD_LOG_FORMAT": "json",
            "RUNHERD_LOG_LEVEL": "DEBUG",
        }

    async def close(self):
        """Ends what still runs; nobody may have complained."""
        for controller in self.controllers:
            if controller.process.returncode is None:
                controller.signal(signal.SIGCONT)
                controller.signal(signal.SIGKILL)
            await controller.process.wait()
        assert [c.complaints() for c in self.controllers] == [[] for _ in self.controllers]

    # Runs

    def submit(self, *jobs):
        for job in jobs:
            self.cluster.create("jobs", job)

    def job(self, name):
        return self.cluster.get("jobs", NAMESPACE, name)

    def said(self, name, what=Status.PHASE):
        """What the controller has written on a Job under one of its own keys; empty if nothing."""
        job = self.job(name)
        return ((job or {}).get("metadata", {}).get("annotations") or {}).get(KEYS.status(what), "")

    def standing(self, name):
        return f"{self.said(name)}/{self.said(name, Status.REASON)}"

    def result(self, name):
        return json.loads(self.said(name, Status.RESULT))

    def uid(self, name):
        return self.job(name)["metadata"]["uid"]

    def pods(self, name):
        uid = self.uid(name)
        return [p for p in self.cluster.list("pods") if oracle.owner(p) == uid]

    def events(self, name):
        """(reason, note) of the Events on a Job."""
        found = self.cluster.list("events", NAMESPACE)
        regarding = [event for event in found if event["involvedObject"]["name"] == name]
        return [(event["reason"], event["message"]) for event in regarding if _ours(event)]

    def spans(self, name):
        return self.sink.trace(self.uid(name).replace("-", ""))

    # Waiting

    async def until(self, look, seconds=SECONDS):
        """The first truthy thing that `look` returns, asked after every write to the cluster."""
        return await self.cluster.wait(look, seconds)

    async def phase(self, name, *phases, seconds=SECONDS):
        await self.until(lambda: self.said(name) in phases, seconds)

    async def started(self, name):
        await self.phase(name, Phase.RUNNING, Phase.FINISHING, *TERMINAL)

    async def later_than_start_of(self, name):
        """Until a Job submitted now is younger than this one's start: Kubernetes has whole seconds."""
        await self.until(lambda: self.job(name)["status"].get("startTime"))
        began = instant(self.job(name)["status"]["startTime"])
        while time.time_ns() < began + SECOND:  # noqa: ASYNC110 — a clock wakes nobody
            await asyncio.sleep(0.05)

    async def over(self, *names, seconds=SECONDS):
        """All have a terminal phase."""
        await self.until(lambda: all(self.said(name) in TERMINAL for name in names), seconds)

    async def published(self, *names, seconds=SECONDS):
        """All have a terminal phase, and their traces are safe."""
        await self.until(lambda: all(self.said(n, Status.TRACE_EXPORTED) for n in names), seconds)

    # Looking back

    def check(self, limit=1):
        """What must hold of every write, S1 to S5, held."""
        assert oracle.faults(self.cluster.history, limit) == []


def _ours(event):
    return "runherd" in event.get("reportingComponent", "")


@asynccontextmanager
async def stage(folder):
    """A world without controllers yet."""
    # Kubernetes has whole seconds only: attempts of the same second would have no order.
    options = Options(timing=QUICK, job_backoff=Backoff(base=1.1))
    async with FakeCluster(options=options) as cluster, OtlpSink() as sink:
        made = Stage(cluster, sink, folder)
        try:
            yield made
        finally:
            await made.close()
