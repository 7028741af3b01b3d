"""What trading costs here: spread, commission, volume share and margin, each one formula (docs/paper-gateway.md)."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
HALF_SPREAD_RATE = Decimal("0.00005")
COMMISSION_PER_SHARE = Decimal("0.005")
COMMISSION_MINIMUM = Decimal("1.00")
COMMISSION_MAXIMUM_SHARE = Decimal("0.01")
VOLUME_SHARE = Decimal("0.10")
LOT = 100
INITIAL_MARGIN = Decimal("0.50")
MAINTENANCE_MARGIN_LONG = Decimal("0.25")
MAINTENANCE_MARGIN_SHORT = Decimal("0.30")


def to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The nearest multiple of the tick, halves up."""
    return ((price / tick).to_integral_value(ROUND_HALF_UP) * tick).quantize(tick)


def half_spread(price: Decimal, tick: Decimal) -> Decimal:
    """Half a basis point of the price in whole ticks, at least one tick."""
    return max(Decimal(1), (price * HALF_SPREAD_RATE / tick).to_integral_value(ROUND_HALF_UP)) * tick


def commission(quantity: Decimal, value: Decimal) -> Decimal:
    """The cost of an order that has traded `quantity` shares for `value` dollars in all its fills."""
    plain = max(COMMISSION_MINIMUM, COMMISSION_PER_SHARE * quantity)
    return min(plain, COMMISSION_MAXIMUM_SHARE * value).quantize(CENT, ROUND_HALF_UP)


def bar_capacity(volume: float) -> Decimal:
    """The whole shares that one order may take from a bar of this volume."""
    if not math.isfinite(volume) or volume <= 0:
        return Decimal(0)
    return (Decimal(volume) * VOLUME_SHARE).to_integral_value(ROUND_FLOOR)


def quote_size(minute_volume: float) -> int:
    """Shares shown on each side of the book: the volume share of an average minute in whole lots, at least one."""
    if not math.isfinite(minute_volume) or minute_volume <= 0:
        return LOT
    return max(LOT, int(minute_volume * float(VOLUME_SHARE)) // LOT * LOT)


def initial_margin(market_value: Decimal) -> Decimal:
    """For a long (positive) or short (negative) market value."""
    return abs(market_value) * INITIAL_MARGIN


def maintenance_margin(market_value: Decimal) -> Decimal:
    """For a long (positive) or short (negative) market value."""
    rate = MAINTENANCE_MARGIN_LONG if market_value > 0 else MAINTENANCE_MARGIN_SHORT
    return abs(market_value) * rate
