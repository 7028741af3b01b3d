"""What reads share and what outlives a connection: streams, market rules, and turns at requests that TWS limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from broker import types
from broker.errors import BrokerUnavailable
from broker.ib.connection import Connection
from broker.ib.loop import SingleFlight
from broker.ib.market_rules import MarketRules
from broker.ib.pnl import Results
from broker.ib.real_time import STREAMS, BarStreams
from broker.ib.shared import IDLE, Pool
from broker.ib.streams import LINES, Lines

ANSWER_LIMIT = 15.0
SCANNERS = 10  # that TWS runs at once for a client
SEARCH_EVERY = 1.0  # seconds between two symbol searches


class SharedData:
    """One a client; all of it but `in_use` is used in the loop's thread."""

    def __init__(self) -> None:
        self.lines: Lines = Pool("lines of market data", LINES, IDLE)
        self.bar_streams: BarStreams = Pool("streams of real-time bars", STREAMS, IDLE)
        self.results = Results()
        self.rules = MarketRules()
        self.scanners = asyncio.Semaphore(SCANNERS)
        self.calendar = asyncio.Lock()
        self._flights: dict[str, SingleFlight[Any]] = {}
        self._flights_of: Connection | None = None
        self._search = asyncio.Lock()
        self._searched_at = float("-inf")

    def restore(self, connection: Connection) -> None:
        """A connection is synced, or TWS has reached the broker again: make the streams that are wanted anew."""
        self.lines.restore(connection)
        self.bar_streams.restore(connection)
        self.results.restore(connection)

    def in_use(self) -> types.LineUse:
        """How many subscriptions are open, from any thread."""
        return types.LineUse(len(self.lines), self.lines.limit, len(self.bar_streams))

    async def once(self, connection: Connection, what: str, send: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to a request that carries no id, so that callers share it. Raises BrokerUnavailable for none."""
        if self._flights_of is not connection:
            self._flights, self._flights_of = {}, connection

        async def fly() -> Any:
            try:
                async with asyncio.timeout(ANSWER_LIMIT):
                    return await connection.request(send)
            except TimeoutError as error:
                raise BrokerUnavailable(f"the broker did not tell {what} within {ANSWER_LIMIT:g} s") from error

        return await self._flights.setdefault(what, SingleFlight(fly)).ask()

    async def turn_to_search(self) -> None:
        """Wait for a turn: TWS answers one symbol search a second."""
        async with self._search:
            await asyncio.sleep(self._searched_at + SEARCH_EVERY - time.monotonic())
            self._searched_at = time.monotonic()
