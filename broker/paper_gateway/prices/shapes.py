"""When a seeded market trades: its session days, the edges of each, and the session that an instant belongs to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Literal, NamedTuple

from ..types import HoursKind, SessionHours
from . import hours
from .calendar import ONE_DAY, eastern_day, epoch, instant, midnight
from .seeded_path import FIRST_DAY, LAST_DAY

HoursMode = Literal["always", "exchange"]
_LONGEST_PAUSE = 15  # days


class DayShape(NamedTuple):
    """The edges of a session day in epoch seconds; regular hours lie within those of all trading."""

    open: int
    regular_open: int
    regular_close: int
    close: int

    def hours(self, *, regular: bool) -> tuple[int, int]:
        """Open and close of the regular hours, or of all trading."""
        return (self.regular_open, self.regular_close) if regular else (self.open, self.close)


class Sessions:
    """The session days of one kind of market; `shape_of` says None for a day without one."""

    def __init__(self, shape_of: Callable[[date], DayShape | None], *, round_the_clock: bool) -> None:
        self._shape_of = shape_of
        self._shapes: dict[date, DayShape | None] = {}
        self.round_the_clock = round_the_clock

    def shape(self, day: date) -> DayShape | None:
        """The edges of a day, None where it has no session."""
        if day not in self._shapes:
            self._shapes[day] = self._shape_of(day)
        return self._shapes[day]

    def known(self, day: date) -> DayShape:
        """The edges of a day that has a session."""
        shape = self.shape(day)
        if shape is None:
            raise LookupError(f"there is no session on {day}")
        return shape

    def day_at(self, second: int) -> date:
        """The day of the session that has begun last."""
        today = eastern_day(instant(second))
        if self.round_the_clock:
            return today
        for back in range(-1, _LONGEST_PAUSE):
            shape = self.shape(today - back * ONE_DAY)
            if shape is not None and shape.open <= second:
                return today - back * ONE_DAY
        raise LookupError(f"no session within {_LONGEST_PAUSE} days before {today}")

    def back(self, day: date, count: int) -> date:
        """The session day `count` sessions before `day`, not before the first day of the market."""
        if self.round_the_clock:
            return day - min(count, day.toordinal() - 1) * ONE_DAY
        while count > 0 and day > FIRST_DAY:
            day -= ONE_DAY
            count -= self.shape(day) is not None
        return day

    def last_closed(self, second: int, *, regular: bool) -> date:
        """The newest session day whose hours have ended."""
        day = self.day_at(second)
        return day if self.known(day).hours(regular=regular)[1] <= second else self.back(day, 1)

    def between(self, first: date, last: date) -> list[date]:
        """The session days from `first` to `last` within those of the market."""
        first, last = max(first, FIRST_DAY), min(last, LAST_DAY)
        days = map(date.fromordinal, range(first.toordinal(), last.toordinal() + 1))
        return list(days) if self.round_the_clock else [day for day in days if self.shape(day) is not None]

    def is_open(self, second: int) -> bool:
        """Whether there is trading at this second."""
        return self.round_the_clock or second < self.known(self.day_at(second)).close

    def anchor(self, second: int, *, regular: bool) -> int:
        """The second itself while the hours last, else the end of the last ones."""
        if self.round_the_clock:
            return second
        shape = self.known(self.last_closed(second, regular=regular))
        begun = self.known(self.day_at(second)).hours(regular=regular)
        return second if begun[0] < second < begun[1] else shape.hours(regular=regular)[1]


def session_hours(sessions: Sessions, day: date, *, regular: bool) -> SessionHours:
    """The hours of one day as the exchange shows them."""
    shape = sessions.shape(day)
    if shape is None:
        return SessionHours(day, None, None)
    return SessionHours(day, *map(instant, shape.hours(regular=regular)))


@cache
def sessions_of(mode: HoursMode, kind: HoursKind) -> Sessions:
    """The sessions of a market that follows its exchange's calendar, or that trades from midnight to midnight."""
    if mode == "always":
        return Sessions(_whole_day, round_the_clock=True)
    return Sessions(lambda day: _calendar_day(kind, day), round_the_clock=False)


def _whole_day(day: date) -> DayShape:
    begin, end = midnight(day), midnight(day + ONE_DAY)
    return DayShape(begin, begin, end, end)


def _calendar_day(kind: HoursKind, day: date) -> DayShape | None:
    regular, trading = hours.sessions(kind, day), hours.trading(kind, day)
    if regular.open is None or regular.close is None or trading.open is None or trading.close is None:
        return None
    return DayShape(*map(epoch, (trading.open, regular.open, regular.close, trading.close)))
