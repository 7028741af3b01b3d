"""A seeded market, round the clock or in its exchanges' hours: the same seed gives the same prices on every machine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from ..types import Bar, SessionHours
from .calendar import ONE_DAY, eastern_day, epoch, instant, monday_of
from .columns import Columns, long_keys
from .requests import (
    DAY_SIZE,
    INTRADAY_SECONDS,
    LONG_SIZES,
    MONTH_SIZE,
    WEEK_SIZE,
    Duration,
    first_bar,
    no_data,
    parse_bar_size,
    parse_duration,
)
from .seeded_path import FIRST_DAY, LAST_DAY, Start
from .seeded_tape import MINUTE, DayCache, SeededTape, SoFar, sliced, within_market
from .shapes import HoursMode, session_hours, sessions_of
from .source import PathBar, Snapshot, Split

_QUIET_SHARE = 0.05  # of the regular volume a minute


class SeededMarket:
    """Every market it is given a start for, each with sessions by `hours`."""

    def __init__(self, seed: int, start_of: Callable[[str], Start | None], hours: HoursMode = "always") -> None:
        self._seed = seed
        self._start_of = start_of
        self._hours = hours
        self._tapes: dict[str, SeededTape] = {}
        self._kept = DayCache()

    def has(self, symbol: str) -> bool:
        return self._start_of(symbol) is not None

    def session(self, symbol: str, day: date) -> SessionHours:
        return self._session(symbol, day, regular=True)

    def trading(self, symbol: str, day: date) -> SessionHours:
        return self._session(symbol, day, regular=False)

    def _session(self, symbol: str, day: date, *, regular: bool) -> SessionHours:
        start = self._start_of(symbol)
        sessions = sessions_of(self._hours, start.hours if start else "us_equity")
        return session_hours(sessions, day, regular=regular)

    def is_open(self, symbol: str, moment: datetime) -> bool:
        return self._tape(symbol).sessions.is_open(epoch(moment))

    def bars(
        self,
        symbol: str,
        *,
        bar_size: str,
        duration: str,
        end: datetime,
        now: datetime,
        live: bool,
        use_rth: bool = True,
    ) -> Sequence[Bar]:
        size, span = parse_bar_size(bar_size), parse_duration(duration)
        until = min(end, now)
        tape = self._tape(symbol)
        found: list[Bar] = []
        if within_market(eastern_day(until)):
            found = _bars(tape, size, span, until, live=live and until == now, regular=use_rth)
        if not found:
            raise no_data(f"{symbol} {bar_size} {duration} to {end.isoformat()}")
        return found

    def seconds(self, symbol: str, after: datetime, until: datetime, *, use_rth: bool = False) -> Columns:
        tape = self._tape(symbol)
        if not (within_market(eastern_day(after)) and within_market(eastern_day(until))):
            raise no_data(f"{symbol} has no seconds at {after.isoformat()}")
        return tape.seconds(epoch(after), epoch(until), regular=use_rth)

    def snapshot(self, symbol: str, now: datetime) -> Snapshot | None:
        if not self.has(symbol) or not within_market(eastern_day(now)):
            return None
        tape, until = self._tape(symbol), epoch(now)
        sessions = tape.sessions
        today = sessions.day_at(until)
        before = tape.day_before(today)
        so_far = tape.so_far(today, until)
        per_minute = before.volume * MINUTE / (before.end - before.start).total_seconds()
        if not sessions.round_the_clock:
            shape = sessions.known(today)
            now = min(now, instant(shape.close))
            if not shape.regular_open <= until < shape.regular_close:
                per_minute *= _QUIET_SHARE
        if so_far is None:
            so_far, before = _as_so_far(before), tape.day_before(before.day)
        return _day_snapshot(now, so_far, before.close, per_minute)

    def path_bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[PathBar]:
        """Hourly bars, cut where regular hours begin and end."""
        tape = self._tape(symbol)
        days = tape.sessions.between(eastern_day(after), eastern_day(until) + ONE_DAY)
        last = epoch(until)
        bars = [
            bar
            for day in days
            if tape.sessions.known(day).open < last
            for bar in tape.path_bars(day)
            if bar.end > after and bar.start < until
        ]
        return [_path_bar(symbol, bar) for bar in bars]

    def splits(self, symbol: str) -> Sequence[Split]:
        return ()

    def price_at(self, symbol: str, moment: datetime) -> Decimal:
        tape = self._tape(symbol)
        return tape.price_at(epoch(moment)) * tape.unit

    def points(self, symbol: str, after: datetime, until: datetime) -> Sequence[tuple[int, Decimal]]:
        tape = self._tape(symbol)
        return [(at, price * tape.unit) for at, price in tape.corners(epoch(after), epoch(until))]

    def _tape(self, symbol: str) -> SeededTape:
        if symbol not in self._tapes:
            start = self._start_of(symbol)
            if start is None:
                raise no_data(f"{symbol} is not in the seeded market")
            sessions = sessions_of(self._hours, start.hours)
            self._tapes[symbol] = SeededTape(symbol, self._seed, start, sessions, self._kept)
        return self._tapes[symbol]


def _bars(tape: SeededTape, size: str, span: Duration, until: datetime, *, live: bool, regular: bool) -> list[Bar]:
    if size in INTRADAY_SECONDS and INTRADAY_SECONDS[size] < MINUTE:
        return _second_bars(tape, size, span, until, live=live, regular=regular)
    first, last = _day_range(tape, size, span, until, regular=regular)
    if last < first:
        return []
    if size in (WEEK_SIZE, MONTH_SIZE):
        return _long_bars(tape, size, first, last, until if live else None, regular=regular)
    if size == DAY_SIZE:
        bars = tape.daily_bars(first, last, regular=regular)
    else:
        bars = _slices(tape, size, span, first, until, regular=regular)
    if not live:
        return bars
    found = [*bars, *_in_progress(tape, size, until, regular=regular)]
    return found[first_bar(found, size, span, until) :] if span.unit == "D" else found


def _day_range(tape: SeededTape, size: str, span: Duration, until: datetime, *, regular: bool) -> tuple[date, date]:
    """The first and last closed day that a request touches; for weeks from a Monday, for months from the 1st on."""
    second = epoch(until)
    last = tape.sessions.last_closed(second, regular=regular)
    if span.unit == "D" and size not in (WEEK_SIZE, MONTH_SIZE):
        first = tape.sessions.back(last, span.count - 1)
    else:
        first = eastern_day(span.start(instant(tape.sessions.anchor(second, regular=regular))))
    if size == WEEK_SIZE:
        first = monday_of(first)
    elif size == MONTH_SIZE:
        first = first.replace(day=1)
    elif size not in LONG_SIZES:
        last = tape.sessions.day_at(second)
    return max(first, FIRST_DAY), min(last, LAST_DAY)


def _long_bars(
    tape: SeededTape, size: str, first: date, last: date, now: datetime | None, *, regular: bool
) -> list[Bar]:
    """Weeks or months; the one in progress as far as its days have closed, with a running clock up to now."""
    days = tape.daily(first, last, regular=regular)
    if now is not None and not _has_ended(tape, now, regular=regular):
        begun = tape.begun(epoch(now), regular=regular)
        days = days.joined(begun.grouped(begun.day))
    return days.grouped(long_keys(size, days.day)).bars()


def _slices(tape: SeededTape, size: str, span: Duration, first: date, until: datetime, *, regular: bool) -> list[Bar]:
    """The closed bars of one intraday size."""
    second = epoch(until)
    days = tape.sessions.between(first, tape.sessions.day_at(second))
    bars = [bar for day in days for bar in tape.intraday_bars(size, day, regular=regular)]
    bars = bars[: bisect_right(bars, until, key=lambda bar: bar.end)]
    return bars[first_bar(bars, size, span, instant(tape.sessions.anchor(second, regular=regular))) :]


def _second_bars(
    tape: SeededTape, size: str, span: Duration, until: datetime, *, live: bool, regular: bool
) -> list[Bar]:
    """Bars shorter than a minute; the one in progress is cut at `until` or, unless `live`, left out."""
    seconds, second = INTRADAY_SECONDS[size], epoch(until)
    if span.unit == "D":
        first_day = tape.sessions.back(tape.sessions.last_closed(second, regular=regular), span.count - 1)
        after = tape.sessions.known(max(first_day, FIRST_DAY)).hours(regular=regular)[0]
    else:
        after = epoch(span.start(instant(tape.sessions.anchor(second, regular=regular))))
    drawn = tape.seconds(after // seconds * seconds, second if live else second // seconds * seconds, regular=regular)
    bars = drawn.grouped(drawn.start // seconds).bars()
    return bars[first_bar(bars, size, span, instant(tape.sessions.anchor(second, regular=regular))) :]


def _in_progress(tape: SeededTape, size: str, now: datetime, *, regular: bool) -> list[Bar]:
    if _has_ended(tape, now, regular=regular):
        return []
    begun = tape.begun(epoch(now), regular=regular)
    if size == DAY_SIZE:
        return begun.grouped(begun.day).bars()
    if not len(begun):
        return []
    bar_starts = sliced(tape.hours(tape.sessions.day_at(epoch(now)), regular=regular), size).start
    current = int(bar_starts[np.searchsorted(bar_starts, epoch(now), side="right") - 1])
    part = begun.part(int(np.searchsorted(begun.start, current)), len(begun))
    return part.grouped(part.day).bars()


def _has_ended(tape: SeededTape, now: datetime, *, regular: bool) -> bool:
    day = tape.sessions.day_at(epoch(now))
    return tape.sessions.known(day).hours(regular=regular)[1] <= epoch(now)


def _as_so_far(bar: Bar) -> SoFar:
    return SoFar(bar.open, bar.high, bar.low, bar.close, bar.volume)


def _day_snapshot(now: datetime, day: SoFar, prior_close: float, minute_volume: float) -> Snapshot:
    return Snapshot(now, day.close, day.open, day.high, day.low, day.volume, prior_close, minute_volume)


def _path_bar(symbol: str, bar: Bar) -> PathBar:
    return PathBar(symbol, epoch(bar.start), epoch(bar.end), bar.open, bar.high, bar.low, bar.close, bar.volume)
