"""Indicators: values against plain formulas, no look-ahead, gaps, few bars, other parameters, no Django."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.indicators import compute
from research.types import OHLCV, IndicatorParameters, Indicators
from tests.research.builders import seeded_bars


def test_averages_and_bands_follow_their_formulas() -> None:
    bars = seeded_bars(260)
    result = compute(bars)
    window = bars.close[-20:]
    assert result.sma_fast[-1] == pytest.approx(window.mean())
    assert result.sma_slow[-1] == pytest.approx(bars.close[-200:].mean())
    assert result.bollinger_upper[-1] == pytest.approx(window.mean() + 2 * window.std())
    assert result.volume_average[-1] == pytest.approx(bars.volume[-20:].mean())
    assert result.macd_histogram[-1] == pytest.approx(result.macd[-1] - result.macd_signal[-1])


def test_supertrend_lies_below_the_close_in_an_uptrend_and_above_it_in_a_downtrend() -> None:
    bars = seeded_bars(400)
    result = compute(bars)
    assert set(np.unique(result.trend)) == {-1.0, 0.0, 1.0}
    assert (result.supertrend <= bars.close)[result.trend > 0].all()
    assert (result.supertrend >= bars.close)[result.trend < 0].all()


def test_an_indicator_of_a_bar_does_not_change_when_younger_bars_come() -> None:
    bars = seeded_bars(320)
    whole = compute(bars)
    for count in (15, 60, 201, 250, 319):
        older = compute(bars.part(0, count))
        for name in Indicators.names():
            np.testing.assert_array_equal(getattr(older, name), getattr(whole, name)[:count], err_msg=name)


@pytest.mark.parametrize("count", [0, 1, 5, 30])
def test_too_few_bars_give_no_value(count: int) -> None:
    result = compute(seeded_bars(count))
    assert len(result.sma_slow) == count
    assert np.isnan(result.sma_slow).all()
    assert (result.trend[:10] == 0).all()


@settings(max_examples=50, deadline=None)
@given(
    gap=st.integers(0, 299), field=st.sampled_from(["high", "low", "close"]), value=st.sampled_from([np.nan, np.inf])
)
def test_from_a_gap_on_there_are_no_values_and_before_it_all_are_as_ever(gap: int, field: str, value: float) -> None:
    bars = seeded_bars(300)
    column = getattr(bars, field).copy()
    column[gap] = value
    result, sound = compute(replace(bars, **{field: column})), compute(bars)
    assert np.isnan(result.rsi[gap:]).all()
    assert (result.trend[gap:] == 0).all()
    np.testing.assert_array_equal(result.rsi[:gap], sound.rsi[:gap])


def test_a_missing_volume_leaves_the_prices_alone() -> None:
    bars = seeded_bars(60)
    volume = bars.volume.copy()
    volume[30] = np.nan
    result = compute(replace(bars, volume=volume))
    assert np.isnan(result.volume_average[-1])
    assert np.isfinite(result.rsi[-1])


def test_other_parameters_give_other_values() -> None:
    bars = seeded_bars(300)
    assert compute(bars, IndicatorParameters(rsi_period=21)).rsi[-1] != compute(bars).rsi[-1]


@pytest.mark.parametrize(
    "wrong",
    [{"rsi_period": 1}, {"rsi_period": 1001}, {"sma_fast": 2.5}, {"bollinger_width": 0.0}, {"macd_fast": 26}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        IndicatorParameters(**wrong)


def test_arrays_of_different_lengths_are_refused() -> None:
    bars = seeded_bars(30)
    with pytest.raises(ValueError, match="length"):
        compute(replace(bars, high=bars.high[1:]))


def test_sample_bars_are_bars() -> None:
    assert isinstance(seeded_bars(3), OHLCV)


@pytest.mark.parametrize("module", ["research.indicators", "research.types", "research.facade", "research.levels"])
def test_importing_it_loads_no_django_and_no_model_client(module: str) -> None:
    code = f"import {module}, sys; sys.exit(bool({{'django', 'openai', 'matplotlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0


def test_five_hundred_bars_take_no_loop_over_them() -> None:
    bars = seeded_bars(500)

    def once() -> float:
        started = time.thread_time()
        compute(bars)
        return time.thread_time() - started

    assert min(once() for _ in range(20)) < 0.01  # a thousandth on a machine of today
