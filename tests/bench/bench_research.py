"""How long indicators and a chart take."""

from __future__ import annotations

from research.charts import render
from research.indicators import compute
from tests.bench.frame import Measured, against, bench, median_of
from tests.bench.plain_chart import render_plain
from tests.research.builders import seeded_bars


@bench("indicators of 500 bars", target=0.001)
def indicators() -> Measured:
    bars = seeded_bars(500)
    return median_of(lambda: compute(bars), rounds=200)


@bench("chart 1280x960, 180 bars", target=0.110, faster=2)
def chart() -> Measured:
    bars = seeded_bars(180)
    return against(lambda: render(bars), lambda: render_plain(bars), rounds=15)
