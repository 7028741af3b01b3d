"""What the broker's words prove of changes and cancels of orders; called by the one writer of evidence."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from broker import types
from trading.models import Order, OrderChange
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import OrderState
from trading.selectors.orders import change_subject
from trading.services.discrepancies import discrepancy_settle
from trading.services.rows import swap
from trading.services.sought import changes_of

OPEN_CHANGE = ("SENDING", "UNKNOWN")
# The broker's words on a cancel: it knows no such order, or none that could still be cancelled.
CANCEL_REFUSED_CODES = frozenset({135, 161, 10147, 10148})


@dataclass(frozen=True, slots=True)
class Shown:
    """The terms that the broker shows of an order: prices, its total, and what works of it after an OCA cut."""

    limit_price: Decimal | None
    stop_price: Decimal | None
    quantities: frozenset[Decimal]


def shown_by(event: types.OrderReport) -> Shown:
    """What a report shows."""
    return Shown(event.limit_price, event.stop_price, frozenset({event.quantity, event.filled + event.remaining}))


def change_move(change: OrderChange, state: str, reason: str, market_at: datetime) -> None:
    """End a change, or call it unproven; with its event. Call inside `audit.recording()`."""
    old = change.state
    ended = None if state == "UNKNOWN" else system_now()
    story = "; ".join(filter(None, (change.reason, reason)))  # why it was asked for comes first
    swap(change, state=state, reason=story[:2000], ended_at=ended)
    if change.kind == "cancel" and state != "UNKNOWN":
        told = f"the cancel is {state}: {reason}"
        discrepancy_settle(
            change.order.account_id, DiscrepancyKind.CANCEL, change_subject(change), cause=told, market_at=market_at
        )
    audit.record(
        EventType[f"ORDER_CHANGE_{state}"],
        change_subject(change),
        version=change.version,
        old_state=old,
        new_state=state,
        account=change.order.account_id,
        cause=reason,
        market_at=market_at,
        document=change_document(change),
    )


def change_document(change: OrderChange) -> dict[str, object]:
    """A change as events keep it."""
    names = ("kind", "limit_price", "stop_price", "quantity", "actor")
    return {name: getattr(change, name) for name in names} | {"request": change.request_id}


def change_submitted(order: Order, event: types.SubmissionReport) -> None:
    """Our own record says that a change's frame never left, or never will."""
    change = _modifies(order).filter(revision=event.revision, state__in=OPEN_CHANGE).first()
    if change is not None and event.state == "VOID":
        change_move(change, "REJECTED", event.detail or "never sent", event.time)


def change_acknowledge(order: Order, shown: Shown, market_at: datetime) -> None:
    """A report that shows the terms asked for is the proof of a change; it overtakes those before it."""
    modifies = [change for change in changes_of(order) if change.kind == "modify"]
    newest_first = sorted(modifies, key=lambda change: -change.revision)
    later = list(itertools.takewhile(lambda change: change.state != "ACKED", newest_first))
    waiting = [change for change in later if change.state in OPEN_CHANGE]
    proven = next((change for change in waiting if _is_shown(change, shown)), None)
    if proven is None:
        return
    kept = {} if proven.quantity is None else {"quantity": proven.quantity}
    swap(order, limit_price=proven.limit_price, stop_price=proven.stop_price, **kept)
    change_move(proven, "ACKED", "the broker shows the new terms", market_at)
    for change in waiting:
        if change.revision < proven.revision:
            change_move(change, "REJECTED", f"overtaken by revision {proven.revision}", market_at)


def _is_shown(change: OrderChange, shown: Shown) -> bool:
    prices = (change.limit_price, change.stop_price) == (shown.limit_price, shown.stop_price)
    return prices and (change.quantity is None or change.quantity in shown.quantities)


def changes_end(order: Order, market_at: datetime) -> None:
    """The order has ended: its cancel is proven or came too late; what a change became is not known any more."""
    for change in changes_of(order):
        if change.state not in OPEN_CHANGE:
            continue
        if change.kind == "modify":
            if change.state == "SENDING":
                change_move(change, "UNKNOWN", "the order ended before the broker showed the change", market_at)
            continue
        came_late = order.state == OrderState.FILLED
        change_move(change, "REJECTED" if came_late else "ACKED", f"the order is {order.state}", market_at)


def change_refused(order: Order, detail: str, market_at: datetime) -> bool:
    """The broker refuses what was asked last; True where that was a change."""
    change = _modifies(order).filter(state="SENDING").order_by("revision").last()
    if change is not None:
        change_move(change, "REJECTED", detail, market_at)
    return change is not None


def cancel_refused(order: Order, event: types.OrderMessage, detail: str) -> bool:
    """The broker says that there is nothing to cancel; True where a cancel was open.

    Where it says so because the order is being cancelled or has been, the order's own end is the proof.
    """
    if event.code not in CANCEL_REFUSED_CODES or "cancel" in event.message.lower().partition("state:")[2]:
        return False
    cancel = OrderChange.objects.filter(order=order, kind="cancel", state__in=OPEN_CHANGE).first()
    if cancel is not None:
        change_move(cancel, "REJECTED", detail, event.time)
    return cancel is not None


def change_missing(order: Order, event: types.OrderMissing) -> None:
    """Reconcile does not find the new terms in the broker's book."""
    change = _modifies(order).filter(revision=event.revision, state="SENDING").first()
    if change is not None:
        change_move(change, "UNKNOWN", event.detail, event.time)


def _modifies(order: Order) -> QuerySet[OrderChange]:
    return OrderChange.objects.filter(order=order, kind="modify")
