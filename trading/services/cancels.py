"""Ending a working order: the wish is kept before it is told to the broker, told again until it is answered."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from autotrader.core.ops.pace import paced
from broker import types
from broker.errors import BrokerError, TradingDisabled
from broker.port import Broker
from trading.models import Approval, Order, OrderChange, OrderRequest
from trading.models.account import AccountKind
from trading.models.approval import ApprovalState
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import AT_BROKER, LIVE, TERMINAL, OrderState, Role
from trading.selectors.approvals import OPEN
from trading.selectors.orders import change_subject
from trading.selectors.positions import position_quantity
from trading.services.approval_states import approval_end, locked
from trading.services.change_evidence import OPEN_CHANGE, change_document, change_move
from trading.services.discrepancies import discrepancy_open
from trading.services.executions import Work, epoch_hold
from trading.services.rows import swap

# What only a person opens again; whatever else keeps a cancel from leaving passes, and it is told again then.
SHUT_FOR_CANCELS = frozenset({"ORDERS_DISABLED", "ACCOUNT_NOT_PAPER", "ACCOUNT_NOT_ALLOWED"})
# An open cancel that is older than this was not told, or its answer is lost: it is told again.
TOLD_AGAIN_AFTER_S = 10
UNPROVEN_AFTER_S = 60


class NotAllowed(Invalid):
    """The order may not be ended like this; the message says what may be done."""

    code = "NOT_CANCELLABLE"
    status = 409


def cancel_write(
    order: Order,
    *,
    market_at: datetime,
    actor: str = "",
    reason: str = "",
    request: OrderRequest | None = None,
    work: Work | None = None,
) -> OrderChange:
    """Commit the wish to end an order that is at the broker, durable; an open wish is answered instead of a new one.

    Raises NotAllowed where it has ended, is not at the broker or is not ours, and EpochLost.
    """
    with audit.recording(durable=True, point="cancel_wish"):
        if work is not None:
            epoch_hold(work)
        return cancel_begin(order, market_at=market_at, actor=actor, reason=reason, request=request)


def cancel_begin(
    order: Order,
    *,
    market_at: datetime,
    actor: str = "",
    reason: str = "",
    request: OrderRequest | None = None,
) -> OrderChange:
    """As `cancel_write`, in the caller's transaction."""
    row = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order.pk)
    known = open_cancel(row)
    if known is not None:
        return known
    _check_cancellable(row)
    change = OrderChange.objects.create(
        order=row,
        kind="cancel",
        revision=0,
        request=request,
        actor=actor[:80],
        reason=reason,
        state="SENDING",
        created_at=system_now(),
        market_at=market_at,
    )
    if row.cancel_requested_at is None:
        swap(row, cancel_requested_at=system_now())
        _record_wish(row, reason or "asked", market_at)
    audit.record(
        EventType.ORDER_CHANGE_SENDING,
        change_subject(change),
        version=change.version,
        new_state=change.state,
        account=row.account_id,
        cause=reason or "cancel",
        market_at=market_at,
        document=change_document(change),
    )
    return change


def open_cancel(order: Order) -> OrderChange | None:
    """The cancel of an order whose outcome is not known yet."""
    return OrderChange.objects.filter(order=order, kind="cancel", state__in=OPEN_CHANGE).select_related("order").first()


def _check_cancellable(order: Order) -> None:
    if order.role == Role.EXTERNAL:
        raise NotAllowed(f"{order} was not sent from here; end it where it was sent from.", code="NOT_OURS")
    if order.state in TERMINAL:
        raise NotAllowed(f"{order} has ended: it is {order.state}.", code="ORDER_ENDED")
    if order.state not in AT_BROKER or order.account.kind == AccountKind.SHADOW:
        raise NotAllowed(f"{order} is {order.state} and not at the broker.", code="NOT_AT_BROKER")


def check_protection(order: Order, *, force: bool, may_remove: bool) -> None:
    """A stop is not taken from what it protects: of a working entry never, of a position only by force and permission.

    Raises NotAllowed with the fix.
    """
    if order.role != Role.STOP:
        return
    entry = order.parent
    if entry is not None and entry.state in LIVE:
        raise NotAllowed(f"The entry {entry} still works: cancel it, and its stop ends with it.", code="ENTRY_WORKING")
    held = position_quantity(order.account, order.strategy, order.instrument)
    if not held:
        return
    if not force:
        raise NotAllowed(
            f"{order} protects a position of {held.normalize():f} {order.instrument}: to leave it without a stop, say "
            "force and a reason.",
            code="PROTECTS_POSITION",
        )
    if not may_remove:
        raise NotAllowed(
            "To take the stop from a position needs the permission trading.remove_protection.", code="MAY_NOT_UNPROTECT"
        )


def _record_wish(order: Order, cause: str, market_at: datetime) -> None:
    audit.record(
        EventType.ORDER_CANCEL_REQUESTED,
        f"order:{order.order_ref}",
        version=order.version,
        old_state=order.state,
        new_state=order.state,
        account=order.account_id,
        cause=cause,
        market_at=market_at,
    )


def order_withdraw(order: Order, *, actor: str, reason: str, market_at: datetime | None) -> bool:
    """Take back an order that waits for its approval or its sending, whole: its rows become REFUSED; False where none
    of it waits any more, also where its sender has the approval's lock first.

    Call inside `audit.recording()`. `market_at` is None where the market's time is not known.
    """
    waiting = Approval.objects.filter(order__group=order.group, state__in=OPEN).first()
    if order.state not in (OrderState.PENDING_APPROVAL, OrderState.APPROVED) or waiting is None:
        return False
    row = locked(waiting.pk)
    if row.state not in OPEN:
        return False
    approval_end(row, ApprovalState.VOID, "WITHDRAWN", withdrawn_by(actor, reason), market_at)
    return True


def withdrawn_by(actor: str, reason: str) -> str:
    """Who took it back, and why, as its rows keep it."""
    return f"withdrawn by {actor}" + (f": {reason}" if reason else "")


def cancel_send(change: OrderChange, broker: Broker, market_at: datetime) -> str:
    """Tell the broker; what it says of a failure, for people. A cancel may be told again as often as one likes.

    A gate that is shut for cancels too (orders disabled, another account) ends the wish: nothing was told. Nothing else
    does, least of all a connection that is away: the order works on, and what was accepted is told again.
    """
    order = change.order
    try:
        broker.cancel(types.OrderRef(order.account_id, order.order_ref))
    except BrokerError as error:  # also a failure that the owner did not foresee: the next wish is told all the same
        said = f"{error.reason}: {error.message}"
        if isinstance(error, TradingDisabled) and error.reason in SHUT_FOR_CANCELS:
            with suppress(Conflict), audit.recording(point="cancel_told"):
                change_move(change, "REJECTED", said, market_at)
        return said
    return ""


def overdue(now: datetime) -> QuerySet[OrderChange]:
    """The cancels that should have been answered by now, oldest first."""
    before = now - timedelta(seconds=paced(TOLD_AGAIN_AFTER_S))
    waiting = OrderChange.objects.filter(kind="cancel", state__in=OPEN_CHANGE, created_at__lt=before)
    return waiting.select_related("order__account", "order__instrument").order_by("id")


def cancels_tell_again(broker: Broker, now: datetime) -> int:
    """Tell the broker again of each cancel that it has not answered; what stays unproven, a person must see.

    The number told. Whoever wrote the wish may have died before its frame left.
    """
    market_at = broker.status().market_now
    found = list(overdue(now))
    for change in found:
        with audit.acting(actor=change.actor or None, correlation_id=f"cancel.{change.pk}"):
            if (now - change.created_at).total_seconds() >= paced(UNPROVEN_AFTER_S):
                _unproven(change, market_at)
            cancel_send(change, broker, market_at)
    return len(found)


def cancels_show_unproven(now: datetime) -> None:
    """A person sees what stays unproven also where nobody can be asked, at the market's time as it was last known."""
    for change in overdue(now):
        with audit.acting(actor=change.actor or None, correlation_id=f"cancel.{change.pk}"):
            if (now - change.created_at).total_seconds() >= paced(UNPROVEN_AFTER_S):
                _unproven(change, change.market_at or change.order.market_at)


def _unproven(change: OrderChange, market_at: datetime) -> None:
    order = change.order
    with suppress(Conflict), audit.recording(point="cancel_unproven"):  # Conflict: it was answered at this moment
        if change.state == "SENDING":
            change_move(change, "UNKNOWN", f"not answered within {UNPROVEN_AFTER_S} s", market_at)
        discrepancy_open(
            order.account_id,
            DiscrepancyKind.CANCEL,
            change_subject(change),
            detail=f"The cancel of {order.order_ref} was not answered; the order is {order.state} and may still fill.",
            market_at=market_at,
            ours="cancel asked",
            theirs=order.broker_status,
            order=order,
            blocking=False,
        )
