"""Prepare each timeframe for the analyst; the picture is drawn now only where the analyst looks at pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from research.types import IndicatorParameters
from trading.services.charts import chart_store, indicator_parameters, load_bars
from trading.workflow.analysts import analyst_of
from trading.workflow.context import StepContext, StepResult

NEEDS: tuple[str, ...] = ("fetch_data",)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Lengths of the indicators that charts and analysts use."""

    rsi_period: int = 14
    sma_fast: int = 20
    sma_medium: int = 50
    sma_slow: int = 200
    atr_period: int = 14

    def __post_init__(self) -> None:
        self.indicators()

    def indicators(self) -> IndicatorParameters:
        """The research parameters; raises ValueError on a length out of range."""
        return indicator_parameters(
            {name: getattr(self, name) for name in ("rsi_period", "sma_fast", "sma_medium", "sma_slow", "atr_period")}
        )


def run(context: StepContext) -> StepResult:
    """Output: the indicators' parameters and, where the analyst needs them, one chart artifact a timeframe."""
    parameters: IndicatorParameters = context.spec.parameters.indicators()
    chosen = {name: getattr(context.spec.parameters, name) for name in Parameters.__slots__}
    charts: dict[str, Any] = {}
    if analyst_of(context).needs_charts:
        for row in context.outputs["fetch_data"]["timeframes"]:
            bars = load_bars(row["bars"])
            charts[str(row["timeframe"])] = chart_store(bars, row["period"], parameters).pk
    return StepResult({"parameters": chosen, "charts": charts})
