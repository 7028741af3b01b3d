"""Contract details: exactly one contract for a symbol, with its tick, lot and regular sessions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerError, ContractNotFound
from broker.ib import mapping
from broker.ib.connection import RequestError
from broker.ib.library import ib_insync

if TYPE_CHECKING:
    from broker.ib.reads import Asking

NO_SUCH_CONTRACT = 200
CLOSED = "CLOSED"
ZONES = {  # names of TWS that the zone database lacks or gives no daylight saving time
    "EST": "US/Eastern",
    "CST": "US/Central",
    "MST": "US/Mountain",
    "PST": "US/Pacific",
    "MET": "Europe/Berlin",
    "GB": "Europe/London",
    "JST": "Asia/Tokyo",
}


async def one(asking: Asking, query: types.ContractQuery) -> tuple[types.Contract, ...]:
    """The one contract that the query means. Raises ContractNotFound where there is none or more than one."""
    connection = asking.connection
    wanted = ib_insync.Contract(
        symbol=query.symbol, secType=query.sec_type, exchange=query.exchange, currency=query.currency
    )
    try:
        found = await connection.request(lambda: connection.reqContractDetailsAsync(wanted))
    except RequestError as error:
        if error.code == NO_SUCH_CONTRACT:
            raise ContractNotFound(f"the broker knows no {_name(query)}: {error.message}") from error
        raise BrokerError(f"the broker refused to describe {_name(query)}: {error.code} {error.message}") from error
    contract = from_details(_only(found, query), query.exchange, system_now())
    asking.session.ticks[contract.con_id] = contract.min_tick
    return (contract,)


def ib_contract(contract: types.Contract) -> Any:
    """The contract as requests and orders name it: routed by its exchange, identified by its id."""
    return ib_insync.Contract(
        conId=contract.con_id,
        symbol=contract.symbol,
        secType=contract.sec_type,
        exchange=contract.exchange,
        primaryExchange=contract.primary_exchange,
        currency=contract.currency,
    )


def from_details(details: Any, exchange: str, now: datetime) -> types.Contract:
    """Contract details as our Contract; `exchange` is where we asked for it, usually SMART."""
    contract = details.contract
    zone = _zone_name(details.timeZoneId)
    return types.Contract(
        con_id=contract.conId,
        symbol=contract.symbol,
        sec_type=contract.secType,
        exchange=exchange,
        primary_exchange=contract.primaryExchange or contract.exchange,
        currency=contract.currency,
        long_name=details.longName,
        min_tick=mapping.price(details.minTick) or Decimal("0.01"),
        lot_size=max(Decimal(1), mapping.quantity(details.minSize), mapping.quantity(details.sizeIncrement)),
        time_zone=zone,
        liquid_hours=sessions(details.liquidHours, zone),
        fetched_at=now,
    )


def sessions(text: str, zone: str) -> tuple[types.SessionHours, ...]:
    """Regular sessions of "20190603:0930-20190603:1600;20190604:CLOSED", given in the contract's time zone.

    A day in several parts (a lunch break) is one session; its day is that of its last moment, since some open in the
    evening before and some close at midnight.
    """
    time_zone = ZoneInfo(zone)
    entries = [entry for entry in text.split(";") if entry and CLOSED not in entry]
    parts = [_part(part, entry[:8]) for entry in entries for part in entry.split(",")]
    return tuple(
        types.SessionHours(
            day=day,
            open=min(begin for begin, _ in group).replace(tzinfo=time_zone).astimezone(UTC),
            close=max(end for _, end in group).replace(tzinfo=time_zone).astimezone(UTC),
        )
        for day, group in ((day, list(rows)) for day, rows in groupby(sorted(parts), key=_day))
    )


def _day(part: tuple[datetime, datetime]) -> date:
    return (part[1] - timedelta(microseconds=1)).date()


def _part(part: str, day: str) -> tuple[datetime, datetime]:
    begin, end = part.split("-")
    return _moment(begin, day), _moment(end, day)


def _moment(text: str, day: str) -> datetime:
    date_text, _, clock = text.rpartition(":")
    return datetime.strptime(f"{date_text or day}{clock}", "%Y%m%d%H%M")  # noqa: DTZ007 - the zone is put on by the caller


def _zone_name(text: str) -> str:
    name = text.split(" ")[0]
    return ZONES.get(name, name)


def _only(found: list[Any], query: types.ContractQuery) -> Any:
    by_id = {details.contract.conId: details for details in found}
    if len(by_id) == 1:
        return next(iter(by_id.values()))
    if not by_id:
        raise ContractNotFound(f"the broker knows no {_name(query)}")
    listed = ", ".join(f"{one.contract.primaryExchange or one.contract.exchange}" for one in by_id.values())
    raise ContractNotFound(f"{_name(query)} is ambiguous: listed at {listed}", code="CONTRACT_AMBIGUOUS")


def _name(query: types.ContractQuery) -> str:
    return f"{query.sec_type} {query.symbol} in {query.currency} at {query.exchange}"
