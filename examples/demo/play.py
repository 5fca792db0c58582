"""The course of one demo: cluster, collector, controller, runs, watching, checks, and the end of all of it.

Owns: the order of things, and that whatever was begun here ends here, on Ctrl-C too.
Never: knows what a run should come to (`outcome`) or how it looks (`live`, `ending`).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console

from devcluster.otlp import Span
from examples.demo import apiserver, cluster, controller, live, outcome, seen
from examples.demo.apiserver import ApiServer
from examples.demo.board import Board
from examples.demo.cluster import Collector, Place
from examples.demo.ending import Ending
from examples.demo.host import Host
from examples.demo.submit import Submission, manifests

T = TypeVar("T")
LOG: Final = "controller.log"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    kind: str
    keep: bool = False
    jaeger: bool = False
    """Traces go to a Jaeger that is started for it."""
    seconds: float | None = None
    """None: as long as is usual for that kind of cluster."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything is up, no run has been submitted yet."""

    where: Place
    to: Collector
    api: ApiServer
    submission: Submission
    controller: controller.Controller


async def play(wish: Wish, console: Console, folder: Path, told: Callable[[Ending], None]) -> bool:
    """One demo; whether all went as expected. `told` is given the end while everything is still up."""
    cluster.stay_local(os.environ)
    async with _stage(wish, console, folder) as stage:
        seconds = wish.seconds or stage.where.seconds
        ending = await _unless_failed(stage.controller.wait_failed(), _perform(stage, console, seconds))
        told(ending)
        if wish.keep:
            await _unless_failed(stage.controller.wait_failed(), asyncio.Event().wait())
        return ending.is_good


@asynccontextmanager
async def _stage(wish: Wish, console: Console, folder: Path) -> AsyncIterator[Stage]:
    async with (
        cluster.collector(console.print, jaeger=wish.jaeger) as to,
        cluster.place(wish.kind, folder, console.print) as where,
    ):
        console.print(f"{where.told}; the controller is starting ...", highlight=False, soft_wrap=True)
        api = await apiserver.connect(where.kubeconfig, cluster.NAMESPACE)
        submission = Submission(api, where.round)
        try:
            await submission.prepare()
            async with controller.started(where, api, to, folder / LOG) as running:
                yield Stage(where, to, api, submission, running)
        finally:
            await asyncio.shield(submission.remove())


async def _perform(stage: Stage, console: Console, seconds: float) -> Ending:
    """Submits the runs and watches them to their end, or for so long."""
    await stage.controller.wait_leading(stage.api, stage.where.round.lease)
    runs = manifests()
    host = Host(stage.api, stage.where.round.selector, stage.submission, runs)
    began = time.monotonic()
    await host.begin()
    board = Board(stage.submission.uids, time.monotonic)
    with live.watching(console, board, tuple(runs)) as show:
        try:
            async with asyncio.timeout(seconds):
                await _unless_failed(host.go_on(), _watch(stage, len(runs), board, show))
        except TimeoutError:
            pass  # what is missing then is told run by run
    took = time.monotonic() - began
    spans = await asyncio.to_thread(_spans, stage.to, board)
    return Ending(stage.where, stage.to, board, outcome.problems(board, spans), took, spans)


def _spans(to: Collector, board: Board) -> Sequence[Span] | None:
    """Those of all runs, as the collector has them; None if it can't be asked."""
    if to.spans is None:
        return None
    return [span for run in board.runs.values() if run.trace_id for span in to.spans(run.trace_id)]


async def _watch(stage: Stage, runs: int, board: Board, show: live.Show) -> None:
    """Until all that will be submitted has been, and is over."""
    async for job in stage.api.follow(apiserver.JOBS, stage.where.round.selector):
        if step := board.take(seen.of(job)):
            show(step)
        if len(stage.submission.uids) == runs and board.is_settled:
            return


async def _unless_failed(beside: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, unless what goes on beside it fails before: then that is raised."""
    watched, wanted = asyncio.ensure_future(beside), asyncio.ensure_future(work)
    try:
        await asyncio.wait({watched, wanted}, return_when=asyncio.FIRST_COMPLETED)
        if watched.done() and not wanted.done():
            watched.result()
        return await wanted
    finally:
        for task in (watched, wanted):
            task.cancel()
        await asyncio.gather(watched, wanted, return_exceptions=True)
