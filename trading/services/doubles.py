"""One order of ours that works twice at the broker: which is which, until one is left."""

from __future__ import annotations

from datetime import datetime

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from broker import types
from trading.models import Fill, Order
from trading.models.order import TERMINAL, Role
from trading.services.rows import swap
from trading.services.trades import ledger_of, trades_rebuild

MARK = "double_of"


def record(event: types.OrderDoubled) -> None:
    """Put the finding on record, and mark the rows of the doubles as such."""
    rows = Order.objects.select_for_update(no_key=True).filter(account=event.account, role=Role.EXTERNAL)
    for row in rows.filter(perm_id__in=event.perm_ids, reason=event.order_ref):
        if MARK not in row.configuration:
            swap(row, configuration={**row.configuration, MARK: event.order_ref})
    audit.record(
        EventType.ORDER_DOUBLED_UNRESOLVED if event.given_up else EventType.ORDER_DOUBLED,
        f"order:{event.order_ref}",
        account=event.account,
        cause=event.detail,
        market_at=event.time,
        document={"perm_ids": list(event.perm_ids), "attempt": event.attempt},
    )


def survivor(order: Order) -> Order | None:
    """The double that goes on working where this order ends; None where it has none."""
    if order.role == Role.EXTERNAL or order.state in TERMINAL:
        return None
    marked = Order.objects.select_for_update(no_key=True).filter(
        account=order.account, role=Role.EXTERNAL, reason=order.order_ref, configuration__has_key=MARK
    )
    return marked.exclude(state__in=TERMINAL).exclude(perm_id=None).order_by("id").first()


def change_places(order: Order, double: Order, *, market_at: datetime) -> None:
    """Let our row follow the double's order at the broker, and the double's row the one that was ours.

    What either has filled is ours from here on: it was sold or bought under our reference.
    """
    ended, said = order.perm_id, double.broker_status
    swap(order, perm_id=None)
    kept, quantity = double.perm_id, double.broker_quantity
    swap(double, perm_id=ended, filled_quantity=0, average_price=None)
    swap(order, perm_id=kept, broker_status=said, broker_quantity=quantity, rejected=double.rejected)
    if Fill.objects.filter(order=double).update(order=order):
        trades_rebuild(ledger_of(double), market_at=market_at)
        trades_rebuild(ledger_of(order), market_at=market_at)
