import io

import pytest
from rich.console import Console

from examples.demo import live, seen, table
from examples.demo.board import Board
from examples.demo.submit import KEYS

LONGEST = "Starting/ContainerCreating"


def job(name="03-submitted-running", phase=LONGEST):
    notes = dict(zip(("phase", "reason"), phase.split("/"), strict=True)) | {
        "session-id": "14c3d1eb-1b19-45c5-81a8-c720c61ed2ce",
        "pod": f"{name}-x7k2p/uid",
        "message": "Because.",
        "progress": '{"turns":3,"toolCalls":2}',
        "trace-id": "0af7651916cd43dd8448eb211c80319c",
        "since": "2026-01-01T00:00:00Z",
    }
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "labels": {KEYS.agent_id: "builder", KEYS.run_id: "run-03"},
            "annotations": {KEYS.status(key): value for key, value in notes.items()},
        }
    }


def board_of(*jobs):
    board = Board({found["metadata"]["uid"]: found["metadata"]["name"] for found in jobs}, lambda: 0.0)
    for found in jobs:
        board.take(seen.of(found))
    return board


def shown(what, width):
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 92, 102, 120, 132, 140, 170])
def test_no_terminal_gets_words_cut_off(width):
    board = board_of(job())
    runs = list(board.runs)
    whole_ones = Board({"03-submitted-running": "03-submitted-running"}, lambda: 0.0)
    whole_ones.runs = board.runs  # the table alone, without decisions, whose sentences may be cut
    for what in (table.live(whole_ones, runs, 1767225601.0, width), table.ended(board, {runs[0]: []}, width)):
        text = shown(what, width)
        assert LONGEST in text
        assert "…" not in text


def test_a_wide_terminal_gets_everything():
    text = shown(table.live(board_of(job()), ["03-submitted-running"], 1767225602.0, 170), 170)
    for word in ("builder", "run-03", "2 s", "14c3d1eb", "03-submitted-running-x7k2p", "Because."):
        assert word in text


def test_what_is_not_as_expected_is_marked():
    board = board_of(job("a"), job("b"))
    lines = shown(table.ended(board, {"a": [], "b": ["it is late"]}, 170), 170).splitlines()
    assert [line[0] for line in lines[1:]] == ["✓", "✗"]


def test_a_run_that_was_never_seen_has_its_row():
    assert "01-subagent" in shown(table.ended(board_of(), {"01-subagent": ["lost"]}, 170), 170)


def test_without_a_terminal_each_change_is_one_plain_line():
    out = io.StringIO()
    board = Board({"a": "a"}, lambda: 0.0)
    jobs = [job("a", "Queued/AgentBusy"), job("a", "Queued/AgentBusy"), job("a", "Running/AgentWorking")]
    with live.watching(Console(file=out, width=40), board, ["a"]) as show:
        for found in jobs:
            if step := board.take(seen.of(found)):
                show(step)
    lines = out.getvalue().splitlines()
    assert ["Queued/AgentBusy" in lines[0], "Running/AgentWorking" in lines[1], len(lines)] == [True, True, 2]
    assert "\x1b" not in out.getvalue()


def test_a_job_of_somebody_else_is_not_shown():
    board = board_of(job("a"))
    assert board.take(seen.of(job("b"))) is None
    assert list(board.runs) == ["a"]
