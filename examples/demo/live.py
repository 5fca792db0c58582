"""What is shown while the runs go on: a live table on a terminal, plain lines elsewhere, nothing if asked.

Owns: that choice, and where it is written to. Never: decides what is in a table.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from examples.demo import table
from examples.demo.board import Board, Step

Show = Callable[[Step], None]
"""Told of each step of a run."""


@contextmanager
def watching(console: Console, board: Board, runs: Sequence[str]) -> Iterator[Show]:
    """Shows the board for as long as the block runs."""
    if not console.is_terminal:
        yield lambda step: console.print(table.plain(step), markup=False, highlight=False, soft_wrap=True)
        return
    with Live(
        get_renderable=lambda: table.live(board, runs, time.time(), console.width),
        console=console,
        refresh_per_second=8,
    ):
        yield lambda _step: None
