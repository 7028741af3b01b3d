"""The shadow ledger: the same orders, filled on live quotes, in an account of the strategy's own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from autotrader.core import audit
from broker import types
from trading.models import Order, WorkflowExecution
from trading.models.order import OrderState, Role
from trading.services.executions import epoch_hold
from trading.services.fills import fill_book, filled_quantity
from trading.services.order_moves import order_move
from trading.services.rows import swap

# The fixed commission schedule of the broker's own paper account, so that both ledgers cost the same.
PER_SHARE, LEAST, MOST = Decimal("0.005"), Decimal("1.00"), Decimal("0.01")


def shadow_commission(quantity: Decimal, price: Decimal) -> Decimal:
    """0.005 a share, at least 1.00, at most 1 % of the value, to the cent."""
    capped = min(max(quantity * PER_SHARE, LEAST), quantity * price * MOST)
    return capped.quantize(Decimal("0.01"))


def shadow_place(execution: WorkflowExecution, orders: Sequence[Order], quote: types.Quote) -> None:
    """Let committed orders (SENDING) meet the quote as the broker's book would."""
    with audit.recording():
        epoch_hold(execution)
        for order in orders:
            swap(order, submission_state="SENT")
            order_move(order, OrderState.ACCEPTED, cause="shadow", market_at=quote.time)
        _match(orders, quote)


def shadow_exit(execution: WorkflowExecution, order: Order, quote: types.Quote) -> None:
    """Fill an exit and end the protective legs of what it closes."""
    shadow_place(execution, [order], quote)
    with audit.recording():
        epoch_hold(execution)
        if Order.objects.get(pk=order.pk).state == OrderState.FILLED:
            _cancel_protection(order, quote)


def shadow_settle(execution: WorkflowExecution, quote: types.Quote) -> None:
    """Let the ledger's working orders meet this quote: a later cycle sees what has filled meanwhile."""
    working = Order.objects.filter(
        account=execution.account_id,
        instrument=execution.instrument_id,
        state__in=(OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED),
    ).order_by("id")
    with audit.recording():
        epoch_hold(execution)
        _match(list(working), quote)


def _match(orders: Sequence[Order], quote: types.Quote) -> None:
    for order in orders:
        order.refresh_from_db()
        if order.state != OrderState.ACCEPTED or not _is_active(order):
            continue
        price = fill_price(order, quote)
        if price is not None:
            _fill(order, price, quote)


def _is_active(order: Order) -> bool:
    return order.parent is None or Order.objects.get(pk=order.parent_id).state == OrderState.FILLED


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
    if order.role in (Role.STOP, Role.TARGET):
        _cancel_siblings(order, quote)


def _cancel_siblings(order: Order, quote: types.Quote) -> None:
    for sibling in Order.objects.filter(parent=order.parent_id, state=OrderState.ACCEPTED).exclude(pk=order.pk):
        order_move(sibling, OrderState.CANCELLED, cause="shadow: the other leg filled", market_at=quote.time)


def _cancel_protection(order: Order, quote: types.Quote) -> None:
    legs = Order.objects.filter(
        account=order.account, instrument=order.instrument, role__in=(Role.STOP, Role.TARGET), state=OrderState.ACCEPTED
    )
    for leg in legs:
        order_move(leg, OrderState.CANCELLED, cause="shadow: the position is closed", market_at=quote.time)
