"""Executions that the market takes back or puts right afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from .engine import Booked, Engine
from .ledger import Trade
from .margin import cents
from .prices.calendar import eastern_day
from .pricing import Pricing
from .types import Commission, Execution, SymbolSpec

ZERO = Decimal(0)


class Amendments:
    """Corrects and busts executions of the day: afterwards the books are as if only the corrected one had been."""

    def __init__(self, engine: Engine, market: Pricing) -> None:
        self._engine = engine
        self._market = market

    def correct(self, exec_id: str, *, price: Decimal | None, shares: Decimal | None) -> Execution:
        """Give an execution another price or size; told under the same id with a higher last part.

        A bust is a correction to no shares. Raises KeyError for an id that is not one of today's, or is taken back.
        """
        number, booked = self._find(exec_id)
        old = booked.execution
        order = self._engine.book.by_perm_id(old.perm_id)
        new_shares = old.shares if shares is None else shares
        new_price = old.price if price is None else price
        order.filled += new_shares - old.shares
        order.value += new_shares * new_price - old.shares * old.price
        order.last_price = new_price if new_shares else order.last_price
        cost = self._rebook(number, new_shares, new_price)
        execution = replace(
            old,
            exec_id=_next_version(exec_id),
            shares=new_shares,
            price=new_price,
            cum_qty=old.cum_qty + new_shares - old.shares,
            avg_price=order.average_price or new_price,
        )
        order.commission += cost.commission - booked.commission.commission
        self._engine.touch(order)
        self._engine.tell_execution(number, order, execution, replace(cost, exec_id=execution.exec_id))
        return execution

    def _find(self, exec_id: str) -> tuple[int, Booked]:
        for number, booked in self._engine.executions.items():
            execution = booked.execution
            opening = self._engine.openings.get(execution.con_id)
            is_known = opening is not None and opening.day == eastern_day(execution.time)
            if execution.exec_id == exec_id and execution.shares and is_known:
                return number, booked
        raise KeyError(f"no execution {exec_id} that counts today")

    def _rebook(self, number: int, shares: Decimal, price: Decimal) -> Commission:
        """Book the day's executions of the contract anew, one of them changed; later ones may bring another profit."""
        engine, booked = self._engine, self._engine.executions[number]
        old = booked.execution
        spec, day = self._market.spec(old.con_id), eastern_day(old.time)
        commission = cents(booked.commission.commission * shares / old.shares)
        trades = {n: self._trade(spec, other) for n, other in engine.executions.items() if _counts(other, spec, day)}
        instead = {n: trade for n, trade in trades.items() if n != number or shares}
        if shares:
            signed = shares if old.side == "BOT" else -shares
            instead[number] = engine.tariff.trade(spec, signed, price, commission)
        profits = engine.ledger.rebuild(spec, engine.openings[spec.con_id].held, trades, instead)
        for n, profit in profits.items():
            execution, cost = engine.executions[n]
            told = engine.cost(spec, cost.commission, profit).realized_pnl
            engine.executions[n] = engine.changed_executions[n] = Booked(execution, replace(cost, realized_pnl=told))
        realized = engine.executions[number].commission.realized_pnl if shares else None
        return replace(booked.commission, commission=commission, realized_pnl=realized)

    def _trade(self, spec: SymbolSpec, booked: Booked) -> Trade:
        execution = booked.execution
        signed = execution.shares if execution.side == "BOT" else -execution.shares
        return self._engine.tariff.trade(spec, signed, execution.price, booked.commission.commission)


def _counts(booked: Booked, spec: SymbolSpec, day: date) -> bool:
    execution = booked.execution
    return execution.con_id == spec.con_id and eastern_day(execution.time) == day and execution.shares != 0


def _next_version(exec_id: str) -> str:
    """The same id with its last part one higher."""
    root, _, version = exec_id.rpartition(".")
    return f"{root}.{int(version) + 1:02d}"
