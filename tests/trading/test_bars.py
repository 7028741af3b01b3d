"""Bars that nobody should judge are named, and stored bars come back as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.core.artifacts.models import Artifact
from broker.types import Bars
from trading.services.bars import ARRAYS, LARGEST_GAP, bars_fault, bars_load, bars_store


def walk(count: int = 250, seed: int = 7) -> Bars:
    """Sound daily bars."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    opened = close * (1 + random.normal(0, 0.003, count))
    return Bars(
        con_id=1, symbol="AAPL", bar_size="1 day", period="1 Y",
        time=np.datetime64("2020-01-01", "s") + np.arange(count) * np.timedelta64(86_400, "s"),
        open=opened, high=np.maximum(opened, close) * 1.002, low=np.minimum(opened, close) * 0.998, close=close,
        volume=np.full(count, 1e6), as_of=datetime(2020, 12, 31, 21, tzinfo=UTC), source="walk",
    )  # fmt: skip


def spoiled(name: str, at: int, value: float) -> Bars:
    bars = walk()
    array = getattr(bars, name).copy()
    array[at] = value
    return replace(bars, **{name: array})


def scaled(at: int, factor: float) -> Bars:
    """Every price from `at` on at another scale, as after a split that nobody explained."""
    bars = walk()
    scale = np.where(np.arange(len(bars.close)) < at, 1.0, factor)
    return replace(bars, **{name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")})


def code(bars: Bars, least: int = 200) -> str:
    fault = bars_fault(bars, least)
    return "" if fault is None else fault.code


@pytest.mark.parametrize(
    ("count", "least", "expected"),
    [
        (0, 1, "too_few_bars"),
        (30, 200, "too_few_bars"),
        (199, 200, "too_few_bars"),
        (200, 200, ""),
        (1, 1, ""),
        (0, 0, ""),
    ],
)
def test_there_must_be_enough(count: int, least: int, expected: str) -> None:
    assert code(walk(count), least) == expected


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0, 0.0])
@pytest.mark.parametrize("at", [0, 100, -1])
def test_an_impossible_price(name: str, value: float, at: int) -> None:
    assert code(spoiled(name, at, value)) == "bad_bars"


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_an_impossible_volume(value: float) -> None:
    assert code(spoiled("volume", 5, value)) == "bad_bars"


def test_a_bar_without_trades_is_a_bar() -> None:
    assert code(spoiled("volume", 5, 0.0)) == ""


def test_a_high_below_the_low() -> None:
    bars = walk()
    assert code(replace(bars, high=bars.low, low=bars.high)) == "bad_bars"
    assert code(spoiled("high", 9, float(bars.close[9]) * 0.9)) == "bad_bars"
    assert code(spoiled("low", 9, float(bars.close[9]) * 1.1)) == "bad_bars"


def test_the_faulty_bar_is_named() -> None:
    fault = bars_fault(spoiled("close", 3, float("nan")), 1)
    assert fault is not None
    assert "2020-01-04" in fault.detail


@pytest.mark.parametrize("order", [[1, 0], [0, 0]])
def test_bars_out_of_order(order: list[int]) -> None:
    bars = walk()
    time = bars.time.copy()
    time[:2] = bars.time[order]
    assert code(replace(bars, time=time)) == "bad_bars"


@pytest.mark.parametrize("factor", [1 / 7, 1 / 4, 1 / 2, 2.0, 10.0])
def test_a_gap_that_nothing_explains(factor: float) -> None:
    fault = bars_fault(scaled(120, factor), 200)
    assert fault is not None
    assert fault.code == "data_gap"
    assert str(walk().time[120])[:10] in fault.detail


def test_a_hard_day_is_no_gap() -> None:
    assert code(scaled(120, 1 - LARGEST_GAP + 0.05)) == ""
    assert code(scaled(120, 1 + LARGEST_GAP - 0.05)) == ""


@given(at=st.integers(0, 249), name=st.sampled_from(["open", "high", "low", "close"]), value=st.floats(allow_nan=True))
def test_a_price_out_of_line_never_passes(at: int, name: str, value: float) -> None:
    """One price far from its neighbours is a fault of one kind or the other."""
    sound = float(getattr(walk(), name)[at])
    if not 0.5 * sound < value < 1.5 * sound and name in ("open", "close"):
        assert code(spoiled(name, at, value)) in ("bad_bars", "data_gap")


# Storing


@pytest.fixture
def storage(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def same(one: Bars, other: Bars) -> bool:
    facts = all(getattr(one, name) == getattr(other, name) for name in FACTS)
    return facts and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


FACTS = ("con_id", "symbol", "bar_size", "period", "as_of", "source")


@pytest.mark.usefixtures("db")
def test_stored_bars_come_back_as_they_were(storage: Path) -> None:
    bars = walk()
    loaded = bars_load(bars_store(bars))
    assert same(bars, loaded)
    assert loaded.time.dtype == np.dtype("datetime64[s]")
    assert loaded.as_of.tzinfo is not None


@pytest.mark.usefixtures("db")
def test_the_same_bars_are_the_same_artifact(storage: Path) -> None:
    first, again, other = bars_store(walk()), bars_store(walk()), bars_store(walk(seed=8))
    assert first == again
    assert first != other
    assert Artifact.objects.count() == 2
    assert bars_store(replace(walk(), source="another")) != first


@pytest.mark.usefixtures("db")
def test_no_bars_are_kept_as_no_bars(storage: Path) -> None:
    assert len(bars_load(bars_store(walk(0))).close) == 0
