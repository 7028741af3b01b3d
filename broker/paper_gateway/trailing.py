"""Trailing stops: where they begin, how they follow the market, and the limit they leave behind once touched."""

from __future__ import annotations

from decimal import Decimal

from . import economics
from .orders import TRAILS, Order
from .types import OrderTerms

HUNDRED = Decimal(100)


def begin(order: Order, price: Decimal, tick: Decimal) -> None:
    """Set the stop of a trailing order: where the client put it, else at its distance from `price`."""
    if order.terms.order_type not in TRAILS or order.triggered:
        return
    order.stop = order.terms.trail_stop_price or _behind(order.terms, price, tick)
    _set_limit(order)


def follow(order: Order, price: Decimal, tick: Decimal) -> bool:
    """Move the stop after a market that moves away from it; never back. Says whether it moved."""
    if order.stop is None or order.triggered:
        return False
    stop = _behind(order.terms, price, tick)
    if stop >= order.stop if order.is_buy else stop <= order.stop:
        return False
    order.stop = stop
    _set_limit(order)
    return True


def carry_over(order: Order, old: OrderTerms, price: Decimal, tick: Decimal) -> None:
    """After a change: a new distance starts from `price`; else the stop stays, unless the client tightens it."""
    terms, stop = order.terms, order.stop
    if stop is None or order.triggered:
        return
    if (terms.aux_price, terms.trail_percent) != (old.aux_price, old.trail_percent):
        order.stop = _behind(terms, price, tick)
    elif terms.trail_stop_price is not None:
        tighter = min if order.is_buy else max
        order.stop = tighter(stop, terms.trail_stop_price)
    _set_limit(order)


def _behind(terms: OrderTerms, price: Decimal, tick: Decimal) -> Decimal:
    """The stop that belongs to a market at `price`."""
    share = terms.trail_percent
    distance = price * share / HUNDRED if share is not None else terms.aux_price or tick
    stop = price + distance if terms.action == "BUY" else price - distance
    return max(tick, economics.to_tick(stop, tick))


def _set_limit(order: Order) -> None:
    """The limit of TRAIL LIMIT keeps its distance from the stop."""
    terms = order.terms
    if terms.order_type != "TRAIL LIMIT" or order.stop is None:
        return
    offset = terms.limit_offset
    if offset is not None:
        order.limit = order.stop + offset if order.is_buy else order.stop - offset
    elif terms.trail_stop_price is not None and terms.limit_price is not None:
        order.limit = order.stop + terms.limit_price - terms.trail_stop_price
    else:
        order.limit = terms.limit_price
