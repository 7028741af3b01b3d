"""Handing a committed intent to the broker, once; whatever the call answers, the rows are told by evidence alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from autotrader.core import audit
from autotrader.core.ops.crashpoints import crashpoint
from autotrader.core.ops.pace import paced
from broker import types
from broker.errors import BrokerUnavailable, OrderError
from broker.port import TABLE, Broker
from trading.models import Approval, Order, OrderChange
from trading.models.approval import ApprovalState
from trading.models.order import OrderState, Role
from trading.selectors.orders import live_entry, working_legs
from trading.services.approval_states import refusal
from trading.services.cancels import NotAllowed, cancel_send, cancel_write, order_withdraw
from trading.services.executions import Work, epoch_hold
from trading.services.intents import Intent, NoRoomLeft
from trading.services.orders import changes_write, exit_write


@dataclass(frozen=True, slots=True)
class Sent:
    """The rows whose intent is committed, and what is to be said of the sending."""

    orders: list[Order]
    note: str


def place(broker: Broker, orders: Sequence[Order], *, reduces: bool, oca_ref: str = "") -> str:
    """One call for rows committed as SENDING; what it says of a failure, for people."""
    first = orders[0]
    assert first.instrument.con_id is not None
    assert first.sending_at is not None
    request = types.PlaceOrder(
        account=first.account_id,
        con_id=first.instrument.con_id,
        legs=tuple(leg_of(order, oca_ref) for order in orders),
        reduces=reduces,
        # Counted from the commit: a process that slept since then must not send prices of that time.
        deadline=first.sending_at + timedelta(seconds=paced(TABLE["place"].timeout)),
        intent_hash=first.intent_hash,
    )
    return tell(lambda: broker.place(request))


def leg_of(order: Order, oca_ref: str = "") -> types.OrderLeg:
    """The row as the broker is given it."""
    return types.OrderLeg(
        order_ref=order.order_ref,
        role=order.role,  # type: ignore[arg-type]
        side=order.side,  # type: ignore[arg-type]
        quantity=order.quantity,
        order_type=order.order_type,  # type: ignore[arg-type]
        tif=order.tif,  # type: ignore[arg-type]
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        parent_ref=order.parent.order_ref if order.parent else "",
        oca_ref=oca_ref,
    )


def tell(call: Callable[[], object]) -> str:
    """Make the call; what it says of a failure, for people. Sent or not is told by the owner's evidence alone."""
    crashpoint("place_asking")
    try:
        call()
    except (BrokerUnavailable, OrderError) as error:
        return f"{error.reason}: {error.message}"
    finally:
        crashpoint("place_answered")
    return ""


def exit_send(work: Work, broker: Broker, intent: Intent) -> Sent:
    """Move the live targets to the market, so that the stops stand until the exit has filled; else an exit order.

    Raises NoRoomLeft, ENTRY_WORKING where an entry had to be cancelled first.
    """
    ledger = (intent.account, intent.strategy, intent.instrument)
    entry = live_entry(*ledger)
    if entry is not None:
        _end_entry_first(work, broker, entry, intent)
    targets = working_legs(*ledger, Role.TARGET)
    if targets and intent.limit_price is not None and sum(map(_open, targets)) == intent.quantity:
        notes = [_move_to_market(broker, change) for change in changes_write(work, intent, targets)]
        return Sent(targets, "; ".join(["exit: the target was moved to the market", *filter(None, notes)]))
    stops = working_legs(*ledger, Role.STOP)
    order = exit_write(work, intent)
    oca_ref = stops[0].order_ref if stops else ""
    return Sent([order], place(broker, [order], reduces=True, oca_ref=oca_ref))


def _end_entry_first(work: Work, broker: Broker, entry: Order, intent: Intent) -> None:
    """An entry that still fills would outlive the exit and its own protection: it ends first, the exit comes after."""
    note = ""
    if intent.approval is not None:
        _check_wanted(intent.approval)
    with audit.recording(point="entry_ended_first"):
        epoch_hold(work)
        order_withdraw(entry, actor="the desk", reason="an exit comes first", market_at=intent.market_now)
    with suppress(NotAllowed):  # it has ended meanwhile, or never was at the broker
        wish = cancel_write(entry, market_at=intent.market_now, reason="an exit comes first", work=work)
        note = cancel_send(wish, broker, intent.market_now)
    message = f"its entry {entry.order_ref} still works and was cancelled first"
    raise NoRoomLeft(f"{message} ({note})" if note else message, code="ENTRY_WORKING")


def _check_wanted(approval: Approval) -> None:
    """Who withdrew the exit while its price was asked for was told that nothing was sent. Raises ApprovalRefused."""
    row = Approval.objects.get(pk=approval.pk)
    if row.state != ApprovalState.APPROVED:
        raise refusal(row)


def _open(leg: Order) -> Decimal:
    """What may still fill; a child of a partly filled entry works for less than it was written for."""
    left: Decimal = (leg.broker_quantity or leg.quantity) - leg.filled_quantity
    return left


def _move_to_market(broker: Broker, change: OrderChange) -> str:
    request = types.ModifyOrder(
        account=change.order.account_id,
        order_ref=change.order.order_ref,
        revision=change.revision,
        limit_price=change.limit_price,
        stop_price=None,
        reduces=True,
        deadline=change.created_at + timedelta(seconds=paced(TABLE["modify"].timeout)),
    )
    return tell(lambda: broker.modify(request))


def await_word(order: Order, seconds: float) -> None:
    """Wait a little for the owner's evidence on what was sent."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and _waiting(order):
        time.sleep(0.02)


def _waiting(order: Order) -> bool:
    order.refresh_from_db(fields=["state"])
    changing = OrderChange.objects.filter(order=order, state="SENDING").exists()
    return changing or order.state in (OrderState.SENDING, OrderState.SUBMITTED)


def orders_report(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """The orders' references, roles and states of this moment."""
    for order in orders:
        order.refresh_from_db()
    return [{"order_ref": order.order_ref, "role": order.role, "state": order.state} for order in orders]
