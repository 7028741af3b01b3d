"""What closed trades come to: how many won, what one brings on average in money and in R, fees, time in the market."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from autotrader.core.money import quantize_money, quantize_price

ZERO = Decimal(0)


class ClosedTrade(NamedTuple):
    """One round trip: `pnl` after the commissions of both sides, `stop` the price its decision named, if any."""

    pnl: Decimal
    commission: Decimal
    quantity: Decimal
    entry_price: Decimal
    stop: Decimal | None


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """Round trips that closed in the time; amounts in the account's base currency, after commissions of both sides.

    `win_rate` = wins / count. `gross_profit` and `gross_loss` (not negative) are the sums of what won and lost, `net`
    their difference, `profit_factor` their ratio. `expectancy` = net / count. `expectancy_r` is the mean R of the
    `r_count` trades whose decision named a stop: R = result / (|entry price − stop| × quantity). `fees` = commissions.
    What needs a trade, a loss or a stop that there was not is null.
    """

    count: int
    wins: int
    losses: int
    even: int
    win_rate: Decimal | None
    net: Decimal | None
    gross_profit: Decimal | None
    gross_loss: Decimal | None
    profit_factor: Decimal | None
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    best: Decimal | None
    worst: Decimal | None
    fees: Decimal | None
    expectancy_r: Decimal | None
    r_count: int


NONE = TradeFigures(0, 0, 0, 0, *(None,) * 12, 0)


def trade_figures(trades: Iterable[ClosedTrade]) -> TradeFigures:
    """The figures of trades that are closed."""
    rows = list(trades)
    if not rows:
        return NONE
    wins = [row.pnl for row in rows if row.pnl > 0]
    losses = [-row.pnl for row in rows if row.pnl < 0]
    profit, loss, net = sum(wins, ZERO), sum(losses, ZERO), sum((row.pnl for row in rows), ZERO)
    multiples = [r for r in map(r_multiple, rows) if r is not None]
    return TradeFigures(
        count=len(rows),
        wins=len(wins),
        losses=len(losses),
        even=len(rows) - len(wins) - len(losses),
        win_rate=_ratio(Decimal(len(wins)), len(rows)),
        net=net,
        gross_profit=profit,
        gross_loss=loss,
        profit_factor=_ratio(profit, loss),
        expectancy=_mean([row.pnl for row in rows]),
        average_win=_mean(wins),
        average_loss=_mean(losses),
        best=max(row.pnl for row in rows),
        worst=min(row.pnl for row in rows),
        fees=sum((row.commission for row in rows), ZERO),
        expectancy_r=_ratio(sum(multiples, ZERO), len(multiples)),
        r_count=len(multiples),
    )


def r_multiple(trade: ClosedTrade) -> Decimal | None:
    """The result in units of what was risked: |entry − stop| × quantity; None where no stop was named."""
    if trade.stop is None:
        return None
    risked = abs(trade.entry_price - trade.stop) * trade.quantity
    return trade.pnl / risked if risked else None


def _ratio(value: Decimal, by: Decimal | int) -> Decimal | None:
    return quantize_price(value / by) if by else None


def _mean(amounts: Sequence[Decimal]) -> Decimal | None:
    return quantize_money(sum(amounts, ZERO) / len(amounts)) if amounts else None


def time_held(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """How long at least one of the spans (begin, end) lasted; times that overlap count once."""
    total, reached = timedelta(), None
    for begin, end in sorted(spans):
        start = begin if reached is None else max(begin, reached)
        if end > start:
            total += end - start
        reached = end if reached is None else max(reached, end)
    return total
