"""Contracts: exactly one for a query, or all that it means, with ticks, lots, hours and what else an order needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerError, ContractNotFound
from broker.ib import hours, mapping, requests
from broker.ib.connection import RequestError
from broker.ib.library import ib_insync
from broker.types.contracts import SMART, has_smart_routing

if TYPE_CHECKING:
    from broker.ib.reads import Asking

NO_SUCH_CONTRACT = 200
SHOWN_CHOICES = 5
SEC_TYPES = ("STK", "ETF", "FUT", "OPT", "CASH", "IND", "CRYPTO")
EXPIRY_LENGTHS = (6, 8)
ONLY_VENUES = {"CASH": "IDEALPRO", "CRYPTO": "PAXOS"}  # of the other types each product has its own
RIGHTS: dict[str, Literal["C", "P"]] = {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}
STOCK_TYPES: dict[str, types.contracts.StockType] = {"COMMON": "COMMON", "ETF": "ETF"}
DECIDING = ("currency", "expiry", "strike", "right", "multiplier", "primary_exchange", "local_symbol", "con_id")
QUERY_FIELD = {"multiplier": "local_symbol", "primary_exchange": "exchange"}
ZONES = {  # names of TWS that the zone database lacks or gives no daylight saving time
    "EST": "US/Eastern",
    "EST5EDT": "US/Eastern",
    "CST": "US/Central",
    "MST": "US/Mountain",
    "PST": "US/Pacific",
    "MET": "Europe/Berlin",
    "GB": "Europe/London",
    "JST": "Asia/Tokyo",
}


async def one(asking: Asking, query: types.ContractQuery) -> tuple[types.Contract, ...]:
    """The one contract that the query means. Raises ContractNotFound where there is none or more than one.

    More than one is CONTRACT_AMBIGUOUS: its details list up to five choices and the field that tells them apart.
    """
    found = await every(asking, query)
    if len(found) > 1:
        raise _ambiguous(query, found)
    return found


async def every(asking: Asking, query: types.ContractQuery) -> tuple[types.Contract, ...]:
    """Every contract that the query means, by expiry, strike and right. Raises ContractNotFound where there is none."""
    check(query)
    connection, wanted = asking.connection, _wanted(query)
    try:
        rows = await requests.answer(
            connection, lambda request_id: connection.client.reqContractDetails(request_id, wanted)
        )
    except RequestError as error:
        if error.code == NO_SUCH_CONTRACT:
            raise ContractNotFound(f"the broker knows no {name_of(query)}: {error.message}") from error
        raise BrokerError(f"the broker refused to describe {name_of(query)}: {error.code} {error.message}") from error
    described = list({details.contract.conId: details for details in reversed(rows)}.values())
    chosen = [details for details in described if query.sec_type != "ETF" or details.stockType == "ETF"]
    if not chosen:
        raise ContractNotFound(_why_none(query, described))
    now = system_now()
    found = [await _complete(asking, details, query, now) for details in chosen]
    asking.session.ticks.update({contract.con_id: contract.min_tick for contract in found})
    return tuple(sorted(found, key=lambda row: (row.symbol, row.expiry, row.strike or 0, row.right, row.con_id)))


def check(query: types.ContractQuery) -> None:
    """Raises ContractNotFound (BAD_REQUEST) for a query that no contract can answer, naming the field and the fix."""
    if query.con_id:
        return
    if not (query.symbol or query.local_symbol):
        raise _bad_query("symbol", "Give a symbol, a local symbol or a contract id.")
    if query.sec_type not in SEC_TYPES:
        raise _bad_query("sec_type", f"{query.sec_type!r} is none of {', '.join(SEC_TYPES)}.")
    if query.expiry and not (query.expiry.isdigit() and len(query.expiry) in EXPIRY_LENGTHS):
        raise _bad_query("expiry", f"{query.expiry!r} is no expiry; write a month as 202612 or a day as 20261218.")
    if query.strike is not None and not (query.strike.is_finite() and query.strike > 0):
        raise _bad_query("strike", "A strike is a price above 0.")


def _bad_query(field: str, fix: str) -> ContractNotFound:
    return ContractNotFound(fix, code="BAD_REQUEST", details={"field": field})


async def trading_hours(asking: Asking, query: types.ConId) -> types.TradingHours:
    """The contract's sessions, seen from the market's time; asked anew where the known ones do not reach it."""
    contract = asking.contract(query.con_id)
    now = await asking.session.market_now()
    if not contract.trading_hours or not hours.covers(contract, now):
        (contract,) = await one(asking, types.ContractQuery("", con_id=query.con_id))
    return hours.at(contract, now)


async def _complete(asking: Asking, details: Any, query: types.ContractQuery, now: datetime) -> types.Contract:
    symbol, exchange = details.contract.symbol, exchange_of(details.contract, query)
    if query.con_id and query.symbol not in ("", symbol):
        raise ContractNotFound(f"contract {query.con_id} is {symbol}, not {query.symbol}")
    increments = await asking.data.rules.increments(asking.connection, _rule_of(details, exchange))
    return from_details(details, exchange, increments, now)


def _wanted(query: types.ContractQuery) -> Any:
    """The query as TWS wants it: an id says everything; without smart routing the venue is the product's own."""
    if query.con_id:
        return ib_insync.Contract(conId=query.con_id, includeExpired=query.include_expired)
    sec_type = "STK" if query.sec_type == "ETF" else query.sec_type
    exchange = query.exchange
    if exchange == SMART and not has_smart_routing(sec_type):
        exchange = ONLY_VENUES.get(sec_type, "")
    return ib_insync.Contract(
        symbol=query.symbol,
        secType=sec_type,
        exchange=exchange,
        currency=query.currency,
        lastTradeDateOrContractMonth=query.expiry,
        strike=float(query.strike or 0),
        right=query.right,
        localSymbol=query.local_symbol,
        includeExpired=query.include_expired,
    )


def exchange_of(contract: Any, query: types.ContractQuery) -> str:
    """Where orders for it go: where it was asked for, SMART, or its own venue."""
    if not has_smart_routing(contract.secType):
        return str(contract.exchange)
    return SMART if query.con_id else query.exchange or SMART


def ib_contract(contract: types.Contract) -> Any:
    """The contract as requests and orders name it: routed by its exchange, identified by its id."""
    return ib_insync.Contract(
        conId=contract.con_id,
        symbol=contract.symbol,
        secType=contract.sec_type,
        exchange=contract.exchange,
        primaryExchange=contract.primary_exchange,
        currency=contract.currency,
        includeExpired=contract.sec_type == "FUT",
    )


def from_details(
    details: Any, exchange: str, increments: tuple[types.PriceIncrement, ...], now: datetime
) -> types.Contract:
    """Contract details as our Contract; `exchange` is where orders go, usually SMART."""
    contract = details.contract
    zone = _zone_name(details.timeZoneId)
    first, last = hours.reach(details.tradingHours or details.liquidHours)
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
        liquid_hours=hours.sessions(details.liquidHours, zone),
        fetched_at=now,
        stock_type=STOCK_TYPES.get(details.stockType, ""),
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
        multiplier=_multiplier(contract.multiplier),
        expiry=contract.lastTradeDateOrContractMonth[:8],
        strike=mapping.price(contract.strike),
        right=RIGHTS.get(contract.right.upper(), ""),
        under_con_id=mapping.integer(details.underConId),
        trading_hours=hours.sessions(details.tradingHours, zone),
        increments=increments,
        order_types=_names(details.orderTypes),
        exchanges=_names(details.validExchanges),
        industry=details.industry,
        category=details.category,
        hours_from=first,
        hours_until=last,
    )


def _multiplier(text: str) -> Decimal:
    try:
        value = Decimal(text or 1)
    except InvalidOperation:
        return Decimal(1)
    return value if value.is_finite() and value > 0 else Decimal(1)


@lru_cache(maxsize=512)
def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _rule_of(details: Any, exchange: str) -> int:
    """The market rule that goes with an exchange: the lists of both are parallel; 0 where none is named."""
    rules, venues = _names(details.marketRuleIds), _names(details.validExchanges)
    at = venues.index(exchange) if exchange in venues else 0
    named = rules[at] if at < len(rules) else (rules[0] if rules else "")
    return int(named) if named.isdigit() else 0


def _zone_name(text: str) -> str:
    name = text.split(" ")[0]
    return ZONES.get(name, name)


def _ambiguous(query: types.ContractQuery, found: Sequence[types.Contract]) -> ContractNotFound:
    field = next(name for name in DECIDING if len({getattr(contract, name) for contract in found}) > 1)
    choices = [_choice(contract) for contract in found[:SHOWN_CHOICES]]
    more = "" if len(found) <= SHOWN_CHOICES else f" and {len(found) - SHOWN_CHOICES} more"
    asked = QUERY_FIELD.get(field, field)
    return ContractNotFound(
        f"{name_of(query)} is ambiguous: {'; '.join(choices)}{more}. Give its {asked}.",
        code="CONTRACT_AMBIGUOUS",
        details={"field": asked, "choices": choices, "count": len(found)},
    )


def _choice(contract: types.Contract) -> str:
    parts = [contract.local_symbol or contract.symbol, contract.sec_type, contract.primary_exchange, contract.currency]
    parts += [contract.expiry, f"{contract.strike}{contract.right}" if contract.strike else "", f"#{contract.con_id}"]
    return " ".join(filter(None, parts))


def _why_none(query: types.ContractQuery, described: Sequence[Any]) -> str:
    if not described:
        return f"the broker knows no {name_of(query)}"
    kinds = ", ".join(sorted({details.stockType or "no stock" for details in described}))
    return f"{query.symbol} in {query.currency} is no ETF but {kinds}; ask for it as STK"


def name_of(query: types.ContractQuery) -> str:
    """The query in words."""
    if query.con_id:
        return f"contract {query.con_id}"
    strike = "" if query.strike is None else str(query.strike)
    parts = [query.sec_type, query.symbol or query.local_symbol, query.expiry, strike, query.right]
    return f"{' '.join(filter(None, parts))} in {query.currency} at {query.exchange or 'any exchange'}"
