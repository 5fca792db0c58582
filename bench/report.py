"""Figures for people and for programs: a table on a terminal, aligned text elsewhere, JSON on demand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Column, Table

from bench.figure import Figure

HEADINGS: Final = ("measure", "ours", "baseline", "ratio", "aim", "ok?")
_ALIGNED_RIGHT: Final = ("ours", "ratio", "aim")
NOTES: Final = (
    "ratio: how many times better than the baseline of the same run. Where nothing waits, seconds are CPU's.",
    "Memory and events of kr8s are measured on fewer objects, and told per run and per second.",
)


def show(figures: Sequence[Figure], console: Console, machine: str, notes: Sequence[str] = NOTES) -> None:
    """A table on a terminal, lines of text elsewhere."""
    if not console.is_terminal:
        console.file.write("\n".join([*_text(figures), "", machine, *notes, ""]))
        return
    table = Table(*_columns(), header_style="bold")
    for figure in figures:
        style = {True: "green", False: "yellow", None: ""}[figure.ok]
        *cells, verdict = _row(figure)
        table.add_row(*cells, f"[{style}]{verdict}[/]" if style else verdict)
    console.print(table)
    console.print(machine, *notes, sep="\n", style="dim", highlight=False)


def as_json(figures: Mapping[str, Sequence[Figure]], machine: Mapping[str, Any]) -> str:
    """All there is to know, by measure."""
    told = {
        name: [asdict(figure) | {"ratio": figure.ratio, "ok": figure.ok} for figure in found]
        for name, found in figures.items()
    }
    return json.dumps({"machine": machine, "figures": told}, indent=2, ensure_ascii=False)


def _columns() -> list[Column]:
    return [Column(name, justify="right" if name in _ALIGNED_RIGHT else "left") for name in HEADINGS]


def _text(figures: Sequence[Figure]) -> list[str]:
    rows = [HEADINGS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return [line.rstrip() for line in lines]


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.measure,
        f"{_number(figure.ours)} {figure.unit}",
        f"{_number(figure.baseline)} {figure.unit} ({figure.against})" if figure.baseline else "-",
        f"{_number(figure.ratio)}x" if figure.ratio else "-",
        _aim(figure),
        {True: "yes", False: "not yet", None: ""}[figure.ok],
    )


def _aim(figure: Figure) -> str:
    if figure.aim is None:
        return ""
    if figure.aim_for == "ratio":
        return f"≥ {_number(figure.aim)}x"
    return f"{'≥' if figure.more_is_better else '≤'} {_number(figure.aim)} {figure.unit}"


def _number(value: float) -> str:
    """Three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
