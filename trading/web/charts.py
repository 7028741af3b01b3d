"""An analysis as data that a chart in the browser draws: its bars, the same indicators, the prices and the fills."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import orjson

from broker.types import Bars
from research import facade
from research.types import IndicatorParameters, Indicators
from trading.models import Fill
from trading.selectors.pages.decisions import ChartFacts
from trading.services.bars import bars_load
from trading.services.charts import ChartUnavailable, indicator_parameters

# Counts up when the same facts are to be written otherwise, so that no browser keeps the old form.
FORM = 1
MOST_BARS = 3000
DAY_S = 86_400
PLACES = 6
LINES = (
    "supertrend", "sma_fast", "sma_medium", "sma_slow", "bollinger_upper", "bollinger_middle", "bollinger_lower",
    "macd", "macd_signal", "macd_histogram", "rsi", "volume_average",
)  # fmt: skip
Seconds = npt.NDArray[np.int64]


def chart_etag(facts: ChartFacts) -> str:
    """What changes when the chart would: bars, lengths, prices and fills."""
    bars = facts.analysis.bars
    told = [
        FORM, bars.sha256 if bars else "", facts.parameters, facts.decision.instrument.time_zone, levels(facts),
        [[fill.pk, str(fill.price), str(fill.quantity)] for fill in facts.fills],
    ]  # fmt: skip
    return f'"{hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]}"'


def chart_data(facts: ChartFacts) -> bytes:
    """The chart as JSON: columns of one length, what is not known as null; times are the exchange's, as seconds.

    Raises ChartUnavailable where no bars were kept. No more than the last 3000 bars are told.
    """
    if facts.analysis.bars is None:
        raise ChartUnavailable("No bars were kept for this analysis, so there is no chart to draw.")
    bars = bars_load(facts.analysis.bars)
    if len(bars.close) == 0:
        raise ChartUnavailable("The broker sent no bars, so there is no chart to draw.")
    parameters = indicator_parameters(facts.parameters)
    document = _document(bars, facade.indicators(bars, parameters), facts) | {"labels": labels(parameters)}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _document(bars: Bars, indicators: Indicators, facts: ChartFacts) -> dict[str, Any]:
    unit = unit_of(bars.bar_size)
    utc = bars.time.astype("datetime64[s]").astype(np.int64)
    zone, time = _exchange_times(utc, facts.decision.instrument.time_zone, unit)
    shown = slice(max(0, len(time) - MOST_BARS), len(time))
    return {
        "symbol": bars.symbol,
        "bar_size": bars.bar_size,
        "zone": zone,
        "intraday": unit == "s",
        "total": len(time),
        "time": time[shown],
        **{name: getattr(bars, name)[shown] for name in ("open", "high", "low", "close", "volume")},
        "trend": indicators.trend[shown],
        "lines": {name: np.round(getattr(indicators, name)[shown], PLACES) for name in LINES},
        "levels": levels(facts),
        "fills": marks(facts.fills, time, unit, zone),
    }


def unit_of(bar_size: str) -> str:
    """M, W or D of bars that are months, weeks or days; s of shorter ones."""
    return next((unit for word, unit in (("month", "M"), ("week", "W"), ("day", "D")) if word in bar_size), "s")


def _exchange_times(utc: Seconds, name: str, unit: str) -> tuple[str, Seconds]:
    """The zone and the times as its clocks show them. Days are days, whatever the zone; where the clocks go back over
    bars, one of them would stand twice: such bars keep UTC."""
    zone = ZoneInfo(name or "UTC")
    if unit != "s":
        return zone.key, utc
    local = np.array([_by_clock(datetime.fromtimestamp(moment, zone)) for moment in utc.tolist()], dtype=np.int64)
    return (zone.key, local) if (np.diff(local) > 0).all() else ("UTC", utc)


def _by_clock(moment: datetime) -> int:
    """What the clocks of its zone show, as seconds."""
    return round(moment.replace(tzinfo=UTC).timestamp())


def labels(used: IndicatorParameters) -> dict[str, str]:
    """What each line is called, with the lengths that were used."""
    bands = f"Bollinger {used.bollinger_period}/{used.bollinger_width:g}"
    return {
        "supertrend": f"SuperTrend {used.supertrend_period}/{used.supertrend_multiplier:g}",
        "sma_fast": f"SMA {used.sma_fast}",
        "sma_medium": f"SMA {used.sma_medium}",
        "sma_slow": f"SMA {used.sma_slow}",
        "bollinger_upper": f"{bands} upper",
        "bollinger_middle": f"{bands} middle",
        "bollinger_lower": f"{bands} lower",
        "macd": f"MACD {used.macd_fast}/{used.macd_slow}",
        "macd_signal": f"signal {used.macd_signal}",
        "macd_histogram": "histogram",
        "rsi": f"RSI {used.rsi_period}",
        "volume_average": f"average {used.volume_period}",
    }


def levels(facts: ChartFacts) -> list[dict[str, Any]]:
    """The prices that are drawn as lines: kind, price and words. What was filled counts before what was wished."""
    decision = facts.decision
    entries = (("filled entry", facts.entry_price), ("limit", decision.limit_price), ("price", decision.price))
    entry = next(((words, price) for words, price in entries if price is not None), ("", None))
    rows = [("entry", *entry), ("stop", "stop", decision.stop_price), ("target", "target", decision.target_price)]
    return [{"kind": kind, "price": float(price), "words": words} for kind, words, price in rows if price is not None]


def marks(fills: Sequence[Fill], time: Seconds, unit: str, zone: str) -> list[dict[str, Any]]:
    """The fills, each at the bar it fell into; one outside the bars has a place of its own."""
    places = ZoneInfo(zone)
    rows = []
    for fill in fills:
        local = fill.time.astimezone(places)
        rows.append(
            {
                "time": _slot(time, unit, _by_clock(local)),
                "price": float(fill.price),
                "side": fill.side,
                "quantity": float(fill.quantity),
                "at": f"{local:%Y-%m-%d %H:%M:%S %Z}",
            }
        )
    return sorted(rows, key=lambda row: row["time"])


def _slot(time: Seconds, unit: str, moment: int) -> int:
    """The time of the bar that `moment` falls into, both by the exchange's clocks; else the moment or its day."""
    if unit == "s":
        index = int(np.searchsorted(time, moment, side="right")) - 1
        width = int(np.median(np.diff(time))) if len(time) > 1 else DAY_S
        return int(time[index]) if index >= 0 and moment < time[index] + width else moment
    same = np.flatnonzero(_period(time, unit) == _period(np.array([moment], dtype=np.int64), unit))
    return int(time[same[-1]]) if len(same) else moment - moment % DAY_S


def _period(time: Seconds, unit: str) -> npt.NDArray[np.int64]:
    """Numbers of days, of weeks from Monday on, or of months."""
    days = time // DAY_S
    if unit == "W":
        return np.asarray((days + 3) // 7, dtype=np.int64)
    if unit == "M":
        return time.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(days, dtype=np.int64)
