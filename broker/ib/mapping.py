"""From ib_insync's floats and strings to our types; the only place where floats become Decimals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from broker import types

UNSET_DOUBLE_FLOOR = 1.79e308
UNSET_INTEGERS = frozenset({2147483647, 9223372036854775807})
WITHOUT_LIMIT = frozenset({"MKT", "STP", "TRAIL", "MOC", "MOO", "MIT"})
TRAILING = frozenset({"TRAIL", "TRAIL LIMIT"})
WITH_STOP = TRAILING | {"STP", "STP LMT", "STP PRT", "MIT", "LIT"}
SIDES: dict[str, types.Side] = {"BOT": "BUY", "SLD": "SELL", "BUY": "BUY", "SELL": "SELL"}


def number(value: float | str | None) -> Decimal | None:
    """The value as the broker wrote it; None where it is empty, unset, NaN or infinite."""
    if value is None or value == "":
        return None
    try:
        as_float = float(value)
    except ValueError:
        return None
    if not math.isfinite(as_float) or abs(as_float) >= UNSET_DOUBLE_FLOOR:
        return None
    return _plain(value)


def _plain(value: float | str) -> Decimal | None:
    try:
        exact = Decimal(value.strip() if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return None
    return Decimal(int(exact)) if exact == exact.to_integral_value() else exact.normalize()


def quantity(value: float | str | None) -> Decimal:
    """A number of shares; an unset one is 0."""
    return number(value) or Decimal(0)


def integer(value: int | None) -> int:
    """An id of the broker's; an unset one is 0."""
    return 0 if value is None or value in UNSET_INTEGERS else value


def price(value: float | str | None, tick: Decimal | None = None) -> Decimal | None:
    """A price on the contract's tick grid where that is known; 0 and below mean that there is none."""
    exact = number(value)
    return None if exact is None or exact <= 0 else on_tick(exact, tick) or None


def on_tick(value: Decimal | None, tick: Decimal | None) -> Decimal | None:
    """The price on the tick grid, or as it is where the grid is not known."""
    if value is None or not tick:
        return value
    return _plain(str((value / tick).to_integral_value() * tick))


def size(value: float | None) -> Decimal | None:
    """A quantity at a quote: 0 is a size, a negative number means that there is none."""
    exact = number(value)
    return None if exact is None or exact < 0 else exact


def side(value: str) -> types.Side:
    """BUY or SELL of an execution; raises KeyError for any other word."""
    return SIDES[value]


def utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is UTC already, as TWS writes it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def order_report(
    trade: Any,
    *,
    order: Any,
    status: str,
    parent_perm_id: int,
    filled: Decimal,
    remaining: Decimal,
    tick: Decimal | None,
    now: datetime,
    client_id: int,
) -> types.OrderReport:
    """What the broker says of a working order: `order` as its last openOrder frame had it, `status` its own word.

    `client_id` is our own, which tells our orders from others'.
    """
    return types.OrderReport(
        account=order.account,
        order_ref=order.orderRef,
        perm_id=integer(order.permId) or integer(trade.orderStatus.permId),
        client_id=order.clientId,
        con_id=trade.contract.conId,
        symbol=trade.contract.symbol,
        side=order.action,
        quantity=quantity(order.totalQuantity),
        order_type=order.orderType,
        **_terms(order, tick),
        tif=order.tif,
        status=status,
        filled=filled,
        remaining=remaining,
        average_price=price(trade.orderStatus.avgFillPrice),
        why_held=trade.orderStatus.whyHeld,
        parent_perm_id=parent_perm_id,
        oca_group=order.ocaGroup,
        time=now,
        origin=origin(order, client_id),
    )


def _terms(order: Any, tick: Decimal | None) -> dict[str, Any]:
    """The prices that the order's type has: TWS fills other fields with what means nothing there."""
    kind = order.orderType
    trails = kind in TRAILING
    percent = price(order.trailingPercent) if trails else None
    return {
        "limit_price": None if kind in WITHOUT_LIMIT else price(order.lmtPrice, tick),
        "stop_price": price(order.trailStopPrice if trails else order.auxPrice, tick) if kind in WITH_STOP else None,
        "trail_amount": price(order.auxPrice) if trails and percent is None else None,
        "trail_percent": percent,
        "good_till": order.goodTillDate if order.tif == "GTD" else "",
        "outside_rth": bool(order.outsideRth),
    }


def origin(order: Any, client_id: int) -> Literal["ours", "other", "manual"]:
    """Who sent a working order: TWS tells one placed by hand as client 0's without a reference."""
    if order.clientId == 0 and not order.orderRef:
        return "manual"
    return "ours" if order.clientId == client_id else "other"


def completed_report(trade: Any, state: Any, *, tick: Decimal | None, now: datetime) -> types.OrderReport:
    """What the broker says of a finished order; it names no order id and no client then."""
    order = trade.order
    filled = quantity(order.filledQuantity)
    total = quantity(order.totalQuantity) or filled
    return types.OrderReport(
        account=order.account,
        order_ref=order.orderRef,
        perm_id=integer(order.permId),
        client_id=0,
        con_id=trade.contract.conId,
        symbol=trade.contract.symbol,
        side=order.action,
        quantity=total,
        order_type=order.orderType,
        **_terms(order, tick),
        tif=order.tif,
        status=state.status,
        filled=filled,
        remaining=total - filled,
        average_price=None,
        why_held="",
        parent_perm_id=integer(order.parentPermId),
        oca_group=order.ocaGroup,
        time=now,
        completed=True,
        detail=state.completedStatus,
    )


def execution_report(contract: Any, execution: Any, commission: types.CommissionReport | None) -> types.ExecutionReport:
    """One fill, with its cost where that is known already."""
    exact = number(execution.price)
    if exact is None:
        raise ValueError(f"execution {execution.execId} has no price")
    return types.ExecutionReport(
        account=execution.acctNumber,
        order_ref=execution.orderRef,
        perm_id=integer(execution.permId),
        exec_id=execution.execId,
        con_id=contract.conId,
        symbol=contract.symbol,
        side=side(execution.side),
        quantity=quantity(execution.shares),
        price=exact,
        time=utc(execution.time),
        exchange=execution.exchange,
        commission=commission.commission if commission else None,
        commission_currency=commission.currency if commission else "",
        realized_pnl=commission.realized_pnl if commission else None,
    )


def filled_at(fills: Iterable[types.ExecutionReport]) -> tuple[Decimal, Decimal | None]:
    """Quantity and average price of an order's fills, each as last corrected; (0, None) where there are none."""
    latest = {fill.exec_id.rpartition(".")[0]: fill for fill in sorted(fills, key=lambda fill: fill.exec_id)}
    filled = sum((fill.quantity for fill in latest.values()), Decimal(0))
    value = sum((fill.quantity * fill.price for fill in latest.values()), Decimal(0))
    return filled, _plain(str(value / filled)) if filled else None


def with_average(report: types.OrderReport, fills: Iterable[types.ExecutionReport]) -> types.OrderReport:
    """A finished order names no price: the average of those of `fills` that are its own."""
    if report.average_price is not None or not report.perm_id:
        return report
    own = [fill for fill in fills if (fill.perm_id, fill.account) == (report.perm_id, report.account)]
    return replace(report, average_price=filled_at(own)[1])


def report_of_fills(fills: Sequence[types.ExecutionReport]) -> types.OrderReport:
    """An order that only its fills tell of: it works no longer, and what it was beyond them is not known."""
    first = fills[0]
    filled, average = filled_at(fills)
    return types.OrderReport(
        account=first.account,
        order_ref=first.order_ref,
        perm_id=first.perm_id,
        client_id=0,
        con_id=first.con_id,
        symbol=first.symbol,
        side=first.side,
        quantity=filled,
        order_type="",
        limit_price=None,
        stop_price=None,
        tif="",
        status="",
        filled=filled,
        remaining=Decimal(0),
        average_price=average,
        why_held="",
        parent_perm_id=0,
        oca_group="",
        time=max(fill.time for fill in fills),
        completed=True,
        detail="the broker tells of its fills only",
    )


def commission_report(report: Any, execution: Any | None, *, now: datetime) -> types.CommissionReport:
    """The cost of one fill, read before ib_insync turns an unset profit into 0."""
    cost = number(report.commission)
    if cost is None:
        raise ValueError(f"execution {report.execId} has no commission")
    return types.CommissionReport(
        account=execution.acctNumber if execution else "",
        order_ref=execution.orderRef if execution else "",
        exec_id=report.execId,
        commission=cost,
        currency=report.currency,
        realized_pnl=number(report.realizedPNL),
        time=now,
    )
