"""Market calendars: the regular session and the whole trading time of a day, for every kind of hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ..types import HoursKind, SessionHours
from . import holidays
from .calendar import ONE_DAY

Holidays = Callable[[int], frozenset[date]]


def _none(year: int) -> frozenset[date]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class _Span:
    """Opening and closing time of day, and the closing time of a day that ends early; `eve`: opens the day before."""

    open: time
    close: time
    early_close: time
    eve: bool = False


@dataclass(frozen=True, slots=True)
class _Calendar:
    """One market: `regular` and `trading` in its own time zone; without sessions at weekends and on `closed` days."""

    zone: ZoneInfo
    regular: _Span
    trading: _Span
    closed: Holidays
    early: Holidays = _none
    weekends: bool = False

    def on(self, day: date, span: _Span) -> SessionHours:
        if not self.weekends and (day.weekday() >= holidays.SATURDAY or day in self.closed(day.year)):
            return SessionHours(day, None, None)
        close = span.early_close if day in self.early(day.year) else span.close
        end = day + ONE_DAY if close == time.min else day
        return SessionHours(day, self._at(day - ONE_DAY if span.eve else day, span.open), self._at(end, close))

    def _at(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone).astimezone(UTC)


def _all_day(open_at: time, close_at: time) -> _Span:
    return _Span(open_at, close_at, close_at)


def _futures_early(year: int) -> frozenset[date]:
    """Futures stop at 13:00 Eastern on stock exchange holidays that they trade through, and the days before them."""
    return holidays.new_york(year) | holidays.new_york_early(year)


_EASTERN = ZoneInfo("US/Eastern")
_XETRA = _all_day(time(9), time(17, 30))
_TORONTO = _all_day(time(9, 30), time(16))
_TOKYO = _all_day(time(9), time(15))
_CALENDARS: dict[HoursKind, _Calendar] = {
    "us_equity": _Calendar(
        _EASTERN,
        _Span(time(9, 30), time(16), time(13)),
        _Span(time(4), time(20), time(17)),
        holidays.new_york,
        holidays.new_york_early,
    ),
    "cme": _Calendar(
        _EASTERN,
        _Span(time(9, 30), time(17), time(13)),
        _Span(time(18), time(17), time(13), eve=True),
        holidays.futures_closed,
        _futures_early,
    ),
    "forex": _Calendar(
        _EASTERN,
        _Span(time(17, 15), time(17), time(17), eve=True),
        _Span(time(17, 15), time(17), time(17), eve=True),
        lambda year: frozenset({date(year, 1, 1), date(year, 12, 25)}),
    ),
    "always": _Calendar(_EASTERN, _all_day(time.min, time.min), _all_day(time.min, time.min), _none, weekends=True),
    "xetra": _Calendar(ZoneInfo("Europe/Berlin"), _XETRA, _XETRA, holidays.frankfurt),
    "london": _Calendar(
        ZoneInfo("Europe/London"),
        _Span(time(8), time(16, 30), time(12, 30)),
        _Span(time(7, 50), time(16, 35), time(12, 35)),
        holidays.london,
        lambda year: frozenset({date(year, 12, 24), date(year, 12, 31)}),
    ),
    "toronto": _Calendar(ZoneInfo("America/Toronto"), _TORONTO, _TORONTO, holidays.toronto),
    "tokyo": _Calendar(ZoneInfo("Asia/Tokyo"), _TOKYO, _TOKYO, holidays.tokyo),
}


@lru_cache(maxsize=65536)
def sessions(kind: HoursKind, day: date) -> SessionHours:
    """The regular (liquid) session of a trade date; open and close are None where there is none."""
    calendar = _CALENDARS[kind]
    return calendar.on(day, calendar.regular)


@lru_cache(maxsize=65536)
def trading(kind: HoursKind, day: date) -> SessionHours:
    """All of a trade date's trading, outside the regular session too; some markets open on the evening before."""
    calendar = _CALENDARS[kind]
    return calendar.on(day, calendar.trading)


def zone_name(kind: HoursKind) -> str:
    """The time zone in which the market's day is counted."""
    return _CALENDARS[kind].zone.key


def is_trading_day(kind: HoursKind, day: date) -> bool:
    """Whether the trade date has a regular session."""
    return sessions(kind, day).open is not None


def trading_day(kind: HoursKind, day: date, steps: int) -> date:
    """The trade date `steps` sessions before (negative) or after `day`; 0 is the last one on or before it."""
    while not is_trading_day(kind, day):
        day -= ONE_DAY
    step = ONE_DAY if steps > 0 else -ONE_DAY
    for _ in range(abs(steps)):
        day += step
        while not is_trading_day(kind, day):
            day += step
    return day


def is_open(session: SessionHours, moment: datetime) -> bool:
    """Whether a moment lies in the session."""
    return session.open is not None and session.close is not None and session.open <= moment < session.close


def fridays(first: date, count: int) -> list[date]:
    """`count` Fridays from `first` on."""
    start = first + (holidays.FRIDAY - first.weekday()) % 7 * ONE_DAY
    return [start + timedelta(weeks=week) for week in range(count)]
