"""Profit and loss of the exchange's day, by the broker's word at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from broker import types
from broker.port import Broker
from trading.selectors.exchange_days import account_zone, day_began
from trading.selectors.performance import Missing
from trading.selectors.pnl import AccountResult, SymbolResult

ZERO = Decimal(0)
NOT_TOLD = "the broker has not told it"
FOREIGN = "a part of it was paid in another currency than the account's"


def pnl_today(broker: Broker, status: types.BrokerStatus, symbol: str | None) -> AccountResult:
    """The account's result of the exchange's day. Raises what the port raises, BrokerUnavailable above all."""
    told, summary, executions = broker.pnl(), broker.account(), broker.executions()
    began = day_began(status.market_now, account_zone(told.account))
    latest = _latest(row for row in executions if row.account == told.account)
    costs = _costs((row for row in latest if row.time >= began), summary.currency)
    rows = tuple(row for row in _live_rows(told, costs) if symbol in (None, row.symbol))
    realized, unrealized, total = told.realized, told.unrealized, told.daily
    if symbol is not None:
        realized, unrealized, total = (
            _sum(getattr(row, name) for row in rows) for name in ("realized", "unrealized", "total")
        )
    commissions = _sum(row.commissions for row in rows)
    return AccountResult(
        account=told.account,
        currency=summary.currency,
        timeframe="day",
        symbol=symbol,
        source="live",
        from_time=began,
        to_time=told.time,
        realized=realized,
        unrealized=unrealized,
        total=total,
        commissions=commissions,
        commissions_pending=sum(cost.pending for cost in costs.values() if symbol in (None, cost.symbol)),
        by_symbol=rows,
        missing=tuple(_not_told(realized=realized, unrealized=unrealized, total=total, commissions=commissions)),
    )


@dataclass(slots=True)
class _Cost:
    """Today's executions of one contract; what is in another currency than the account's cannot be added up."""

    symbol: str
    commissions: Decimal = ZERO
    realized: Decimal = ZERO
    pending: int = 0
    is_foreign: bool = False

    @property
    def paid(self) -> Decimal | None:
        """The commissions that are known so far; None where one is in another currency."""
        return None if self.is_foreign else self.commissions


def _latest(executions: Iterable[types.ExecutionReport]) -> Iterable[types.ExecutionReport]:
    """Each execution as last corrected: the number after the last dot tells a correction from what it replaces."""
    ordered = sorted(executions, key=lambda row: row.exec_id)
    return {row.exec_id.rpartition(".")[0] or row.exec_id: row for row in ordered}.values()


def _costs(executions: Iterable[types.ExecutionReport], currency: str) -> dict[int, _Cost]:
    found: dict[int, _Cost] = {}
    for row in executions:
        cost = found.setdefault(row.con_id, _Cost(row.symbol))
        cost.commissions += row.commission or ZERO
        cost.realized += row.realized_pnl or ZERO
        cost.pending += row.commission is None
        cost.is_foreign |= bool(row.commission) and row.commission_currency != currency
    return found


def _live_rows(told: types.ProfitAndLoss, costs: dict[int, _Cost]) -> Iterator[SymbolResult]:
    """What is held, then what was traded today and is held no more."""
    held = {row.con_id for row in told.positions}
    for row in told.positions:
        paid = costs[row.con_id].paid if row.con_id in costs else ZERO
        yield SymbolResult(row.symbol, row.con_id, row.quantity, row.realized, row.unrealized, paid, row.daily)
    for con_id, cost in costs.items():
        if con_id not in held:
            realized = None if cost.pending or cost.is_foreign else cost.realized
            yield SymbolResult(cost.symbol, con_id, ZERO, realized, ZERO, cost.paid, None)


def _not_told(**figures: Decimal | None) -> Iterator[Missing]:
    reasons = {"commissions": FOREIGN}
    return (Missing(name, reasons.get(name, NOT_TOLD)) for name, value in figures.items() if value is None)


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    """None where one of them is not known."""
    known = list(values)
    return None if None in known else sum((value for value in known if value is not None), ZERO)
