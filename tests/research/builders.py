"""Bars for the tests of research: drawn from a seed, or read from the CSV folder beside the project."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research import facade
from research.types import FloatArray, IndicatorParameters, TimeframeInput

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ohlcv"
AS_OF = datetime(2019, 6, 3, 20, 0, tzinfo=UTC)
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class SampleBars:
    """Bars as any caller may bring them."""

    symbol: str
    bar_size: str
    time: Any
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def part(self, start: int, stop: int) -> SampleBars:
        names = ("time", *COLUMNS)
        return replace(self, **{name: getattr(self, name)[start:stop] for name in names})


def seeded_bars(count: int, *, seed: int = 7, drift: float = 0.0005, symbol: str = "SPY") -> SampleBars:
    """A random walk of daily bars."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(drift, 0.012, count)))
    opened = close * (1 + random.normal(0, 0.004, count))
    high = np.maximum(opened, close) * (1 + np.abs(random.normal(0, 0.004, count)))
    low = np.minimum(opened, close) * (1 - np.abs(random.normal(0, 0.004, count)))
    days = np.busday_offset("2018-06-01", np.arange(count), roll="forward").astype("datetime64[s]")
    volume = np.round(random.lognormal(17, 0.3, count))
    return SampleBars(symbol, "1 day", days, opened, high, low, close, volume)


def timeframe(bars: SampleBars, period: str = "1 Y", parameters: IndicatorParameters | None = None) -> TimeframeInput:
    return TimeframeInput(period, bars, facade.indicators(bars, parameters), AS_OF)


def real_daily(symbol: str) -> SampleBars:
    """The daily bars of the CSV folder, adjusted for the splits; skips the test where the folder is missing."""
    path = DATA / f"{symbol}_1d.csv"
    if not path.exists():
        pytest.skip(f"no real bars at {DATA}")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    days = np.array([row["date"] for row in rows], dtype="datetime64[D]")
    columns = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS}
    for split in csv.DictReader((DATA / "splits.csv").read_text().splitlines()):
        if split["symbol"] == symbol:
            older = days < np.datetime64(split["date"])
            for name in ("open", "high", "low", "close"):
                columns[name] = np.where(older, columns[name] / float(split["ratio"]), columns[name])
            columns["volume"] = np.where(older, columns["volume"] * float(split["ratio"]), columns["volume"])
    return SampleBars(symbol, "1 day", days.astype("datetime64[s]"), **columns)


def weekly(bars: SampleBars) -> SampleBars:
    """Weeks from Monday on, the last one as far as it has come."""
    weeks = (bars.time.astype("datetime64[D]").astype(int) + 3) // 7
    start = np.flatnonzero(np.r_[True, weeks[1:] != weeks[:-1]])
    last = np.r_[start[1:] - 1, len(weeks) - 1]
    return SampleBars(
        bars.symbol, "1 week", bars.time[start], bars.open[start], np.maximum.reduceat(bars.high, start),
        np.minimum.reduceat(bars.low, start), bars.close[last], np.add.reduceat(bars.volume, start),
    )  # fmt: skip
