"""Executions that the market takes back or puts right afterwards."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from .engine import Booked, Engine
from .margin import cents
from .pricing import Pricing
from .types import Commission, Execution

ZERO = Decimal(0)


class Amendments:
    """Corrects and busts executions of the day: booked as the old trade taken back and the new one made."""

    def __init__(self, engine: Engine, market: Pricing) -> None:
        self._engine = engine
        self._market = market

    def correct(self, exec_id: str, *, price: Decimal | None, shares: Decimal | None) -> Execution:
        """Give an execution another price or size; told under the same id with a higher last part.

        A bust is a correction to no shares. Raises KeyError for an id that is not one of today's.
        """
        number, booked = self._find(exec_id)
        old = booked.execution
        order = self._engine.book.by_perm_id(old.perm_id)
        new_shares = old.shares if shares is None else shares
        new_price = old.price if price is None else price
        order.filled += new_shares - old.shares
        order.value += new_shares * new_price - old.shares * old.price
        order.last_price = new_price if new_shares else order.last_price
        cost = self._rebook(booked, new_shares, new_price)
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
            if booked.execution.exec_id == exec_id:
                return number, booked
        raise KeyError(f"no execution {exec_id} today")

    def _rebook(self, booked: Booked, shares: Decimal, price: Decimal) -> Commission:
        """Take the old trade back with its commission and make the new one; the profit is the sum of all three."""
        old, spec = booked.execution, self._market.spec(booked.execution.con_id)
        sign = 1 if old.side == "BOT" else -1
        parts = [booked.commission.realized_pnl]
        undone = self._engine.book_trade(spec, -sign * old.shares, old.price, -booked.commission.commission)
        parts.append(undone.realized_pnl)
        commission = ZERO
        if shares:
            commission = cents(booked.commission.commission * shares / old.shares)
            parts.append(self._engine.book_trade(spec, sign * shares, price, commission).realized_pnl)
        realized = [part for part in parts if part is not None]
        return Commission("", commission, undone.currency, sum(realized, ZERO) if any(realized) else None)


def _next_version(exec_id: str) -> str:
    """The same id with its last part one higher."""
    root, _, version = exec_id.rpartition(".")
    return f"{root}.{int(version) + 1:02d}"
