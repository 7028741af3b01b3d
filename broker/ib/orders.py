"""Orders as ib_insync sends them: brackets and single orders, price changes, cancels. Runs in the loop's thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from autotrader.core.ops.crashpoints import crashpoint
from broker import types
from broker.errors import BrokerUnavailable, OrderInvalid
from broker.ib import order_terms
from broker.ib.connection import Connection
from broker.ib.contracts import ib_contract

REDUCE_WITHOUT_BLOCK = 3  # the OCA type TWS itself gives to the children of a bracket


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
    crashpoint("bracket_begins")
    with _outcome_unknown():
        for contract, order in orders:
            connection.placeOrder(contract, order)


@dataclass(frozen=True, slots=True)
class Change:
    """A working order as it is to be sent again; `new` is what the library's fields of it were set to."""

    contract: Any
    order: Any
    new: dict[str, float]


def changed(connection: Connection, request: types.ModifyOrder) -> Change:
    """The working order with its new terms and all its other ones. Raises OrderInvalid.

    A change that the gateway has not answered yet is kept: its terms are not in the last description.
    """
    key, trade = _acknowledged(connection, request.order_ref)
    wrapper = connection.wrapper
    order = order_terms.again(wrapper.orders[key])
    new = wrapper.unanswered.get(key, {}) | order_terms.changes(order, request)
    filled = wrapper.filled(key)
    if request.quantity is not None and request.quantity < filled:
        problem = f"{request.order_ref}: the quantity is below the {filled.normalize():f} that have filled"
        raise OrderInvalid(problem, details={"field": "quantity"})
    for name, value in new.items():
        setattr(order, name, value)
    return Change(trade.contract, order, new)


def resend(connection: Connection, change: Change) -> None:
    """Write the frame of a changed order, leaving ib_insync's copy as the gateway last reported it."""
    order = change.order
    connection.wrapper.unanswered[order.clientId, order.orderId] = order_terms.lasting(change.new)
    with _outcome_unknown():
        connection.client.placeOrder(order.orderId, change.contract, order)


def cancellable(connection: Connection, order_ref: str, perm_id: int = 0) -> list[int]:
    """The ids of this client's orders of that reference which may still work, or of the one with that `perm_id`.

    Raises OrderInvalid for none.
    """
    live = connection.wrapper.live_orders(order_ref)
    found = [key[1] for key, trade in live if perm_id in (0, trade.order.permId)]
    if not found:
        raise OrderInvalid(f"this connection knows no working order {order_ref} of its own")
    return found


def cancellable_one(connection: Connection, order_ref: str, perm_id: int) -> list[int]:
    """The id of one of several working orders of a reference: that of `perm_id` where this connection knows its id.

    Two orders can have one id; which of them a cancel ends, the broker decides. Raises OrderInvalid for none.
    """
    found = cancellable(connection, order_ref)
    exact = [key[1] for key, trade in connection.wrapper.live_orders(order_ref) if trade.order.permId == perm_id]
    return (exact or found)[:1]


def cancel(connection: Connection, order_ids: list[int]) -> None:
    """Write the cancel frames; the status stays what the broker says it is."""
    with _outcome_unknown():
        for order_id in order_ids:
            connection.client.cancelOrder(order_id)


def cancel_everything(connection: Connection) -> None:
    """Write the one frame that ends the orders of all clients and those made by hand."""
    with _outcome_unknown():
        connection.client.reqGlobalCancel()


@contextmanager
def _outcome_unknown() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise BrokerUnavailable(f"it is not known which frames have left: {error!r}") from error


def _order(connection: Connection, account: str, leg: types.OrderLeg, built: dict[str, Any]) -> Any:
    order = order_terms.new(leg, account)
    order.ocaGroup, order.ocaType = _oca(connection, leg, built)
    order.parentId = _parent_id(connection, leg, built)
    order.orderId = connection.client.getReqId()
    return order


def _parent_id(connection: Connection, leg: types.OrderLeg, built: dict[str, Any]) -> int:
    if not leg.parent_ref:
        return 0
    if leg.parent_ref in built:
        return int(built[leg.parent_ref].orderId)
    key, _ = _acknowledged(connection, leg.parent_ref)
    return key[1]


def _oca(connection: Connection, leg: types.OrderLeg, built: dict[str, Any]) -> tuple[str, int]:
    """The OCA group of a leg: the one it names, or that of the order it joins; a lone protective order opens one."""
    if leg.oca_group:
        return leg.oca_group, REDUCE_WITHOUT_BLOCK
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
