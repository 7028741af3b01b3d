"""The random walk behind the seeded market: daily trends and volatility regimes, and minutes that fit each day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from ..types import HoursKind
from .columns import Columns, Floats, Ints

FIRST_DAY = date(2008, 1, 1)
LAST_DAY = date(2069, 12, 31)
_DAYS = (LAST_DAY - FIRST_DAY).days + 1
_KEPT_AROUND = 420  # days before and after those that were asked for
_SHORTEST_REGIME, _LONGEST_REGIME = 20, 90
_DAILY_VOLATILITY = (0.006, 0.011, 0.020)
_DAILY_TREND = (0.0015, 0.0035)
_ROOM = 0.6  # trends turn back once the log price is this far from its start
_OVERNIGHT = 0.0005
_QUIET_VOLATILITY = 0.3  # of that of the day
_QUIET_VOLUME, _QUIET_MINUTES = 0.04, 570  # a share of the day's volume, in so many minutes outside regular hours
_LEAST_EXCESS = 0.5  # units; less is rounding, not an excursion

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a market's path begins: its price, and shares or contracts a day.

    `unit` is the smallest step of the path, such as the tick; one divided by it is a whole number. `path` names the
    market whose ups and downs it shares (the expiries of a future, an index and its fund), empty for one of its own.
    `wildness` scales volatility, trends and the distance from its start at which a path turns back.
    """

    price: int | Decimal
    daily_volume: int
    unit: Decimal = Decimal("0.01")
    path: str = ""
    hours: HoursKind = "us_equity"
    wildness: float = 1.0

    @property
    def units(self) -> int:
        """How many units make one whole."""
        return int(1 / self.unit)


class _Column:
    """One column of a daily path, by the number of a day since FIRST_DAY."""

    def __init__(self, path: DailyPath, place: int) -> None:
        self._path = path
        self._place = place

    def __getitem__(self, index: int | Ints) -> Any:
        lowest, highest = (index, index) if isinstance(index, int) else (int(index.min()), int(index.max()))
        return self._path.held(lowest, highest)[self._place][index - self._path.first]


class DailyPath:
    """Prices in units and volumes of every day from FIRST_DAY to LAST_DAY, 00:00-24:00.

    The whole path is drawn at once, a window of it around the days that were asked for is kept: hundreds of markets
    fit into memory.
    """

    def __init__(self, key: Key, start: Start) -> None:
        self._key, self._start = key, start
        self.units = start.units
        self.first = self._last = 0
        self._window: tuple[Ints | Floats, ...] = ()
        self.open, self.high, self.low = _Column(self, 0), _Column(self, 1), _Column(self, 2)
        self.close, self.volume, self.volatility = _Column(self, 3), _Column(self, 4), _Column(self, 5)

    def held(self, lowest: int, highest: int) -> tuple[Ints | Floats, ...]:
        """The columns of a window, from day `first`, that has both days."""
        if not (self._window and self.first <= lowest and highest < self._last):
            known = (self.first, self._last) if self._window else (lowest, highest)
            self.first = max(0, min(lowest, known[0]) - _KEPT_AROUND)
            self._last = min(_DAYS, max(highest + 1, known[1]) + _KEPT_AROUND)
            columns = _drawn(self._key, self._start, self._last)
            self._window = tuple(column[self.first :].copy() for column in columns)
        return self._window


def _drawn(key: Key, start: Start, days: int) -> tuple[Ints, Ints, Ints, Ints, Ints, Floats]:
    """So many days from FIRST_DAY on, the same however many are drawn.

    Each opens within a few hundredths of a percent of the close before.
    """
    random = np.random.default_rng([*key, 0])
    noise = random.standard_normal((5, _DAYS))[:, :days]
    level, volatility = _levels(random, noise[0], start.wildness)
    close = np.rint(int(start.price * start.units) * np.exp(level)).astype(np.int64)
    opening = np.rint(np.concatenate((close[:1], close[:-1])) * np.exp(_OVERNIGHT * noise[1])).astype(np.int64)
    upper, lower = np.maximum(opening, close), np.minimum(opening, close)
    high = np.rint(upper * np.exp(0.5 * volatility * np.abs(noise[2]))).astype(np.int64)
    low = np.rint(lower * np.exp(-0.5 * volatility * np.abs(noise[3]))).astype(np.int64)
    busy = 0.25 * noise[4] + 15 * (volatility - _DAILY_VOLATILITY[1])
    volume = np.rint(start.daily_volume * np.exp(busy)).astype(np.int64)
    return opening, high, low, close, volume, volatility


def _levels(random: np.random.Generator, noise: Floats, wildness: float) -> tuple[Floats, Floats]:
    """The log price against its start, and the volatility in force, day by day."""
    days = len(noise)
    level, volatility = np.empty(days), np.empty(days)
    first, reached = 0, 0.0
    while first < days:
        last = min(days, first + int(random.integers(_SHORTEST_REGIME, _LONGEST_REGIME + 1)))
        spread = _DAILY_VOLATILITY[int(random.integers(len(_DAILY_VOLATILITY)))] * wildness
        steps = _trend(random, reached, wildness) + spread * noise[first:last]
        level[first:last] = reached + np.cumsum(steps)
        volatility[first:last] = spread
        first, reached = last, float(level[last - 1])
    return level, volatility


def _trend(random: np.random.Generator, reached: float, wildness: float) -> float:
    """The drift of the next regime: up, down or sideways, away from the walls."""
    strength = float(random.uniform(*_DAILY_TREND)) * wildness
    direction = int(random.integers(-1, 2))
    if abs(reached) > _ROOM * wildness:
        direction = -1 if reached > 0 else 1
    return strength * direction


def minute_path(key: Key, days: DailyPath, day: date, begin: int, stop: int) -> Columns:
    """The minute bars from `begin` to `stop`; together they have exactly the day's open, high, low, close, volume."""
    index = (day - FIRST_DAY).days
    count = (stop - begin) // 60
    random = np.random.default_rng([*key, 1, index])
    noise = random.standard_normal((3, count))
    start, high, low, close = (int(c[index]) for c in (days.open, days.high, days.low, days.close))
    closes = _bridge(noise[0], days.volatility[index], start, high, low, close)
    opens = np.concatenate(([start], closes[:-1]))
    wick = np.abs(noise[1:]) * (days.volatility[index] * 0.3 / np.sqrt(count)) * start
    highs = np.minimum(high, np.maximum(opens, closes) + wick[0].astype(np.int64))
    lows = np.maximum(low, np.minimum(opens, closes) - wick[1].astype(np.int64))
    highs[int(np.argmax(highs))] = high
    lows[int(np.argmin(lows))] = low
    volumes = _shares(random.gamma(2.0, size=count), int(days.volume[index]))
    return _minute_columns(day, begin, days.units, (opens, highs, lows, closes), volumes)


def quiet_path(key: Key, days: DailyPath, day: date, begin: int, stop: int, *, first: int, last: int) -> Columns:
    """The minute bars outside regular hours: a calm walk from one price in units to another, with little volume."""
    index = (day - FIRST_DAY).days
    count = (stop - begin) // 60
    random = np.random.default_rng([*key, 2, index, begin])
    noise = random.standard_normal((2, count))
    calm = days.volatility[index] * _QUIET_VOLATILITY / np.sqrt(count)
    walk, share = np.cumsum(noise[0]) * calm, np.arange(1, count + 1) / count
    path = first * np.exp((walk - share * walk[-1]) + share * np.log(last / first))
    closes = np.maximum(1, np.rint(path)).astype(np.int64)
    opens = np.concatenate(([first], closes[:-1]))
    wick = (np.abs(noise[1]) * calm * 0.3 * first).astype(np.int64)
    highs, lows = np.maximum(opens, closes) + wick, np.maximum(1, np.minimum(opens, closes) - wick)
    volumes = _shares(random.gamma(2.0, size=count), int(days.volume[index] * _QUIET_VOLUME * count / _QUIET_MINUTES))
    return _minute_columns(day, begin, days.units, (opens, highs, lows, closes), volumes)


def _minute_columns(day: date, begin: int, units: int, prices: tuple[Ints, ...], volumes: Floats) -> Columns:
    starts = begin + 60 * np.arange(len(volumes), dtype=np.int64)
    ordinals = np.full(len(volumes), day.toordinal(), dtype=np.int64)
    opens, highs, lows, closes = (column / units for column in prices)
    return Columns(starts, starts + 60, ordinals, opens, highs, lows, closes, volumes)


def _bridge(noise: Floats, volatility: float, start: int, high: int, low: int, close: int) -> Ints:
    """A walk in units that ends at `close` and stays within low..high."""
    count = len(noise)
    walk = np.cumsum(noise) * volatility / np.sqrt(count)
    share = np.arange(1, count + 1) / count
    path = start * np.exp((walk - share * walk[-1]) + share * np.log(close / start))
    path = _squeezed(path, max(start, close), high, 1)
    return np.rint(_squeezed(path, min(start, close), low, -1)).astype(np.int64)


def _squeezed(path: Floats, edge: int, bound: int, side: int) -> Floats:
    """What lies beyond `edge` (above it for side 1, below for -1) scaled so that it just reaches `bound`."""
    excess = (path - edge) * side
    reached = float(excess.max())
    stretch = abs(bound - edge) / reached if reached > _LEAST_EXCESS else 0.0
    return np.where(excess > 0, edge + side * excess * stretch, path)


def _shares(weights: Floats, total: int) -> Floats:
    """`total` whole shares dealt out by weight; the sum is exact."""
    edges = np.floor(np.cumsum(weights) / weights.sum() * total)
    edges[-1] = total
    return np.diff(edges, prepend=0.0)
