"""The rules analyst on real bars of five symbols: every kind of opinion comes up."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from research import facade
from research.measure import on_its_side
from research.types import Opinion, PositionContext, price_of
from tests.research.builders import real_daily, timeframe, weekly

SYMBOLS = ("SPY", "AAPL", "IBM", "QQQ", "BAC")
EVERY = 5
RULES = facade.analyst("rules")


def opinions(symbol: str) -> list[Opinion]:
    """One opinion each fifth session, from a year of daily and up to five years of weekly bars."""
    whole = real_daily(symbol)
    found = []
    for end in range(260, len(whole.close), EVERY):
        daily, weeks = whole.part(max(0, end - 252), end), weekly(whole.part(max(0, end - 1260), end))
        analyses = (RULES.analyze(timeframe(daily, "1 Y")).value, RULES.analyze(timeframe(weeks, "5 Y")).value)
        price = price_of(float(daily.close[-1]))
        found.append(RULES.decide(RULES.consolidate(analyses).value, price, PositionContext()).value)
    return found


def kind(opinion: Opinion) -> str:
    """How the risk rules (R of at least 1, margin of at least 5 %) will look at it."""
    if opinion.type == "hold":
        return f"hold {opinion.reason}"
    prices = (opinion.current_price, opinion.target_price, opinion.stop_loss)
    price, target, stop = (value for value in prices if value is not None)
    assert on_its_side(opinion.type, price, target, stop)
    assert opinion.r_coefficient is not None
    assert opinion.profit_margin is not None
    if opinion.r_coefficient < 1:
        return f"{opinion.type} refused R"
    return f"{opinion.type} {'refused margin' if opinion.profit_margin < Decimal('0.05') else 'sound'}"


@pytest.fixture(scope="module")
def counts() -> dict[str, Counter[str]]:
    return {symbol: Counter(kind(opinion) for opinion in opinions(symbol)) for symbol in SYMBOLS}


def test_every_kind_of_opinion_comes_up_often(counts: dict[str, Counter[str]]) -> None:
    total = sum(counts.values(), Counter[str]())
    for name in ("buy sound", "buy refused R", "buy refused margin", "sell sound", "sell refused margin"):
        assert total[name] >= 20, (name, total)
    assert total["hold no_trend"] >= 100
    assert total["hold timeframes_disagree"] >= 100
    assert total["hold overextended"] >= 20


def test_each_symbol_has_sound_buys_sells_and_holds(counts: dict[str, Counter[str]]) -> None:
    for symbol, counted in counts.items():
        assert {"buy sound", "sell sound", "hold no_trend"} <= set(counted), symbol
        assert not {"hold data_invalid", "hold insufficient_bars"} & set(counted), symbol
