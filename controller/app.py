"""Builds every part, wires it, runs it in one task group, and takes it down in order.

Start: probes, watches, caches complete, lease, workers. Stop: traces out, workers down, lease released.
A task that dies ends the process: Kubernetes starts it anew, and a restart arrives at the same decisions.
"""

import asyncio
import gc
import random
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Final, TypeVar

from loguru import logger

from controller import VERSION
from controller.core import census
from controller.core.contract import Keys
from controller.core.model import Job, Now, Pod, Slot, Unreadable
from controller.core.parse import Parser
from controller.core.snapshot import Export
from controller.engine import log_turns, loops
from controller.engine.log_follower import LogFollower
from controller.engine.parts import STALE_AFTER_SECONDS, Parts
from controller.engine.queue import WorkQueue
from controller.engine.store import Store
from controller.kube import errors
from controller.kube.api import JOBS, PODS, Kube, Resource
from controller.kube.informer import Informer
from controller.kube.lease import Lease
from controller.kube.writer import Writer
from controller.observation import Observation
from controller.settings import Settings, environment
from controller.telemetry import traces
from controller.telemetry.metrics import Metrics
from controller.telemetry.probes import Probes
from controller.telemetry.spool import TraceExporter

DRAIN_SECONDS: Final = 8.0
"""Of the 10 s that a stop may take: time for traces to get out and to be written down."""

_GAUGES_EVERY_SECONDS: Final = 2.0
_RELEASE_SECONDS: Final = 1.5

T = TypeVar("T", Job, Pod)


class _Stopped(Exception):  # noqa: N818 — the wished-for end
    """SIGTERM or SIGINT came, and everything that could be finished is."""


def read_clocks() -> Now:
    """Both clocks."""
    return Now(time.time_ns(), time.monotonic())


async def run(settings: Settings) -> None:
    """The whole program, until SIGTERM or SIGINT. Raises what killed it otherwise."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    keys = Keys(settings.label_domain)
    observation = Observation(metrics, keys)
    kube = await Kube.connect(
        log_streams=settings.log_streams + log_turns.BESIDES,
        namespaces=max(1, len(settings.watch_namespaces)),
        observe=metrics.cluster.called,
    )
    logger.info("runherd {} watches {}", VERSION, kube.server)
    try:
        await _Controller(settings, kube, metrics, observation).run(stop)
    finally:
        await kube.aclose()


class _Controller:
    """One controller on one cluster."""

    def __init__(self, settings: Settings, kube: Kube, metrics: Metrics, observation: Observation) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._observation = observation
        self._identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._leads = False
        self._tasks: list[asyncio.Task[None]] = []
        self._watches: list[tuple[str, Informer[Job] | Informer[Pod]]] = []
        self._exporter = self._build_exporter()
        self._lease = self._build_lease()
        self._parts = self._wire()

    # ── Wiring ───────────────────────────────────────────────────────────────────────────────────

    def _build_exporter(self) -> TraceExporter | None:
        if self._settings.trace_mode == "off":
            logger.info("tracing is off: RUNHERD_TRACE_MODE is off")
            return None
        if not traces.configured(environment()):
            logger.info("tracing is off: OTEL_EXPORTER_OTLP_ENDPOINT is not set")
            return None
        return TraceExporter(
            sender=traces.OtlpSender(),
            accepted=lambda job_uid: loops.export_news(self._parts, job_uid, Export.ACCEPTED),
            gave_up=lambda job_uid: loops.export_news(self._parts, job_uid, Export.GIVEN_UP),
            observe=self._observation.trace_export,
            give_up_seconds=self._settings.trace_give_up_seconds,
        )

    def _build_lease(self) -> Lease | None:
        if not self._settings.leader_election:
            logger.warning("leader election is off: make sure that no second controller runs")
            return None
        return Lease(
            self._kube,
            self._settings.lease_namespace or self._kube.namespace or "default",
            self._settings.lease_name,
            self._identity,
            clock=time.monotonic,
            rng=self._jitter("lease"),
            observe=lambda what: logger.debug("lease: {}", what),
        )

    def _wire(self) -> Parts:
        settings, keys = self._settings, Keys(self._settings.label_domain)
        policy = settings.policy(tracing=self._exporter is not None)
        parser = Parser(keys)
        follower = LogFollower(
            self._kube,
            publish=lambda job_uid, log: loops.log_news(self._parts, job_uid, log),
            observer=self._observation,
            rng=self._jitter("logs"),
            streams=settings.log_streams,
            content=policy.tracing and settings.trace_content == "tools",
        )
        self._watch(parser)
        queue = WorkQueue[Slot](self._jitter("queue"), self._metrics.work.began)
        return Parts(
            store=Store(policy, wake=queue.add),
            queue=queue,
            parser=parser,
            writer=Writer(self._kube, keys, clock_wall=time.time_ns, instance=socket.gethostname()),
            follower=follower,
            exporter=self._exporter,
            informers=tuple(informer for _, informer in self._watches),
            policy=policy,
            now=read_clocks,
            held=self._lease.held if self._lease else lambda: True,
            observer=self._observation,
        )

    def _watch(self, parser: Parser) -> None:
        for namespace in self._settings.watch_namespaces or ("",):
            self._watches.append((JOBS.plural, self._informer(JOBS, parser.job, namespace)))
            self._watches.append((PODS.plural, self._informer(PODS, parser.pod, namespace)))

    def _informer(
        self, resource: Resource, decode: Callable[[bytes], T | Unreadable], namespace: str
    ) -> Informer[T]:
        return Informer(
            self._kube,
            resource,
            decode,
            namespace=namespace,
            selector=self._settings.effective_selector,
            clock=time.monotonic,
            rng=self._jitter(f"{resource.plural} {namespace}"),
            observe=partial(self._metrics.cluster.watch_restarted, resource.plural),
        )

    def _jitter(self, part: str) -> random.Random:
        """A source of jitter for each part, so that replicas don't move in step."""
        return random.Random(f"{self._identity} {part}")  # noqa: S311 — jitter, not a secret

    # ── Running ──────────────────────────────────────────────────────────────────────────────────

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; whatever else ends a task ends all of them."""
        probes = Probes(self._settings.probe_port, self._is_alive, self._readiness, self._metrics)
        async with probes:
            logger.info("probes and metrics on port {}", probes.port)
            try:
                async with asyncio.TaskGroup() as group:
                    for work in self._works(group, stop):
                        self._tasks.append(group.create_task(work))
            except* _Stopped:
                logger.info("stopped")
            finally:
                if self._lease:
                    await self._release(self._lease)

    def _works(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> Iterator[Coroutine[None, None, None]]:
        yield self._parts.follower.run()
        if self._exporter:
            yield self._exporter.run()
        for informer in self._parts.informers:
            yield loops.feed(self._parts, informer)
        yield loops.watch_freshness(self._parts)
        yield loops.keep_series(self._parts)
        yield self._show_gauges()
        yield self._lead(group)
        yield self._wait_stopped(stop)

    async def _lead(self, group: asyncio.TaskGroup) -> None:
        """Workers begin when the caches are complete and the lease is ours; a standby waits here, warm."""
        await self._parts.synced.wait()
        gc.collect()
        gc.freeze()  # what was listed stays: no collector pause has to walk it again
        if self._lease:
            logger.info("standing by for the lease")
            await self._lease.wait_acquired()
        await loops.prime(self._parts)
        self._leads = True
        logger.info("leading: {} agents known", len(self._parts.store.slots()))
        for _ in range(self._settings.workers):
            self._tasks.append(group.create_task(loops.work(self._parts)))
        if self._lease:
            await self._lease.keep()

    async def _wait_stopped(self, stop: asyncio.Event) -> None:
        """On a signal: let traces out and be written down, within bounds; then end everything."""
        await stop.wait()
        logger.info("stopping")
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                if self._exporter:
                    await self._exporter.drain(DRAIN_SECONDS / 2)
                if self._leads:
                    await self._parts.queue.wait_idle()
        except TimeoutError:
            logger.warning("not everything could be finished in time; the next start will")
        raise _Stopped

    async def _release(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await lease.release()
        except (TimeoutError, errors.KubeError) as error:
            logger.warning("the lease was not released and will run out by itself: {!r}", error)

    async def _show_gauges(self) -> None:
        parts, metrics = self._parts, self._metrics
        while True:
            metrics.work.queue_is(len(parts.queue))
            counted = census.take(parts.store.jobs(), parts.now().wall)
            metrics.runs.stand(counted)
            metrics.agents.models_at_work(counted.models)
            metrics.runs.strays_are(parts.store.stray_count())
            metrics.work.lease_is(held=parts.held())
            if self._exporter:
                exporter = self._exporter
                metrics.exports.waiting_are(exporter.waiting, exporter.waiting_spans, exporter.waiting_bytes)
                metrics.exports.held_are(parts.store.spans.held)
            for resource, seconds in self._silences().items():
                metrics.cluster.watch_silent(resource, seconds)
            await asyncio.sleep(_GAUGES_EVERY_SECONDS)

    # ── Health ───────────────────────────────────────────────────────────────────────────────────

    def _silences(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for name, informer in self._watches:
            found[name] = max(found.get(name, 0.0), informer.silent_for())
        return found

    def _is_alive(self) -> bool:
        return not any(task.done() and not task.cancelled() and task.exception() for task in self._tasks)

    def _readiness(self) -> Mapping[str, str | None]:
        checks: dict[str, str | None] = {}
        for resource, informer in self._watches:
            name = f"watch {resource}"
            silent = informer.silent_for()
            if not informer.synced:
                checks[name] = "the first list is not complete"
            elif silent >= STALE_AFTER_SECONDS:
                checks[name] = f"stale: silent for {silent:.0f} s"
            else:
                checks.setdefault(name, None)
        return checks
