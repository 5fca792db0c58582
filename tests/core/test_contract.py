import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.contract import RANK, SECOND, TERMINAL, Keys, Phase, clip, instant, rfc3339, sanitise
from tests.core.builders import NOON
from tests.core.strategies import instants


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        pytest.param("agent-1", "agent-1", id="a label stays as it is"),
        pytest.param("a/b c:ü", "abc", id="foreign characters are dropped"),
        pytest.param("--a.b_c--", "a.b_c", id="both ends are alphanumeric"),
        pytest.param("x" * 70, "x" * 63, id="cut to 63"),
        pytest.param("x" * 62 + "--y", "x" * 62, id="stripped after the cut"),
        pytest.param("/ü/", "", id="nothing may remain"),
        pytest.param("", "", id="empty stays empty"),
    ],
)
def test_sanitise(raw, want):
    assert sanitise(raw) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("2026-11-22T12:00:00Z", NOON * SECOND, id="whole seconds"),
        pytest.param("2026-11-22T12:00:00.000000001Z", NOON * SECOND + 1, id="nanoseconds"),
        pytest.param("2026-11-22T12:00:00.5Z", NOON * SECOND + SECOND // 2, id="a short fraction"),
        pytest.param("2026-11-22T12:00:00.1234567891Z", NOON * SECOND + 123456789, id="more than nanos"),
        pytest.param("2026-11-22T14:00:00+02:00", NOON * SECOND, id="another zone"),
        pytest.param("2026-11-22t12:00:00z", NOON * SECOND, id="small letters"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="the epoch"),
        pytest.param("1969-12-31T23:59:59.5Z", -SECOND // 2, id="before the epoch"),
        pytest.param("", None, id="empty"),
        pytest.param("2026-11-22", None, id="a date"),
        pytest.param("2026-11-22T12:00:00", None, id="no zone"),
        pytest.param("2026-13-22T12:00:00Z", None, id="no such month"),
        pytest.param("2026-11-22T12:00:00+99:00", None, id="no such zone"),
        pytest.param("0001-01-01T00:00:00+01:00", None, id="before the first year"),
        pytest.param("9999-12-31T23:59:59-01:00", None, id="after the last year"),
        pytest.param("2026-11-22T12:00:00Z\n", None, id="something behind it"),
    ],
)
def test_instant(text, want):
    assert instant(text) == want


@given(instants())
def test_an_instant_survives_rfc3339_to_the_second(at):
    assert instant(rfc3339(at)) == at // SECOND * SECOND


@pytest.mark.parametrize("at", [10**40, -(10**40), 253_402_300_800 * SECOND])
def test_an_instant_that_no_calendar_has_is_told_as_the_nearest_that_it_has(at):
    assert instant(rfc3339(at)) is not None


@pytest.mark.parametrize(
    ("text", "limit", "want"),
    [
        pytest.param("fine", 10, "fine", id="what fits stays"),
        pytest.param("a\nb\x00 \tc", 10, "a b c", id="one line without control characters"),
        pytest.param("x" * 11, 10, "x" * 7 + "…", id="what is too long says so"),
        pytest.param("ü" * 6, 10, "üüü…", id="never half a character"),
        pytest.param("\ud800", 10, "", id="no lone surrogate"),
    ],
)
def test_clip(text, limit, want):
    assert clip(text, limit) == want


@given(st.text(), st.integers(3, 64))
def test_a_clipped_text_fits(text, limit):
    assert len(clip(text, limit).encode()) <= limit


def test_every_phase_has_a_rank_and_only_terminal_ones_the_last():
    assert RANK.keys() == set(Phase)
    assert {phase for phase in Phase if RANK[phase] == max(RANK.values())} == TERMINAL


def test_keys_follow_the_domain():
    keys = Keys("example.org")
    assert (keys.agent_id, keys.status("phase")) == ("example.org/agent-id", "status.example.org/phase")
