"""Booking executions: once by exec_id, corrections replacing their predecessor."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.money import quantize_money, quantize_price
from broker import types
from trading.models import Fill, Order
from trading.services.order_moves import causes, correlation_from
from trading.services.trades import ledger_of, trades_rebuild

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Filled:
    """The sum of an order's current executions."""

    quantity: Decimal
    price: Decimal | None


def filled_quantity(order: Order) -> Filled:
    """What the current (not superseded) fills of an order add up to."""
    rows = Fill.objects.filter(order=order, superseded=False).order_by()
    fills = list(rows.values_list("quantity", "price"))
    quantity = sum((shares for shares, _ in fills), ZERO)
    value = sum((shares * price for shares, price in fills), ZERO)
    return Filled(quantity, quantize_price(value / quantity) if quantity else None)


def split_exec_id(exec_id: str) -> tuple[str, int]:
    """Root and correction number: only the digits after the last dot tell a correction from its original."""
    root, dot, last = exec_id.rpartition(".")
    return (root, int(last)) if dot and last.isdigit() else (exec_id, 1)


def fill_book(order: Order, event: types.ExecutionReport) -> bool:
    """Book the execution if it is new; True where something changed. Call inside `audit.recording()`."""
    root, correction = split_exec_id(event.exec_id)
    known, current = _known(order.account_id, event.exec_id, root)
    if known is not None:
        return _late_commission(known, event)
    if current is not None and current.correction > correction:
        return False
    if current is not None:
        Fill.objects.filter(pk=current.pk).update(superseded=True)
    fill = Fill.objects.create(
        account_id=order.account_id,
        order=order,
        exec_id=event.exec_id,
        exec_root=root,
        correction=correction,
        side=event.side,
        quantity=event.quantity,
        price=event.price,
        commission=_own(order, event.commission, event.commission_currency),
        realized_pnl=None if event.realized_pnl is None else quantize_money(event.realized_pnl),
        time=event.time,
        at=system_now(),
    )
    _record(fill, EventType.FILL_CORRECTED if current else EventType.FILL_BOOKED, "execution")
    trades_rebuild(ledger_of(order), market_at=event.time)
    return True


def _known(account: str, exec_id: str, root: str) -> tuple[Fill | None, Fill | None]:
    """The fill of this very id, and the current one of its root; each found by an index of its own, asked at once."""
    same = Fill.objects.filter(account=account, exec_id=exec_id).order_by()
    found = list(
        same.union(Fill.objects.filter(account=account, exec_root=root, superseded=False).order_by(), all=True)
    )
    return (
        next((fill for fill in found if fill.exec_id == exec_id), None),
        next((fill for fill in found if not fill.superseded), None),
    )


def _late_commission(fill: Fill, event: types.ExecutionReport) -> bool:
    if event.commission is None or fill.commission is not None:
        return False
    _commission(fill, event.commission, event.commission_currency, event.realized_pnl)
    return False


def commission_book(event: types.CommissionReport) -> None:
    """Add the commission to its fill; a commission without a fill is an error that keeps the message.

    A commission that came before its execution names no account; one of a fill that a correction has replaced before
    it was booked is of no more use.
    """
    fills = Fill.objects.select_related("order__instrument").annotate(**causes("order__"))
    fills = fills.defer("order__configuration")
    if event.account:
        fills = fills.filter(account_id=event.account)
    fill = fills.filter(exec_id=event.exec_id).first()
    if fill is None:
        root, correction = split_exec_id(event.exec_id)
        if fills.filter(exec_root=root, correction__gt=correction).exists():
            return
        raise Fill.DoesNotExist(f"no fill {event.exec_id} is booked")
    if fill.commission is None or fill.commission != quantize_money(event.commission):
        with audit.acting(actor="broker", correlation_id=correlation_from(fill, fill.order_id)):
            _commission(fill, event.commission, event.currency, event.realized_pnl)


def _own(order: Order, commission: Decimal | None, currency: str) -> Decimal | None:
    """The commission as it is kept and added up: in the contract's currency. One in another is not kept as an amount,
    so that its fill goes on waiting for one."""
    if commission is None or currency not in ("", order.instrument.currency):
        return None
    return quantize_money(commission)


def _commission(fill: Fill, commission: Decimal, currency: str, realized_pnl: Decimal | None) -> None:
    own = _own(fill.order, commission, currency)
    if own is None:
        _foreign(fill, commission, currency)
        return
    fill.commission = own
    fill.realized_pnl = None if realized_pnl is None else quantize_money(realized_pnl)
    Fill.objects.filter(pk=fill.pk).update(commission=fill.commission, realized_pnl=fill.realized_pnl)
    _record(fill, EventType.FILL_COMMISSION, "commission report")
    trades_rebuild(ledger_of(fill.order), market_at=fill.time)


def _foreign(fill: Fill, commission: Decimal, currency: str) -> None:
    """Put a commission in another currency on record, once: it may neither be lost nor added to what it is not."""
    subject = f"fill:{fill.exec_id}"
    cause = f"commission of {commission.normalize():f} {currency}, not in {fill.order.instrument.currency}: not booked"
    if Event.objects.filter(subject=subject, type=EventType.FILL_COMMISSION, cause=cause).exists():
        return
    _record(fill, EventType.FILL_COMMISSION, cause)


def _record(fill: Fill, kind: EventType, cause: str) -> None:
    audit.record(
        kind,
        f"fill:{fill.exec_id}",
        account=fill.account_id,
        cause=cause,
        market_at=fill.time,
        document={
            "order_ref": fill.order.order_ref,
            "side": fill.side,
            "quantity": fill.quantity,
            "price": fill.price,
            "commission": fill.commission,
            "realized_pnl": fill.realized_pnl,
        },
    )
