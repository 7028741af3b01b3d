"""Where and at what price an order trades on a straight piece of the price path; no state, no clock."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal

from . import economics
from .orders import STOPS, Order
from .prices.source import PathBar

OPEN_DELAY_SECONDS = 1
# Who pays half the spread: everybody, only those who take (market orders and triggered ones), nobody (an auction).
Spread = Literal["all", "takers", "none"]


def touch(order: Order, price: Decimal, target: Decimal) -> Decimal | None:
    """The first price at which the order acts while the market moves from `price` to `target`; None if nowhere."""
    if order.is_market:
        return price
    level = order.level
    if acts_at(order, level, price):
        return price
    return level if acts_at(order, level, target) else None


def acts_at(order: Order, level: Decimal, price: Decimal) -> bool:
    """A buy limit and a sell stop act at their level or below, a sell limit and a buy stop at it or above."""
    acts_as_stop = order.waits_for_trigger and order.terms.order_type in STOPS
    return price <= level if order.is_buy != acts_as_stop else price >= level


def fill_price(order: Order, touched: Decimal, tick: Decimal, spread: Spread) -> Decimal:
    """What the order trades at once the market stands at `touched`: half a spread worse for those who pay it.

    Never worse than its limit, if it has one.
    """
    price = max(tick, economics.to_tick(touched, tick))
    if spread == "all" or (spread == "takers" and (order.is_market or order.triggered)):
        half = economics.half_spread(price, tick)
        price = price + half if order.is_buy else max(tick, price - half)
    if order.is_market:
        return price
    return min(order.level, price) if order.is_buy else max(order.level, price)


def is_sound(bar: PathBar) -> bool:
    """Whether orders can meet this bar: finite positive prices within low..high, and a volume that is a number."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    if not all(math.isfinite(price) and price > 0 for price in prices) or not math.isfinite(bar.volume):
        return False
    return bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high


def low_comes_first(held: Decimal, orders: list[Order]) -> bool:
    """The extreme that hurts comes first: the low for a long holding, the high for a short one.

    Without a holding it is the extreme the oldest order is hurt by: a fall hurts a buyer and triggers a sell stop.
    """
    if held or not orders:
        return held >= 0
    oldest = min(orders, key=lambda order: order.perm_id)
    return oldest.is_buy != (oldest.terms.order_type in STOPS)


def corner_times(bar: PathBar) -> tuple[int, int, int, int]:
    """When the four prices of a bar are played: just after its start, at each third, at its end."""
    third = (bar.end - bar.start) // 3
    return (bar.start + OPEN_DELAY_SECONDS, bar.start + third, bar.start + 2 * third, bar.end)
