"""US/Eastern days and instants, with daylight saving right, as epoch seconds and aware UTC datetimes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("US/Eastern")
REGULAR_OPEN = time(9, 30)
REGULAR_CLOSE = time(16, 0)
ONE_DAY = timedelta(days=1)


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970 UTC, rounded down."""
    return int(moment.timestamp() // 1)


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def eastern_day(moment: datetime) -> date:
    return moment.astimezone(EASTERN).date()


@lru_cache(maxsize=65536)
def eastern_epoch(day: date, at: time) -> int:
    """The epoch second of a wall-clock time of day in US/Eastern."""
    return epoch(datetime.combine(day, at, EASTERN))


def midnight(day: date) -> int:
    """The epoch second at which `day` begins in US/Eastern."""
    return eastern_epoch(day, time.min)


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())
