"""Contracts as the broker described them, in memory and in the database; without a database it still answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError

from broker import codec, types
from broker.ib import hours
from broker.models import Contract
from broker.types.contracts import SMART, has_smart_routing

logger = logging.getLogger(__name__)
FRESH = timedelta(hours=12)
PAUSE = timedelta(seconds=30)  # before a database that did not answer is asked for contracts again
WHOLE_EXPIRY = 8  # characters of a date; a month alone may have several
BATCH = 100
STORED = ("symbol", "sec_type", "exchange", "currency", "document", "fetched_at")
Job = Callable[[], None]


def at_once(job: Job) -> None:
    """Do it here and now."""
    job()


class ContractCache:
    """`source` tells gateways apart whose contract numbers mean different things; `later` runs what the caller need
    not wait for, such as writes to the database."""

    def __init__(self, source: str, later: Callable[[Job], None] = at_once) -> None:
        self._source = source
        self._later = later
        self._known: dict[int, types.Contract] = {}
        self._ids_of: dict[str, set[int]] = {}
        self._answered: dict[types.ContractQuery, int] = {}
        self._recall_at: datetime | None = datetime.min.replace(tzinfo=UTC)

    def find(self, query: types.ContractQuery, now: datetime, market_now: datetime) -> tuple[types.Contract, ...]:
        """The fresh contract that answers the query; empty where the broker must be asked."""
        con_id = query.con_id or self._answered.get(query, 0)
        contract = self.get(con_id) if con_id else self._only_match(query, now)
        if contract is None or not _fresh(contract, now, market_now):
            return ()
        if query.con_id and query.symbol not in ("", contract.symbol):
            return ()
        return (contract,)

    def get(self, con_id: int) -> types.Contract | None:
        """The contract of any age, None where it was never resolved."""
        if con_id not in self._known:
            self._read(con_id=con_id)
        return self._known.get(con_id)

    def keep(self, contracts: Iterable[types.Contract], query: types.ContractQuery | None = None) -> None:
        """Remember what the broker said; with `query`, that it is the one contract that it means."""
        kept = list(contracts)
        for contract in kept:
            self._remember(contract)
            if query is not None:
                self._answered[query] = contract.con_id
        self._later(lambda: self._store(kept))

    def _only_match(self, query: types.ContractQuery, now: datetime) -> types.Contract | None:
        """The one contract that the query describes wholly; another process may have resolved it."""
        if not _is_whole(query):
            return None
        self._recall(now)
        ids = self._ids_of.get(query.symbol, ())
        found = [contract for con_id in ids if _answers(contract := self._known[con_id], query)]
        return found[0] if len(found) == 1 else None

    def _recall(self, now: datetime) -> None:
        """Read once what other processes have resolved lately."""
        if self._recall_at is not None and now >= self._recall_at:
            was_read = self._read(fetched_at__gt=now - FRESH)
            self._recall_at = None if was_read else now + PAUSE

    def _read(self, **which: Any) -> bool:
        """Take what is stored, unless memory knows better; whether the database answered."""
        try:
            rows = list(Contract.objects.filter(source=self._source, **which))
        except DatabaseError:
            logger.warning("stored contracts cannot be read; the broker is asked")
            return False
        for row in rows:
            known = self._known.get(row.con_id)
            if (known is None or known.fetched_at < row.fetched_at) and (contract := _loaded(row)) is not None:
                self._remember(contract)
        return True

    def _remember(self, contract: types.Contract) -> None:
        self._known[contract.con_id] = contract
        self._ids_of.setdefault(contract.symbol, set()).add(contract.con_id)

    def _store(self, contracts: Sequence[types.Contract]) -> None:
        rows = [
            Contract(
                source=self._source,
                con_id=contract.con_id,
                symbol=contract.symbol,
                sec_type=contract.sec_type,
                exchange=contract.exchange,
                currency=contract.currency,
                document=codec.dumps(contract),
                fetched_at=contract.fetched_at,
            )
            for contract in contracts
        ]
        try:
            Contract.objects.bulk_create(
                rows, batch_size=BATCH, update_conflicts=True, unique_fields=["source", "con_id"], update_fields=STORED
            )
        except DatabaseError:
            logger.warning("%s contracts are kept in memory only; the database does not answer", len(rows))


def _loaded(row: Contract) -> types.Contract | None:
    """The stored contract; None, and the broker is asked, where another version of ours wrote what this cannot read."""
    try:
        return codec.loads(types.Contract, row.document)
    except codec.CodecError:
        logger.warning("the stored contract %s is of another shape; the broker is asked", row.con_id)
        return None


def _is_whole(query: types.ContractQuery) -> bool:
    """Whether the query leaves nothing open that its type has several of."""
    if not query.symbol or query.include_expired:
        return False
    if query.sec_type == "FUT":
        return len(query.expiry) == WHOLE_EXPIRY or bool(query.local_symbol)
    if query.sec_type == "OPT":
        return bool(query.local_symbol or (len(query.expiry) == WHOLE_EXPIRY and query.strike and query.right))
    return True


def _answers(contract: types.Contract, query: types.ContractQuery) -> bool:
    """Whether the contract is what each given part of the query says."""
    is_etf = query.sec_type == "ETF"
    kind_fits = contract.sec_type == ("STK" if is_etf else query.sec_type) and (
        not is_etf or contract.stock_type == "ETF"
    )
    any_venue = query.exchange in ("", SMART) and not has_smart_routing(contract.sec_type)
    given = (
        (query.expiry, contract.expiry),
        (query.strike, contract.strike),
        (query.right, contract.right),
        (query.local_symbol, contract.local_symbol),
    )
    return (
        kind_fits
        and (contract.symbol, contract.currency) == (query.symbol, query.currency)
        and (any_venue or query.exchange == contract.exchange)
        and all(not asked or asked == found for asked, found in given)
    )


def _fresh(contract: types.Contract, now: datetime, market_now: datetime) -> bool:
    """Young by the system's clock, and its hours speak of the market's day, which a replay moves."""
    return timedelta(0) <= now - contract.fetched_at < FRESH and hours.covers(contract, market_now)
