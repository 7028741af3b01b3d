"""Finding contracts: by a symbol's beginning or a word of a name, and the options on an underlying."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from broker import types
from broker.errors import BrokerError, ContractNotFound
from broker.ib import mapping, requests
from broker.ib.connection import RequestError

if TYPE_CHECKING:
    from broker.ib.reads import Asking

LONGEST_PATTERN = 60
NO_SUCH_CONTRACT = 200


async def search(asking: Asking, query: types.SymbolSearch) -> tuple[types.ContractMatch, ...]:
    """What fits the pattern, as the broker ranks it; empty where nothing does."""
    pattern = query.pattern.strip()
    if not 0 < len(pattern) <= LONGEST_PATTERN:
        text = f"A search needs 1 to {LONGEST_PATTERN} characters of a symbol or a name."
        raise ContractNotFound(text, code="BAD_REQUEST", details={"field": "pattern"})
    if not asking.session.endpoint.paper:
        await asking.data.turn_to_search()
    connection = asking.connection
    try:
        rows = await requests.answer(
            connection, lambda request_id: connection.client.reqMatchingSymbols(request_id, pattern)
        )
    except RequestError as error:
        raise BrokerError(f"the broker refused to search for {pattern!r}: {error.code} {error.message}") from error
    return tuple(_match(row) for row in rows)


def _match(row: Any) -> types.ContractMatch:
    contract = row.contract
    return types.ContractMatch(
        con_id=contract.conId,
        symbol=contract.symbol,
        sec_type=contract.secType,
        primary_exchange=contract.primaryExchange,
        currency=contract.currency,
        description=contract.description,
        derivatives=tuple(row.derivativeSecTypes),
    )


async def option_chain(asking: Asking, query: types.ConId) -> tuple[types.OptionChain, ...]:
    """The options on a contract, one row an exchange and trading class; empty where there are none."""
    contract, connection = asking.contract(query.con_id), asking.connection
    venue = contract.exchange if contract.sec_type == "FUT" else ""

    def send(request_id: int) -> None:
        connection.client.reqSecDefOptParams(request_id, contract.symbol, venue, contract.sec_type, contract.con_id)

    try:
        rows = await requests.answer(connection, send)
    except RequestError as error:
        if error.code == NO_SUCH_CONTRACT:
            raise ContractNotFound(f"the broker knows no options on {contract.symbol}: {error.message}") from error
        text = f"the broker refused the options on {contract.symbol}: {error.code} {error.message}"
        raise BrokerError(text) from error
    chains = (_chain(contract.con_id, row) for row in rows)
    return tuple(sorted(chains, key=lambda chain: (chain.exchange != "SMART", chain.exchange, chain.trading_class)))


def _chain(con_id: int, row: Any) -> types.OptionChain:
    strikes = {strike for value in row.strikes if (strike := mapping.price(value)) is not None}
    return types.OptionChain(
        con_id=con_id,
        exchange=row.exchange,
        trading_class=row.tradingClass,
        multiplier=mapping.price(row.multiplier) or Decimal(1),
        expiries=tuple(sorted(set(row.expirations))),
        strikes=tuple(sorted(strikes)),
    )
