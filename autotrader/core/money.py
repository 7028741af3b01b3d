"""Decimal fields and rounding: at most 15 significant digits, since SQLite stores no more."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from django.db import models

MONEY_PLACES = Decimal("0.0001")
PRICE_PLACES = Decimal("0.000001")


def price_field(**kwargs: Any) -> models.DecimalField[Any, Any]:
    """A price per unit: 15 digits, 6 after the point."""
    return models.DecimalField(max_digits=15, decimal_places=6, **kwargs)


def quantity_field(**kwargs: Any) -> models.DecimalField[Any, Any]:
    """A number of shares or contracts: 15 digits, 6 after the point."""
    return models.DecimalField(max_digits=15, decimal_places=6, **kwargs)


def money_field(**kwargs: Any) -> models.DecimalField[Any, Any]:
    """An amount of money: 15 digits, 4 after the point."""
    return models.DecimalField(max_digits=15, decimal_places=4, **kwargs)


def ratio_field(**kwargs: Any) -> models.DecimalField[Any, Any]:
    """A dimensionless ratio such as R or a margin: 15 digits, 6 after the point."""
    return models.DecimalField(max_digits=15, decimal_places=6, **kwargs)


def quantize_money(amount: Decimal) -> Decimal:
    """Round an amount to what a money field stores."""
    return amount.quantize(MONEY_PLACES, rounding=ROUND_HALF_EVEN)


def quantize_price(price: Decimal) -> Decimal:
    """Round a price to what a price field stores."""
    return price.quantize(PRICE_PLACES, rounding=ROUND_HALF_EVEN)


def to_tick(price: Decimal, tick: Decimal, *, up: bool | None = None) -> Decimal:
    """The price on the tick grid: nearest by default, else upwards or downwards."""
    rounding = {None: ROUND_HALF_EVEN, True: ROUND_CEILING, False: ROUND_FLOOR}[up]
    return (price / tick).to_integral_value(rounding=rounding) * tick


def to_lot(quantity: Decimal, lot: Decimal) -> Decimal:
    """The quantity rounded down to whole lots."""
    return (quantity / lot).to_integral_value(rounding=ROUND_DOWN) * lot
