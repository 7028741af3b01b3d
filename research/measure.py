"""The two ratios by which a proposal is measured: profit margin and R."""

from __future__ import annotations

from decimal import Decimal

from research.types import ratio_of


def profit_margin(price: Decimal, target: Decimal) -> Decimal:
    """|target - price| / price, to four places; the price must be positive."""
    return ratio_of(abs(target - price) / price)


def r_coefficient(price: Decimal, target: Decimal, stop: Decimal) -> Decimal | None:
    """|target - price| / |price - stop|, to four places; None where the stop equals the price."""
    risk = abs(price - stop)
    return ratio_of(abs(target - price) / risk) if risk else None


def on_its_side(kind: str, price: Decimal, target: Decimal, stop: Decimal) -> bool:
    """True where a buy has stop < price < target, and a sell target < price < stop."""
    return stop < price < target if kind == "buy" else target < price < stop
