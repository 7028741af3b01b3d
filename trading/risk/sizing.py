"""How much to trade: a fraction of equity at risk over the stop's distance, within every cap, in whole lots."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from autotrader.core.money import to_lot
from trading.models import RiskProfile
from trading.risk.base import known

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Room:
    """What sizing looks at; amounts in the base currency, None = not known."""

    equity: Decimal | None
    available_funds: Decimal | None
    exposure_total: Decimal
    exposure_instrument: Decimal


@dataclass(frozen=True, slots=True)
class Size:
    """The quantity and which cap set it."""

    quantity: Decimal
    capped_by: str


def size_entry(*, limit: Decimal, stop: Decimal, lot: Decimal, room: Room, limits: RiskProfile) -> Size:
    """The largest quantity that every cap admits; zero where equity is unknown or a price makes no sense."""
    equity, funds = room.equity, room.available_funds
    if equity is None or funds is None or not all(map(known, (equity, funds, limit, stop))):
        return Size(ZERO, "unknown")
    risk = abs(limit - stop)
    if equity <= 0 or limit <= 0 or risk <= 0:
        return Size(ZERO, "unknown")
    caps = {
        "risk_per_trade": equity * limits.risk_per_trade / risk,
        "max_position_fraction": (equity * limits.max_position_fraction - room.exposure_instrument) / limit,
        "max_exposure_fraction": (equity * limits.max_exposure_fraction - room.exposure_total) / limit,
        "max_order_value": limits.max_order_value / limit,
        "max_order_quantity": limits.max_order_quantity,
        "available_funds": funds / limit,
    }
    name = min(caps, key=lambda key: caps[key])
    return Size(max(to_lot(caps[name], lot), ZERO), name)
