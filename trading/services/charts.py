"""The chart behind an analysis: drawn when first asked for, then kept."""

from __future__ import annotations

from typing import Any

from autotrader.core.artifacts.models import Artifact
from autotrader.core.artifacts.services import artifact_read, artifact_store
from autotrader.core.errors import AutoTraderError
from broker.types import Bars
from research import facade
from research.types import IndicatorParameters
from trading.models import Analysis, StepRun
from trading.services.bars import bars_load


class ChartUnavailable(AutoTraderError):
    """The analysis has no bars that could be drawn."""

    code = "CHART_UNAVAILABLE"
    status = 404


def indicator_parameters(chosen: dict[str, Any]) -> IndicatorParameters:
    """The indicators' lengths as a step chose them; raises ValueError on a length out of range."""
    return IndicatorParameters(**chosen)


def load_bars(artifact_id: int) -> Bars:
    """The bars of a step's output."""
    return bars_load(Artifact.objects.get(pk=artifact_id))


def chart_store(bars: Bars, period: str, parameters: IndicatorParameters) -> Artifact:
    """Draw and keep the chart of these bars."""
    title = f"{bars.symbol} · {bars.bar_size} · {period}"
    picture = facade.render_chart(bars, parameters, title, as_of=bars.as_of)
    return artifact_store(kind="chart", data=picture, media_type="image/png")


def decision_chart(analysis: Analysis) -> bytes:
    """The PNG of the bars this analysis was made on; raises ChartUnavailable where there are none."""
    if analysis.chart is not None:
        return artifact_read(analysis.chart)
    if analysis.bars is None:
        raise ChartUnavailable("No bars were kept for this analysis, so there is no chart to draw.")
    bars = bars_load(analysis.bars)
    if len(bars.close) == 0:
        raise ChartUnavailable("The broker sent no bars, so there is no chart to draw.")
    kept = chart_store(bars, analysis.period, _parameters_used(analysis))
    Analysis.objects.filter(pk=analysis.pk, chart=None).update(chart=kept)
    return artifact_read(kept)


def _parameters_used(analysis: Analysis) -> IndicatorParameters:
    step = StepRun.objects.filter(execution=analysis.execution_id, name="generate_chart").first()
    return indicator_parameters(step.output.get("parameters", {}) if step else {})
