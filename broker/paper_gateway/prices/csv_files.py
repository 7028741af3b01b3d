"""Reads a folder of OHLCV files as they stand; what cannot be read is an error that names file, line and fix."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from ..errors import PriceDataError
from .calendar import REGULAR_CLOSE, REGULAR_OPEN, eastern_epoch
from .columns import Columns
from .source import Split

_PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
_SPLIT_COLUMNS = ("symbol", "date", "ratio")
_DAILY_SUFFIX = "_1d.csv"
_HOURLY_SUFFIX = "_1h.csv"

Times = tuple[int, int, int]  # start and end in epoch seconds, ordinal of the day


@dataclass(frozen=True, slots=True)
class SymbolFiles:
    """What the folder holds of one symbol, unadjusted."""

    symbol: str
    daily: Columns
    hourly: Columns | None
    splits: tuple[Split, ...]


def read_folder(folder: Path) -> dict[str, SymbolFiles]:
    """Every symbol of the folder; raises PriceDataError."""
    if not folder.is_dir():
        raise PriceDataError(folder, 0, "no such folder", "name a folder with SYMBOL_1d.csv files")
    daily = {path.name.removesuffix(_DAILY_SUFFIX): path for path in sorted(folder.glob(f"*{_DAILY_SUFFIX}"))}
    if not daily:
        raise PriceDataError(folder, 0, "the folder holds no SYMBOL_1d.csv", "put at least one daily file there")
    splits = _read_splits(folder / "splits.csv")
    _refuse_orphans(folder, daily)
    return {symbol: _read_symbol(symbol, path, splits) for symbol, path in daily.items()}


def _refuse_orphans(folder: Path, daily: dict[str, Path]) -> None:
    for path in sorted(folder.glob(f"*{_HOURLY_SUFFIX}")):
        symbol = path.name.removesuffix(_HOURLY_SUFFIX)
        if symbol not in daily:
            raise PriceDataError(path, 0, "hourly bars without daily ones", f"add {symbol}{_DAILY_SUFFIX}")


def _read_symbol(symbol: str, path: Path, splits: list[Split]) -> SymbolFiles:
    hourly = path.with_name(symbol + _HOURLY_SUFFIX)
    return SymbolFiles(
        symbol=symbol.upper(),
        daily=_read_bars(path, _daily_times),
        hourly=_read_bars(hourly, _hourly_times) if hourly.exists() else None,
        splits=tuple(split for split in splits if split.symbol == symbol.upper()),
    )


def _read_bars(path: Path, times_of: Callable[[str], Times]) -> Columns:
    times: list[Times] = []
    values: list[list[float]] = []
    for line, row in _rows(path, ("date", *_PRICE_COLUMNS)):
        times.append(_times(path, line, row["date"], times_of))
        values.append([_number(path, line, name, row[name]) for name in _PRICE_COLUMNS])
        if len(times) > 1 and times[-1][0] <= times[-2][0]:
            raise PriceDataError(
                path, line, f"{row['date']!r} does not come after the row before", "sort, one row a bar"
            )
    if not times:
        raise PriceDataError(path, 0, "no rows", "add bars or remove the file")
    start, end, day = np.array(times, dtype=np.int64).T
    prices = np.array(values, dtype=np.float64).T
    return Columns(start, end, day, *prices)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row, all `columns` present."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise PriceDataError(path, 1, f"no column {', '.join(missing)}", f"the header is {','.join(columns)}")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PriceDataError(path, 0, f"cannot be read ({error})", "write it as UTF-8 CSV") from error


def _times(path: Path, line: int, text: str, times_of: Callable[[str], Times]) -> Times:
    try:
        return times_of(text)
    except ValueError as error:
        raise PriceDataError(
            path, line, f"{text!r} is no time here ({error})", "write 2019-01-31 or 2019-01-31 10:00:00"
        ) from error


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise PriceDataError(
            path, line, f"{name} {text!r} is no number", "write a number, or NaN if unknown"
        ) from error


def _daily_times(text: str) -> Times:
    day = date.fromisoformat(text)
    return eastern_epoch(day, REGULAR_OPEN), eastern_epoch(day, REGULAR_CLOSE), day.toordinal()


def _hourly_times(text: str) -> Times:
    """The bar stamped 09:00 is that of 09:30-10:00; every other one lasts from its stamp for an hour."""
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is not None:
        raise ValueError("a zone is written, US/Eastern is meant")
    if stamp.minute or stamp.second or not time(9) <= stamp.time() < REGULAR_CLOSE:
        raise ValueError("not a whole hour from 09:00 to 15:00")
    start = max(stamp.time(), REGULAR_OPEN)
    end = (stamp + timedelta(hours=1)).time()
    return eastern_epoch(stamp.date(), start), eastern_epoch(stamp.date(), end), stamp.toordinal()


def _read_splits(path: Path) -> list[Split]:
    if not path.exists():
        return []
    return sorted((_split(path, line, row) for line, row in _rows(path, _SPLIT_COLUMNS)), key=lambda split: split.day)


def _split(path: Path, line: int, row: dict[str, str]) -> Split:
    try:
        split = Split(row["symbol"].upper(), date.fromisoformat(row["date"]), Decimal(row["ratio"]))
    except (ValueError, InvalidOperation) as error:
        raise PriceDataError(path, line, "no symbol, day and ratio", "write AAPL,2020-08-31,4") from error
    if not (split.ratio.is_finite() and split.ratio > 0):
        raise PriceDataError(path, line, f"ratio {row['ratio']!r}", "write new shares per old one, above 0")
    return split
