"""What trading costs here: spread, commission, volume share and margin, each one formula (docs/paper-gateway.md)."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from .types import SymbolSpec

CENT = Decimal("0.01")
HALF_SPREAD_RATE = Decimal("0.00005")
COMMISSION_PER_SHARE = Decimal("0.005")
COMMISSION_MINIMUM = Decimal("1.00")
COMMISSION_MAXIMUM_SHARE = Decimal("0.01")
COMMISSION_PER_FUTURE = Decimal("2.25")
COMMISSION_OF_CURRENCY = Decimal("0.00002")
COMMISSION_OF_CURRENCY_MINIMUM = Decimal("2.00")
VOLUME_SHARE = Decimal("0.10")
LOT = 100
LOTS = {"FUT": 1, "CASH": 1_000_000}
FUTURE_MAINTENANCE = Decimal("0.90")
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


def futures_commission(contracts: Decimal) -> Decimal:
    """In the currency of the future."""
    return (COMMISSION_PER_FUTURE * contracts).quantize(CENT, ROUND_HALF_UP)


def currency_commission(value: Decimal) -> Decimal:
    """The cost of an exchange of currencies worth `value`, both in base currency."""
    return max(COMMISSION_OF_CURRENCY_MINIMUM, COMMISSION_OF_CURRENCY * value).quantize(CENT, ROUND_HALF_UP)


def lot_of(spec: SymbolSpec) -> int:
    """The round lot in which the book shows sizes."""
    return LOTS.get(spec.sec_type, LOT)


def capacity(spec: SymbolSpec, volume: float) -> Decimal:
    """What one order may take from a bar of this volume; banks make a market in currencies, whatever was traded."""
    share = bar_capacity(volume)
    return max(share, Decimal(lot_of(spec))) if spec.sec_type == "CASH" else share


def bar_capacity(volume: float) -> Decimal:
    """The whole shares that one order may take from a bar of this volume."""
    if not math.isfinite(volume) or volume <= 0:
        return Decimal(0)
    return (Decimal(volume) * VOLUME_SHARE).to_integral_value(ROUND_FLOOR)


def quote_size(minute_volume: float, lot: int = LOT) -> int:
    """What is shown on each side of the book: the volume share of an average minute in whole lots, at least one."""
    if not math.isfinite(minute_volume) or minute_volume <= 0:
        return lot
    return max(lot, int(minute_volume * float(VOLUME_SHARE)) // lot * lot)


def initial_margin(market_value: Decimal) -> Decimal:
    """For a long (positive) or short (negative) market value."""
    return abs(market_value) * INITIAL_MARGIN


def maintenance_margin(market_value: Decimal) -> Decimal:
    """For a long (positive) or short (negative) market value."""
    rate = MAINTENANCE_MARGIN_LONG if market_value > 0 else MAINTENANCE_MARGIN_SHORT
    return abs(market_value) * rate


def future_initial(contracts: Decimal, each: Decimal) -> Decimal:
    """For a long (positive) or short (negative) number of contracts with a fixed margin each."""
    return abs(contracts) * each


def future_maintenance(contracts: Decimal, each: Decimal) -> Decimal:
    """For a long (positive) or short (negative) number of contracts with a fixed initial margin each."""
    return abs(contracts) * each * FUTURE_MAINTENANCE


def initial_of(spec: SymbolSpec, quantity: Decimal, price: Decimal) -> Decimal:
    """Initial margin of a holding at `price`, in the contract's currency; currencies need none."""
    if spec.sec_type == "CASH":
        return Decimal(0)
    if spec.margin_fixed is not None:
        return future_initial(quantity, spec.margin_fixed)
    return initial_margin(quantity * price * spec.multiplier)


def maintenance_of(spec: SymbolSpec, quantity: Decimal, price: Decimal) -> Decimal:
    """Maintenance margin of a holding at `price`, in the contract's currency; currencies need none."""
    if spec.sec_type == "CASH":
        return Decimal(0)
    if spec.margin_fixed is not None:
        return future_maintenance(quantity, spec.margin_fixed)
    return maintenance_margin(quantity * price * spec.multiplier)


def parts(shares: Decimal, count: int) -> list[Decimal]:
    """At most `count` whole parts of nearly the same size; what cannot be divided stays in one piece."""
    if count <= 1 or shares != shares.to_integral_value():
        return [shares]
    size, rest = divmod(int(shares), count)
    return [Decimal(size + (number < rest)) for number in range(count) if size + (number < rest)]
