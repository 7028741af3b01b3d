"""The chart of one timeframe as a PNG: candles, SuperTrend, averages, bands, volume, MACD and RSI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from research.chart_canvas import HEIGHT, WIDTH, Canvas, Panel
from research.indicators import DEFAULT_PARAMETERS, compute
from research.types import OHLCV, FloatArray, IndicatorParameters, Indicators

SHOWN_BARS = 260
TITLE_LENGTH = 64
LEFT, RIGHT = 14.0, WIDTH - 78.0
UP, DOWN = "#0a8f7a", "#d6304a"
INK, MUTED, GRID, PAPER = "#131722", "#5d6675", "#e7eaf0", "#ffffff"
AVERAGES = (("sma_fast", "#e08a00"), ("sma_medium", "#1f5fe0"), ("sma_slow", "#7b3fc4"))
BAND, MACD_LINE, MACD_SIGNAL, RSI_LINE = "#6b7a94", "#1f5fe0", "#e08a00", "#7b3fc4"
PANELS = {"price": (352.0, 518.0), "volume": (258.0, 66.0), "macd": (146.0, 84.0), "rsi": (38.0, 80.0)}
HEADER_ROWS = (HEIGHT - 22.0, HEIGHT - 48.0, HEIGHT - 74.0)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class _View:
    """The bars in sight with their pixel columns."""

    bars: OHLCV
    indicators: Indicators
    shown: slice
    x: FloatArray
    half: float
    time: npt.NDArray[np.datetime64]

    def values(self, name: str) -> FloatArray:
        source = self.bars if name in {"open", "high", "low", "close", "volume"} else self.indicators
        return np.asarray(getattr(source, name)[self.shown], dtype=np.float64)

    @property
    def rising(self) -> npt.NDArray[np.bool_]:
        return self.values("close") >= self.values("open")


def render(
    bars: OHLCV,
    parameters: IndicatorParameters = DEFAULT_PARAMETERS,
    title: str = "",
    as_of: datetime | None = None,
    indicators: Indicators | None = None,
) -> bytes:
    """A PNG of 1280 x 960 with the last 260 bars; the same input gives the same bytes. No bars: ValueError.

    `as_of` (aware; default: the time of the last bar) stands in the title; `indicators` saves computing them again.
    """
    if len(bars.close) == 0:
        raise ValueError("there are no bars to draw")
    view = _view(bars, indicators or compute(bars, parameters))
    canvas = Canvas(PAPER)
    panels = _panels(view)
    marks = _time_marks(view.time)
    for panel in panels.values():
        _frame(canvas, panel, view, marks)
    _draw_price(canvas, panels["price"], view)
    _draw_volume(canvas, panels["volume"], view)
    _draw_macd(canvas, panels["macd"], view)
    _draw_rsi(canvas, panels["rsi"], view)
    for index, label in marks:
        canvas.text(float(np.clip(view.x[index], LEFT + 16, RIGHT - 16)), 20, label, MUTED, size=12, align="center")
    _draw_header(canvas, view, title, as_of)
    return canvas.png()


def _view(bars: OHLCV, indicators: Indicators) -> _View:
    shown = slice(max(0, len(bars.close) - SHOWN_BARS), len(bars.close))
    count = shown.stop - shown.start
    step = (RIGHT - LEFT) / max(count, 20)
    x = np.asarray(RIGHT - step * (count - np.arange(count) - 0.5), dtype=np.float64)
    return _View(bars, indicators, shown, x, max(0.5, 0.36 * step), _times(bars.time[shown]))


def _times(values: npt.NDArray[Any]) -> npt.NDArray[np.datetime64]:
    """Times as UTC seconds; aware datetimes, dates and datetime64 are understood."""
    if values.dtype != object:
        return values.astype("datetime64[s]")
    plain = [
        value.astimezone(UTC).replace(tzinfo=None) if getattr(value, "tzinfo", None) else value for value in values
    ]
    return np.array(plain, dtype="datetime64[s]")


def _panels(view: _View) -> dict[str, Panel]:
    price = [view.values(name) for name in ("low", "high", "supertrend", "bollinger_lower", "bollinger_upper")]
    volume = view.values("volume")
    macd = np.concatenate([view.values(name) for name in ("macd", "macd_signal", "macd_histogram")])
    reach = float(np.max(np.abs(macd[np.isfinite(macd)]), initial=0.0)) or 1.0
    full = float(np.max(volume[np.isfinite(volume)], initial=0.0)) or 1.0
    ranges = {
        "price": _range(np.concatenate(price)),
        "volume": (0.0, full * 1.08),
        "macd": (-1.1 * reach, 1.1 * reach),
        "rsi": (0.0, 100.0),
    }
    return {name: Panel(LEFT, bottom, RIGHT - LEFT, height, *ranges[name]) for name, (bottom, height) in PANELS.items()}


def _range(values: FloatArray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    pad = 0.03 * (high - low) or 0.01 * abs(high) or 1.0
    return low - pad, high + pad


def _frame(canvas: Canvas, panel: Panel, view: _View, marks: Sequence[tuple[int, str]]) -> None:
    """Grid and scale of one panel."""
    grid = [[(view.x[index], panel.bottom), (view.x[index], panel.top)] for index, _ in marks]
    ticks = (
        [30.0, 50.0, 70.0] if (panel.low, panel.high) == (0.0, 100.0) else panel.ticks(12 if panel.height > 200 else 4)
    )
    grid += [[(panel.left, float(panel.y(tick))), (panel.right, float(panel.y(tick)))] for tick in ticks]
    canvas.lines([np.array(line) for line in grid], GRID, crisp=True)
    corners = [
        (panel.left, panel.top),
        (panel.left, panel.bottom),
        (panel.right, panel.bottom),
        (panel.right, panel.top),
    ]
    canvas.lines([np.array([*corners, corners[0]])], "#c9ced8", crisp=True)
    for tick in ticks:
        canvas.text(panel.right + 6, float(panel.y(tick)), short(tick), MUTED, size=12)


def _draw_price(canvas: Canvas, panel: Panel, view: _View) -> None:
    upper, lower = panel.y(view.values("bollinger_upper")), panel.y(view.values("bollinger_lower"))
    known = np.isfinite(upper) & np.isfinite(lower)
    if known.any():
        x = view.x[known]
        outline = np.concatenate([np.c_[x, upper[known]], np.c_[x, lower[known]][::-1]])
        canvas.polygons(outline[np.newaxis], BAND, 0.10, panel)
        canvas.lines([np.c_[x, upper[known]], np.c_[x, lower[known]]], BAND, 1.0, panel=panel)
    _candles(canvas, panel, view)
    for name, color in AVERAGES:
        _curve(canvas, panel, view, view.values(name), color, 1.6)
    _supertrend(canvas, panel, view)
    _price_tag(canvas, panel, view)


def _candles(canvas: Canvas, panel: Panel, view: _View) -> None:
    opened, high, low, close = (view.values(name) for name in ("open", "high", "low", "close"))
    whole = np.isfinite(opened) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close)
    colors = [UP if up else DOWN for up in view.rising[whole]]
    x = np.round(view.x[whole] - 0.5) + 0.5
    wicks = np.stack([x, panel.y(low[whole]), x, panel.y(high[whole])], axis=1).reshape(-1, 2, 2)
    canvas.lines(wicks, colors, 1.0, panel=panel, crisp=True)
    bottom, top = np.minimum(opened, close)[whole], np.maximum(opened, close)[whole]
    canvas.boxes(x, view.half, panel.y(bottom), panel.y(top), colors, panel)


def _supertrend(canvas: Canvas, panel: Panel, view: _View) -> None:
    """The line breaks where the trend turns; a triangle marks the turn."""
    trend, y = view.values("trend"), panel.y(view.values("supertrend"))
    points = np.c_[view.x, y]
    same = (trend[1:] == trend[:-1]) & (trend[1:] != 0)
    segments = np.stack([points[:-1][same], points[1:][same]], axis=1)
    colors = [UP if value > 0 else DOWN for value in trend[1:][same]]
    canvas.lines(segments, colors, 2.4, panel=panel)
    turned = np.flatnonzero((trend[1:] != trend[:-1]) & (trend[1:] != 0) & (trend[:-1] != 0)) + 1
    for up, color in ((1.0, UP), (-1.0, DOWN)):
        x, base = view.x[turned[trend[turned] == up]], y[turned[trend[turned] == up]]
        tip, foot = base - 5 * up, base - 15 * up
        canvas.polygons(np.stack([x, tip, x - 6, foot, x + 6, foot], axis=1).reshape(-1, 3, 2), color, 1.0, panel)


def _price_tag(canvas: Canvas, panel: Panel, view: _View) -> None:
    last = float(view.values("close")[-1])
    if not math.isfinite(last):
        return
    y = float(panel.y(last))
    color = UP if view.rising[-1] else DOWN
    canvas.lines([np.array([(panel.left, y), (panel.right, y)])], color, 1.0, dashes=(2.0, 3.0))
    corners = [
        (panel.right, y),
        (panel.right + 6, y + 11),
        (WIDTH - 4, y + 11),
        (WIDTH - 4, y - 11),
        (panel.right + 6, y - 11),
    ]
    canvas.polygons(np.array([corners]), color)
    canvas.text(panel.right + 8, y, price_text(last), PAPER, size=13, bold=True)


def _draw_volume(canvas: Canvas, panel: Panel, view: _View) -> None:
    volume = view.values("volume")
    known = np.isfinite(volume)
    colors = [UP if up else DOWN for up in view.rising[known]]
    floor = np.full(int(known.sum()), panel.bottom)
    canvas.boxes(view.x[known], view.half, floor, panel.y(volume[known]), colors, panel, alpha=0.45)
    _curve(canvas, panel, view, view.values("volume_average"), INK, 1.2)
    period = view.indicators.parameters.volume_period
    average = view.values("volume_average")[-1]
    _legend(
        canvas, panel.top + 11, [(f"Volume {short(volume[-1])}", MUTED), (f"average {period}  {short(average)}", INK)]
    )


def _draw_macd(canvas: Canvas, panel: Panel, view: _View) -> None:
    histogram = view.values("macd_histogram")
    known = np.isfinite(histogram)
    y, zero = panel.y(histogram[known]), np.full(int(known.sum()), float(panel.y(0.0)))
    colors = [UP if value >= 0 else DOWN for value in histogram[known]]
    canvas.boxes(view.x[known], view.half, np.minimum(y, zero), np.maximum(y, zero), colors, panel, alpha=0.55)
    _curve(canvas, panel, view, view.values("macd"), MACD_LINE, 1.5)
    _curve(canvas, panel, view, view.values("macd_signal"), MACD_SIGNAL, 1.5)
    p = view.indicators.parameters
    entries = [
        (f"MACD {p.macd_fast}/{p.macd_slow}/{p.macd_signal}  {_last(view, 'macd')}", MACD_LINE),
        (f"signal  {_last(view, 'macd_signal')}", MACD_SIGNAL),
        (f"histogram  {_last(view, 'macd_histogram')}", UP if histogram[-1] >= 0 else DOWN),
    ]
    _legend(canvas, panel.top + 11, entries)


def _draw_rsi(canvas: Canvas, panel: Panel, view: _View) -> None:
    y30, y70 = float(panel.y(30.0)), float(panel.y(70.0))
    zone = [(panel.left, y30), (panel.left, y70), (panel.right, y70), (panel.right, y30)]
    canvas.polygons(np.array([zone]), RSI_LINE, 0.06)
    for y in (y30, y70):
        canvas.lines([np.array([(panel.left, y), (panel.right, y)])], BAND, 1.0, dashes=(4.0, 4.0))
    _curve(canvas, panel, view, view.values("rsi"), RSI_LINE, 1.6)
    words = f"RSI {view.indicators.parameters.rsi_period}  {_last(view, 'rsi')}"
    _legend(canvas, panel.top + 11, [(words, RSI_LINE)])


def _draw_header(canvas: Canvas, view: _View, title: str, as_of: datetime | None) -> None:
    opened, high, low, close = (float(view.values(name)[-1]) for name in ("open", "high", "low", "close"))
    heading = " ".join(title.split())[:TITLE_LENGTH] or f"{view.bars.symbol}  ·  {view.bars.bar_size}"
    moment = (
        as_of.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if as_of else str(view.time[-1]).replace("T00:00:00", "")
    )
    canvas.text(LEFT, HEADER_ROWS[0], heading, INK, size=22, bold=True)
    canvas.text(RIGHT, HEADER_ROWS[0], f"as of {moment}", INK, size=14, align="right")
    before = float(view.values("close")[-2]) if len(view.x) > 1 else math.nan
    change = (close / before - 1) * 100 if before else math.nan
    color = MUTED if not math.isfinite(change) else UP if change >= 0 else DOWN
    prices = [f"{name} {price_text(value)}" for name, value in zip("OHLC", (opened, high, low, close), strict=True)]
    moved = f"{change:+.2f} %" if math.isfinite(change) else ""
    canvas.text(LEFT, HEADER_ROWS[1], "   ".join([*prices, moved]), color, size=14)
    canvas.text(
        RIGHT, HEADER_ROWS[1], f"last bar {_day(view.time[-1])}  ·  {len(view.x)} bars", MUTED, size=13, align="right"
    )
    _legend(canvas, HEADER_ROWS[2], _price_legend(view), width=190)


def _price_legend(view: _View) -> list[tuple[str, str]]:
    p = view.indicators.parameters
    up = view.values("trend")[-1] >= 0
    entries = [
        (
            f"SuperTrend {p.supertrend_period}/{p.supertrend_multiplier:g}  {_last(view, 'supertrend')}",
            UP if up else DOWN,
        )
    ]
    lengths = (p.sma_fast, p.sma_medium, p.sma_slow)
    for (name, color), length in zip(AVERAGES, lengths, strict=True):
        entries.append((f"SMA {length}  {_last(view, name)}", color))
    band = f"{_last(view, 'bollinger_lower')} – {_last(view, 'bollinger_upper')}"
    return [*entries, (f"Bollinger {p.bollinger_period}/{p.bollinger_width:g}  {band}", BAND)]


def _legend(canvas: Canvas, y: float, entries: Sequence[tuple[str, str]], width: float = 200) -> None:
    x = LEFT + 2
    for words, color in entries:
        canvas.lines([np.array([(x, y), (x + 16, y)])], color, 3.0)
        canvas.text(x + 22, y, words, INK if color == MUTED else color, size=13)
        x += max(width, 40 + 7.4 * len(words))


def _curve(canvas: Canvas, panel: Panel, view: _View, values: FloatArray, color: str, width: float) -> None:
    known = np.isfinite(values)
    if known.any():
        canvas.lines([np.c_[view.x[known], panel.y(values[known])]], color, width, panel=panel)


def _last(view: _View, name: str) -> str:
    value = float(view.values(name)[-1])
    return f"{value:.1f}" if name == "rsi" and math.isfinite(value) else price_text(value)


def price_text(value: float) -> str:
    """A price or a difference of prices as people read it; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.4f}"


def short(value: float) -> str:
    """A scale label: 1.5M, 250k, 12.5; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:,.6g}"


def _day(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[D]"))


def _time_marks(time: npt.NDArray[np.datetime64]) -> list[tuple[int, str]]:
    """Up to fourteen columns where a new day, month, quarter or year begins, with their labels."""
    months = time.astype("datetime64[M]").astype(int)
    days, weeks = (time.astype(f"datetime64[{unit}]").astype(int) for unit in "DW")
    for keys in (days, weeks, months, months // 3, months // 6, months // 12, months // 60):
        starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        if 0 < len(starts) <= 14:
            by_month = len(np.unique(months)) > 2
            return [(int(index), _mark_label(time, int(index), by_month)) for index in starts]
    step = max(1, len(time) // 8)
    return [(index, str(time[index])[11:16]) for index in range(step // 2, len(time), step)]


def _mark_label(time: npt.NDArray[np.datetime64], index: int, by_month: bool) -> str:
    day = _day(time[index])
    if day[:4] != _day(time[index - 1])[:4]:
        return day[:4]
    month = MONTHS[int(day[5:7]) - 1]
    return month if by_month else f"{int(day[8:10])} {month}"
