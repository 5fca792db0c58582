from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import heartbeat
from controller.core.contract import Status
from tests.core.builders import make_job, now, stamp


def live(name="run-1", observed=0, promised=None):
    notes = {Status.OBSERVED_AT: stamp(observed)}
    if promised is not None:
        notes[Status.HEARTBEAT_SECONDS] = promised
    return make_job(name, phase="Running", notes=notes)


def due(name="run-1", interval=60, observed=0, promised=None):
    """Seconds after noon at which the next heartbeat is due, for a run last seen at `observed`."""
    return observed + heartbeat.due_in(live(name, observed, promised), now(observed), interval)


@given(st.text(max_size=8), st.integers(5, 3600), st.integers(-9999, 9999))
def test_the_next_heartbeat_comes_half_an_interval_to_one_and_a_half_later(name, interval, observed):
    assert interval / 2 <= due(name, interval, observed) - observed < interval * 1.5


@given(st.text(max_size=8), st.integers(0, 9999))
def test_from_then_on_they_come_an_interval_apart(name, observed):
    first = due(name, 60, observed)
    second = due(name, 60, int(first))  # what is written has whole seconds
    assert second - first == pytest.approx(60, abs=1e-6)


@given(st.integers(0, 59))
def test_when_it_is_due_does_not_depend_on_when_one_asks(later):
    asked = later + heartbeat.due_in(live(), now(later), 60)
    assert asked == pytest.approx(due())


def test_runs_that_started_in_the_same_second_are_spread_over_the_interval():
    seconds = Counter(int(due(f"run-{number}")) for number in range(6000))
    assert len(seconds) == 60
    assert max(seconds.values()) < 150, "a hundred on average"


@pytest.mark.parametrize(
    ("promised", "interval", "most"),
    [
        pytest.param("60", 129, 90, id="a shorter one was promised"),
        pytest.param("129", 60, 90, id="it has become shorter"),
        pytest.param("soon", 60, 90, id="what cannot be read is no promise"),
        pytest.param("9" * 5000, 60, 90, id="nor what nobody would promise"),
        pytest.param("0", 60, 7.5, id="five seconds are the least"),
    ],
)
def test_what_hosts_were_told_is_kept(promised, interval, most):
    assert max(due(f"run-{number}", interval, promised=promised) for number in range(200)) <= most


def test_a_clock_that_was_set_back_does_not_silence_it():
    assert heartbeat.due_in(live(observed=3700), now(100), 60) == 0.0
    assert heartbeat.due_in(live(observed=100.9), now(100), 60) > 0, "a moment is no sign of that"
