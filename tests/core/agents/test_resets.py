"""When a quota is given back, as an error's own words tell it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.agents import resets
from controller.core.contract import SECOND, instant, rfc3339

NOON = "2026-03-03T12:00:00Z"
DAY = 86_400 * SECOND
MOMENTS = st.integers(0, 4_000_000_000 * SECOND)


def told(text, at=NOON):
    until = resets.told(text, instant(at))
    return None if until is None else rfc3339(until)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("You've hit your limit · resets 4pm (Europe/Berlin)", "2026-03-03T15:00:00Z"),
        ("5-hour limit reached ∙ resets 4pm (UTC)", "2026-03-03T16:00:00Z"),
        ("You've hit your session limit · resets 12:55am (UTC)", "2026-03-04T00:55:00Z"),
        ("resets 12pm (America/New_York)", "2026-03-03T17:00:00Z"),
        ("resets 12am (America/New_York)", "2026-03-04T05:00:00Z"),
        ("resets at 3:30 AM (Asia/Kolkata)", "2026-03-03T22:00:00Z"),
        ("resets 16:30 (UTC)", "2026-03-03T16:30:00Z"),
        ("resets at 16:30 UTC", "2026-03-03T16:30:00Z"),
        ("Your limit will reset at 9am (UTC+2)", "2026-03-04T07:00:00Z"),
        ("resets 9am (GMT-05:30)", "2026-03-03T14:30:00Z"),
        ("Weekly limit reached · resets Mar 5 at 10am (UTC)", "2026-03-05T10:00:00Z"),
        ("resets March 9th, 10:30am (Europe/Berlin)", "2026-03-09T09:30:00Z"),
        ("resets Mar 5, 2026, 10am (UTC)", "2026-03-05T10:00:00Z"),
        ("Claude AI usage limit reached|1772550000", "2026-03-03T15:00:00Z"),
        ("Claude AI usage limit reached|1772550000000", "2026-03-03T15:00:00Z"),
        ('{"resetsAt": 1772550000}', "2026-03-03T15:00:00Z"),
        ("Quota is back at 2026-03-03T15:00:00.5+01:00.", "2026-03-03T14:00:01Z"),
        ("Please try again in 5 minutes.", "2026-03-03T12:05:00Z"),
        ("try again in 1h 30m", "2026-03-03T13:30:00Z"),
        ("resets in 3 hours and 20 minutes", "2026-03-03T15:20:00Z"),
        ("Please wait 20 seconds before you go on", "2026-03-03T12:00:20Z"),
        ("retry after 2 days", "2026-03-05T12:00:00Z"),
        ("429, Retry-After: 120", "2026-03-03T12:02:00Z"),
        ('"retry_after_seconds": "90"', "2026-03-03T12:01:30Z"),
    ],
)
def test_what_is_told_for_certain_is_understood(text, until):
    assert told(text) == until


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("Please try again in a moment", id="a moment"),
        pytest.param("You've hit your limit · resets 4pm", id="a time without its zone"),
        pytest.param("resets 4pm (CST)", id="a zone that three countries have"),
        pytest.param("resets 4pm (Mars/Olympus)", id="a zone that nobody has"),
        pytest.param("resets 4pm (America/)", id="half a zone"),
        pytest.param("resets 4pm (../../etc/passwd)", id="a file that is no zone"),
        pytest.param("resets 4pm (America/../../../etc/passwd)", id="another"),
        pytest.param("resets 4pm (UTC+99)", id="a distance that no zone has"),
        pytest.param("resets 4 (UTC)", id="a bare number"),
        pytest.param("resets 13pm (UTC)", id="a thirteenth hour"),
        pytest.param("resets 0am (UTC)", id="a zeroth hour"),
        pytest.param("resets 25:00 (UTC)", id="a twenty-fifth hour"),
        pytest.param("resets 4:60pm (UTC)", id="a sixtieth minute"),
        pytest.param("resets Mar 5", id="a day without its time"),
        pytest.param("resets Feb 30 at 10am (UTC)", id="a day that no year has"),
        pytest.param("resets Mar 2 at 10am (UTC)", id="a day that has passed"),
        pytest.param("resets Dec 1 at 10am (UTC)", id="months from now"),
        pytest.param("limit reached|1772449200", id="yesterday"),
        pytest.param("limit reached|9999999999", id="centuries from now"),
        pytest.param("limit reached|17725500001", id="a number that is no time"),
        pytest.param("try again in 900 hours", id="weeks from now"),
        pytest.param("try again in 999999 days", id="never"),
    ],
)
def test_what_is_not_certain_is_unknown(text):
    assert told(text) is None


def test_a_clock_that_is_put_forward_skips_the_hour_that_was_named():
    assert told("resets 2:30am (Europe/Berlin)", "2026-03-28T20:00:00Z") == "2026-03-29T01:30:00Z"
    assert told("resets 3:30am (Europe/Berlin)", "2026-03-28T20:00:00Z") == "2026-03-29T01:30:00Z"


def test_an_hour_that_clocks_show_twice_is_the_next_of_both():
    assert told("resets 2:30am (Europe/Berlin)", "2026-10-24T20:00:00Z") == "2026-10-25T00:30:00Z"
    assert told("resets 2:30am (Europe/Berlin)", "2026-10-25T00:45:00Z") == "2026-10-25T01:30:00Z"


def test_the_minute_that_has_just_begun_is_now_and_not_tomorrow():
    assert told("resets 12pm (UTC)", "2026-03-03T12:00:40.5Z") == "2026-03-03T12:00:41Z"
    assert told("resets 12pm (UTC)", "2026-03-03T12:01:00Z") == "2026-03-04T12:00:00Z"


def test_the_year_turns():
    assert told("resets Jan 2 at 10am (UTC)", "2026-12-30T12:00:00Z") == "2027-01-02T10:00:00Z"
    assert told("resets 1am (UTC)", "2026-12-31T23:00:00Z") == "2027-01-01T01:00:00Z"
    assert told("resets 1am (UTC)", "9999-12-31T23:00:00Z") is None


def test_a_time_that_can_be_believed_counts_more_than_an_exact_one_that_cannot():
    assert told("limit reached|1 · resets 4pm (UTC)") == "2026-03-03T16:00:00Z"


PHRASES = "resets |try again|in |at |Mar |Feb |5|31|4pm|12am|3:30| minutes| hours| days|99999| and |, |· |\n"
ZONES = " (UTC)| (Europe/Berlin)| (America/St_Johns)| (Africa/Casablanca)|retry-after: |2026-03-03T15:00:00Z"
WORDS = st.sampled_from([*PHRASES.split("|"), *ZONES.split("|"), "|1772550000"])


@given(st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=200), MOMENTS)
def test_it_is_never_before_the_claim_nor_long_after_it(text, at):
    until = resets.told(text, at)
    assert until is None or (at <= until <= at + resets.LATEST and until % SECOND == 0)


@given(
    MOMENTS.filter(lambda at: at < 2_000_000_000 * SECOND),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]),
)
def test_a_time_of_day_comes_within_two_days_and_is_what_clocks_show_then(at, hour, minute, zone):
    half = "am" if hour < 12 else "pm"
    until = resets.told(f"resets {hour % 12 or 12}:{minute:02}{half} ({zone})", at)
    assert until is not None
    assert at <= until <= at + 2 * DAY


@pytest.mark.parametrize(
    "word", ["resets ", "try again in 5 ", "resets Mar 5, ", "1 second ", "retry after ", "|1"]
)
def test_a_hostile_text_costs_little(word):
    assert resets.told(word * 100_000, 0) is None or word == "1 second "
