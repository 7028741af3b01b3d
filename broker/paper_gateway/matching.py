"""Where and at what price an order trades on a straight piece of the price path; no state, no clock."""

from __future__ import annotations

import math
from decimal import Decimal

from . import economics
from .orders import Order
from .prices.source import PathBar

OPEN_DELAY_SECONDS = 1


def touch(order: Order, price: Decimal, target: Decimal) -> Decimal | None:
    """The first price at which the order acts while the market moves from `price` to `target`; None if nowhere."""
    if order.is_market:
        return price
    level = order_level(order)
    if acts_at(order, level, price):
        return price
    return level if acts_at(order, level, target) else None


def order_level(order: Order) -> Decimal:
    """The limit or the stop."""
    level = order.terms.limit_price if order.terms.order_type == "LMT" else order.terms.aux_price
    if level is None:
        raise ValueError(f"order {order.perm_id} has no price")
    return level


def acts_at(order: Order, level: Decimal, price: Decimal) -> bool:
    """A buy limit and a sell stop act at their level or below, a sell limit and a buy stop at it or above."""
    acts_below = order.is_buy == (order.terms.order_type == "LMT")
    return price <= level if acts_below else price >= level


def fill_price(order: Order, touched: Decimal, tick: Decimal, *, limits_pay_spread: bool) -> Decimal:
    """What the order trades at once the market stands at `touched`.

    A market order and a stop pay half the spread. A limit trades at `touched`, or, where limits pay the spread
    too, half a spread worse, in both cases never worse than its limit.
    """
    price = max(tick, economics.to_tick(touched, tick))
    half = economics.half_spread(price, tick)
    worse = price + half if order.is_buy else max(tick, price - half)
    if order.terms.order_type != "LMT":
        return worse
    reached = worse if limits_pay_spread else price
    limit = order_level(order)
    return min(limit, reached) if order.is_buy else max(limit, reached)


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
    return oldest.is_buy == (oldest.terms.order_type != "STP")


def corner_times(bar: PathBar) -> tuple[int, int, int, int]:
    """When the four prices of a bar are played: just after its start, at each third, at its end."""
    third = (bar.end - bar.start) // 3
    return (bar.start + OPEN_DELAY_SECONDS, bar.start + third, bar.start + 2 * third, bar.end)
