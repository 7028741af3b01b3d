"""Fetch the bars of each timeframe, refuse what cannot be analysed, keep the rest as artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broker import types
from broker.errors import MarketDataError
from broker.port import TABLE
from trading.services.bars import bars_fault, bars_store
from trading.workflow.context import StepContext, StepResult, hold

NEEDS: tuple[str, ...] = ("check_session",)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Which of the strategy's timeframes to fetch, and the fewest bars each must have (one number a timeframe)."""

    timeframes: tuple[int, ...] = (1, 2)
    min_bars: tuple[int, ...] = (200, 100)

    def __post_init__(self) -> None:
        if not self.timeframes or len(self.timeframes) != len(self.min_bars):
            raise ValueError("timeframes and min_bars must name at least one timeframe, and equally many")
        if len(set(self.timeframes)) < len(self.timeframes) or not set(self.timeframes) <= set(range(1, 10)):
            raise ValueError("timeframes are different numbers from 1 to 9")


def run(context: StepContext) -> StepResult:
    """Output: per timeframe the artifact's id, period, bar size and count; a fault is HOLD with its code."""
    parameters: Parameters = context.spec.parameters
    found: list[dict[str, Any]] = []
    context.lease(TABLE["bars"].timeout * len(parameters.timeframes))
    for timeframe, least in zip(parameters.timeframes, parameters.min_bars, strict=True):
        query = bars_query(context, timeframe)
        try:
            bars = context.broker.bars(query)
        except MarketDataError as error:
            return hold("no_data", error.message, {"timeframe": timeframe})
        fault = bars_fault(bars, least)
        if fault:
            return hold(fault.code, f"{bars.symbol} {query.bar_size}: {fault.detail}", {"timeframe": timeframe})
        found.append(_keep(bars, timeframe))
    return StepResult({"timeframes": found}, input={"strategy": context.strategy.parameters})


def bars_query(context: StepContext, timeframe: int) -> types.BarsQuery:
    """The strategy's period and bar size of a timeframe."""
    parameters = context.strategy.parameters
    return types.BarsQuery(
        con_id=context.outputs["check_session"]["con_id"],
        bar_size=str(parameters.get(f"bar_{timeframe}", ("1 day", "1 week")[min(timeframe, 2) - 1])),
        period=str(parameters.get(f"period_{timeframe}", ("2 Y", "5 Y")[min(timeframe, 2) - 1])),
    )


def _keep(bars: types.Bars, timeframe: int) -> dict[str, Any]:
    return {
        "timeframe": timeframe,
        "period": bars.period,
        "bar_size": bars.bar_size,
        "bars": bars_store(bars).pk,
        "count": len(bars.close),
        "first": str(bars.time[0])[:19],
        "last": str(bars.time[-1])[:19],
        "as_of": bars.as_of.isoformat(),
        "source": bars.source,
    }
