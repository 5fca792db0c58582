"""Tables of runs for a terminal: as they are now, and as they ended.

Owns: columns, colours, and how numbers are written. Never: decides what is right or wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.core.contract import Phase
from examples.demo.board import Board, Step
from examples.demo.outcome import standing
from examples.demo.seen import Seen

COLOURS: Final[Mapping[str, str]] = {
    Phase.QUEUED: "yellow",
    Phase.STARTING: "cyan",
    Phase.RUNNING: "bright_blue",
    Phase.FINISHING: "blue",
    Phase.ATTACHED: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.TIMED_OUT: "red",
    Phase.CANCELLED: "magenta",
    Phase.REJECTED: "magenta",
}
NEWEST: Final = 6
"""How many decisions are shown below the live table."""
UNKNOWN: Final = "-"
TRACE_SHORT: Final = 8
WIDE: Final = 150
"""Columns of a terminal from which on a whole trace id fits beside the rest."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of runs."""

    name: str
    of: Callable[[Seen], Text | str]
    least: int = 0
    """Narrower terminals go without it: rather whole words of what matters than the beginnings of all."""
    number: bool = False


def live(board: Board, runs: Sequence[str], now: float, width: int) -> RenderableType:
    """The runs as they are now, and what was decided last."""
    columns = [column for column in _live_columns(now) if width >= column.least]
    table = _empty(columns)
    for name in runs:
        seen = board.runs.get(name)
        table.add_row(*(column.of(seen) for column in columns) if seen else ())
    decisions = [_decision(step) for step in board.steps[-NEWEST:]]
    return Group(table, Text(), Text("newest decisions", style="bold"), *decisions)


def _live_columns(now: float) -> Sequence[Column]:
    return (
        Column("AGENT", lambda seen: seen.agent, 92),
        Column("RUN", lambda seen: seen.run_id, 140),
        Column("JOB", lambda seen: seen.name),
        Column("PHASE/REASON", phase),
        Column("SINCE", lambda seen: _since(seen, now), number=True),
        Column("TURNS", lambda seen: _progress(seen, "turns"), number=True),
        Column("TOOLS", lambda seen: _progress(seen, "toolCalls"), number=True),
        Column("SESSION", lambda seen: seen.session[:8], 102),
        Column("POD", lambda seen: seen.pod, 132),
    )


def _empty(columns: Sequence[Column]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.name, no_wrap=True, justify="right" if column.number else "left")
    return table


def _since(seen: Seen, now: float) -> str:
    return "" if seen.since is None or seen.is_over else f"{max(0.0, now - seen.since):.0f} s"


def _progress(seen: Seen, name: str) -> str:
    value = seen.progress.get(name)
    return "" if value is None else str(value)


def _decision(step: Step) -> Text:
    line = Text(f"{step.at:6.1f} s  ", style="dim", no_wrap=True, overflow="ellipsis")
    line.append(f"{step.seen.name}  ", style="not dim")
    line.append(phase(step.seen))
    return line.append(f"  {step.seen.message}", style="not dim")


def plain(step: Step) -> str:
    """The same as one line, for what is no terminal."""
    return f"{step.at:6.1f} s  {step.seen.name:<24} {standing(step.seen):<26} {step.seen.message}"


def phase(seen: Seen) -> Text:
    """Phase and reason in the phase's colour."""
    return Text(standing(seen) if seen.phase else "", style=COLOURS.get(seen.phase, ""))


def ended(board: Board, wrong: Mapping[str, Sequence[str]], width: int) -> Table:
    """The results, one run a row; what is not as expected is marked."""
    columns = [column for column in _ended_columns(width) if width >= column.least]
    table = _empty([Column("", lambda _: ""), *columns])
    for run, faults in wrong.items():
        mark = Text("✗", style="bold red") if faults else Text("✓", style="green")
        seen = board.runs.get(run)
        table.add_row(mark, *(column.of(seen) for column in columns) if seen else (run,))
    return table


def _ended_columns(width: int) -> Sequence[Column]:
    return (
        Column("JOB", lambda seen: seen.name),
        Column("PHASE/REASON", phase),
        Column("EXIT", lambda seen: _number(seen.result, "exitCode"), number=True),
        Column("TURNS", lambda seen: _number(seen.result, "numTurns"), number=True),
        Column("TOOLS", lambda seen: _number(seen.result, "toolCalls"), 88, number=True),
        Column("TOKENS IN/OUT", lambda seen: _tokens(seen.result), 104, number=True),
        Column("COST", lambda seen: _cost(seen.result), number=True),
        Column("TOOK", _took, number=True),
        Column("LOG", lambda seen: str((seen.result.get("log") or {}).get("state", UNKNOWN)), 124),
        Column("TRACE", lambda seen: seen.trace_id if width >= WIDE else seen.trace_id[:TRACE_SHORT], 116),
    )


def _cost(result: Mapping[str, Any]) -> str:
    cost = result.get("costUsd")
    return UNKNOWN if cost is None else f"${cost:.4f}"


def _number(result: Mapping[str, Any], name: str) -> str:
    value = result.get(name)
    return UNKNOWN if value is None else str(value)


def _tokens(result: Mapping[str, Any]) -> str:
    """All that went into the model, cached or not, and what came out; unknown is not 0."""
    usage = result.get("usage")
    if not usage:
        return UNKNOWN
    given = sum(
        usage.get(name, 0) for name in ("inputTokens", "cachedInputTokens", "cacheCreationInputTokens")
    )
    return f"{given}/{usage.get('outputTokens', 0)}"


def _took(seen: Seen) -> str:
    """From the permission to start to the end of the Job, in Kubernetes' whole seconds."""
    if seen.started_at is None or seen.over_at is None:
        return UNKNOWN
    return f"{seen.over_at - seen.started_at:.0f} s"
