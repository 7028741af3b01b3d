"""The day's result of the account and of one holding, from positions, today's executions and yesterday's close."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from broker.paper_gateway.types import ContractFilter, Exchange

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Profit:
    """Amounts in base currency; `daily` and `realized` are of the current day of the gateway's clock."""

    quantity: Decimal
    daily: Decimal
    unrealized: Decimal
    realized: Decimal
    value: Decimal


def of_contract(exchange: Exchange, con_id: int) -> Profit:
    """The result of one holding.

    daily = value now - value of yesterday's holding at yesterday's close - cost of today's trades - commissions.
    """
    spec = exchange.find(ContractFilter(con_id=con_id, include_expired=True))[0]
    rate = exchange.rate(spec.currency)
    held = next((view for view in exchange.positions() if view.con_id == con_id), None)
    quantity, value = (held.quantity, held.market_value) if held else (ZERO, ZERO)
    bought = cost = realized = ZERO
    for execution, commission in exchange.executions():
        if execution.con_id == con_id:
            shares = execution.shares if execution.side == "BOT" else -execution.shares
            bought += shares
            told_at = exchange.rate(commission.currency)
            cost += shares * execution.price * spec.multiplier * rate + commission.commission * told_at
            realized += (commission.realized_pnl or ZERO) * told_at
    overnight = quantity - bought
    before = overnight * (exchange.quote(con_id).prior_close or ZERO) * spec.multiplier if overnight else ZERO
    unrealized = held.unrealized_pnl * rate if held else ZERO
    return Profit(quantity, (value - before) * rate - cost, unrealized, realized, value * rate)


def of_account(exchange: Exchange) -> Profit:
    """The sum over all contracts that are held or were traded today."""
    con_ids = {view.con_id for view in exchange.positions()}
    con_ids |= {execution.con_id for execution, _ in exchange.executions()}
    parts = [of_contract(exchange, con_id) for con_id in sorted(con_ids)]
    return Profit(
        quantity=ZERO,
        daily=sum((part.daily for part in parts), ZERO),
        unrealized=sum((part.unrealized for part in parts), ZERO),
        realized=sum((part.realized for part in parts), ZERO),
        value=sum((part.value for part in parts), ZERO),
    )
