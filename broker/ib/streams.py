"""Quotes from shared streams: one line a contract however many ask, never passed off as fresher than its last tick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from broker import types
from broker.errors import MarketDataError
from broker.ib.connection import Connection
from broker.ib.contracts import ib_contract
from broker.ib.market_data import COMPETING_SESSION, NOT_SUBSCRIBED, no_quote
from broker.ib.requests import bad_request
from broker.ib.shared import Pool, Shared
from broker.ib.top_of_book import DELAYED, TopOfBook

if TYPE_CHECKING:
    from broker.ib.reads import Asking

LINES = 100
FIRST_ANSWER = 11.0  # seconds in which TWS tells what there is; what is missing then does not exist
ASK_AGAIN = 2.0  # seconds after which a line that a competing session has silenced is tried anew
MARGIN = 0.5  # seconds of the caller's time-out that are kept for the way back


class QuoteLine(Shared, TopOfBook):
    """The stream of one contract's top of book."""

    def __init__(self, contract: types.Contract, now: Callable[[], datetime]) -> None:
        Shared.__init__(self)
        TopOfBook.__init__(self, now)
        self.contract = contract
        self.asking = asyncio.Lock()
        self.delayed_on: Connection | None = None  # the connection on which delayed data have been asked for

    def send(self, connection: Connection, request_id: int) -> None:
        """reqMktData."""
        connection.client.reqMktData(request_id, ib_contract(self.contract), "", False, False, [])  # noqa: FBT003

    def cancel(self, connection: Connection, request_id: int) -> None:
        """cancelMktData."""
        connection.client.cancelMktData(request_id)

    def restarted(self) -> None:
        """What was true before may be so no longer."""
        self.forget()

    def ticked(self) -> None:
        """A tick ends a silence."""
        super().ticked()
        self.came()


Lines = Pool[int, QuoteLine]


async def quotes(asking: Asking, query: types.ConIds) -> tuple[types.Quote, ...]:
    """The latest of each contract's stream, in the order asked; `time` is that of its last tick.

    Waits for the first whole answer of each. Raises MarketDataError where one of them cannot be had: its details name
    the contracts (`con_ids`) and the broker's code.
    """
    limit = asking.data.lines.limit
    if len(set(query.con_ids)) > limit:
        raise bad_request("con_ids", f"At most {limit} contracts can be streamed at once.")
    contracts = {con_id: asking.contract(con_id) for con_id in query.con_ids}
    told = await asyncio.gather(*(_latest(asking, one) for one in contracts.values()), return_exceptions=True)
    found = dict(zip(contracts, told, strict=True))
    _raise_first(found)
    return tuple(quote for con_id in query.con_ids if isinstance(quote := found[con_id], types.Quote))


def _raise_first(found: dict[int, types.Quote | BaseException]) -> None:
    """Raise what is worse than missing data, or one error for all that is missing."""
    errors = {con_id: error for con_id, error in found.items() if isinstance(error, BaseException)}
    for error in errors.values():
        if not isinstance(error, MarketDataError):
            raise error
    for error in errors.values():
        if isinstance(error, MarketDataError):
            error.details["con_ids"] = sorted(errors)
            raise error


async def _latest(asking: Asking, contract: types.Contract) -> types.Quote:
    lines = asking.data.lines
    line = await lines.use(asking.connection, contract.con_id, lambda: QuoteLine(contract, asking.session.known_now))
    try:
        async with line.asking:
            await _answered(asking, lines, line)
        if line.refusal is not None:
            raise no_quote(contract, *line.refusal)
        if not line.has_price():
            raise MarketDataError(
                f"the broker has no price of {contract.symbol} now", details={"con_id": contract.con_id}
            )
        return line.quote(contract)
    finally:
        lines.release(line)
        if line.refusal is not None and line.refusal[0] != COMPETING_SESSION and not line.users:
            lines.drop(contract.con_id)


async def _answered(asking: Asking, lines: Lines, line: QuoteLine) -> None:
    """Wait until the line has told what there is; once more with delayed data where live ones are refused."""
    connection = asking.connection
    if line.refusal is not None and time.monotonic() - line.refused_at > ASK_AGAIN:
        await lines.reopen(connection, line)
    await _first(asking, line)
    if line.refusal is not None and line.refusal[0] in NOT_SUBSCRIBED and line.delayed_on is not connection:
        line.delayed_on = connection
        connection.client.reqMarketDataType(DELAYED)
        await lines.reopen(connection, line)
        await _first(asking, line)


async def _first(asking: Asking, line: QuoteLine) -> None:
    deadline = min(asking.until - MARGIN, line.opened_at + FIRST_ANSWER)
    await line.until(lambda: line.is_complete(line.contract.sec_type), asking.connection, deadline)
