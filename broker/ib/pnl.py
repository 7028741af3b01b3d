"""Profit and loss from shared subscriptions: one for the account, one a holding."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from autotrader.core.clock import system_now
from broker import types
from broker.ib import mapping
from broker.ib.connection import Connection
from broker.ib.shared import Pool, Shared

if TYPE_CHECKING:
    from broker.ib.reads import Asking

LIMIT = 500
FIRST_ANSWER = 3.0  # seconds after which a result that has not been told is unknown
MARGIN = 0.5  # seconds of the caller's time-out that are kept for the way back
ACCOUNT = 0  # stands for the whole account where a contract's id is expected


class ResultLine(Shared):
    """The result of the account, or of one holding by its contract: daily, open, realised, value; None until told."""

    def __init__(self, account: str, con_id: int) -> None:
        super().__init__()
        self.account = account
        self.con_id = con_id
        self.is_told = False
        self.daily: Decimal | None = None
        self.unrealized: Decimal | None = None
        self.realized: Decimal | None = None
        self.value: Decimal | None = None
        self.received_at: datetime | None = None

    def send(self, connection: Connection, request_id: int) -> None:
        """reqPnL, or reqPnLSingle of a holding."""
        if self.con_id == ACCOUNT:
            connection.client.reqPnL(request_id, self.account, "")
        else:
            connection.client.reqPnLSingle(request_id, self.account, "", self.con_id)

    def cancel(self, connection: Connection, request_id: int) -> None:
        """cancelPnL, or cancelPnLSingle."""
        if self.con_id == ACCOUNT:
            connection.client.cancelPnL(request_id)
        else:
            connection.client.cancelPnLSingle(request_id)

    def restarted(self) -> None:
        """What the old request told may be true no longer."""
        self.is_told = False
        self.daily = self.unrealized = self.realized = self.value = self.received_at = None

    def result(self, daily: float, unrealized: float, realized: float, value: float) -> None:
        """The broker's latest; what it leaves unset is unknown."""
        self.daily, self.unrealized, self.realized = map(mapping.number, (daily, unrealized, realized))
        self.value = mapping.number(value)
        self.is_told, self.received_at = True, system_now()
        self.came()


class Results:
    """The session's subscriptions of results."""

    def __init__(self) -> None:
        self.lines: Pool[int, ResultLine] = Pool("results", LIMIT)
        self._holdings: set[int] = set()

    def restore(self, connection: Connection) -> None:
        """The connection is new, or TWS has reached the broker again: make what is wanted anew."""
        self.lines.restore(connection)

    def keep_only(self, con_ids: set[int]) -> None:
        """End the subscriptions of what is no longer held."""
        for con_id in self._holdings - con_ids:
            self.lines.drop(con_id)
        self._holdings = con_ids


async def profit_and_loss(asking: Asking, request: types.Nothing) -> types.ProfitAndLoss:
    """The account's result and that of each holding; None for what the broker has not told."""
    connection, results = asking.connection, asking.data.results
    told = await connection.positions_now.ask()
    rows = [row for row in told if row.account == connection.account and mapping.quantity(row.position)]
    results.keep_only({row.contract.conId for row in rows})
    total, *singles = await asyncio.gather(
        *(_line(asking, key) for key in (ACCOUNT, *(r.contract.conId for r in rows)))
    )
    return types.ProfitAndLoss(
        account=connection.account,
        daily=total.daily,
        unrealized=total.unrealized,
        realized=total.realized,
        positions=tuple(_position(row, line) for row, line in zip(rows, singles, strict=True)),
        time=asking.session.known_now(),
        received_at=total.received_at,
    )


async def _line(asking: Asking, con_id: int) -> ResultLine:
    lines, connection = asking.data.results.lines, asking.connection
    line = await lines.use(connection, con_id, lambda: ResultLine(connection.account, con_id))
    try:
        deadline = min(asking.until - MARGIN, line.opened_at + FIRST_ANSWER)
        await line.until(lambda: line.is_told, connection, deadline)
    finally:
        lines.release(line)
    return line


def _position(row: Any, line: ResultLine) -> types.PositionPnl:
    return types.PositionPnl(
        con_id=row.contract.conId,
        symbol=row.contract.symbol,
        quantity=mapping.quantity(row.position),
        daily=line.daily,
        unrealized=line.unrealized,
        realized=line.realized,
        market_value=line.value,
        received_at=line.received_at,
    )
