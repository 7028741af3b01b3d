"""Charts: size, same bytes each time and in threads, every kind of bars, faster than a patch per bar."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from research import facade
from research.chart_canvas import png
from research.charts import UP, price_text, short
from research.types import OHLCV, IndicatorParameters
from tests.bench.plain_chart import render_plain
from tests.research.builders import AS_OF, SampleBars, seeded_bars, weekly


def pixels(picture: bytes, path: Path) -> np.ndarray:
    """The picture as an independent reader sees it."""
    path.write_bytes(picture)
    return np.asarray(imread(path))


def size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def test_a_chart_is_a_picture_of_the_promised_size_with_candles_in_it(tmp_path: Path) -> None:
    picture = facade.render_chart(seeded_bars(400), title="SPY 1 day", as_of=AS_OF)
    seen = pixels(picture, tmp_path / "chart.png")
    assert seen.shape == (960, 1280, 3)
    green = np.array([int(UP[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    assert (np.abs(seen - green).max(axis=2) < 0.01).sum() > 500


def test_the_same_input_gives_the_same_bytes_in_threads_and_in_another_process() -> None:
    bars = seeded_bars(180)
    first = facade.render_chart(bars)
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: facade.render_chart(bars), range(8)))
    assert set(others) == {first}
    code = (
        "import sys; from research import facade; from tests.research.builders import seeded_bars;"
        "sys.stdout.buffer.write(facade.render_chart(seeded_bars(180)))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, check=True)
    assert other.stdout == first


def test_threads_that_draw_different_charts_do_not_mix_them() -> None:
    charts = [seeded_bars(120, seed=seed) for seed in range(6)]
    alone = [facade.render_chart(bars) for bars in charts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(facade.render_chart, charts)) == alone


def flat(price: float) -> SampleBars:
    same = np.full(60, price)
    return replace(seeded_bars(60), open=same, high=same, low=same, close=same)


def broken(field: str, value: float) -> OHLCV:
    bars = seeded_bars(120)
    column = getattr(bars, field).copy()
    column[[0, 60, 119]] = value
    return replace(bars, **{field: column})


ODD_BARS = {
    "one bar": seeded_bars(1),
    "two bars": seeded_bars(2),
    "thirty bars": seeded_bars(30),
    "weeks": weekly(seeded_bars(1200)),
    "a missing close": broken("close", np.nan),
    "no volume": replace(seeded_bars(60), volume=np.zeros(60)),
    "unknown volume": replace(seeded_bars(60), volume=np.full(60, np.nan)),
    "a flat price": flat(7.0),
    "an endless price": broken("high", np.inf),
    "aware times": replace(
        seeded_bars(60), time=np.array([datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(60)])
    ),
    "one day of minutes": replace(
        seeded_bars(60), time=np.datetime64("2020-01-02T14:30", "s") + np.arange(60) * np.timedelta64(60, "s")
    ),
}


@pytest.mark.parametrize("kind", ODD_BARS)
@pytest.mark.filterwarnings("error")
def test_odd_bars_are_drawn_all_the_same(kind: str) -> None:
    assert size(facade.render_chart(ODD_BARS[kind], title="$odd_{title}\n" * 40)) == (1280, 960)


def test_no_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="no bars"):
        facade.render_chart(seeded_bars(0))


def test_other_parameters_draw_another_chart() -> None:
    bars = seeded_bars(300)
    assert facade.render_chart(bars, IndicatorParameters(rsi_period=21)) != facade.render_chart(bars)


def test_indicators_at_hand_are_used() -> None:
    bars = seeded_bars(300)
    assert facade.render_chart(bars, indicators=facade.indicators(bars)) == facade.render_chart(bars)


def test_it_takes_less_than_half_the_time_of_a_patch_per_bar() -> None:
    bars = seeded_bars(180)
    ours, plain = [], []
    for _ in range(3):
        started = time.thread_time()
        facade.render_chart(bars)
        between = time.thread_time()
        render_plain(bars)
        ours.append(between - started)
        plain.append(time.thread_time() - between)
    assert min(ours) * 2 < min(plain)


def test_a_written_picture_reads_back_pixel_for_pixel(tmp_path: Path) -> None:
    random = np.random.default_rng(1).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert (np.round(pixels(png(random), tmp_path / "random.png") * 255) == random).all()


@pytest.mark.parametrize(
    ("value", "label", "price"),
    [
        (1_530_000.0, "1.53M", "1,530,000.00"),
        (0.0421, "0.0421", "0.0421"),
        (float("nan"), "–", "–"),
        (-2.5, "-2.5", "-2.50"),
    ],
)
def test_numbers_are_written_for_people(value: float, label: str, price: str) -> None:
    assert (short(value), price_text(value)) == (label, price)
