"""Bars of what else a client may ask for: of the bid, the ask, the middle, both sides, or the historical volatility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from statistics import stdev

from ..economics import half_spread
from ..types import Bar, GatewayError, SymbolSpec

TRADES, ADJUSTED, MIDPOINT, BID, ASK, BID_ASK = "TRADES", "ADJUSTED_LAST", "MIDPOINT", "BID", "ASK", "BID_ASK"
VOLATILITY, SCHEDULE = "HISTORICAL_VOLATILITY", "SCHEDULE"
_SIDES = (MIDPOINT, BID, ASK, BID_ASK)
_SERVED: dict[str, tuple[str, ...]] = {
    "STK": (TRADES, ADJUSTED, *_SIDES, VOLATILITY, SCHEDULE),
    "FUT": (TRADES, *_SIDES, VOLATILITY, SCHEDULE),
    "OPT": (TRADES, *_SIDES, SCHEDULE),
    "CASH": (*_SIDES, VOLATILITY, SCHEDULE),
    "IND": (TRADES, VOLATILITY, SCHEDULE),
    "CRYPTO": (TRADES, "AGGTRADES", *_SIDES, VOLATILITY, SCHEDULE),
}
_NOT_SIMULATED = {"OPTION_IMPLIED_VOLATILITY", "AGGTRADES", "REBATE_RATE", "FEE_RATE"}
_KNOWN = {word for words in _SERVED.values() for word in words} | _NOT_SIMULATED
NONE_OF_IT = -1
VOLATILITY_DAYS = 30
_TRADING_DAYS = 252


def parse_what(text: str, spec: SymbolSpec) -> str:
    """The kind of bars asked for; raises GatewayError 321 for no such kind, 162 for one the contract has not."""
    what = text.strip().upper()
    if what not in _KNOWN:
        raise GatewayError(321, f"Error validating request.-'bD' : cause - What to show {text[:40]!r} is unknown")
    if what not in _SERVED[spec.sec_type]:
        text = f"No historical market data for {spec.symbol}/{spec.sec_type}@{spec.primary_exchange} {what}"
        raise GatewayError(162, f"Historical Market Data Service error message:{text}")
    return what


def shown(bars: Sequence[Bar], what: str, tick: Decimal) -> Sequence[Bar]:
    """Bars of trades as bars of `what`; those of quotes carry no volume. The spread is that of the quotes."""
    if what not in _SIDES:
        return bars
    return [_side(bar, what, tick) for bar in bars]


def _side(bar: Bar, what: str, tick: Decimal) -> Bar:
    prices = (bar.open, bar.high, bar.low, bar.close)
    if what == MIDPOINT:
        return _quoted(bar, *prices)
    if what == BID_ASK:
        bid, ask = sides(bar.wap, tick)
        return _quoted(bar, bid, sides(bar.high, tick)[1], sides(bar.low, tick)[0], ask)
    first, high, low, last = (sides(price, tick)[what == ASK] for price in prices)
    return _quoted(bar, first, high, low, last)


def _quoted(bar: Bar, first: float, high: float, low: float, last: float) -> Bar:
    nothing = float(NONE_OF_IT)
    return replace(bar, open=first, high=high, low=low, close=last, volume=nothing, wap=nothing, count=NONE_OF_IT)


def sides(price: float, tick: Decimal) -> tuple[float, float]:
    """Bid and ask at a last price; what is no price stays as it is."""
    if not (math.isfinite(price) and price > 0):
        return price, price
    return _sides(math.floor(price / float(tick) + 0.5), tick)


@lru_cache(maxsize=65536)
def _sides(ticks: int, tick: Decimal) -> tuple[float, float]:
    price = ticks * tick
    half = half_spread(price, tick)
    return float(price - half), float(price + half)


def volatility_bars(bars: Sequence[Bar], daily: Sequence[Bar]) -> list[Bar]:
    """Each bar as the yearly volatility of the thirty daily returns up to its last day; those with fewer are left out.

    `daily` must reach back thirty sessions before the first of `bars`.
    """
    found, until = [], 0
    for bar in bars:
        while until < len(daily) and daily[until].day <= bar.day:
            until += 1
        value = _volatility([day.close for day in daily[max(0, until - VOLATILITY_DAYS - 1) : until]])
        if value is not None:
            found.append(_quoted(bar, value, value, value, value))
    return found


def _volatility(closes: list[float]) -> float | None:
    if len(closes) <= VOLATILITY_DAYS or not all(math.isfinite(price) and price > 0 for price in closes):
        return None
    returns = [math.log(later / earlier) for earlier, later in pairwise(closes)]
    return round(stdev(returns) * math.sqrt(_TRADING_DAYS), 6)
