"""Contracts as the broker described them, in memory and in the database; without a database it still answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import DatabaseError

from broker import codec, types
from broker.models import Contract

logger = logging.getLogger(__name__)
FRESH = timedelta(hours=12)


class ContractCache:
    """`source` tells gateways apart whose contract numbers mean different things."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._known: dict[int, types.Contract] = {}

    def find(self, query: types.ContractQuery, now: datetime, market_now: datetime) -> tuple[types.Contract, ...]:
        """Fresh contracts that answer the query; empty where the broker must be asked."""
        found = [contract for contract in self._known.values() if _answers(contract, query)]
        if not found:
            found = [contract for contract in self._stored(symbol=query.symbol) if _answers(contract, query)]
        if not found or not all(_fresh(contract, now, market_now) for contract in found):
            return ()
        return tuple(found)

    def get(self, con_id: int) -> types.Contract | None:
        """The contract of any age, None where it was never resolved."""
        if con_id not in self._known:
            self._stored(con_id=con_id)
        return self._known.get(con_id)

    def keep(self, contracts: Iterable[types.Contract]) -> None:
        """Remember what the broker said."""
        for contract in contracts:
            self._known[contract.con_id] = contract
            try:
                self._store(contract)
            except DatabaseError:
                logger.warning("contract %s is kept in memory only; the database does not answer", contract.con_id)

    def _store(self, contract: types.Contract) -> None:
        Contract.objects.update_or_create(
            source=self._source,
            con_id=contract.con_id,
            defaults={
                "symbol": contract.symbol,
                "sec_type": contract.sec_type,
                "exchange": contract.exchange,
                "currency": contract.currency,
                "document": codec.dumps(contract),
                "fetched_at": contract.fetched_at,
            },
        )

    def _stored(self, **key: str | int) -> list[types.Contract]:
        try:
            rows = list(Contract.objects.filter(source=self._source, **key))
        except DatabaseError:
            logger.warning("stored contracts cannot be read; the broker is asked")
            return []
        found = [codec.loads(types.Contract, row.document) for row in rows]
        self._known.update({contract.con_id: contract for contract in found})
        return found


def _answers(contract: types.Contract, query: types.ContractQuery) -> bool:
    asked = (query.symbol, query.sec_type, query.exchange, query.currency)
    return asked == (contract.symbol, contract.sec_type, contract.exchange, contract.currency)


def _fresh(contract: types.Contract, now: datetime, market_now: datetime) -> bool:
    """Young by the system's clock, and its sessions reach to the market's day, which a replay moves."""
    if not timedelta(0) <= now - contract.fetched_at < FRESH:
        return False
    days = [hours.day for hours in contract.liquid_hours]
    return not days or min(days) <= market_now.date() <= max(days)
