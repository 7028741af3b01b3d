"""The top of the book as it follows from the last print: spread and sizes by formula, None where no price can be."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal

from . import economics
from .prices.source import Snapshot
from .types import Quote

NO_SPREAD = Decimal(0)


def quote_of(snapshot: Snapshot | None, tick: Decimal, now: datetime, lot: int = economics.LOT) -> Quote:
    """Last, bid and ask in whole ticks; without a usable last price there is no bid and no ask either."""
    if snapshot is None:
        return Quote(now, None, None, None, 0, 0, 0, 0, None, None, None, None)
    last = price_or_none(snapshot.last, tick)
    half = economics.half_spread(last, tick) if last else NO_SPREAD
    size = economics.quote_size(snapshot.minute_volume, lot) if last else 0
    return Quote(
        time=snapshot.time,
        bid=last - half if last and last > half else None,
        ask=last + half if last else None,
        last=last,
        bid_size=size,
        ask_size=size,
        last_size=lot if last else 0,
        volume=int(snapshot.volume) if math.isfinite(snapshot.volume) else 0,
        open=price_or_none(snapshot.open, tick),
        high=price_or_none(snapshot.high, tick),
        low=price_or_none(snapshot.low, tick),
        prior_close=None if snapshot.prior_close is None else price_or_none(snapshot.prior_close, tick),
    )


def is_price(price: float) -> bool:
    return math.isfinite(price) and price > 0


def price_or_none(price: float, tick: Decimal) -> Decimal | None:
    return as_price(price, tick) if is_price(price) else None


def as_price(price: float, tick: Decimal) -> Decimal:
    """The nearest whole tick."""
    return economics.to_tick(Decimal(repr(price)), tick)
