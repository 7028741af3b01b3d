"""Synthetic daily bars whose rules decisions are known, written as the paper gateway's CSV files."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np

FIRST_DAY = date(2017, 1, 2)
DAYS = 570
START = 531
# What `rules-v1` says of these random walks at START of the desk tests: RISE buys, FALL sells, CALM holds.
SEEDS = {"RISE": 21, "FALL": 2, "CALM": 4}


def trading_days(count: int = DAYS) -> list[date]:
    """Weekdays from FIRST_DAY on."""
    days, day = [], FIRST_DAY
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


def walk(seed: int, count: int = DAYS) -> list[list[float]]:
    """Open, high, low, close and volume of each day."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0.0006, 0.012, 560)))
    opened = np.concatenate([[100], close[:-1]]) * np.exp(random.normal(0, 0.002, 560))
    high = np.maximum(opened, close) * np.exp(abs(random.normal(0, 0.004, 560)))
    low = np.minimum(opened, close) * np.exp(-abs(random.normal(0, 0.004, 560)))
    rows = np.round(np.stack([opened, high, low, close, np.full(560, 5e6)], axis=1), 2).tolist()
    last = rows[-1]
    return (rows + [last] * max(0, count - 560))[:count]


def jumping(rows: list[list[float]], day: int, factor: float) -> list[list[float]]:
    """The same bars, with every price from `day` on multiplied."""
    scaled = [[round(price * factor, 2) for price in row[:4]] + row[4:] for row in rows[day:]]
    return rows[:day] + scaled


def write_symbol(folder: Path, symbol: str, rows: list[list[float]]) -> None:
    """One `SYMBOL_1d.csv`."""
    with (folder / f"{symbol}_1d.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["date", "open", "high", "low", "close", "volume"])
        writer.writerows([day.isoformat(), *row] for day, row in zip(trading_days(len(rows)), rows, strict=True))


def write_folder(folder: Path) -> Path:
    """Every symbol of SEEDS, without splits."""
    folder.mkdir(parents=True, exist_ok=True)
    for symbol, seed in SEEDS.items():
        write_symbol(folder, symbol, walk(seed))
    # GAPS leaves an entry of START behind overnight, JUMP passes its target two days later.
    write_symbol(folder, "GAPS", jumping(walk(SEEDS["CALM"]), START + 1, 1.05))
    write_symbol(folder, "JUMP", jumping(walk(SEEDS["CALM"]), START + 2, 1.10))
    (folder / "splits.csv").write_text("symbol,date,ratio\n")
    return folder
