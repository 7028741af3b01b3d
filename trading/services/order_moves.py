"""Moving an order to a state: one compare-and-swap and one Event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from trading.models import Order
from trading.models.cycle import correlation_of_execution
from trading.models.order import TERMINAL, OrderState
from trading.services.order_states import EVENT_OF, may_move
from trading.services.rows import swap


def correlation_of(order: Order) -> str:
    """The correlation id of the cycle or the request that an order stems from, else one of its own."""
    if "of_execution" in order.__dict__:
        return correlation_from(order, order.pk)
    if order.decision is not None:
        return order.decision.execution.correlation_id
    return order.request.correlation_id if order.request is not None else f"order.{order.pk}"


def causes(path: str = "") -> dict[str, F]:
    """What to annotate orders with, or rows that lead to one by `path`, so that the query tells what caused it."""
    return {
        "of_execution": F(f"{path}decision__execution_id"),
        "of_cycle": F(f"{path}decision__execution__cycle__correlation_id"),
        "of_request": F(f"{path}request__correlation_id"),
    }


def correlation_from(row: Any, order_id: int) -> str:
    """`correlation_of` an order, from a row that is annotated with its `causes`."""
    if row.of_execution is not None:
        return correlation_of_execution(row.of_cycle, row.of_execution)
    return row.of_request or f"order.{order_id}"


def order_document(order: Order) -> dict[str, Any]:
    """The order as events keep it."""
    names = (
        "order_ref", "perm_id", "role", "side", "quantity", "order_type", "limit_price", "stop_price", "tif",
        "filled_quantity", "average_price", "broker_status", "broker_detail", "intent_hash",
    )  # fmt: skip
    document: dict[str, Any] = {name: getattr(order, name) for name in names}
    return document | {"group": order.group, "decision": order.decision_id, "instrument": order.instrument_id}


def order_move(order: Order, state: OrderState, *, cause: str, market_at: datetime | None, **changes: Any) -> None:
    """Move along the graph and record it; call inside `audit.recording()`. Raises Conflict on a forbidden move.

    `market_at` is None where the market's time of the move is not known.
    """
    old = OrderState(order.state)
    if not may_move(old, state):
        raise Conflict(f"order {order.order_ref} cannot go from {old} to {state}")
    if state in TERMINAL:
        changes.setdefault("ended_at", system_now())
    elif old in TERMINAL:
        changes.setdefault("ended_at", None)
    swap(order, state=state, **changes)
    audit.record(
        EVENT_OF[state],
        f"order:{order.order_ref}",
        version=order.version,
        old_state=old,
        new_state=state,
        account=order.account_id,
        cause=cause,
        market_at=market_at,
        document=order_document(order),
    )
