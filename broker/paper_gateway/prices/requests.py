"""Bar sizes and durations as they stand on the wire, parsed or refused."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from ..types import Bar, GatewayError

Unit = Literal["S", "D", "W", "M", "Y"]
DAY_SIZE = "1 day"
WEEK_SIZE = "1 week"
MONTH_SIZE = "1 month"
INTRADAY_SECONDS = {
    "1 secs": 1,
    "5 secs": 5,
    "10 secs": 10,
    "15 secs": 15,
    "30 secs": 30,
    "1 min": 60,
    "2 mins": 120,
    "3 mins": 180,
    "5 mins": 300,
    "10 mins": 600,
    "15 mins": 900,
    "20 mins": 1200,
    "30 mins": 1800,
    "1 hour": 3600,
    "2 hours": 7200,
    "3 hours": 10800,
    "4 hours": 14400,
    "8 hours": 28800,
}
LONG_SIZES = (DAY_SIZE, WEEK_SIZE, MONTH_SIZE)
BAR_SIZES = (*INTRADAY_SECONDS, *LONG_SIZES)
_ALIASES = {
    "1W": WEEK_SIZE,
    "1w": WEEK_SIZE,
    "1D": DAY_SIZE,
    "1M": MONTH_SIZE,
    "1 sec": "1 secs",
    "1 mins": "1 min",
    "1 hours": "1 hour",
}
_DURATION = re.compile(r"([1-9][0-9]{0,7}) ([SDWMY])")
_LONGEST = {"S": 86400 * 366, "D": 36500, "W": 5200, "M": 1200, "Y": 100}
_DAYS_OF = {"D": 1, "W": 7, "M": 31, "Y": 366}

# How far back one request may reach, in seconds, by the longest bar it holds for.
_REACH = ((1, 2000), (5, 10_000), (15, 14_400), (30, 28_800), (60, 31 * 86400), (180, 92 * 86400), (1800, 366 * 86400))
_MOST_SECONDS = 86400
_MOST_DAYS = 365


@dataclass(frozen=True, slots=True)
class Duration:
    """How far back a request reaches: N seconds, sessions, weeks, months or years."""

    count: int
    unit: Unit

    @property
    def seconds(self) -> int:
        """Its length at most, in seconds."""
        return self.count if self.unit == "S" else self.count * _DAYS_OF[self.unit] * 86400

    def start(self, end: datetime) -> datetime:
        """The instant this far before `end`; sessions (D) count as calendar days here."""
        if self.unit == "S":
            return end - timedelta(seconds=self.count)
        if self.unit in "DW":
            return end - timedelta(days=self.count * (7 if self.unit == "W" else 1))
        return _months_before(end, self.count * (12 if self.unit == "Y" else 1))


def parse_bar_size(text: str) -> str:
    """The canonical name of a bar size; raises GatewayError 321."""
    name = _ALIASES.get(text.strip(), text.strip())
    if name in BAR_SIZES:
        return name
    known = ", ".join(BAR_SIZES)
    raise GatewayError(321, f"Error validating request.-'bD' : cause - bar size {text!r} is none of: {known}")


def parse_duration(text: str) -> Duration:
    """Raises GatewayError 321."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) > _LONGEST[match[2]]:
        cause = f"duration {text!r} is not a whole number, a space and one of S D W M Y"
        raise GatewayError(321, f"Error validating request.-'bE' : cause - {cause}")
    return Duration(int(match[1]), cast("Unit", match[2]))


def check_reach(bar_size: str, duration: str) -> None:
    """What one request of a client may ask for: raises GatewayError 321 for the units, 162 for the length."""
    size, span = parse_bar_size(bar_size), parse_duration(duration)
    if span.unit == "S" and span.count > _MOST_SECONDS:
        raise _too_long(f"{_MOST_SECONDS} seconds must be made in days")
    if span.unit == "D" and span.count > _MOST_DAYS:
        raise _too_long(f"{_MOST_DAYS} days must be made in years")
    most = _reach(size)
    if most is not None and span.seconds > most:
        text = f"Time length exceed max. {size} bars reach back {most} seconds at most, not {duration}"
        raise GatewayError(162, f"Historical Market Data Service error message:{text}")


def _too_long(rule: str) -> GatewayError:
    cause = f"Historical data requests for durations longer than {rule}."
    return GatewayError(321, f"Error validating request.-'bQ' : cause - {cause}")


def _reach(size: str) -> int | None:
    seconds = INTRADAY_SECONDS.get(size)
    if seconds is None:
        return None
    return next((most for up_to, most in _REACH if seconds <= up_to), None)


def no_data(what: str) -> GatewayError:
    """Error 162 as the historical data service words it."""
    return GatewayError(162, f"Historical Market Data Service error message:HMDS query returned no data: {what}")


def first_bar(bars: list[Bar], size: str, span: Duration, end: datetime) -> int:
    """Index of the first bar that `span` before `end` reaches; D counts sessions, for longer bars it counts days."""
    if span.unit == "D" and size == DAY_SIZE:
        return max(0, len(bars) - span.count)
    if span.unit == "D" and size in INTRADAY_SECONDS and bars:
        days = sorted({bar.day for bar in bars})[-span.count :]
        return bisect_left(bars, days[0], key=lambda bar: bar.day)
    return bisect_right(bars, span.start(end), key=lambda bar: bar.end)


def _months_before(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    if year < 1:
        return datetime.min.replace(tzinfo=moment.tzinfo)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
