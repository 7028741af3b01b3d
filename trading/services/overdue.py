"""What waits too long for the broker's word becomes a difference for a person: orders, changes, messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.ops.pace import paced
from broker import types
from trading.models import Discrepancy, Order, OrderChange
from trading.models.account import AccountKind
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import OrderState, Role
from trading.selectors.discrepancies import SYSTEM, latest, open_of_kind
from trading.selectors.orders import change_subject
from trading.services.accounts import account_ensure
from trading.services.change_evidence import OPEN_CHANGE
from trading.services.discrepancies import discrepancy_open, discrepancy_settle

OVERDUE_S = 60.0
WAITING = (OrderState.SENDING, OrderState.SUBMITTED, OrderState.UNKNOWN)


def overdue_raise(now: datetime) -> None:
    """Raise every order and change whose outcome is not proven after a minute; settle those that are.

    `now` is the system's time. Safe in any process, and often: what is raised already costs one read.
    """
    limit = now - timedelta(seconds=paced(OVERDUE_S))
    raised = open_of_kind(DiscrepancyKind.UNKNOWN_ORDER)
    known = {row.subject for row in raised}
    for order in _orders(limit):
        if _subject(order) not in known:
            _raise_order(order)
    for change in _changes(limit):
        if change_subject(change) not in known:
            _raise_change(change)
    _settle_proven(raised)


def blocked_raise(blocked: Sequence[types.Blocked]) -> tuple[int, ...]:
    """Raise messages that could not be applied, settle those that were; the row ids that a person has set aside."""
    subjects = {_subject_of_message(item) for item in blocked}
    aside: list[int] = []
    for item in blocked:
        row = latest(item.account, DiscrepancyKind.BLOCKED, _subject_of_message(item))
        if row is not None and row.state == "RESOLVED" and row.resolved_by != SYSTEM:
            done = set(row.document.get("messages", ()))
            aside += [pk for pk in item.messages if pk in done]
        if set(item.messages) - set(aside):
            _raise_message(item)
    for row in open_of_kind(DiscrepancyKind.BLOCKED):
        if row.subject not in subjects:
            _settle(row, "the messages were applied")
    return tuple(aside)


def _orders(limit: datetime) -> Sequence[Order]:
    found = Order.objects.filter(state__in=WAITING, sending_at__lte=limit).exclude(account__kind=AccountKind.SHADOW)
    return list(found.exclude(role=Role.EXTERNAL).select_related("instrument").order_by("id"))


def _changes(limit: datetime) -> QuerySet[OrderChange]:
    found = OrderChange.objects.filter(kind="modify", state__in=OPEN_CHANGE, created_at__lte=limit)
    return found.exclude(order__account__kind=AccountKind.SHADOW).select_related("order__instrument").order_by("id")


def _raise_order(order: Order) -> None:
    with audit.acting(actor="broker"), audit.recording(point="order_raised"):
        discrepancy_open(
            order.account_id,
            DiscrepancyKind.UNKNOWN_ORDER,
            _subject(order),
            detail=f"{order.order_ref} may be at the broker: it is not proven after a minute. It is never sent again.",
            market_at=order.market_at,
            ours="may have left",
            order=order,
        )


def _raise_change(change: OrderChange) -> None:
    order = change.order
    with audit.acting(actor="broker"), audit.recording(point="change_raised"):
        discrepancy_open(
            order.account_id,
            DiscrepancyKind.UNKNOWN_ORDER,
            change_subject(change),
            detail=f"Change {change.revision} of {order.order_ref} was sent, and is not proven after a minute.",
            market_at=order.market_at,
            ours="may have left",
            order=order,
        )


def _raise_message(item: types.Blocked) -> None:
    order = Order.objects.filter(account=item.account, order_ref=item.order_ref).first() if item.order_ref else None
    with audit.acting(actor="broker"), audit.recording(point="message_raised"):
        account_ensure(item.account)
        discrepancy_open(
            item.account,
            DiscrepancyKind.BLOCKED,
            _subject_of_message(item),
            detail=f"{len(item.messages)} messages of the broker ({item.kind}) cannot be applied: {item.problem}",
            market_at=item.since,
            theirs=f"{len(item.messages)} messages",
            order=order,
            document={"messages": list(item.messages), "problem": item.problem, "kind": item.kind},
        )


def _settle_proven(raised: Iterable[Discrepancy]) -> None:
    """Differences about orders and changes that ended, or were proven, since."""
    for row in raised:
        if row.order is None:
            continue
        if row.subject.startswith("order:"):
            waits = row.order.state in WAITING
        else:
            open_changes = OrderChange.objects.filter(order=row.order, state__in=OPEN_CHANGE).select_related("order")
            waits = any(change_subject(change) == row.subject for change in open_changes)
        if not waits:
            _settle(row, f"the order is {row.order.state}")


def _settle(row: Discrepancy, cause: str) -> None:
    with audit.acting(actor="broker"), audit.recording(point="raised_settled"):
        kind = DiscrepancyKind(row.kind)
        discrepancy_settle(row.account_id, kind, row.subject, cause=cause, market_at=row.market_at)


def _subject(order: Order) -> str:
    return f"order:{order.order_ref}"


def _subject_of_message(item: types.Blocked) -> str:
    return f"message:{item.key or item.kind}"
