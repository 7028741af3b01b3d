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
INTRADAY_SECONDS = {
    "1 min": 60,
    "5 mins": 300,
    "15 mins": 900,
    "30 mins": 1800,
    "1 hour": 3600,
    "4 hours": 14400,
}
_ALIASES = {"1W": WEEK_SIZE, "1w": WEEK_SIZE, "1D": DAY_SIZE}
_DURATION = re.compile(r"([1-9][0-9]{0,7}) ([SDWMY])")
_LONGEST = {"S": 86400 * 366, "D": 36500, "W": 5200, "M": 1200, "Y": 100}


@dataclass(frozen=True, slots=True)
class Duration:
    """How far back a request reaches: N seconds, sessions, weeks, months or years."""

    count: int
    unit: Unit

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
    if name in INTRADAY_SECONDS or name in (DAY_SIZE, WEEK_SIZE):
        return name
    known = ", ".join([*INTRADAY_SECONDS, DAY_SIZE, WEEK_SIZE])
    raise GatewayError(321, f"Error validating request.-'bD' : cause - bar size {text!r} is none of: {known}")


def parse_duration(text: str) -> Duration:
    """Raises GatewayError 321."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) > _LONGEST[match[2]]:
        cause = f"duration {text!r} is not a whole number, a space and one of S D W M Y"
        raise GatewayError(321, f"Error validating request.-'bE' : cause - {cause}")
    return Duration(int(match[1]), cast("Unit", match[2]))


def no_data(what: str) -> GatewayError:
    """Error 162 as the historical data service words it."""
    return GatewayError(162, f"Historical Market Data Service error message:HMDS query returned no data: {what}")


def first_bar(bars: list[Bar], size: str, span: Duration, end: datetime) -> int:
    """Index of the first bar that `span` before `end` reaches; D counts sessions, for weeks it counts days."""
    if span.unit == "D" and size == DAY_SIZE:
        return max(0, len(bars) - span.count)
    if span.unit == "D" and size != WEEK_SIZE and bars:
        days = sorted({bar.day for bar in bars})[-span.count :]
        return bisect_left(bars, days[0], key=lambda bar: bar.day)
    return bisect_right(bars, span.start(end), key=lambda bar: bar.end)


def _months_before(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    if year < 1:
        return datetime.min.replace(tzinfo=moment.tzinfo)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
