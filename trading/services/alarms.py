"""What the broker's evidence itself shows to be wrong: each becomes an Event and a difference for a person."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from broker import types
from trading.models import Instrument, Order
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import UNSENT, OrderState, Role
from trading.services.accounts import account_ensure
from trading.services.change_evidence import OPEN_CHANGE
from trading.services.discrepancies import discrepancy_open, discrepancy_settle
from trading.services.intents import is_reference
from trading.services.order_moves import order_document
from trading.services.sought import changes_of

REVIVED = "revived:"  # the subject of an entry that works beside the one that took its place


def alarm(order: Order, kind: EventType, cause: str, market_at: datetime) -> None:
    """Put on record what no transition of the order tells."""
    audit.record(
        kind,
        f"order:{order.order_ref}",
        account=order.account_id,
        old_state=order.state,
        cause=cause,
        market_at=market_at,
        document=order_document(order),
    )


def late_fill_alarm(order: Order, cause: str, market_at: datetime) -> None:
    """An order that had ended has filled: what it bought or sold is booked, and is ours."""
    alarm(order, EventType.LATE_FILL, cause, market_at)
    detail = f"{order.order_ref} had ended ({order.state}) and filled all the same; the fill is booked."
    _of_order(order, DiscrepancyKind.LATE_FILL, detail, market_at, blocking=False)


def bust_alarm(order: Order, cause: str, market_at: datetime) -> None:
    """A fill was taken back or made smaller."""
    alarm(order, EventType.BUST, cause, market_at)
    detail = f"The broker took back part of what {order.order_ref} had filled; the correction is booked."
    _of_order(order, DiscrepancyKind.BUST, detail, market_at, blocking=False)


def overfill_check(order: Order, cause: str, market_at: datetime) -> None:
    """Raise an order of ours that has filled more than it, or a change of it under way, asked for."""
    if order.role == Role.EXTERNAL or order.filled_quantity <= order.quantity:
        return
    if order.filled_quantity <= _asked_for(order):
        return
    alarm(order, EventType.OVERFILL, cause, market_at)
    detail = f"{order.order_ref} has filled more than it asked for; all of it is booked. End what is too much."
    _of_order(order, DiscrepancyKind.OVERFILL, detail, market_at, blocking=True)


def position_alarm(event: types.PositionMismatch) -> None:
    """What the broker holds and the sum of our fills differ, or agree again."""
    agree = event.quantity == event.booked
    held, booked = _plain(event.quantity), _plain(event.booked)
    subject = f"position:{event.con_id}"
    audit.record(
        EventType.POSITION_MATCHED if agree else EventType.POSITION_MISMATCH,
        subject,
        account=event.account,
        old_state=booked,
        new_state=held,
        cause=f"the broker holds {held} {event.symbol}, our fills say {booked}",
        market_at=event.time,
        document={"con_id": event.con_id, "quantity": event.quantity, "booked": event.booked},
    )
    account_ensure(event.account)
    if agree:
        cause = f"both sides hold {held} {event.symbol}"
        discrepancy_settle(event.account, DiscrepancyKind.POSITION, subject, cause=cause, market_at=event.time)
        return
    excess = event.quantity - event.booked
    discrepancy_open(
        event.account,
        DiscrepancyKind.POSITION,
        subject,
        detail=f"The broker holds {held} {event.symbol}, our fills say {booked}: a fill was never told, or it is not "
        "from today.",
        market_at=event.time,
        ours=booked,
        theirs=held,
        instrument=Instrument.objects.filter(con_id=event.con_id).first(),
        document={"con_id": event.con_id, "symbol": event.symbol, "excess": _plain(excess)},
        difference=_plain(excess),
    )


def doubled_alarm(event: types.OrderDoubled) -> None:
    """More than one order works under one reference of ours."""
    order = Order.objects.filter(account=event.account, order_ref=event.order_ref).first()
    discrepancy_open(
        event.account,
        DiscrepancyKind.DOUBLED,
        f"order:{event.order_ref}",
        detail=f"{event.order_ref}: {event.detail}.",
        market_at=event.time,
        ours="1",
        theirs=str(len(event.perm_ids)),
        order=order,
        document={"perm_ids": list(event.perm_ids), "given_up": event.given_up},
    )


def revived_alarm(order: Order, state: OrderState, beside: Order, market_at: datetime) -> None:
    """An entry that had ended works at the broker again, and a later one has its place: both may fill."""
    alarm(order, EventType.BROKER_MESSAGE_FAILED, f"{state} at the broker beside another entry", market_at)
    discrepancy_open(
        order.account_id,
        DiscrepancyKind.UNKNOWN_ORDER,
        REVIVED + order.order_ref,
        detail=f"{order.order_ref} had ended ({order.state}), but works at the broker beside {beside.order_ref}: both "
        "may fill, and the limits count one of them. Cancel one.",
        market_at=market_at,
        ours=order.state,
        theirs=state,
        instrument=order.instrument,
        document={"order": order.order_ref, "beside": beside.order_ref},
        difference=str(order.perm_id),
    )


def unrecorded_alarm(order: Order, event: types.OrderReport | types.ExecutionReport) -> None:
    """This desk has sent it, but its database does not know that: it is new, or an older copy was put back.

    What was under way in that copy would be sent once more, so nothing is opened until a person has looked.
    """
    if order.role == Role.EXTERNAL and isinstance(event, types.OrderReport):
        _lost_alarm(order, event)
    elif order.state in UNSENT and order.role != Role.EXTERNAL:
        _unsent_alarm(order, event)


def _unsent_alarm(order: Order, event: types.OrderReport | types.ExecutionReport) -> None:
    """By its row the order never left: it waits for a person or its sender, or was refused."""
    status, filled = order.broker_status, order.filled_quantity
    if isinstance(event, types.OrderReport):
        status, filled = event.status, event.filled
    said = f"{status or 'no status'}, {_plain(filled)} filled"
    discrepancy_open(
        order.account_id,
        DiscrepancyKind.UNRECORDED,
        f"order:{order.order_ref}",
        detail=f"{order.order_ref} is {order.state} here and was never sent, but the broker has it ({said}): an older "
        "copy of the database was put back. It is not sent again; cancel at the broker what is not wanted. Compare all "
        "orders and positions before you resolve this.",
        market_at=event.time,
        ours=order.state,
        theirs=said,
        order=order,
        document={"perm_id": event.perm_id},
        difference=order.order_ref,
    )


def _lost_alarm(order: Order, event: types.OrderReport) -> None:
    """`order` was adopted as another's, but its reference, and its client where that is told, are this desk's."""
    if not is_reference(event.order_ref) or not (event.origin == "ours" or _may_be_ours(order, event)):
        return
    if Order.objects.filter(account=order.account, order_ref=event.order_ref).exists():
        return
    discrepancy_open(
        order.account_id,
        DiscrepancyKind.UNRECORDED,
        f"order:{event.order_ref}",
        detail=f"{event.order_ref} was sent by this desk, which has no record of it: its database is new, or an older "
        "copy was put back. Compare all orders and positions before you resolve this.",
        market_at=event.time,
        theirs=str(order.perm_id),
        order=order,
        instrument=order.instrument,
    )


def _may_be_ours(order: Order, event: types.OrderReport) -> bool:
    """A finished order names no client: it is ours unless it, or a leg of its bracket, was told as another's before."""
    if not event.completed or event.origin:
        return False
    group = Order.objects.filter(account=order.account, role=Role.EXTERNAL, reason__startswith=event.order_ref[:-2])
    return not group.filter(configuration__origin__in=("other", "manual")).exists()


def _asked_for(order: Order) -> Decimal:
    under_way = [change for change in changes_of(order) if change.kind == "modify" and change.state in OPEN_CHANGE]
    most: Decimal = max([order.quantity, *(change.quantity for change in under_way if change.quantity is not None)])
    return most


def _of_order(order: Order, kind: DiscrepancyKind, detail: str, market_at: datetime, *, blocking: bool) -> None:
    discrepancy_open(
        order.account_id,
        kind,
        f"order:{order.order_ref}",
        detail=detail,
        market_at=market_at,
        ours=_plain(order.quantity),
        theirs=_plain(order.filled_quantity),
        order=order,
        blocking=blocking,
    )


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
