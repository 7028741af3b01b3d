"""Support and resistance: swing points of the bars and the lines of the indicators; needs no Django."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from research.types import OHLCV, FloatArray, Indicators

SWING_REACH = 3
SWING_BARS = 120
MERGE_ATR = 0.25
LEVELS_KEPT = 6


def swing_highs(high: FloatArray, reach: int = SWING_REACH, bars: int = SWING_BARS) -> list[float]:
    """Highs that no bar within `reach` bars on either side exceeds, among the last `bars`; all are confirmed."""
    recent = high[-bars:]
    if len(recent) < 2 * reach + 1:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(recent, 2 * reach + 1)
    middle = windows[:, reach]
    return [float(value) for value in middle[middle >= windows.max(axis=1)]]


def swing_lows(low: FloatArray, reach: int = SWING_REACH, bars: int = SWING_BARS) -> list[float]:
    """The mirror of `swing_highs`."""
    return [-value for value in swing_highs(-low, reach, bars)]


def levels(bars: OHLCV, indicators: Indicators) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Supports below and resistances above the last close, nearest first, levels closer than a quarter ATR merged."""
    last = indicators.at(-1)
    close = float(bars.close[-1])
    lines = [last[name] for name in ("supertrend", "bollinger_lower", "bollinger_upper", "sma_medium", "sma_slow")]
    points = [value for value in lines if value is not None]
    points += swing_highs(bars.high) + swing_lows(bars.low)
    apart = MERGE_ATR * (last["atr"] or 0.0)
    below = merge(sorted((point for point in points if 0 < point < close), reverse=True), apart)
    return below, merge(sorted(point for point in points if point > close), apart)


def merge(points: Iterable[float], apart: float, keep: int = LEVELS_KEPT) -> tuple[float, ...]:
    """The first `keep` points of an ordered series, each at least `apart` from the one kept before it."""
    kept: list[float] = []
    for point in points:
        if math.isfinite(point) and (not kept or abs(point - kept[-1]) >= max(apart, 1e-9)):
            kept.append(point)
    return tuple(kept[:keep])
