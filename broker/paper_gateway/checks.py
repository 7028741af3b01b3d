"""Why an order is refused before it reaches the market: the code and text of the error frame."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from .orders import Order
from .types import OrderTerms, SymbolSpec

PRICE_OF_TYPE = {"MKT": None, "LMT": "limit_price", "STP": "aux_price"}
TIMES_IN_FORCE = ("", "DAY", "GTC")
GROUP_TYPES = (0, 1, 2, 3)


class Refusal(NamedTuple):
    """An error frame for an order that is not taken."""

    code: int
    message: str


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
    if terms.order_type not in PRICE_OF_TYPE:
        return Refusal(387, "Unsupported order type")
    return _check_words(terms) or _check_quantity(terms.quantity) or check_price(terms, spec)


def _check_words(terms: OrderTerms) -> Refusal | None:
    if terms.action not in ("BUY", "SELL"):
        return invalid(f"action {terms.action!r} is not BUY or SELL")
    if terms.tif not in TIMES_IN_FORCE:
        return invalid(f"time in force {terms.tif!r} is not DAY or GTC")
    if terms.oca_type not in GROUP_TYPES:
        return invalid(f"OCA type {terms.oca_type} is not 1, 2 or 3")
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
    name = PRICE_OF_TYPE[terms.order_type]
    if name is None:
        return None
    price: Decimal | None = getattr(terms, name)
    if price is None or not price.is_finite() or price <= 0:
        return invalid(f"a {terms.order_type} order needs a price above 0")
    if price % spec.min_tick:
        return Refusal(110, "The price does not conform to the minimum price variation for this contract.")
    return None


def check_change(order: Order, terms: OrderTerms) -> Refusal | None:
    """What forbids turning a live order into `terms`."""
    old = order.terms
    if (old.con_id, old.action, old.order_type) != (terms.con_id, terms.action, terms.order_type):
        return Refusal(105, "Order being modified does not match original order.")
    if terms.account not in ("", old.account):
        return Refusal(105, "Order being modified does not match original order.")
    if terms.quantity < order.filled:
        return invalid(f"quantity {terms.quantity} is below the {order.filled} shares already filled")
    return None


def refuse_ended(order: Order) -> Refusal:
    """The answer to a change of an order that has ended."""
    if order.status == "Filled":
        return Refusal(104, "Cannot modify a filled order.")
    number = order.terms.order_id
    return Refusal(10148, f"OrderId {number} that needs to be modified cannot be modified, state: {order.status}.")
