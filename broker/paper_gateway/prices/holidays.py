"""Holidays by rule, exchange by exchange: days without a session, and days that close early."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from .calendar import ONE_DAY

SATURDAY, SUNDAY = 5, 6
MONDAY, THURSDAY, FRIDAY = 0, 3, 4

# Days on which New York stayed shut for a reason that no rule knows: storms and mourning.
_SHUT_IN_NEW_YORK = {
    date(2007, 1, 2),
    date(2012, 10, 29),
    date(2012, 10, 30),
    date(2018, 12, 5),
    date(2025, 1, 9),
}


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar."""
    golden = year % 19
    century, rest = divmod(year, 100)
    leap, common = divmod(century, 4)
    moon = (19 * golden + century - leap - (8 * century + 13) // 25 + 15) % 30
    quarter, left = divmod(rest, 4)
    weekday = (32 + 2 * common + 2 * quarter - moon - left) % 7
    shift = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def nth(year: int, month: int, weekday: int, number: int) -> date:
    """The `number`-th weekday of a month; -1 is the last."""
    if number < 0:
        last = date(year + month // 12, month % 12 + 1, 1) - ONE_DAY
        return last - (last.weekday() - weekday) % 7 * ONE_DAY
    first = date(year, month, 1)
    return first + ((weekday - first.weekday()) % 7 + 7 * (number - 1)) * ONE_DAY


def _nearest_weekday(day: date) -> date:
    """A holiday on Saturday is kept on Friday, one on Sunday on Monday."""
    return day + {SATURDAY: -1, SUNDAY: 1}.get(day.weekday(), 0) * ONE_DAY


def _next_weekdays(*days: date) -> set[date]:
    """Holidays of a weekend are kept on the first weekdays after it, one after the other."""
    kept: set[date] = set()
    for day in days:
        while day.weekday() >= SATURDAY or day in kept:
            day += ONE_DAY
        kept.add(day)
    return kept


@lru_cache(maxsize=128)
def new_york(year: int) -> frozenset[date]:
    """Weekdays of a year without a session at the New York Stock Exchange."""
    days = {nth(year, 1, MONDAY, 3), nth(year, 2, MONDAY, 3), easter(year) - 2 * ONE_DAY, nth(year, 5, MONDAY, -1)}
    days |= {nth(year, 9, MONDAY, 1), nth(year, 11, THURSDAY, 4)}
    days |= {_nearest_weekday(date(year, 7, 4)), _nearest_weekday(date(year, 12, 25))}
    if date(year, 1, 1).weekday() != SATURDAY:  # else it is not made up for: the year's books close on that Friday
        days.add(_nearest_weekday(date(year, 1, 1)))
    if year >= 2022:
        days.add(_nearest_weekday(date(year, 6, 19)))
    return frozenset(days | {day for day in _SHUT_IN_NEW_YORK if day.year == year})


@lru_cache(maxsize=128)
def new_york_early(year: int) -> frozenset[date]:
    """Sessions of a year that end at 13:00: around Independence Day, Thanksgiving and Christmas."""
    days = {date(year, 7, 3), nth(year, 11, THURSDAY, 4) + ONE_DAY, date(year, 12, 24)}
    return frozenset(day for day in days if day.weekday() < SATURDAY and day not in new_york(year))


@lru_cache(maxsize=128)
def futures_closed(year: int) -> frozenset[date]:
    """Trade dates without a session at the CME group's exchanges."""
    days = {_nearest_weekday(date(year, 12, 25)), easter(year) - 2 * ONE_DAY}
    if date(year, 1, 1).weekday() != SATURDAY:
        days.add(_nearest_weekday(date(year, 1, 1)))
    return frozenset(days)


@lru_cache(maxsize=128)
def frankfurt(year: int) -> frozenset[date]:
    """Days without a session at Xetra."""
    sunday = easter(year)
    fixed = {date(year, month, day) for month, day in ((1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31))}
    return frozenset(fixed | {sunday - 2 * ONE_DAY, sunday + ONE_DAY})


@lru_cache(maxsize=128)
def london(year: int) -> frozenset[date]:
    """Days without a session at the London Stock Exchange."""
    sunday = easter(year)
    moving = {sunday - 2 * ONE_DAY, sunday + ONE_DAY, nth(year, 5, MONDAY, 1), nth(year, 5, MONDAY, -1)}
    fixed = _next_weekdays(date(year, 1, 1)) | _next_weekdays(date(year, 12, 25), date(year, 12, 26))
    return frozenset(moving | fixed | {nth(year, 8, MONDAY, -1)})


@lru_cache(maxsize=128)
def toronto(year: int) -> frozenset[date]:
    """Days without a session at the Toronto Stock Exchange."""
    victoria = date(year, 5, 24)
    moving = {nth(year, 2, MONDAY, 3), easter(year) - 2 * ONE_DAY, victoria - victoria.weekday() * ONE_DAY}
    moving |= {nth(year, 8, MONDAY, 1), nth(year, 9, MONDAY, 1), nth(year, 10, MONDAY, 2)}
    fixed = _next_weekdays(date(year, 1, 1)) | _next_weekdays(date(year, 7, 1))
    return frozenset(moving | fixed | _next_weekdays(date(year, 12, 25), date(year, 12, 26)))


@lru_cache(maxsize=128)
def tokyo(year: int) -> frozenset[date]:
    """Days without a session at the Tokyo Stock Exchange; the equinoxes stand on their usual days."""
    new_year = {date(year, 1, day) for day in (1, 2, 3)} | {date(year, 12, 31)}
    moving = {nth(year, 1, MONDAY, 2), nth(year, 7, MONDAY, 3), nth(year, 9, MONDAY, 3), nth(year, 10, MONDAY, 2)}
    named = ((2, 11), (2, 23), (3, 20), (4, 29), (5, 3), (5, 4), (5, 5), (8, 11), (9, 23), (11, 3), (11, 23))
    return frozenset(new_year | moving | _next_weekdays(*(date(year, month, day) for month, day in named)))
