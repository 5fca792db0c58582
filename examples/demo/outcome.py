"""What has to come out of each run, and whether it did.

Owns: the table of expectations, and the promises of the contract that the demo checks on every run.
Never: changes anything, or gives up at the first fault: everything that is wrong is told.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.core.contract import Phase, Reason, instant
from devcluster.otlp import Span
from examples.demo.board import Board
from examples.demo.seen import Seen


@dataclass(frozen=True, slots=True)
class Expected:
    """How a run has to end."""

    phase: Phase
    reason: Reason
    exit_code: int | None = 0
    """None: its agent never ran."""
    after: str = ""
    """The run of the same agent that it has to wait for."""
    continues: str = ""
    """The run on whose Job it continues, instead of being started."""
    stopped: bool = False
    """Its pod is deleted, and may be gone before its exit code has been seen."""


EXPECTED: Final[Mapping[str, Expected]] = {
    "01-subagent": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "02-api-retry": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "03-submitted-running": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "04-out-of-memory": Expected(Phase.FAILED, Reason.OOM_KILLED, 137, after="03-submitted-running"),
    "05-max-turns": Expected(Phase.FAILED, Reason.MAX_TURNS, 1, after="02-api-retry"),
    "06-terminated": Expected(Phase.FAILED, Reason.TRUNCATED_OUTPUT, 143, after="01-subagent"),
    "07-image-missing": Expected(Phase.FAILED, Reason.IMAGE_PULL_FAILED, None, after="04-out-of-memory"),
    "08-first-of-two": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "09-second-of-two": Expected(Phase.SUCCEEDED, Reason.COMPLETED, after="08-first-of-two"),
    "10-lost-sight": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
    "11-continuation": Expected(Phase.SUCCEEDED, Reason.COMPLETED, continues="10-lost-sight"),
    "12-may-not-wait": Expected(Phase.REJECTED, Reason.TASK_MISMATCH, None),
    "13-cancelled": Expected(
        Phase.CANCELLED, Reason.CANCELLED_BY_HOST, 143, after="10-lost-sight", stopped=True
    ),
    "14-other-agent": Expected(Phase.SUCCEEDED, Reason.COMPLETED),
}
WITH_SUBAGENT: Final = "01-subagent"
"""The run whose span tree is shown."""


def problems(
    board: Board, spans: Sequence[Span] | None, expected: Mapping[str, Expected] = EXPECTED
) -> dict[str, list[str]]:
    """What is wrong with which run. `spans`: all that were received, None if they went to somebody else."""
    return {run: list(_of_run(board, run, want, spans)) for run, want in expected.items()}


def _of_run(board: Board, run: str, want: Expected, spans: Sequence[Span] | None) -> Iterator[str]:
    seen = board.runs.get(run)
    if seen is None:
        yield "its Job was never seen"
        return
    if not seen.is_over:
        yield f"it has not ended in time: {standing(seen)}"
        return
    if (seen.phase, seen.reason) != (want.phase, want.reason):
        yield f"it ended as {standing(seen)}, expected was {want.phase}/{want.reason}"
    yield from _of_result(seen, want)
    yield from _of_trace(seen, spans)
    yield from _of_waiting(board, seen, run, want)
    yield from _of_continuing(board, seen, run, want)


def _of_result(seen: Seen, want: Expected) -> Iterator[str]:
    result = seen.result
    if not result:
        yield "its result is missing, or no JSON object"
        return
    same = {"phase": seen.phase, "reason": seen.reason, "jobUid": seen.uid, "runId": seen.run_id}
    for key, value in same.items():
        if result.get(key) != value:
            yield f"result.{key} is {json.dumps(result.get(key))}, expected was {json.dumps(value)}"
    code = result.get("exitCode")
    if code != want.exit_code and not (want.stopped and code is None):
        yield f"result.exitCode is {json.dumps(code)}, expected was {want.exit_code}"
    if seen.phase != Phase.SUCCEEDED and not result.get("errorMessage"):
        yield "result.errorMessage is missing, although it did not succeed"


def _of_trace(seen: Seen, spans: Sequence[Span] | None) -> Iterator[str]:
    if seen.trace_id != seen.uid.replace("-", ""):
        yield f"its trace id is {seen.trace_id or 'missing'}, expected was its Job's uid {seen.uid}"
    if instant(seen.trace_exported) is None:
        yield f"its trace was not exported: trace-exported is {seen.trace_exported or 'missing'}"
    if spans is not None:
        yield from _of_spans([span for span in spans if span.trace_id == seen.trace_id])


def _of_spans(spans: Sequence[Span]) -> Iterator[str]:
    known = {span.span_id for span in spans}
    roots = [span for span in spans if not span.parent_id]
    if len(roots) != 1:
        yield f"its trace has {len(roots)} root spans among {len(spans)}"
    if lost := [span.name for span in spans if span.parent_id and span.parent_id not in known]:
        yield f"spans of its trace hang in the air: {', '.join(lost)}"


def _of_waiting(board: Board, seen: Seen, run: str, want: Expected) -> Iterator[str]:
    if not want.after:
        return
    if all(phase != Phase.QUEUED for phase, _ in board.been(run)):
        yield f"it was never seen waiting for {want.after} (Queued)"
    first = board.runs.get(want.after)
    ended = first.agent_ended_at if first else None
    if ended is None or seen.started_at is None:
        yield f"it can't be told whether it waited for {want.after}"
    elif seen.started_at < ended:
        yield f"it was started {ended - seen.started_at:.0f} s before the pod of {want.after} had ended"


def _of_continuing(board: Board, seen: Seen, run: str, want: Expected) -> Iterator[str]:
    if not want.continues:
        return
    if (Phase.ATTACHED, Reason.REATTACHED) not in board.been(run):
        yield f"it was never seen continuing on {want.continues} (Attached/Reattached)"
    first = board.runs.get(want.continues)
    if first is None or seen.attached_to != f"{first.name}/{first.uid}":
        yield f"it is attached to {seen.attached_to or 'nothing'}, expected was {want.continues}"
    elif seen.result.get("summary") != first.result.get("summary"):
        yield f"its result is not that of {want.continues}"
    if seen.started_at is not None:
        yield "it was started, although the work went on elsewhere"


def standing(seen: Seen) -> str:
    """Phase and reason, as people write it."""
    return f"{seen.phase}/{seen.reason}" if seen.phase else "not seen by the controller"
