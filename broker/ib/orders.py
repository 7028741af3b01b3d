"""Orders as ib_insync sends them: brackets and single orders, price changes, cancels. Runs in the loop's thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from broker import types
from broker.errors import BrokerUnavailable, OrderInvalid
from broker.ib.connection import Connection
from broker.ib.contracts import ib_contract
from broker.ib.library import ib_insync

REDUCE_WITHOUT_BLOCK = 3  # the OCA type TWS itself gives to the children of a bracket
KEPT_FIELDS = (  # of a working order when it is changed; all others TWS fills in and would refuse
    "action",
    "totalQuantity",
    "orderType",
    "lmtPrice",
    "auxPrice",
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


def build(connection: Connection, contract: types.Contract, request: types.PlaceOrder) -> list[tuple[Any, Any]]:
    """The (contract, order) pairs of a submission, in the order in which they must leave. Raises OrderInvalid."""
    built: dict[str, Any] = {}
    for leg in request.legs:
        if leg.order_ref in built:
            raise OrderInvalid(f"two legs have the reference {leg.order_ref}")
        built[leg.order_ref] = _order(connection, request.account, leg, built)
    for order_ref in _last_of_families(request.legs):
        built[order_ref].transmit = True
    wanted = ib_contract(contract)
    return [(wanted, order) for order in built.values()]


def place(connection: Connection, orders: list[tuple[Any, Any]]) -> None:
    """Write all frames. Raises BrokerUnavailable where it is not known how many have left."""
    with _outcome_unknown():
        for contract, order in orders:
            connection.placeOrder(contract, order)


def changed(connection: Connection, request: types.ModifyOrder) -> tuple[Any, Any]:
    """The working order with its new prices and all its other terms, as (contract, order). Raises OrderInvalid."""
    key, trade = _acknowledged(connection, request.order_ref)
    reported = connection.wrapper.orders[key]
    order = ib_insync.Order(**{name: getattr(reported, name) for name in KEPT_FIELDS})
    order.orderId, order.clientId, order.permId = key[1], key[0], reported.permId
    order.transmit = True
    _set_price(order, "lmtPrice", request.limit_price, "LMT" in order.orderType)
    _set_price(order, "auxPrice", request.stop_price, "STP" in order.orderType)
    return trade.contract, order


def resend(connection: Connection, contract: Any, order: Any) -> None:
    """Write the frame of a changed order, leaving ib_insync's copy as the gateway last reported it."""
    with _outcome_unknown():
        connection.client.placeOrder(order.orderId, contract, order)


def cancellable(connection: Connection, order_ref: str, perm_id: int = 0) -> list[int]:
    """The ids of this client's orders of that reference which may still work, or of the one with that `perm_id`.

    Raises OrderInvalid for none.
    """
    live = connection.wrapper.live_orders(order_ref)
    found = [key[1] for key, trade in live if perm_id in (0, trade.order.permId)]
    if not found:
        raise OrderInvalid(f"this connection knows no working order {order_ref} of its own")
    return found


def cancel(connection: Connection, order_ids: list[int]) -> None:
    """Write the cancel frames; the status stays what the broker says it is."""
    with _outcome_unknown():
        for order_id in order_ids:
            connection.client.cancelOrder(order_id)


@contextmanager
def _outcome_unknown() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise BrokerUnavailable(f"it is not known which frames have left: {error!r}") from error


def _order(connection: Connection, account: str, leg: types.OrderLeg, built: dict[str, Any]) -> Any:
    oca_group, oca_type = _oca(connection, leg, built)
    parent_id = _parent_id(connection, leg, built)
    limit, stop = _prices(leg)
    return ib_insync.Order(
        orderId=connection.client.getReqId(),
        action=leg.side,
        totalQuantity=_float(leg.quantity),
        orderType=leg.order_type,
        lmtPrice=ib_insync.util.UNSET_DOUBLE if limit is None else _float(limit),
        auxPrice=ib_insync.util.UNSET_DOUBLE if stop is None else _float(stop),
        tif=leg.tif,
        account=account,
        orderRef=leg.order_ref,
        parentId=parent_id,
        ocaGroup=oca_group,
        ocaType=oca_type,
        outsideRth=False,
        transmit=False,
    )


def _prices(leg: types.OrderLeg) -> tuple[Decimal | None, Decimal | None]:
    needed = (leg.order_type == "LMT", leg.order_type == "STP")
    given = (leg.limit_price is not None, leg.stop_price is not None)
    if needed != given:
        raise OrderInvalid(f"{leg.order_ref}: the prices do not fit an order of type {leg.order_type}")
    if leg.quantity <= 0:
        raise OrderInvalid(f"{leg.order_ref}: the quantity must be positive")
    return leg.limit_price, leg.stop_price


def _parent_id(connection: Connection, leg: types.OrderLeg, built: dict[str, Any]) -> int:
    if not leg.parent_ref:
        return 0
    if leg.parent_ref in built:
        return int(built[leg.parent_ref].orderId)
    key, _ = _acknowledged(connection, leg.parent_ref)
    return key[1]


def _oca(connection: Connection, leg: types.OrderLeg, built: dict[str, Any]) -> tuple[str, int]:
    """The OCA group of a leg: that of the order it joins; a lone protective order opens one, so it can be joined."""
    if not leg.oca_ref:
        is_lone = leg.role in ("stop", "target") and not leg.parent_ref
        return (leg.order_ref, REDUCE_WITHOUT_BLOCK) if is_lone else ("", 0)
    joined = built.get(leg.oca_ref)
    if joined is None:
        key, _ = _acknowledged(connection, leg.oca_ref)
        joined = connection.wrapper.orders[key]
    if not joined.ocaGroup:
        raise OrderInvalid(f"{leg.order_ref}: the order {leg.oca_ref} is in no OCA group that could be joined")
    return joined.ocaGroup, joined.ocaType or REDUCE_WITHOUT_BLOCK


def _acknowledged(connection: Connection, order_ref: str) -> tuple[tuple[int, int], Any]:
    """This client's one working order of that reference which the gateway has described. Raises OrderInvalid."""
    known = connection.wrapper.orders
    found = [(key, trade) for key, trade in connection.wrapper.live_orders(order_ref) if key in known]
    if len(found) != 1:
        problem = "no acknowledged" if not found else "more than one"
        raise OrderInvalid(f"this connection knows {problem} working order {order_ref} of its own")
    return found[0]


def _last_of_families(legs: tuple[types.OrderLeg, ...]) -> set[str]:
    """The reference of the last leg of each family: parked orders are released by it, and only their own are."""
    root: dict[str, str] = {}
    last: dict[str, str] = {}
    for leg in legs:
        root[leg.order_ref] = root.get(leg.parent_ref, leg.order_ref)
        last[root[leg.order_ref]] = leg.order_ref
    return set(last.values())


def _set_price(order: Any, name: str, value: Decimal | None, applies: bool) -> None:
    if value is None:
        return
    if not applies:
        raise OrderInvalid(f"{order.orderRef}: an order of type {order.orderType} has no such price")
    setattr(order, name, _float(value))


def _float(value: Decimal) -> float:
    return float(value)
