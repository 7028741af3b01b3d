"""The chart behind an analysis: drawn when first asked for, then kept."""

from __future__ import annotations

from autotrader.core.artifacts.services import artifact_read, artifact_store
from autotrader.core.errors import AutoTraderError
from research import facade
from trading.models import Analysis
from trading.services.bars import bars_load


class ChartUnavailable(AutoTraderError):
    """The analysis has no bars that could be drawn."""

    code = "CHART_UNAVAILABLE"
    status = 404


def decision_chart(analysis: Analysis) -> bytes:
    """The PNG of the bars this analysis was made on; raises ChartUnavailable where there are none."""
    if analysis.chart is not None:
        return artifact_read(analysis.chart)
    if analysis.bars is None:
        raise ChartUnavailable("No bars were kept for this analysis, so there is no chart to draw.")
    bars = bars_load(analysis.bars)
    if len(bars.close) == 0:
        raise ChartUnavailable("The broker sent no bars, so there is no chart to draw.")
    picture = facade.render_chart(bars, title=f"{bars.symbol} · {bars.bar_size}", as_of=bars.as_of)
    kept = artifact_store(kind="chart", data=picture, media_type="image/png")
    Analysis.objects.filter(pk=analysis.pk, chart=None).update(chart=kept)
    return picture
