"""The same chart drawn the plain way, with `Axes.bar` and a patch per bar: the baseline of the chart bench."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from research.indicators import compute
from research.types import OHLCV, Indicators

UP, DOWN = "#0a8f7a", "#d6304a"


def render_plain(bars: OHLCV) -> bytes:
    """A PNG of 1280 x 960 with the panels, lines and legends of `research.charts.render`."""
    indicators = compute(bars)
    figure = Figure(figsize=(12.8, 9.6), dpi=100)
    grid = figure.add_gridspec(4, 1, height_ratios=[6, 1, 1.3, 1.3], hspace=0.2)
    price, volume, macd, rsi = (figure.add_subplot(grid[row]) for row in range(4))
    x = np.arange(len(bars.close))
    colors = [UP if close >= opened else DOWN for opened, close in zip(bars.open, bars.close, strict=True)]
    _draw_price(price, bars, indicators, x, colors)
    volume.bar(x, bars.volume, color=colors, alpha=0.45, label="Volume")
    volume.plot(x, indicators.volume_average, label="average 20")
    macd.bar(x, indicators.macd_histogram, color=colors, label="histogram")
    macd.plot(x, indicators.macd, label="MACD 12/26/9")
    macd.plot(x, indicators.macd_signal, label="signal")
    rsi.plot(x, indicators.rsi, label="RSI 14")
    rsi.axhspan(30, 70, alpha=0.06)
    for axes in (price, volume, macd, rsi):
        axes.grid(visible=True)
        axes.legend(loc="upper left")
        axes.yaxis.tick_right()
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def _draw_price(axes: Any, bars: OHLCV, indicators: Indicators, x: Any, colors: list[str]) -> None:
    axes.bar(x, bars.high - bars.low, bottom=bars.low, width=0.1, color=colors)
    axes.bar(x, np.abs(bars.close - bars.open), bottom=np.minimum(bars.open, bars.close), width=0.7, color=colors)
    axes.fill_between(x, indicators.bollinger_lower, indicators.bollinger_upper, alpha=0.1, label="Bollinger 20/2")
    for name in ("sma_fast", "sma_medium", "sma_slow", "bollinger_upper", "bollinger_lower"):
        axes.plot(x, getattr(indicators, name), label=f"{name} {getattr(indicators, name)[-1]:.2f}")
    for side, color in ((1, UP), (-1, DOWN)):
        axes.plot(x, np.where(indicators.trend == side, indicators.supertrend, np.nan), color=color, label="SuperTrend")
    last = float(bars.close[-1])
    axes.axhline(last, linestyle=":")
    axes.annotate(f"{last:.2f}", (1.0, last), xycoords=("axes fraction", "data"), bbox={"boxstyle": "larrow"})
    axes.set_title(f"{bars.symbol} {bars.bar_size} as of {bars.time[-1]}")
