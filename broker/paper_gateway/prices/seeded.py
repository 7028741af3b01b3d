"""A seeded market that trades around the clock: the same symbol and seed give the same prices on every machine."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from zlib import crc32

import numpy as np

from ..types import Bar, SessionHours
from .calendar import ONE_DAY, eastern_day, epoch, instant, midnight, monday_of
from .columns import Columns, bucket_keys, week_keys
from .requests import (
    DAY_SIZE,
    INTRADAY_SECONDS,
    WEEK_SIZE,
    Duration,
    first_bar,
    no_data,
    parse_bar_size,
    parse_duration,
)
from .seeded_path import FIRST_DAY, LAST_DAY, DailyPath, Start, daily_path, minute_path
from .source import PathBar, Snapshot, Split

_MINUTE = 60
_HOUR = 3600
_KEPT_DAYS = 64
_KEPT_INTRADAY_DAYS = 1500
_CENT = Decimal("0.01")


class SeededTape:
    """The path of one symbol; days are built when asked for and never change afterwards."""

    def __init__(self, symbol: str, seed: int, start: Start) -> None:
        self.symbol = symbol
        self._key = (seed, crc32(symbol.encode()))
        self._days: DailyPath = daily_path(self._key, start)
        self._minutes: OrderedDict[date, Columns] = OrderedDict()
        self._daily_bars: dict[date, Bar] = {}
        self._intraday_bars: dict[tuple[str, date], list[Bar]] = {}

    def daily(self, first: date, last: date) -> Columns:
        """Whole days first..last, prices in dollars."""
        index = slice((first - FIRST_DAY).days, (last - FIRST_DAY).days + 1)
        ordinals = np.arange(first.toordinal(), last.toordinal() + 1, dtype=np.int64)
        edges = np.array([midnight(date.fromordinal(o)) for o in [*ordinals.tolist(), last.toordinal() + 1]])
        path = self._days
        cents = (path.open, path.high, path.low, path.close)
        opens, highs, lows, closes = (column[index] / 100 for column in cents)
        volumes = path.volume[index].astype(np.float64)
        return Columns(edges[:-1], edges[1:], ordinals, opens, highs, lows, closes, volumes)

    def daily_bars(self, first: date, last: date) -> list[Bar]:
        missing = [day for day in _days(first, last) if day not in self._daily_bars]
        if missing:
            built = self.daily(missing[0], missing[-1]).bars()
            self._daily_bars.update((bar.day, bar) for bar in built)
        return [self._daily_bars[day] for day in _days(first, last)]

    def minutes(self, day: date) -> Columns:
        """The minute bars of one whole day."""
        if day in self._minutes:
            self._minutes.move_to_end(day)
            return self._minutes[day]
        built = minute_path(self._key, self._days, day)
        self._minutes[day] = built
        if len(self._minutes) > _KEPT_DAYS:
            self._minutes.popitem(last=False)
        return built

    def intraday_bars(self, bar_size: str, day: date) -> list[Bar]:
        key = (bar_size, day)
        if key in self._intraday_bars:
            return self._intraday_bars[key]
        bars = _intraday(self.minutes(day), bar_size).bars()
        if INTRADAY_SECONDS[bar_size] >= _HOUR:
            if len(self._intraday_bars) >= _KEPT_INTRADAY_DAYS:
                del self._intraday_bars[next(iter(self._intraday_bars))]
            self._intraday_bars[key] = bars
        return bars

    def so_far(self, now: datetime) -> Columns:
        """The minute bars of the day in progress, the last one cut at `now`."""
        day, until = eastern_day(now), epoch(now)
        minutes = self.minutes(day)
        whole = (until - int(minutes.start[0])) // _MINUTE
        if until == int(minutes.start[0]) + whole * _MINUTE:
            return minutes.part(0, whole)
        return minutes.part(0, whole).joined(_cut(minutes.part(whole, whole + 1), until))

    def price_at(self, until: int) -> int:
        """The price in cents at an epoch second."""
        day = eastern_day(instant(until))
        minutes = self.minutes(day)
        index = (until - int(minutes.start[0])) // _MINUTE
        return _minute_price(minutes, index, until - int(minutes.start[index]))

    def corners(self, after: int, until: int) -> list[tuple[int, int]]:
        """The corners of the path in (after, until]: every minute's open, two extremes and close."""
        points = []
        for day in _days(eastern_day(instant(after)), eastern_day(instant(until))):
            minutes = self.minutes(day)
            first = max(0, (after - int(minutes.start[0])) // _MINUTE)
            last = min(len(minutes), (until - int(minutes.start[0])) // _MINUTE + 1)
            for index in range(first, last):
                start = int(minutes.start[index])
                corners = zip((0, 20, 40, _MINUTE), _corners(minutes, index), strict=True)
                points += [(start + offset, price) for offset, price in corners if after < start + offset <= until]
        return [*points, (until, self.price_at(until))]


class SeededMarket:
    """Every symbol it is given a start for. A session is a calendar day in US/Eastern, 00:00 to 24:00."""

    def __init__(self, seed: int, start_of: Callable[[str], Start | None]) -> None:
        self._seed = seed
        self._start_of = start_of
        self._tapes: dict[str, SeededTape] = {}

    def has(self, symbol: str) -> bool:
        return self._start_of(symbol) is not None

    def session(self, symbol: str, day: date) -> SessionHours:
        return SessionHours(day, instant(midnight(day)), instant(midnight(day + ONE_DAY)))

    def bars(
        self, symbol: str, *, bar_size: str, duration: str, end: datetime, now: datetime, live: bool
    ) -> Sequence[Bar]:
        size, span = parse_bar_size(bar_size), parse_duration(duration)
        until = min(end, now)
        first, last = _day_range(size, span, until)
        if last < first:
            raise no_data(f"{symbol} {bar_size} {duration} to {end.isoformat()}")
        tape = self._tape(symbol)
        running = live and until == now
        if size == DAY_SIZE:
            bars = tape.daily_bars(first, last)
        elif size == WEEK_SIZE:
            bars = _weeks(tape, first, last, now if running else None)
        else:
            bars = _slices(tape, size, span, first, until)
        if running and size != WEEK_SIZE:
            bars = [*bars, *_in_progress(tape, size, now)]
        if not bars:
            raise no_data(f"{symbol} {bar_size} {duration} to {end.isoformat()}")
        return bars

    def snapshot(self, symbol: str, now: datetime) -> Snapshot | None:
        if not self.has(symbol):
            return None
        tape, today = self._tape(symbol), eastern_day(now)
        yesterday = tape.daily_bars(today - ONE_DAY, today - ONE_DAY)[0]
        so_far = tape.so_far(now)
        per_minute = yesterday.volume * _MINUTE / (yesterday.end - yesterday.start).total_seconds()
        if not len(so_far):
            day_before = tape.daily_bars(today - 2 * ONE_DAY, today - 2 * ONE_DAY)[0]
            return _day_snapshot(now, yesterday, day_before.close, per_minute)
        return _day_snapshot(now, so_far.grouped(so_far.day).bars()[0], yesterday.close, per_minute)

    def path_bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[PathBar]:
        """Hourly bars."""
        bars = [
            bar
            for day in _days(eastern_day(after), eastern_day(until))
            for bar in self._tape(symbol).intraday_bars("1 hour", day)
            if bar.end > after and bar.start < until
        ]
        return [_path_bar(symbol, bar) for bar in bars]

    def splits(self, symbol: str) -> Sequence[Split]:
        return ()

    def price_at(self, symbol: str, moment: datetime) -> Decimal:
        return self._tape(symbol).price_at(epoch(moment)) * _CENT

    def points(self, symbol: str, after: datetime, until: datetime) -> Sequence[tuple[int, Decimal]]:
        corners = self._tape(symbol).corners(epoch(after), epoch(until))
        return [(at, price * _CENT) for at, price in corners]

    def _tape(self, symbol: str) -> SeededTape:
        if symbol not in self._tapes:
            start = self._start_of(symbol)
            if start is None:
                raise no_data(f"{symbol} is not in the seeded market")
            self._tapes[symbol] = SeededTape(symbol, self._seed, start)
        return self._tapes[symbol]


def _days(first: date, last: date) -> list[date]:
    return [date.fromordinal(ordinal) for ordinal in range(first.toordinal(), last.toordinal() + 1)]


def _day_range(size: str, span: Duration, until: datetime) -> tuple[date, date]:
    """The first and last closed day that a request touches; for weeks from a Monday on."""
    last = eastern_day(until) - ONE_DAY
    if span.unit == "D" and size != WEEK_SIZE:
        first = date.fromordinal(max(1, last.toordinal() - span.count + 1))
    else:
        first = eastern_day(span.start(until))
    if size == WEEK_SIZE:
        first = monday_of(first)
    elif size != DAY_SIZE:
        last += ONE_DAY
    return max(first, FIRST_DAY), min(last, LAST_DAY)


def _weeks(tape: SeededTape, first: date, last: date, now: datetime | None) -> list[Bar]:
    days = tape.daily(first, last)
    if now is not None:
        so_far = tape.so_far(now)
        days = days.joined(so_far.grouped(so_far.day))
    return days.grouped(week_keys(days.day)).bars()


def _slices(tape: SeededTape, size: str, span: Duration, first: date, until: datetime) -> list[Bar]:
    """The closed bars of one intraday size."""
    bars = [bar for day in _days(first, eastern_day(until)) for bar in tape.intraday_bars(size, day)]
    bars = bars[: bisect_right(bars, until, key=lambda bar: bar.end)]
    return bars[first_bar(bars, size, span, until) :]


def _in_progress(tape: SeededTape, size: str, now: datetime) -> list[Bar]:
    so_far = tape.so_far(now)
    if size == DAY_SIZE:
        return so_far.grouped(so_far.day).bars()
    if not len(so_far):
        return []
    bar_starts = _intraday(tape.minutes(eastern_day(now)), size).start
    current = int(bar_starts[np.searchsorted(bar_starts, epoch(now), side="right") - 1])
    part = so_far.part(int(np.searchsorted(so_far.start, current)), len(so_far))
    return part.grouped(part.day).bars()


def _intraday(minutes: Columns, bar_size: str) -> Columns:
    start = np.full(len(minutes), minutes.start[0])
    return minutes.grouped(bucket_keys(minutes.start, start, INTRADAY_SECONDS[bar_size]))


def _corners(minutes: Columns, index: int) -> tuple[int, int, int, int]:
    """Open, first extreme, second extreme, close of one minute in cents: a rising minute dips first."""
    columns = (minutes.open, minutes.low, minutes.high, minutes.close)
    start, low, high, close = (round(column[index] * 100) for column in columns)
    return (start, low, high, close) if close >= start else (start, high, low, close)


def _minute_price(minutes: Columns, index: int, second: int) -> int:
    corners = _corners(minutes, index)
    leg, into = divmod(second, 20)
    return corners[leg] + round((corners[leg + 1] - corners[leg]) * into / 20)


def _cut(minute: Columns, until: int) -> Columns:
    """The first seconds of one minute bar, up to `until`."""
    seconds = until - int(minute.start[0])
    corners = _corners(minute, 0)
    seen = np.array([*corners[: seconds // 20 + 1], _minute_price(minute, 0, seconds)]) / 100
    volume = np.floor(minute.volume * seconds / _MINUTE)
    end = np.array([until], dtype=np.int64)
    prices = (minute.open, np.array([seen.max()]), np.array([seen.min()]), seen[-1:])
    return Columns(minute.start, end, minute.day, *prices, volume)


def _day_snapshot(now: datetime, day: Bar, prior_close: float, minute_volume: float) -> Snapshot:
    return Snapshot(now, day.close, day.open, day.high, day.low, day.volume, prior_close, minute_volume)


def _path_bar(symbol: str, bar: Bar) -> PathBar:
    return PathBar(symbol, epoch(bar.start), epoch(bar.end), bar.open, bar.high, bar.low, bar.close, bar.volume)
