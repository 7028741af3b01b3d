"""Every read of the port's table, as it is asked of the gateway: call name to function, run in the loop's thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from broker import types
from broker.errors import ContractNotFound
from broker.ib import account, books, contracts, market_data
from broker.ib.connection import Connection
from broker.ib.session import Session


@dataclass(frozen=True, slots=True)
class Asking:
    """What a read may use: the connection, the session that outlives it, and the contracts that its request names."""

    connection: Connection
    session: Session
    known: Mapping[int, types.Contract]

    def contract(self, con_id: int) -> types.Contract:
        """A contract that the request names. Raises ContractNotFound for any other."""
        try:
            return self.known[con_id]
        except KeyError:
            raise ContractNotFound(f"Contract {con_id} is not known here; resolve it with contracts() first.") from None


Read = Callable[[Asking, Any], Awaitable[Any]]
READS: dict[str, Read] = {
    "contracts": contracts.one,
    "quote": market_data.quote,
    "bars": market_data.bars,
    "account": account.summary_now,
    "positions": account.positions,
    "open_orders": books.open_orders,
    "completed_orders": books.completed_orders,
    "executions": books.executions,
}
