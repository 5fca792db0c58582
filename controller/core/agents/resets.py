"""When a provider gives a quota back, as the words of an error tell it -> an instant.

Owns the reading of such texts. What is not certain is unknown: a time of day without its time zone, a day
without its time, an abbreviation that several zones share. Knows no clock: words like "in 5 minutes" count
from the moment that the caller names. The rules of time zones are data of the system, or of `tzdata`.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from controller.core.contract import LAST_SECOND, SECOND, instant

TEXT_MAX: Final = 4096
"""Characters that are searched: an error message is short, and what a log says may be hostile."""
LATEST: Final = 8 * 86_400 * SECOND
"""ns after `at`: the longest limit that is known is a week's; what is later was misread, or made up."""
_MINUTE: Final = 60 * SECOND

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

_OF_DAY: Final = re.compile(
    r"""
    \b(?:reset(?:s|ting)?|try\ again|retry|available(?:\ again)?) \s{1,3} (?:(?:at|on|after)\s{1,3})?
    (?: (?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.? \s{1,3}
        (?P<day>\d{1,2})(?:st|nd|rd|th)? (?:,?\s{1,3}(?P<year>20\d\d))? (?:,?\s{1,3}|,) (?:at\s{1,3})? )?
    (?P<hour>\d{1,2}) (?: :(?P<minute>\d\d) )? \s{0,2} (?P<half>[ap])?(?(half)\.?m\b\.?)
    \s{0,3} (?: \( (?P<zone>[A-Za-z][\w+/:-]{0,63}) \)
      | (?P<utc>(?:UTC|GMT)(?:[+-]\d{1,2}(?::?\d\d)?)?|Z)(?![\w+:-]) )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_AMOUNT: Final = r"(\d{1,6})\s{0,2}(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b"
_LATER: Final = re.compile(
    rf"\b(?:reset(?:s|ting)?|try\ again|retry|retrying|wait|available(?:\ again)?)"
    rf"(?:\ (?:in|after|for|another)){{0,2}}\ (?=\d)((?:{_AMOUNT}[\s,]{{0,2}}(?:and\ )?){{1,4}})",
    re.IGNORECASE | re.ASCII,
)
_PART: Final = re.compile(_AMOUNT, re.IGNORECASE | re.ASCII)
_HEADER: Final = re.compile(
    r"\bretry[-_ ]after(?:[-_ ]seconds?)?[\"']?\s{0,2}[:=]\s{0,2}[\"']?(\d{1,7})\b", re.IGNORECASE
)
_EPOCH: Final = re.compile(
    r"(?:\||\breset(?:s|_at|sAt)?[\"']?\s{0,2}[:=]\s{0,2})(\d{10}|\d{13})(?!\d)", re.IGNORECASE
)
_ISO: Final = re.compile(r"\b(20\d\d-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))")
_OFFSET: Final = re.compile(r"(?:UTC|GMT)(?:([+-])(\d{1,2})(?::?(\d\d))?)?|Z", re.IGNORECASE | re.ASCII)


def told(text: str, at: int) -> int | None:
    """The instant (ns, a whole second) before which a retry is in vain, as `text`, said at `at` (ns), tells.

    None: it does not say, or not for certain. Never before `at`, never more than LATEST after it.
    """
    if not 0 <= at <= LAST_SECOND * SECOND - 2 * LATEST:
        return None  # no clock shows that, and no calendar has the days after it
    for read in _READINGS:
        for found in read(text[:TEXT_MAX], at):
            if (until := _believable(found, at)) is not None:
                return until
    return None


def _believable(found: int, at: int) -> int | None:
    """Told to the minute: the minute that has just begun is now."""
    if not at - _MINUTE < found <= at + LATEST - SECOND:
        return None
    return -(-max(found, at) // SECOND) * SECOND


def _epochs(text: str, _at: int) -> Iterator[int]:
    for found in _EPOCH.finditer(text):
        yield int(found[1]) * (SECOND if len(found[1]) == 10 else SECOND // 1000)


def _isos(text: str, _at: int) -> Iterator[int]:
    for found in _ISO.finditer(text):
        if (said := instant(found[1])) is not None:
            yield said


def _headers(text: str, at: int) -> Iterator[int]:
    for found in _HEADER.finditer(text):
        yield at + int(found[1]) * SECOND


def _laters(text: str, at: int) -> Iterator[int]:
    for found in _LATER.finditer(text):
        parts = (int(amount) * _UNITS[unit[0].lower()] for amount, unit in _PART.findall(found[1]))
        yield at + sum(parts) * SECOND


def _times_of_day(text: str, at: int) -> Iterator[int]:
    for found in _OF_DAY.finditer(text):
        zone, clock = _zone(found["zone"] or found["utc"]), _clock(found)
        if zone is not None and clock is not None:
            yield from _moments(found, clock, zone, at)


def _clock(found: re.Match[str]) -> tuple[int, int] | None:
    """Hour and minute. A bare number is no time of day."""
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), (found["half"] or "").lower()
    if minute > 59 or not (half or found["minute"]):
        return None
    if not half:
        return (hour, minute) if hour < 24 else None
    if not 1 <= hour <= 12:
        return None
    return hour % 12 + (12 if half == "p" else 0), minute


def _zone(name: str) -> tzinfo | None:
    """A zone by its name in the IANA database, or by its distance from UTC; no abbreviation is certain."""
    if (offset := _OFFSET.fullmatch(name)) is not None:
        minutes = int(offset[2] or 0) * 60 + int(offset[3] or 0)
        return (
            timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes)) if minutes < 1440 else None
        )
    if "/" not in name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _moments(found: re.Match[str], clock: tuple[int, int], zone: tzinfo, at: int) -> Iterator[int]:
    """When clocks there show this. An hour that is shown twice has two moments, a skipped one the later."""
    here = datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone)
    for day in _days(found, here):
        for fold in (0, 1):
            shown = datetime(day.year, day.month, day.day, *clock, tzinfo=zone, fold=fold)
            yield int(shown.timestamp()) * SECOND


def _days(found: re.Match[str], here: datetime) -> Iterator[datetime]:
    if not found["month"]:
        yield here
        yield here + timedelta(days=1)
        return
    month, day = _MONTHS.index(found["month"].lower()) + 1, int(found["day"])
    years = (int(found["year"]),) if found["year"] else (here.year, here.year + 1)
    for year in years:
        try:
            yield datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            continue


_READINGS: Final[tuple[Callable[[str, int], Iterator[int]], ...]] = (
    _epochs,
    _isos,
    _times_of_day,
    _headers,
    _laters,
)
"""The most exact first."""
