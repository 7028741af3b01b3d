"""Every read of the port's table, as it is asked of the gateway: call name to function, run in the loop's thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from broker import types
from broker.errors import ContractNotFound
from broker.ib import (
    account,
    books,
    contracts,
    fundamentals,
    heartbeat,
    history,
    market_data,
    news,
    pnl,
    preview,
    real_time,
    scanner,
    search,
    streams,
)
from broker.ib.connection import Connection
from broker.ib.data import SharedData
from broker.ib.session import Session


@dataclass(frozen=True, slots=True)
class Asking:
    """What a read may use: the connection, what outlives it, and the contracts that its request names.

    `until` is when the caller gives up, by `time.monotonic()`.
    """

    connection: Connection
    session: Session
    known: Mapping[int, types.Contract]
    data: SharedData
    until: float

    def contract(self, con_id: int) -> types.Contract:
        """A contract that the request names. Raises ContractNotFound for any other."""
        try:
            return self.known[con_id]
        except KeyError:
            raise ContractNotFound(f"Contract {con_id} is not known here; resolve it with contracts() first.") from None


Read = Callable[[Asking, Any], Awaitable[Any]]
READS: dict[str, Read] = {
    "server_time": heartbeat.server_time,
    "contracts": contracts.one,
    "all_contracts": contracts.every,
    "search": search.search,
    "option_chain": search.option_chain,
    "trading_hours": contracts.trading_hours,
    "quote": market_data.quote,
    "quotes": streams.quotes,
    "bars": history.bars,
    "head_timestamp": history.head_timestamp,
    "realtime_bars": real_time.realtime_bars,
    "news_providers": news.news_providers,
    "headlines": news.headlines,
    "article": news.article,
    "fundamentals": fundamentals.fundamentals,
    "earnings": fundamentals.earnings,
    "scanner_codes": scanner.scanner_codes,
    "scan": scanner.scan,
    "account": account.summary_now,
    "positions": account.positions,
    "pnl": pnl.profit_and_loss,
    "open_orders": books.open_orders,
    "completed_orders": books.completed_orders,
    "executions": books.executions,
    "order": books.order,
    "preview": preview.preview,
}
