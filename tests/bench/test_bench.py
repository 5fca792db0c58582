"""Each measure on very little: figures of the right shape come out, whatever their values."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from math import isfinite

import pytest

from bench import __main__ as command
from bench import objects, report, shapes
from bench.figure import Figure, Size, in_turns, percentile
from controller.core.parse import Parser

TINY = Size(
    rounds=1,
    runs=2,
    peer_runs=1,
    tracked=20,
    peer_tracked=10,
    plans=2,
    tool_calls=5,
    traces=1,
    rate=5.0,
    steady=2,
    burst=3,
)
SLOW = {"latency", "exports"}


def silent(_what):
    pass


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in command.MEASURES]
)
def test_a_measure_gives_figures(name):
    with ThreadPoolExecutor(1) as thread:  # a measure runs event loops of its own, this thread has pytest's
        figures = thread.submit(command.MEASURES[name], TINY, silent).result()
    assert figures
    for figure in figures:
        assert figure.measure
        assert figure.unit
        assert isfinite(figure.ours)
        assert (figure.baseline is None) == (not figure.against)
        assert figure.aim is None or figure.ok is not None
    assert len({figure.measure for figure in figures}) == len(figures)


def test_events_are_of_a_real_size_and_leave_nothing_odd():
    parser = Parser(shapes.KEYS)
    bodies = [template.fill(7, 9) for _, template in objects.life()]
    assert 5000 < sum(map(len, bodies)) / len(bodies) < 6500
    job = parser.job(objects.job_template("Running").fill(7, 9))
    pod = parser.pod(objects.pod_template("running").fill(7, 9))
    assert job.oddities == ()
    assert pod.job_uid == job.uid
    assert pod.slot == job.slot


def test_a_ratio_above_one_is_better_whichever_way_is_better():
    assert Figure("m", 50.0, "a/s", 10.0, "b").ratio == 5
    assert Figure("m", 10.0, "ms", 50.0, "b", more_is_better=False).ratio == 5
    assert Figure("m", 10.0, "ms").ratio is None


@pytest.mark.parametrize(
    ("figure", "ok"),
    [
        (Figure("m", 10.0, "ms", more_is_better=False, aim=10.0), True),
        (Figure("m", 11.0, "ms", more_is_better=False, aim=10.0), False),
        (Figure("m", 11.0, "a/s", aim=10.0), True),
        (Figure("m", 11.0, "a/s", 10.0, "b", aim=2.0, aim_for="ratio"), False),
        (Figure("m", 20.0, "a/s", 10.0, "b", aim=2.0, aim_for="ratio"), True),
        (Figure("m", 20.0, "a/s"), None),
    ],
)
def test_an_aim_is_reached_or_not(figure, ok):
    assert figure.ok is ok


def test_measures_take_turns_and_their_median_counts():
    order, values = [], {"a": [1.0, 9.0, 2.0], "b": [4.0, 4.0, 7.0]}

    def take(name):
        order.append(name)
        return values[name].pop(0)

    assert in_turns(3, lambda: take("a"), lambda: take("b")) == (2.0, 4.0)
    assert order == ["a", "b"] * 3


def test_a_percentile_of_one_value_is_that_value():
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0


def test_json_says_all(monkeypatch, capsys):
    monkeypatch.setattr(
        command, "MEASURES", {"one": lambda _size, _progress: [Figure("m", 2.0, "s", 1.0, "b")]}
    )
    assert command.main(["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["one"][0]["ratio"] == 2.0
    assert told["machine"]["cores"] > 0


def test_a_missed_aim_is_no_error_and_a_broken_measure_is(monkeypatch, capsys):
    missed = Figure("slow thing", 1.0, "a/s", aim=2.0)
    monkeypatch.setattr(command, "MEASURES", {"missed": lambda _size, _progress: [missed]})
    assert command.main([]) == 0
    assert "not yet" in capsys.readouterr().out
    monkeypatch.setitem(command.MEASURES, "broken", lambda _size, _progress: 1 / 0)
    assert command.main([]) == 1
    shown = capsys.readouterr()
    assert "slow thing" in shown.out
    assert "ZeroDivisionError" in shown.err


def test_an_unknown_name_is_told_with_those_there_are(capsys):
    assert command.main(["nonsense"]) == 2
    assert "latency" in capsys.readouterr().err


def test_the_help_has_examples():
    told = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, check=True
    )
    assert "examples:" in told.stdout
    assert all(name in told.stdout for name in command.MEASURES)


def test_columns_are_aligned_without_a_terminal():
    lines = report._text([Figure("m", 1234.5, "a/s"), Figure("a longer name", 0.5, "ms", 1.0, "b")])
    assert len({line.index(unit) for line, unit in zip(lines, ("ours", "1 23", "0.5 "), strict=True)}) == 1
