"""What a request to cancel comes to: what was never sent is taken back by our rows alone, all else is kept as a wish
and told to the broker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from autotrader.core import audit
from autotrader.core.ops.pace import paced
from broker import gates
from broker.errors import BrokerUnavailable
from broker.port import TABLE, Broker
from trading.models import Order, OrderChange, OrderRequest
from trading.models.approval import ApprovalState
from trading.models.order import TERMINAL, OrderState
from trading.selectors.approvals import OPEN, strategy_of, with_details
from trading.selectors.requests import order_named
from trading.services.approval_states import ApprovalUnknown, approval_end, locked, refusal
from trading.services.brokers import AskedOnce
from trading.services.callers import Caller
from trading.services.cancels import (
    NotAllowed,
    cancel_begin,
    cancel_send,
    check_protection,
    order_withdraw,
    withdrawn_by,
)
from trading.services.request_bodies import cancel_body, withdraw_body
from trading.services.request_rows import request_accept, request_name

WAITING = (OrderState.PENDING_APPROVAL, OrderState.APPROVED)


@dataclass(frozen=True, slots=True)
class Wish:
    """A cancel that is kept: of this request, or an open one of another that it found."""

    request: OrderRequest
    change: OrderChange
    market_at: datetime


def cancel_keep(request: OrderRequest, caller: Caller, status: AskedOnce) -> Wish | None:
    """Commit what is wanted; None where nothing is left to be told, since what waited is taken back.

    What waits for a person or for its sender needs no broker: the lock of its approval, without which nothing becomes
    SENDING, decides between the sender and us. Raises Invalid, NoSuchOrder, KeyLimited, OnlyProposes, NotAllowed,
    ApprovalRefused, TradingDisabled, and BrokerUnavailable where the order may be at the broker.
    """
    if "approval" in request.body:
        _take_back_approval(request, caller, status)
        return None
    body = cancel_body(request.body)
    order = order_named(body.order_ref, caller.limits)
    caller.check_own(order.request)
    reason = body.reason or "asked for"
    if order.state in WAITING and _take_back_order(request, order, caller, reason, status):
        return None
    order = order_named(body.order_ref)
    _check_may_end(request, order, caller)
    with _saying_what_is_left(order):
        told = status()
        _name(request, order, told.market_now)
        gates.check_cancel(account=order.account_id, status=told)
    with audit.recording(durable=True, point="cancel_wish"):
        check_protection(order, force=body.force, may_remove=caller.may_unprotect)
        change = cancel_begin(order, market_at=told.market_now, actor=caller.actor, reason=reason, request=request)
        request_accept(request, changes=[change.pk])
    return Wish(request, change, told.market_now)


def _check_may_end(request: OrderRequest, order: Order, caller: Caller) -> None:
    """A key that only proposes is told of its own order that it has ended, which no other key could change."""
    if caller.only_proposes and order.state in TERMINAL:
        _name(request, order, None)
        raise NotAllowed(f"{order} has ended: it is {order.state}.", code="ORDER_ENDED")
    caller.check_may_end()


def _take_back_order(request: OrderRequest, order: Order, caller: Caller, reason: str, status: AskedOnce) -> bool:
    """False where the sender was faster: then it is, or may be, at the broker."""
    at = _market_now(status)
    _name(request, order, at)
    with audit.recording(durable=True, point="cancel_wish"):
        if not order_withdraw(order_named(order.order_ref), actor=caller.actor, reason=reason, market_at=at):
            return False
        request_accept(request)
    return True


def _take_back_approval(request: OrderRequest, caller: Caller, status: AskedOnce) -> None:
    """By the approval's number: an exit that waits for a person, or for its sender, has no order's reference yet."""
    body = withdraw_body(request.body)
    approval = with_details().filter(pk=body.approval).first()
    if approval is None:
        raise ApprovalUnknown(f"There is no approval {body.approval}.", details={"field": "approval"})
    strategy = strategy_of(approval)
    caller.limits.check(account=approval.account_id, strategy=strategy.pk if strategy else None)
    caller.check_own(approval.request)
    at = _market_now(status)
    request_name(request, at, account=approval.account, strategy=strategy, instrument=approval.instrument)
    with audit.recording(durable=True, point="cancel_wish"):
        row = locked(approval.pk)
        if row.state not in OPEN:
            raise refusal(row)
        said = withdrawn_by(caller.actor, body.reason or "asked for")
        approval_end(row, ApprovalState.VOID, "WITHDRAWN", said, at)
        request_accept(request)


def _name(request: OrderRequest, order: Order, at: datetime | None) -> None:
    request_name(request, at, account=order.account, strategy=order.strategy, instrument=order.instrument)


def _market_now(status: AskedOnce) -> datetime | None:
    """The market's time; None where nobody can be asked: it is not guessed."""
    with suppress(BrokerUnavailable):
        return status().market_now
    return None


@contextmanager
def _saying_what_is_left(order: Order) -> Iterator[None]:
    """Where the broker is away, BrokerUnavailable says what that leaves open of this order."""
    try:
        yield
    except BrokerUnavailable as error:
        left = f"{order} is {order.state} by our records and may still fill; nothing was asked of the broker"
        if order.state == OrderState.SENDING:
            left = f"{order} was being sent and {_may_leave(order)}; nothing was asked of the broker: ask again"
        message = f"{error.message.rstrip('.')}. {left}."
        raise BrokerUnavailable(message, code=error.reason, details=error.details) from error


def _may_leave(order: Order) -> str:
    assert order.sending_at is not None
    until = order.sending_at + timedelta(seconds=paced(TABLE["place"].timeout))
    return f"may still leave until {until:%H:%M:%S} UTC, or have left"


def cancels_tell(wishes: Sequence[Wish], broker: Broker, *, until: float) -> None:
    """Tell the broker of each, until this time of the process's clock; what is left then is told by the sweep.

    The open wish of another request is told by whoever wrote it, unless its outcome is in doubt.
    """
    for wish in wishes:
        if wish.change.request_id != wish.request.pk and wish.change.state != "UNKNOWN":
            continue
        with audit.acting(actor=wish.request.actor, correlation_id=wish.request.correlation_id):
            cancel_send(wish.change, broker, wish.market_at)
        if time.monotonic() >= until:
            return


def are_open(wishes: Iterable[Wish]) -> bool:
    """Whether the broker's word on any of them is still to come."""
    changes = [wish.change.pk for wish in wishes]
    return bool(changes) and OrderChange.objects.filter(pk__in=changes, state="SENDING").exists()
