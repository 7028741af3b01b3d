"""The terms of an order at the owner's door: OrderInvalid names the field, before anything is recorded."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from broker import types
from broker.errors import OrderError, OrderInvalid

REF_LENGTH = 20
PRICES_OF = {"MKT": (False, False), "LMT": (True, False), "STP": (False, True)}
BRACKET = ["entry", "stop", "target"]


def check_place(request: types.PlaceOrder, contract: types.Contract, now: datetime) -> None:
    """Raise OrderInvalid where the legs are malformed or no sound bracket or single order; LATE past the deadline."""
    check_deadline(request.deadline, now)
    if not request.account:
        raise _invalid("account", "is empty")
    if not request.legs:
        raise _invalid("legs", "is empty")
    refs = [leg.order_ref for leg in request.legs]
    if len(set(refs)) != len(refs):
        raise _invalid("legs.order_ref", "names one order twice")
    for leg in request.legs:
        _check_leg(leg, contract.min_tick)
    if any(leg.role == "entry" for leg in request.legs):
        _check_bracket(request)
    elif len(request.legs) != 1:
        raise _invalid("legs", "must be one order or a bracket of entry, stop and target")


def check_modify(request: types.ModifyOrder, contract: types.Contract, order_type: str, now: datetime) -> None:
    """Raise OrderInvalid where the new prices do not fit the order they change."""
    check_deadline(request.deadline, now)
    check_ref(request.order_ref)
    if request.revision < 1:
        raise _invalid("revision", "starts at 1")
    _check_prices(order_type, request.limit_price, request.stop_price, contract.min_tick)
    if order_type == "MKT":
        raise _invalid("order_ref", "names a market order, which has no price to change")


def check_ref(order_ref: str) -> None:
    """An order_ref has 1 to 20 printable ASCII characters without spaces."""
    if not order_ref or len(order_ref) > REF_LENGTH or not all("!" <= character <= "~" for character in order_ref):
        raise _invalid("order_ref", f"must have 1 to {REF_LENGTH} printable ASCII characters")


def check_deadline(deadline: datetime, now: datetime) -> None:
    """Nothing leaves after its deadline."""
    if now > deadline:
        raise OrderError("The deadline has passed; nothing was sent.", code="LATE")


def _check_leg(leg: types.OrderLeg, tick: Decimal) -> None:
    check_ref(leg.order_ref)
    if not leg.quantity.is_finite() or leg.quantity <= 0:
        raise _invalid("quantity", "must be finite and above zero")
    _check_prices(leg.order_type, leg.limit_price, leg.stop_price, tick)


def _check_prices(order_type: str, limit: Decimal | None, stop: Decimal | None, tick: Decimal) -> None:
    needed = dict(zip(("limit_price", "stop_price"), PRICES_OF[order_type], strict=True))
    for field, price in (("limit_price", limit), ("stop_price", stop)):
        if needed[field] != (price is not None):
            raise _invalid(field, f"is {'missing' if price is None else 'not allowed'} for {order_type}")
        if price is not None:
            _check_price(field, price, tick)


def _check_price(field: str, price: Decimal, tick: Decimal) -> None:
    if not price.is_finite() or price <= 0:
        raise _invalid(field, "must be finite and above zero")
    if tick > 0 and price % tick:
        raise _invalid(field, f"{price} is no multiple of the tick {tick.normalize():f}")


def _check_bracket(request: types.PlaceOrder) -> None:
    if sorted(leg.role for leg in request.legs) != BRACKET:
        raise _invalid("legs", "an entry leaves with exactly one stop and one target")
    if request.reduces:
        raise _invalid("reduces", "is true, but the legs open a position")
    by_role = {leg.role: leg for leg in request.legs}
    entry = by_role["entry"]
    for child in (by_role["stop"], by_role["target"]):
        _check_child(entry, child)
    if entry.parent_ref or entry.oca_ref:
        raise _invalid("parent_ref", "an entry waits for no other order")
    if by_role["stop"].order_type != "STP" or by_role["target"].order_type != "LMT":
        raise _invalid("order_type", "of a bracket must be STP for the stop and LMT for the target")
    _check_sides(entry, by_role["stop"].stop_price, by_role["target"].limit_price)


def _check_child(entry: types.OrderLeg, child: types.OrderLeg) -> None:
    if child.parent_ref != entry.order_ref:
        raise _invalid("parent_ref", f"of {child.order_ref} must name the entry {entry.order_ref}")
    if child.side == entry.side:
        raise _invalid("side", f"of {child.order_ref} must be opposite to the entry's")
    if child.quantity != entry.quantity:
        raise _invalid("quantity", f"of {child.order_ref} must be the entry's")


def _check_sides(entry: types.OrderLeg, stop: Decimal | None, target: Decimal | None) -> None:
    price = entry.limit_price if entry.order_type == "LMT" else entry.stop_price
    ladder = [value for value in (stop, price, target) if value is not None]
    if entry.side == "SELL":
        ladder.reverse()
    if any(low >= high for low, high in pairwise(ladder)):
        raise _invalid("stop_price", "the entry's price must lie between its stop and its target")


def _invalid(field: str, problem: str) -> OrderInvalid:
    return OrderInvalid(f"{field} {problem}.", details={"field": field})
