"""Why an order is refused before it reaches the market: the code and text of the error frame."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from .orders import AT_ONCE, CLOSING, TRAILS, Order
from .types import OrderTerms, SymbolSpec

# Which prices an order type must have; trailing orders have rules of their own.
PRICES_OF_TYPE: dict[str, tuple[str, ...]] = {
    "MKT": (),
    "MOC": (),
    "LMT": ("limit_price",),
    "LOC": ("limit_price",),
    "STP": ("aux_price",),
    "STP LMT": ("limit_price", "aux_price"),
    "MIT": ("aux_price",),
    "LIT": ("limit_price", "aux_price"),
    "TRAIL": (),
    "TRAIL LIMIT": (),
}
TIMES_IN_FORCE = ("", "DAY", "GTC", "IOC", "FOK", "GTD", "OPG")
OPENING_TYPES = ("MKT", "LMT")
ACTIONS = ("BUY", "SELL", "SSHORT")
GROUP_TYPES = (0, 1, 2, 3)
MOST_PERCENT = Decimal(100)


class Refusal(NamedTuple):
    """An error frame for an order that is not taken."""

    code: int
    message: str


TICK_VIOLATED = Refusal(110, "The price does not conform to the minimum price variation for this contract.")
NOT_THE_ORIGINAL = Refusal(105, "Order being modified does not match original order.")


def invalid(cause: str) -> Refusal:
    return Refusal(321, f"Error validating request.-'bO' : cause - {cause}")


def rejected(reason: str) -> Refusal:
    return Refusal(201, f"Order rejected - reason:{reason}")


def check_terms(terms: OrderTerms, spec: SymbolSpec | None, account: str) -> Refusal | None:
    """What is wrong with the terms by themselves; None if nothing."""
    if spec is None:
        return Refusal(200, "No security definition has been found for the request")
    if terms.account not in ("", account):
        return invalid(f"account {terms.account} is not managed here")
    if not spec.can_trade:
        return Refusal(203, f"The security {spec.symbol} is not available or allowed for this account.")
    if terms.order_type not in PRICES_OF_TYPE:
        return Refusal(387, "Unsupported order type for this exchange and security type.")
    return _check_words(terms) or _check_time(terms) or _check_quantity(terms.quantity) or check_price(terms, spec)


def _check_words(terms: OrderTerms) -> Refusal | None:
    if terms.action not in ACTIONS:
        return invalid(f"action {terms.action!r} is not BUY, SELL or SSHORT")
    if terms.oca_type not in GROUP_TYPES:
        return invalid(f"OCA type {terms.oca_type} is not 1, 2 or 3")
    return None


def _check_time(terms: OrderTerms) -> Refusal | None:
    tif, kind = terms.tif, terms.order_type
    if tif not in TIMES_IN_FORCE:
        return invalid(f"time in force {tif!r} is not one of {', '.join(TIMES_IN_FORCE[1:])}")
    if tif == "GTD" and terms.good_till is None:
        return Refusal(391, "The time or time-zone entered is invalid: a GTD order needs a good-till date.")
    if tif == "OPG" and kind not in OPENING_TYPES:
        return invalid(f"time in force OPG goes with MKT and LMT, not with {kind}")
    if kind in CLOSING and tif not in ("", "DAY", "GTC"):
        return invalid(f"time in force {tif} does not go with {kind}")
    if tif in AT_ONCE and (kind not in OPENING_TYPES or terms.good_after is not None):
        return invalid(f"time in force {tif} goes with MKT and LMT without a good-after time")
    return None


def _check_quantity(quantity: Decimal) -> Refusal | None:
    if not quantity.is_finite() or quantity < 0:
        return invalid(f"quantity {quantity} is not a number of shares")
    if quantity == 0:
        return Refusal(434, "The order size cannot be zero.")
    if quantity != quantity.to_integral_value():
        return Refusal(10243, "Fractional-sized order cannot be placed via API.")
    return None


def check_price(terms: OrderTerms, spec: SymbolSpec) -> Refusal | None:
    if terms.order_type in TRAILS:
        return _check_trail(terms, spec)
    names = PRICES_OF_TYPE[terms.order_type]
    return _check_each([getattr(terms, name) for name in names], terms.order_type, spec)


def _check_each(prices: list[Decimal | None], kind: str, spec: SymbolSpec) -> Refusal | None:
    if any(price is None or not price.is_finite() or price <= 0 for price in prices):
        return invalid(f"a {kind} order needs a price above 0")
    return TICK_VIOLATED if any(price is not None and price % spec.min_tick for price in prices) else None


def _check_trail(terms: OrderTerms, spec: SymbolSpec) -> Refusal | None:
    kind, percent = terms.order_type, terms.trail_percent
    if (percent is None) == (terms.aux_price is None):
        return invalid(f"a {kind} order needs either a trailing amount or a trailing percent")
    if percent is not None and not 0 < percent < MOST_PERCENT:
        return invalid(f"a trailing percent of {percent} is not between 0 and 100")
    prices = [price for price in (terms.aux_price, terms.trail_stop_price) if price is not None]
    if kind == "TRAIL LIMIT":
        has_limit = terms.limit_price is not None and terms.trail_stop_price is not None
        if (terms.limit_offset is None) != has_limit:
            return invalid("a TRAIL LIMIT order needs either a limit offset or a stop with a limit price")
        prices += [terms.limit_price] if terms.limit_offset is None and terms.limit_price is not None else []
        if terms.limit_offset is not None and terms.limit_offset % spec.min_tick:
            return TICK_VIOLATED
    return _check_each(list(prices), kind, spec)


def check_change(order: Order, terms: OrderTerms) -> Refusal | None:
    """What forbids turning a live order into `terms`."""
    old = order.terms
    if (old.con_id, old.action, old.order_type) != (terms.con_id, terms.action, terms.order_type):
        return NOT_THE_ORIGINAL
    if terms.account not in ("", old.account):
        return NOT_THE_ORIGINAL
    if terms.quantity < order.filled:
        return invalid(f"quantity {terms.quantity} is below the {order.filled} shares already filled")
    return None


def refuse_ended(order: Order) -> Refusal:
    """The answer to a change of an order that has ended."""
    if order.status == "Filled":
        return Refusal(104, "Cannot modify a filled order.")
    number = order.terms.order_id
    return Refusal(10148, f"OrderId {number} that needs to be modified cannot be modified, state: {order.status}.")
