"""The rules analyst: buys, sells and holds with their reasons, one timeframe or two, always the same."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from research import facade
from research.measure import on_its_side, r_coefficient
from research.types import Analysis, Consolidation, IndicatorParameters, Opinion, PositionContext, price_of
from tests.research.builders import SampleBars, seeded_bars, timeframe, weekly

RULES = facade.analyst("rules")


def trending(count: int = 260, *, slope: float = 0.002, seed: int = 3) -> SampleBars:
    return seeded_bars(count, drift=slope, seed=seed)


def judged(*frames: SampleBars, price: Decimal | None = None, held: PositionContext | None = None) -> Opinion:
    analyses = tuple(RULES.analyze(timeframe(bars)).value for bars in frames)
    consolidation = RULES.consolidate(analyses).value
    quote = price_of(float(frames[0].close[-1])) if price is None else price
    return RULES.decide(consolidation, quote, held or PositionContext(), "Indicator_1Y_1d").value


def proposed(opinion: Opinion) -> tuple[Decimal, Decimal, Decimal]:
    """Price, target and stop of a proposal."""
    assert opinion.current_price is not None
    assert opinion.target_price is not None
    assert opinion.stop_loss is not None
    return opinion.current_price, opinion.target_price, opinion.stop_loss


def straight(step: float, count: int = 260) -> SampleBars:
    """A steady move with a wave on it, ended in the middle of a wave that goes its way."""
    base = seeded_bars(count)
    place = np.arange(count) - count + 1
    close = 100 + step * place + np.copysign(3.0, step) * np.sin(place / 4.0)
    return replace(base, open=close - 0.2, high=close + 0.8, low=close - 0.8, close=close)


def test_a_steady_rise_is_a_buy_with_its_levels_on_their_sides() -> None:
    opinion = judged(straight(0.15), weekly(straight(0.15)))
    assert opinion.type == "buy"
    price, target, stop = proposed(opinion)
    assert on_its_side("buy", price, target, stop)
    assert opinion.r_coefficient == r_coefficient(price, target, stop)
    assert (opinion.decided_by, opinion.strategy_used) == ("rules-v1", "Indicator_1Y_1d")


def test_a_steady_fall_is_a_sell_whatever_is_held() -> None:
    falling = straight(-0.15)
    flat = judged(falling)
    assert flat.type == "sell"
    assert flat == judged(falling, held=PositionContext("long", Decimal(10), Decimal(90)))
    assert on_its_side("sell", *proposed(flat))


def test_timeframes_that_point_apart_are_a_hold() -> None:
    opinion = judged(straight(0.15), straight(-0.15))
    assert (opinion.type, opinion.reason) == ("hold", "timeframes_disagree")
    assert opinion.target_price is None


def test_a_calm_market_is_a_hold() -> None:
    assert judged(straight(0.0)).reason in {"no_trend", "overextended"}


def test_a_move_that_ran_too_far_is_a_hold() -> None:
    bars = seeded_bars(260)
    close = np.asarray(100 * 1.004 ** np.arange(260), dtype=np.float64)
    assert judged(replace(bars, open=close, high=close, low=close, close=close)).reason == "overextended"


def test_thirty_bars_do_not_suffice() -> None:
    assert judged(seeded_bars(30)).reason == "insufficient_bars"


def test_bars_short_of_the_slow_average_are_judged_by_the_medium_one() -> None:
    analysis = RULES.analyze(timeframe(straight(0.15, 120))).value
    assert analysis.failure is None
    assert "close above SMA 50" in analysis.summary


@pytest.mark.parametrize("value", [np.nan, -5.0, 0.0])
def test_a_bar_that_cannot_be_is_a_hold(value: float) -> None:
    bars = seeded_bars(260)
    close = bars.close.copy()
    close[100] = value
    assert judged(replace(bars, close=close)).reason == "data_invalid"


def test_no_bars_are_a_hold() -> None:
    bars = seeded_bars(0)
    analysis = RULES.analyze(timeframe(bars)).value
    assert analysis.failure
    assert analysis.failure.code == "data_invalid"


@pytest.mark.parametrize("price", ["NaN", "Infinity", "0", "-3"])
def test_a_quote_that_is_no_price_is_a_hold(price: str) -> None:
    opinion = judged(straight(0.15), price=Decimal(price))
    assert (opinion.reason, opinion.current_price) == ("no_quote", None)


def test_a_quote_far_from_the_bars_is_a_hold() -> None:
    assert judged(straight(0.15), price=Decimal("30.00")).reason == "quote_off_bars"


def test_the_same_bars_give_the_same_opinion() -> None:
    assert judged(trending(), weekly(trending())) == judged(trending(), weekly(trending()))


def test_another_rsi_period_is_another_analysis() -> None:
    bars = straight(0.15)
    first, second = (
        RULES.analyze(timeframe(bars, parameters=IndicatorParameters(rsi_period=period))).value for period in (14, 5)
    )
    assert first.facts["rsi"] != second.facts["rsi"]


def test_an_analysis_and_a_consolidation_survive_json() -> None:
    analyses = tuple(RULES.analyze(timeframe(bars)).value for bars in (trending(), seeded_bars(30)))
    consolidation = RULES.consolidate(analyses).value
    read = json.loads(json.dumps(consolidation.as_json(), allow_nan=False))
    assert Consolidation.from_json(read) == consolidation
    assert Analysis.from_json(analyses[0].as_json()) == analyses[0]
    assert consolidation.failure
    assert consolidation.failure.code == "insufficient_bars"


def test_an_opinion_is_json_safe() -> None:
    assert json.loads(json.dumps(judged(straight(0.15)).as_json(), allow_nan=False))["type"] == "buy"


def test_an_unknown_analyst_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match="rules"):
        facade.analyst("oracle")
