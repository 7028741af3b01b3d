"""The shadow ledger: the same orders, filled on live quotes, in an account of the strategy's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from broker import types
from trading.models import Order, WorkflowExecution
from trading.models.order import OrderState, Role
from trading.services.executions import epoch_hold
from trading.services.fills import fill_book, filled_quantity
from trading.services.order_moves import order_move
from trading.services.rows import swap

# The fixed commission schedule of the broker's own paper account, so that both ledgers cost the same.
PER_SHARE, LEAST, MOST = Decimal("0.005"), Decimal("1.00"), Decimal("0.01")
# A worker that wrote an order and has not placed it by now is dead.
ABANDONED = timedelta(seconds=paced(60))


def shadow_commission(quantity: Decimal, price: Decimal) -> Decimal:
    """0.005 a share, at least 1.00, at most 1 % of the value, to the cent."""
    capped = min(max(quantity * PER_SHARE, LEAST), quantity * price * MOST)
    return capped.quantize(Decimal("0.01"), ROUND_HALF_UP)


def shadow_place(execution: WorkflowExecution, orders: Sequence[Order], quote: types.Quote) -> None:
    """Let committed orders (SENDING) meet the quote as the broker's book would."""
    with audit.recording():
        epoch_hold(execution)
        for order in orders:
            swap(order, submission_state="SENT")
            order_move(order, OrderState.ACCEPTED, cause="shadow", market_at=quote.time)
        _match(orders, quote)


def shadow_exit(execution: WorkflowExecution, order: Order, quote: types.Quote) -> None:
    """Let an exit meet the quote; its fill ends the protective legs of what it closes."""
    shadow_place(execution, [order], quote)


def shadow_settle(execution: WorkflowExecution, quote: types.Quote) -> None:
    """Let the ledger's working orders meet this quote: a later cycle sees what has filled meanwhile."""
    ledger = Order.objects.filter(account=execution.account_id, instrument=execution.instrument_id).order_by("id")
    with audit.recording():
        epoch_hold(execution)
        for order in ledger.filter(state=OrderState.SENDING, sending_at__lt=system_now() - ABANDONED):
            order_move(order, OrderState.ABSENT, cause="shadow: its worker ended before it", market_at=quote.time)
        working = list(ledger.filter(state=OrderState.ACCEPTED))
        _match([order for order in working if not _has_expired(order, quote)], quote)
        for order in working:
            _expire(order, quote)


def _has_expired(order: Order, quote: types.Quote) -> bool:
    return order.tif == "DAY" and order.expires_at is not None and quote.time > order.expires_at


def _expire(order: Order, quote: types.Quote) -> None:
    """End a DAY order at its close, and the legs that waited for it."""
    order.refresh_from_db()
    ends = order.tif == "DAY" and order.expires_at is not None and quote.time >= order.expires_at
    if order.state != OrderState.ACCEPTED or not ends:
        return
    order_move(order, OrderState.EXPIRED, cause="shadow: the session has ended", market_at=quote.time)
    _cancel(order.children.all(), "the entry has expired", quote)


def _match(orders: Sequence[Order], quote: types.Quote) -> None:
    for order in orders:
        order.refresh_from_db()
        if order.state != OrderState.ACCEPTED or not _is_active(order):
            continue
        price = fill_price(order, quote)
        if price is not None:
            _fill(order, price, quote)


def _is_active(order: Order) -> bool:
    if order.parent is None:
        return True
    order.parent.refresh_from_db(fields=["state"])
    return order.parent.state == OrderState.FILLED


def fill_price(order: Order, quote: types.Quote) -> Decimal | None:
    """What the quote pays: a limit needs the other side at or within it, a stop is triggered by it."""
    price = quote.ask if order.side == "BUY" else quote.bid
    if price is None:
        return None
    sign = 1 if order.side == "BUY" else -1
    if order.limit_price is not None:
        return price if sign * (order.limit_price - price) >= 0 else None
    if order.stop_price is not None:
        return price if sign * (price - order.stop_price) >= 0 else None
    return price


def _fill(order: Order, price: Decimal, quote: types.Quote) -> None:
    side: types.Side = "BUY" if order.side == "BUY" else "SELL"
    report = types.ExecutionReport(
        account=order.account_id,
        order_ref=order.order_ref,
        perm_id=0,
        exec_id=f"SHADOW.{order.order_ref}.01",
        con_id=quote.con_id,
        symbol=quote.symbol,
        side=side,
        quantity=order.quantity,
        price=price,
        time=quote.time,
        exchange="SHADOW",
        commission=shadow_commission(order.quantity, price),
        commission_currency="",
    )
    fill_book(order, report)
    filled = filled_quantity(order)
    order_move(
        order,
        OrderState.FILLED,
        cause=f"shadow fill at {price}",
        market_at=quote.time,
        filled_quantity=filled.quantity,
        average_price=filled.price,
    )
    _cancel_others(order, quote)


def _cancel_others(order: Order, quote: types.Quote) -> None:
    """What closes a position ends all else that would: a leg its sibling and the exit, an exit the legs."""
    ledger = Order.objects.filter(account=order.account, instrument=order.instrument)
    if order.role == Role.EXIT:
        legs = ledger.filter(role__in=(Role.STOP, Role.TARGET), parent__state=OrderState.FILLED)
        _cancel(legs, "the position is closed", quote)
    elif order.role in (Role.STOP, Role.TARGET):
        _cancel(ledger.filter(parent=order.parent_id).exclude(pk=order.pk), "the other leg filled", quote)
        _cancel(ledger.filter(role=Role.EXIT), "a protective leg filled", quote)


def _cancel(orders: QuerySet[Order], why: str, quote: types.Quote) -> None:
    for order in orders.filter(state=OrderState.ACCEPTED).order_by("id"):
        order_move(order, OrderState.CANCELLED, cause=f"shadow: {why}", market_at=quote.time)
