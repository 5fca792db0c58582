"""What is shown at the end: results, one span tree, what is wrong, and what to try next; or all as JSON.

Owns: the words of the end. Never: finds out whether something is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from devcluster.otlp import Span
from examples.demo import table, tree
from examples.demo.board import Board
from examples.demo.cluster import NAMESPACE, Collector, Place
from examples.demo.outcome import EXPECTED, WITH_SUBAGENT

_NOTE: Final = r".metadata.annotations.status\.paperclip\.io/"
COLUMNS: Final = f"JOB:.metadata.name,PHASE:{_NOTE}phase,REASON:{_NOTE}reason,TRACE:{_NOTE}trace-id"
PLAYGROUND: Final = ".devcluster/fake/kubeconfig"
"""Where `devcluster fake up` writes its kubeconfig."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A demo that is over."""

    where: Place
    to: Collector
    board: Board
    wrong: Mapping[str, Sequence[str]]
    seconds: float
    spans: Sequence[Span] | None
    """Of all traces; None if they went to a collector that is not ours."""

    @property
    def is_good(self) -> bool:
        """Every run has ended as expected."""
        return not any(self.wrong.values())


def show(console: Console, ending: Ending) -> None:
    """Results and tree."""
    console.print(Text("\nResults", style="bold"))
    console.print(table.ended(ending.board, ending.wrong, console.width))
    _show_trace(console, ending)
    console.print()
    for line in _verdict(ending):
        console.print(line, soft_wrap=True)


def _show_trace(console: Console, ending: Ending) -> None:
    seen = ending.board.runs.get(WITH_SUBAGENT)
    if seen is None:
        return
    if ending.spans is None:
        said = f"\nTraces went to {ending.to.endpoint}; that of {WITH_SUBAGENT} is {seen.trace_id}."
        console.print(said, soft_wrap=True, highlight=False)
        return
    root = tree.arrange([span for span in ending.spans if span.trace_id == seen.trace_id])
    if root is not None:
        console.print(Text(f"\nThe trace of {WITH_SUBAGENT}: {seen.trace_id}", style="bold"))
        console.print(tree.draw(root))
    _show_pages(console, ending)


def _show_pages(console: Console, ending: Ending) -> None:
    if (page := ending.to.page) is None:
        return
    console.print(Text("\nTraces in Jaeger", style="bold"))
    for name, run in sorted(ending.board.runs.items()):
        console.print(f"  {name:<22} {page(run.trace_id)}", soft_wrap=True, highlight=False)
    said = "  Jaeger's module has no pages: /api/traces/ID instead of /trace/ID is the trace as JSON."
    console.print(Text(said, style="dim"), soft_wrap=True)


def _verdict(ending: Ending) -> Iterator[Text]:
    if ending.is_good:
        said = f"All {len(ending.wrong)} runs ended as expected, in {ending.seconds:.1f} s."
        yield Text(said, style="bold green")
        return
    yield Text("Not everything is as expected:", style="bold red")
    for run, faults in ending.wrong.items():
        yield from (Text(f"  {run}: {fault}", style="red") for fault in faults)
    if ending.spans is None and not all(seen.trace_exported for seen in ending.board.runs.values()):
        yield Text(f"Is there a collector at {ending.to.endpoint} that takes OTLP over HTTP?", style="red")


def show_next(console: Console, ending: Ending, *, kept: bool) -> None:
    """Commands to go on with."""
    lines = _kept(ending.where) if kept else _afresh()
    console.print(Text("\nTry next", style="bold"))
    for line in lines:
        console.print(f"  {line}".rstrip(), soft_wrap=True, markup=False, highlight=False)


def _kept(where: Place) -> Iterator[str]:
    """For what is still up."""
    kubectl = f"kubectl --kubeconfig {where.kubeconfig} -n {NAMESPACE}"
    yield "# everything stays up until Ctrl-C; in another terminal:"
    yield from _looks(kubectl, where)


def _afresh() -> Iterator[str]:
    """For somebody whose demo is over."""
    kubectl = f"kubectl --kubeconfig {PLAYGROUND}"
    yield "python -m examples.demo --keep    # the same, and it stays up to be looked at"
    yield "python -m devcluster fake up      # a fake cluster of your own; then, in other terminals:"
    yield f"KUBECONFIG={PLAYGROUND} python -m controller"
    folders = ("tests/data/claude", "tests/data/opencode", "examples/transcripts")
    files = " ".join(f"--from-file={folder}" for folder in folders)
    yield f"kubectl create configmap transcripts {files} --dry-run=client -o yaml | {kubectl} create -f -"
    yield f"{kubectl} create -f examples/runs"
    yield from _looks(kubectl, None)


def _looks(kubectl: str, where: Place | None) -> Iterator[str]:
    queued, agent = "09-second-of-two", WITH_SUBAGENT
    if where is not None:
        queued, agent = where.round.named(queued), where.round.named(agent)
    yield f"{kubectl} get jobs -o custom-columns='{COLUMNS}'"
    yield f"{kubectl} describe job {queued}"
    yield f"{kubectl} logs -f job/{agent}"


def as_json(ending: Ending) -> dict[str, Any]:
    """The same for scripts."""
    spans = ending.spans
    return {
        "ok": ending.is_good,
        "seconds": round(ending.seconds, 2),
        "cluster": ending.where.kind,
        "namespace": NAMESPACE,
        "traces": {"endpoint": ending.to.endpoint, "spans": None if spans is None else len(spans)},
        "runs": [_run(ending, name) for name in ending.wrong],
    }


def _run(ending: Ending, name: str) -> dict[str, Any]:
    seen, want = ending.board.runs.get(name), EXPECTED[name]
    found: dict[str, Any] = {
        "name": name,
        "problems": list(ending.wrong[name]),
        "expected": {
            "phase": want.phase,
            "reason": want.reason,
            "exitCode": want.exit_code,
            "after": want.after,
        },
    }
    if seen is None:
        return found
    return found | {
        "job": seen.name,
        "jobUid": seen.uid,
        "agent": seen.agent,
        "phase": seen.phase,
        "reason": seen.reason,
        "been": [f"{phase}/{reason}" for phase, reason in ending.board.been(name)],
        "traceId": seen.trace_id,
        "traceUrl": ending.to.page(seen.trace_id) if ending.to.page else None,
        "traceExported": seen.trace_exported,
        "result": dict(seen.result),
    }
