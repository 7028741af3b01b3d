"""One seeded market's prices: days, minutes and seconds of the same path, built when asked for and never changed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np

from ..types import Bar
from .calendar import eastern_day, instant, midnight
from .columns import Columns, Floats, Ints, bucket_keys
from .requests import INTRADAY_SECONDS
from .seeded_path import FIRST_DAY, LAST_DAY, DailyPath, Start, minute_path, quiet_path
from .shapes import DayShape, Sessions

MINUTE = 60
LEG = 20  # seconds; three straight legs make a minute
_HOUR = 3600
_PATH = "path"
FIRST_PRICES = FIRST_DAY + timedelta(days=10)  # the first day with enough of them before it
_KEPT_DAYS = 700  # of 130 kB each; a scan of all markets touches some 350
_KEPT_INTRADAY_DAYS = 1500


@dataclass(frozen=True, slots=True)
class DayMinutes:
    """The minute bars of one session day, and what was highest, lowest and traded up to the end of each."""

    columns: Columns
    high: Floats
    low: Floats
    volume: Floats


class SoFar(NamedTuple):
    """A session up to an instant, as one bar."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class DayCache:
    """The session days used last, over all markets."""

    def __init__(self, limit: int = _KEPT_DAYS) -> None:
        self._limit = limit
        self._days: OrderedDict[tuple[str, date], DayMinutes] = OrderedDict()

    def get(self, symbol: str, day: date) -> DayMinutes | None:
        """The minutes of a day, if they are kept."""
        if (symbol, day) not in self._days:
            return None
        self._days.move_to_end((symbol, day))
        return self._days[symbol, day]

    def put(self, symbol: str, day: date, minutes: DayMinutes) -> None:
        """Keep a day; the one not used for longest goes."""
        self._days[symbol, day] = minutes
        if len(self._days) > self._limit:
            self._days.popitem(last=False)


class SeededTape:
    """The path of one market."""

    def __init__(self, symbol: str, seed: int, start: Start, sessions: Sessions, kept: DayCache) -> None:
        self.symbol = symbol
        self.sessions = sessions
        self.units = start.units
        self.unit = start.unit
        self._key = (seed, crc32((start.path or symbol).encode()))
        self._days = DailyPath(self._key, start)
        self._kept = kept
        self._daily_bars: dict[tuple[bool, date], Bar] = {}
        self._intraday_bars: dict[tuple[str, bool, date], list[Bar]] = {}

    # Days

    def daily(self, first: date, last: date, *, regular: bool = True) -> Columns:
        """The session days from `first` to `last`: their regular hours, or all of their trading."""
        days = self.sessions.between(first, last)
        if not days:
            return self.minutes(self.sessions.back(last, 1)).columns.part(0, 0)
        if regular or self.sessions.round_the_clock:
            return self._rows(days)
        return _stacked([self._whole_day(day) for day in days])

    def _rows(self, days: list[date]) -> Columns:
        """Regular hours as the daily path has them."""
        ordinals = np.array([day.toordinal() for day in days], dtype=np.int64)
        index = ordinals - FIRST_DAY.toordinal()
        edges = [self.sessions.known(day) for day in days]
        starts = np.array([shape.regular_open for shape in edges], dtype=np.int64)
        ends = np.array([shape.regular_close for shape in edges], dtype=np.int64)
        path = self._days
        prices = (column[index] / self.units for column in (path.open, path.high, path.low, path.close))
        opens, highs, lows, closes = prices
        return Columns(starts, ends, ordinals, opens, highs, lows, closes, path.volume[index].astype(np.float64))

    def _whole_day(self, day: date) -> Columns:
        minutes = self.minutes(day).columns
        return minutes.grouped(minutes.day)

    def daily_bars(self, first: date, last: date, *, regular: bool = True) -> list[Bar]:
        days = self.sessions.between(first, last)
        missing = [day for day in days if (regular, day) not in self._daily_bars]
        if missing:
            built = self.daily(missing[0], missing[-1], regular=regular).bars()
            self._daily_bars.update(((regular, bar.day), bar) for bar in built)
        return [self._daily_bars[regular, day] for day in days]

    def day_before(self, day: date) -> Bar:
        """The regular session before that of `day`."""
        before = self.sessions.back(day, 1)
        return self.daily_bars(before, before)[0]

    # Minutes

    def minutes(self, day: date) -> DayMinutes:
        """The minute bars of one whole session day."""
        held = self._kept.get(self.symbol, day)
        if held is None:
            columns = self._built(day, self.sessions.known(day))
            held = DayMinutes(
                columns,
                np.maximum.accumulate(columns.high),
                np.minimum.accumulate(columns.low),
                np.cumsum(columns.volume),
            )
            self._kept.put(self.symbol, day, held)
        return held

    def _built(self, day: date, shape: DayShape) -> Columns:
        """Regular hours, with the quiet ones that lead to them and away from them."""
        regular = minute_path(self._key, self._days, day, shape.regular_open, shape.regular_close)
        index = (day - FIRST_DAY).days
        parts = [regular]
        if shape.open < shape.regular_open:
            before = (self.sessions.back(day, 1) - FIRST_DAY).days
            first, last = int(self._days.close[max(before, 0)]), int(self._days.open[index])
            quiet = quiet_path(self._key, self._days, day, shape.open, shape.regular_open, first=first, last=last)
            parts.insert(0, quiet)
        if shape.regular_close < shape.close:
            close = int(self._days.close[index])
            edges = (shape.regular_close, shape.close)
            parts.append(quiet_path(self._key, self._days, day, *edges, first=close, last=close))
        return _stacked(parts)

    def hours(self, day: date, *, regular: bool) -> Columns:
        """The minute bars of the regular hours of a day, or of all of it."""
        columns = self.minutes(day).columns
        if not regular or self.sessions.round_the_clock:
            return columns
        shape = self.sessions.known(day)
        begin = (shape.regular_open - shape.open) // MINUTE
        return columns.part(begin, begin + (shape.regular_close - shape.regular_open) // MINUTE)

    def intraday_bars(self, bar_size: str, day: date, *, regular: bool = False) -> list[Bar]:
        """All bars of one size, a minute or longer, of one session day."""
        key = (bar_size, regular, day)
        if key in self._intraday_bars:
            return self._intraday_bars[key]
        bars = sliced(self.hours(day, regular=regular), bar_size).bars()
        if INTRADAY_SECONDS[bar_size] >= _HOUR:
            self._keep(key, bars)
        return bars

    def path_bars(self, day: date) -> list[Bar]:
        """The hourly bars of a session day, none of them partly in regular hours."""
        if self.sessions.round_the_clock:
            return self.intraday_bars("1 hour", day)
        key = (_PATH, False, day)
        if key not in self._intraday_bars:
            columns, shape = self.minutes(day).columns, self.sessions.known(day)
            edges = [0, *((at - shape.open) // MINUTE for at in shape.hours(regular=True)), len(columns)]
            parts = [columns.part(first, last) for first, last in pairwise(edges)]
            self._keep(key, [bar for part in parts for bar in sliced(part, "1 hour").bars()])
        return self._intraday_bars[key]

    def _keep(self, key: tuple[str, bool, date], bars: list[Bar]) -> None:
        if len(self._intraday_bars) >= _KEPT_INTRADAY_DAYS:
            del self._intraday_bars[next(iter(self._intraday_bars))]
        self._intraday_bars[key] = bars

    def begun(self, until: int, *, regular: bool = False) -> Columns:
        """The minute bars so far of the session that `until` lies in, the last one cut there."""
        columns = self.hours(self.sessions.day_at(until), regular=regular)
        whole = (until - int(columns.start[0])) // MINUTE
        if whole < 0 or until == int(columns.start[0]) + whole * MINUTE or whole >= len(columns):
            return columns.part(0, max(0, whole))
        return columns.part(0, whole).joined(self._cut(columns.part(whole, whole + 1), until))

    # Instants

    def so_far(self, day: date, until: int) -> SoFar | None:
        """A session day up to `until`; None at its very first instant."""
        held = self.minutes(day)
        columns = held.columns
        whole, seconds = divmod(min(until, int(columns.end[-1])) - int(columns.start[0]), MINUTE)
        begin, last = float(columns.open[0]), whole - 1
        if not seconds:
            if not whole:
                return None
            high, low, volume = float(held.high[last]), float(held.low[last]), float(held.volume[last])
            return SoFar(begin, high, low, float(columns.close[last]), volume)
        seen = self._seen(columns, whole, seconds)
        high, low = max(seen), min(seen)
        volume = float(columns.volume[whole] * seconds // MINUTE)
        if whole:
            high, low = max(high, float(held.high[last])), min(low, float(held.low[last]))
            volume += float(held.volume[last])
        return SoFar(begin, high, low, seen[-1], volume)

    def price_at(self, until: int) -> int:
        """The price in units at an epoch second, of the last session where there is none then."""
        columns = self.minutes(self.sessions.day_at(until)).columns
        index, second = divmod(until - int(columns.start[0]), MINUTE)
        if index >= len(columns):
            return self._corners(columns, len(columns) - 1)[-1]
        return self._price_in(self._corners(columns, index), second)

    def corners(self, after: int, until: int) -> list[tuple[int, int]]:
        """The corners of the path in (after, until]: every minute's open, two extremes and close, and `until`."""
        points = []
        for day in self.days_touching(after, until):
            columns = self.minutes(day).columns
            first = max(0, (after - int(columns.start[0])) // MINUTE)
            last = min(len(columns), (until - int(columns.start[0])) // MINUTE + 1)
            for index in range(first, last):
                start = int(columns.start[index])
                corners = zip((0, LEG, 2 * LEG, MINUTE), self._corners(columns, index), strict=True)
                points += [(start + offset, price) for offset, price in corners if after < start + offset <= until]
        return [*points, (until, self.price_at(until))] if self.sessions.is_open(until) else points

    def days_touching(self, after: int, until: int) -> list[date]:
        """The session days with trading between the two instants."""
        first, last = self.sessions.day_at(after), self.sessions.day_at(until)
        return self.sessions.between(first, last)

    # Seconds

    def seconds(self, after: int, until: int, *, regular: bool = False) -> Columns:
        """The one-second bars that begin at or after `after` and end by `until`."""
        parts = [self._seconds_of(day, after, until, regular=regular) for day in self.days_touching(after, until)]
        return _stacked(parts)

    def _seconds_of(self, day: date, after: int, until: int, *, regular: bool) -> Columns:
        begin, end = self.sessions.known(day).hours(regular=regular)
        after, until = max(after, begin), min(until, end)
        origin = int(self.minutes(day).columns.start[0])
        first, last = (after - origin) // MINUTE, -((origin - until) // MINUTE)
        columns = self.minutes(day).columns.part(first, max(first, last))
        drawn = _second_bars(columns, self.units)
        skipped = after - origin - first * MINUTE
        return drawn.part(skipped, max(skipped, until - origin - first * MINUTE))

    # Inside a minute

    def _corners(self, columns: Columns, index: int) -> tuple[int, int, int, int]:
        """Open, first extreme, second extreme, close of one minute in units: a rising minute dips first."""
        prices = (columns.open, columns.low, columns.high, columns.close)
        start, low, high, close = (round(float(column[index]) * self.units) for column in prices)
        return (start, low, high, close) if close >= start else (start, high, low, close)

    @staticmethod
    def _price_in(corners: tuple[int, int, int, int], second: int) -> int:
        leg, into = divmod(second, LEG)
        if not into:
            return corners[leg]
        return corners[leg] + round((corners[leg + 1] - corners[leg]) * into / LEG)

    def _seen(self, columns: Columns, index: int, seconds: int) -> list[float]:
        """The corners passed in the first seconds of a minute, and the price then."""
        corners = self._corners(columns, index)
        return [price / self.units for price in (*corners[: seconds // LEG + 1], self._price_in(corners, seconds))]

    def _cut(self, minute: Columns, until: int) -> Columns:
        """The first seconds of one minute bar, up to `until`."""
        seconds = until - int(minute.start[0])
        seen = self._seen(minute, 0, seconds)
        volume = np.floor(minute.volume * seconds / MINUTE)
        end = np.array([until], dtype=np.int64)
        high, low, close = (np.array([price]) for price in (max(seen), min(seen), seen[-1]))
        return Columns(minute.start, end, minute.day, minute.open, high, low, close, volume)


def sliced(columns: Columns, bar_size: str) -> Columns:
    """Minutes of one session day in larger slices, counted from the midnight before it begins."""
    if not len(columns):
        return columns
    begin = int(columns.start[0])
    since = midnight(eastern_day(instant(begin)))
    keys = bucket_keys(columns.start, np.full(len(columns), since), INTRADAY_SECONDS[bar_size])
    return columns.grouped(keys)


def within_market(day: date) -> bool:
    """Whether there are prices on a day, and enough of them before it."""
    return FIRST_PRICES <= day <= LAST_DAY


def _stacked(parts: list[Columns]) -> Columns:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole


def _second_bars(minutes: Columns, units: int) -> Columns:
    """Sixty bars a minute along its three legs; they add up to it exactly."""
    rising = minutes.close >= minutes.open
    extremes = np.where(rising, (minutes.low, minutes.high), (minutes.high, minutes.low))
    corners: Ints = np.rint(np.stack((minutes.open, *extremes, minutes.close)) * units).astype(np.int64)
    into = np.arange(LEG)
    legs = [corners[leg][:, None] + np.rint(np.diff(corners, axis=0)[leg][:, None] * into / LEG) for leg in range(3)]
    opens = np.concatenate((*legs, corners[3][:, None].astype(np.float64)), axis=1)
    first, last = opens[:, :-1].ravel(), opens[:, 1:].ravel()
    traded = np.diff(np.floor(minutes.volume[:, None] * np.arange(MINUTE + 1) / MINUTE), axis=1).ravel()
    starts = (minutes.start[:, None] + np.arange(MINUTE)).ravel()
    highs, lows = np.maximum(first, last), np.minimum(first, last)
    days = np.repeat(minutes.day, MINUTE)
    return Columns(starts, starts + 1, days, first / units, highs / units, lows / units, last / units, traded)
