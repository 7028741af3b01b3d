"""The terms of an order as the library's fields: which prices a type has, what is sent, what a change replaces."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from broker import types
from broker.errors import OrderInvalid
from broker.ib import mapping
from broker.ib.library import ib_insync

UNSET = ib_insync.util.UNSET_DOUBLE
PRICES = {  # of each type: the leg's fields and the library's
    "MKT": {},
    "MOC": {},
    "LMT": {"limit_price": "lmtPrice"},
    "LOC": {"limit_price": "lmtPrice"},
    "STP": {"stop_price": "auxPrice"},
    "STP LMT": {"limit_price": "lmtPrice", "stop_price": "auxPrice"},
    "TRAIL": {"stop_price": "trailStopPrice", "trail_amount": "auxPrice", "trail_percent": "trailingPercent"},
}
OPTIONAL = frozenset({"trailStopPrice"})
CHANGEABLE = ("limit_price", "stop_price", "trail_amount", "trail_percent")
KEPT_FIELDS = (  # of a working order when it is changed; all others TWS fills in and would refuse
    "action",
    "totalQuantity",
    "orderType",
    "tif",
    "ocaGroup",
    "ocaType",
    "account",
    "orderRef",
    "parentId",
    "outsideRth",
    "goodAfterTime",
    "goodTillDate",
    "allOrNone",
    "hidden",
    "triggerMethod",
)


def new(leg: types.OrderLeg, account: str) -> Any:
    """A leg as a parked order without an id, a parent or a group. Raises OrderInvalid for prices that do not fit."""
    if leg.quantity <= 0:
        raise OrderInvalid(f"{leg.order_ref}: the quantity must be positive", details={"field": "quantity"})
    return ib_insync.Order(
        action=leg.side,
        totalQuantity=float(leg.quantity),
        orderType=leg.order_type,
        tif=leg.tif,
        account=account,
        orderRef=leg.order_ref,
        outsideRth=leg.outside_rth,
        goodTillDate=moment(leg.good_till) if leg.good_till else "",
        transmit=False,
        **_prices(leg),
    )


def moment(at: datetime) -> str:
    """A time as TWS reads it without doubt: UTC, marked by the dash."""
    return f"{at.astimezone(UTC):%Y%m%d-%H:%M:%S}"


def again(reported: Any) -> Any:
    """A working order to be sent again: as the gateway last described it, without what TWS has filled in."""
    order = ib_insync.Order(**{name: getattr(reported, name) for name in KEPT_FIELDS})
    order.orderId, order.clientId, order.permId = reported.orderId, reported.clientId, reported.permId
    order.transmit = True
    for name in PRICES.get(reported.orderType, {"limit_price": "lmtPrice", "stop_price": "auxPrice"}).values():
        value = mapping.price(getattr(reported, name))
        setattr(order, name, UNSET if value is None else float(value))
    if order.orderType == "TRAIL" and order.trailingPercent != UNSET:
        order.auxPrice = UNSET
    return order


def changes(order: Any, request: types.ModifyOrder) -> dict[str, float]:
    """What a change sets on a working order, by the library's names. Raises OrderInvalid where it does not fit."""
    names = PRICES.get(order.orderType, {})
    found = {}
    for field in CHANGEABLE:
        value = getattr(request, field)
        if value is None:
            continue
        name = names.get(field)
        if name is None or (name not in OPTIONAL and getattr(order, name) == UNSET):
            problem = f"{order.orderRef}: this {order.orderType} order has no {field} to change"
            raise OrderInvalid(problem, details={"field": field})
        found[name] = float(value)
    if request.quantity is not None:
        found["totalQuantity"] = float(request.quantity)
    return found


def lasting(new: dict[str, float]) -> dict[str, float]:
    """The part of a change that stays as it was asked for: a trailing stop moves with the market."""
    return {name: value for name, value in new.items() if name != "trailStopPrice"}


def shows(reported: Any, new: dict[str, float]) -> bool:
    """Whether the gateway's description has everything that a change has set."""
    return all(mapping.number(getattr(reported, name)) == mapping.number(value) for name, value in new.items())


def _prices(leg: types.OrderLeg) -> dict[str, float]:
    names = PRICES.get(leg.order_type)
    if names is None:
        raise OrderInvalid(f"there is no order type {leg.order_type}", details={"field": "order_type"})
    given: dict[str, Decimal] = {field: value for field in CHANGEABLE if (value := getattr(leg, field)) is not None}
    if leg.order_type == "TRAIL":
        fits = given.keys() <= names.keys() and ("trail_amount" in given) != ("trail_percent" in given)
    else:
        fits = given.keys() == names.keys()
    if not fits:
        raise OrderInvalid(f"{leg.order_ref}: the prices do not fit an order of type {leg.order_type}")
    return {names[field]: float(value) for field, value in given.items()}
