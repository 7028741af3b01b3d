"""Replays a folder of real OHLCV files: sessions are the days in the data, history is adjusted as of the clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Bar, SessionHours
from .calendar import REGULAR_CLOSE, REGULAR_OPEN, eastern_day, eastern_epoch, epoch, instant, midnight
from .columns import Columns, bucket_keys, long_keys
from .csv_files import SymbolFiles, read_folder
from .requests import DAY_SIZE, INTRADAY_SECONDS, LONG_SIZES, first_bar, no_data, parse_bar_size, parse_duration
from .source import PathBar, Snapshot, Split

_SESSION_MINUTES = 390


class Series:
    """The bars of one symbol and size, unadjusted, with the adjusted forms it was asked for."""

    def __init__(self, columns: Columns, splits: Sequence[Split]) -> None:
        self.columns = columns
        self.starts: list[int] = columns.start.tolist()
        self.ends: list[int] = columns.end.tolist()
        self._splits = splits
        self._adjusted: dict[int, tuple[Columns, list[Bar]]] = {}

    def visible(self, until: int) -> int:
        """How many bars have ended at or before `until`."""
        return bisect_right(self.ends, until)

    def adjusted(self, known_splits: int) -> tuple[Columns, list[Bar]]:
        """All bars in the basis that holds after the first `known_splits` splits."""
        if known_splits not in self._adjusted:
            columns = self.columns.scaled(self._factors(known_splits))
            self._adjusted[known_splits] = (columns, columns.bars())
        return self._adjusted[known_splits]

    def _factors(self, known_splits: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        factors = np.ones(len(self.columns))
        for split in self._splits[:known_splits]:
            factors[self.columns.day < split.day.toordinal()] *= float(split.ratio)
        return factors


class Tape:
    """All that is known of one symbol."""

    def __init__(self, files: SymbolFiles) -> None:
        self.symbol = files.symbol
        self.splits = files.splits
        self.daily = Series(files.daily, files.splits)
        self.hourly = None if files.hourly is None else Series(files.hourly, files.splits)
        self.days = set(files.daily.day.tolist())
        self._hourly_days = set() if files.hourly is None else set(files.hourly.day.tolist())
        self._grouped: dict[tuple[str, int], tuple[list[int], list[Bar]]] = {}

    def known_splits(self, now: datetime) -> int:
        return bisect_right([split.day for split in self.splits], eastern_day(now))

    def bars(self, bar_size: str, until: int, known_splits: int) -> list[Bar]:
        """Every bar of this size that ended at or before `until`; a week or month in progress is cut there."""
        if bar_size == DAY_SIZE:
            return self.daily.adjusted(known_splits)[1][: self.daily.visible(until)]
        if bar_size in LONG_SIZES:
            return self._long_bars(bar_size, until, known_splits)
        seconds = INTRADAY_SECONDS[bar_size]
        if self.hourly is None or seconds < INTRADAY_SECONDS["1 hour"]:
            raise no_data(f"{self.symbol} has no {bar_size} bars in the data folder")
        if bar_size == "1 hour":
            return self.hourly.adjusted(known_splits)[1][: self.hourly.visible(until)]
        ends, bars = self._grouped_bars(bar_size, self.hourly, known_splits)
        return bars[: bisect_right(ends, until)]

    def _long_bars(self, bar_size: str, until: int, known_splits: int) -> list[Bar]:
        ends, bars = self._grouped_bars(bar_size, self.daily, known_splits)
        whole = bisect_right(ends, until)
        first = self.daily.visible(ends[whole - 1]) if whole else 0
        rest = self.daily.adjusted(known_splits)[0].part(first, self.daily.visible(until))
        return bars[:whole] + rest.grouped(long_keys(bar_size, rest.day)).bars()

    def _grouped_bars(self, bar_size: str, series: Series, known_splits: int) -> tuple[list[int], list[Bar]]:
        key = (bar_size, known_splits)
        if key not in self._grouped:
            columns = series.adjusted(known_splits)[0]
            grouped = columns.grouped(_keys(columns, bar_size))
            self._grouped[key] = (grouped.end.tolist(), grouped.bars())
        return self._grouped[key]

    def snapshot(self, now: datetime) -> Snapshot | None:
        """The last known prices; None before the first bar has ended."""
        until, known = epoch(now), self.known_splits(now)
        days = self.daily.adjusted(known)[1][: self.daily.visible(until)]
        today = self._hours_after(until, known, days)
        if today is not None:
            return _snapshot(today, days[-1] if days else None, self._minute_volume(days))
        if not days:
            return None
        return _snapshot(days[-1], days[-2] if len(days) > 1 else None, self._minute_volume(days))

    def _hours_after(self, until: int, known_splits: int, days: list[Bar]) -> Bar | None:
        """The unfinished session as far as its hours have ended, as one bar."""
        if self.hourly is None:
            return None
        last = self.hourly.visible(until)
        if last == 0 or (days and self.hourly.ends[last - 1] <= epoch(days[-1].end)):
            return None
        columns = self.hourly.adjusted(known_splits)[0]
        first = int(np.searchsorted(columns.day, columns.day[last - 1]))
        today = columns.part(first, last)
        return today.grouped(today.day).bars()[0]

    def _minute_volume(self, days: list[Bar]) -> float:
        return days[-1].volume / _SESSION_MINUTES if days else 0.0

    def path_bars(self, after: int, until: int) -> list[PathBar]:
        """Hourly bars of the days that have them, daily ones of the others, in the prices of their own day."""
        bars = _path(self.symbol, self.daily, after, until, skipped_days=self._hourly_days)
        if self.hourly is not None:
            bars += _path(self.symbol, self.hourly, after, until, skipped_days=set())
            bars.sort(key=lambda bar: bar.start)
        return bars


class CsvReplay:
    """The market of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._tapes = {symbol: Tape(files) for symbol, files in read_folder(folder).items()}
        self._market_days = set().union(*(tape.days for tape in self._tapes.values()))

    @property
    def symbols(self) -> Sequence[str]:
        return tuple(self._tapes)

    def has(self, symbol: str) -> bool:
        return symbol in self._tapes

    def session(self, symbol: str, day: date) -> SessionHours:
        """Regular hours on the days of the data; beyond the last one, on every weekday."""
        tape = self._tapes.get(symbol)
        days = tape.days if tape is not None else self._market_days
        ordinal = day.toordinal()
        if ordinal not in days and (ordinal < max(days) or day.weekday() >= 5):
            return SessionHours(day, None, None)
        hours = (instant(eastern_epoch(day, at)) for at in (REGULAR_OPEN, REGULAR_CLOSE))
        return SessionHours(day, *hours)

    def trading(self, symbol: str, day: date) -> SessionHours:
        """The data knows of no other trading."""
        return self.session(symbol, day)

    def is_open(self, symbol: str, moment: datetime) -> bool:
        hours = self.session(symbol, eastern_day(moment))
        return hours.open is not None and hours.close is not None and hours.open <= moment < hours.close

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
        """`live` and `use_rth` change nothing: bars are whole, and of regular hours."""
        size, span = parse_bar_size(bar_size), parse_duration(duration)
        tape = self._tapes.get(symbol)
        if tape is None:
            raise no_data(f"{symbol} has no file in the data folder")
        bars = tape.bars(size, epoch(min(end, now)), tape.known_splits(now))
        chosen = bars[first_bar(bars, size, span, end) :]
        if not chosen:
            raise no_data(f"{symbol} {bar_size} {duration} to {end.isoformat()}")
        return chosen

    def seconds(self, symbol: str, after: datetime, until: datetime, *, use_rth: bool = False) -> Columns:
        raise no_data(f"the data folder has no seconds of {symbol}")

    def snapshot(self, symbol: str, now: datetime) -> Snapshot | None:
        tape = self._tapes.get(symbol)
        return None if tape is None else tape.snapshot(now)

    def path_bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[PathBar]:
        return self._tapes[symbol].path_bars(epoch(after), epoch(until)) if symbol in self._tapes else ()

    def splits(self, symbol: str) -> Sequence[Split]:
        return self._tapes[symbol].splits if symbol in self._tapes else ()


def _keys(columns: Columns, bar_size: str) -> NDArray[Any]:
    if bar_size in LONG_SIZES:
        return long_keys(bar_size, columns.day)
    midnights = np.array([midnight(date.fromordinal(day)) for day in columns.day.tolist()], dtype=np.int64)
    return bucket_keys(columns.start, midnights, INTRADAY_SECONDS[bar_size])


def _snapshot(today: Bar, before: Bar | None, minute_volume: float) -> Snapshot:
    prior = None if before is None else before.close
    return Snapshot(today.end, today.close, today.open, today.high, today.low, today.volume, prior, minute_volume)


def _path(symbol: str, series: Series, after: int, until: int, skipped_days: set[int]) -> list[PathBar]:
    first, last = series.visible(after), bisect_left(series.starts, until)
    part = series.columns.part(first, last)
    columns = (part.start, part.end, part.open, part.high, part.low, part.close, part.volume)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [PathBar(symbol, *row) for row, day in zip(rows, part.day.tolist(), strict=True) if day not in skipped_days]
