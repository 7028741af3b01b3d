"""OHLCV bars as arrays: slicing, scaling for splits, grouping into larger bars, and turning into Bar objects."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Bar
from .calendar import instant
from .requests import WEEK_SIZE

_UNIX_EPOCH = date(1970, 1, 1).toordinal()

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Bars, oldest first: `start` and `end` in epoch seconds, `day` as the ordinal of the session's date."""

    start: Ints
    end: Ints
    day: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.start)

    def part(self, first: int, last: int) -> Columns:
        """Rows first..last-1."""
        return Columns(*(getattr(self, field.name)[first:last] for field in fields(self)))

    def joined(self, other: Columns) -> Columns:
        return Columns(*(np.concatenate((getattr(self, f.name), getattr(other, f.name))) for f in fields(self)))

    def scaled(self, factor: Floats) -> Columns:
        """Prices divided and volumes multiplied by `factor`, one number a row."""
        return Columns(
            self.start,
            self.end,
            self.day,
            self.open / factor,
            self.high / factor,
            self.low / factor,
            self.close / factor,
            self.volume * factor,
        )

    def grouped(self, keys: NDArray[Any]) -> Columns:
        """One bar for each run of equal keys; its day is the last day inside. NaN in a part is NaN in the whole."""
        if not len(self):
            return self
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        last = np.concatenate((first[1:], [len(self)])) - 1
        return Columns(
            self.start[first],
            self.end[last],
            self.day[last],
            self.open[first],
            np.maximum.reduceat(self.high, first),
            np.minimum.reduceat(self.low, first),
            self.close[last],
            np.add.reduceat(self.volume, first),
        )

    def bars(self) -> list[Bar]:
        """`wap` is the typical price (high + low + close) / 3, `count` one trade for each 100 shares."""
        with np.errstate(invalid="ignore"):
            wap = (self.high + self.low + self.close) / 3
            count = np.where(np.isfinite(self.volume) & (self.volume > 0), self.volume, 0.0) // 100
        columns = (self.open, self.high, self.low, self.close, self.volume, wap, count.astype(np.int64))
        times = zip(self.start.tolist(), self.end.tolist(), self.day.tolist(), strict=True)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            Bar(instant(start), instant(end), date.fromordinal(day), *row)
            for (start, end, day), row in zip(times, rows, strict=True)
        ]


def week_keys(days: Ints) -> Ints:
    """The same number for all days of one Monday-based week."""
    return (days - 1) // 7


def month_keys(days: Ints) -> NDArray[Any]:
    """The same value for all days of one calendar month."""
    return (days - _UNIX_EPOCH).astype("datetime64[D]").astype("datetime64[M]")


def long_keys(bar_size: str, days: Ints) -> NDArray[Any]:
    """The keys that group days into weeks or months."""
    return week_keys(days) if bar_size == WEEK_SIZE else month_keys(days)


def bucket_keys(start: Ints, midnight: Ints, seconds: int) -> Ints:
    """The same number for all bars of one session day that begin in the same slice of `seconds` since midnight."""
    return midnight + (start - midnight) // seconds
