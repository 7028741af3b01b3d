"""Contracts: how they are asked for, found and described."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

StockType = Literal["", "COMMON", "ETF"]
SMART = "SMART"
_SMART_TYPES = frozenset({"STK", "ETF", "OPT", "WAR", "BOND"})


def has_smart_routing(sec_type: str) -> bool:
    """Whether the broker looks for the best venue itself; a type without has its product's own venue."""
    return sec_type in _SMART_TYPES


@dataclass(frozen=True, slots=True)
class ConId:
    """One contract."""

    con_id: int


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """Find contracts; empty text, 0 and None mean "any".

    `sec_type`: STK, ETF (a stock whose type is ETF), FUT, OPT, CASH, IND, CRYPTO. `symbol` of CASH is the first
    currency ("EUR"), `currency` the second ("USD"). `expiry` as "202612" or "20261218", `right` "C" or "P".
    `exchange` SMART is the type's usual venue where the type has no smart routing (IDEALPRO for CASH, CME for ES ...).
    """

    symbol: str
    sec_type: str = "STK"
    exchange: str = "SMART"
    currency: str = "USD"
    con_id: int = 0
    expiry: str = ""
    strike: Decimal | None = None
    right: Literal["", "C", "P"] = ""
    local_symbol: str = ""
    include_expired: bool = False


@dataclass(frozen=True, slots=True)
class SymbolSearch:
    """Find contracts by the beginning of their symbol or a word of their name."""

    pattern: str


@dataclass(frozen=True, slots=True)
class SessionHours:
    """One day's session; closed days are absent."""

    day: date
    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True)
class PriceIncrement:
    """From `low_edge` upward prices are multiples of `increment`, until the next edge."""

    low_edge: Decimal
    increment: Decimal


@dataclass(frozen=True, slots=True)
class Contract:
    """A tradable contract as the broker describes it, all hours in aware UTC.

    `liquid_hours` are regular sessions, `trading_hours` the whole of each day's trading. `min_tick` is the smallest
    price step anywhere, `increments` the steps by price. `multiplier`: units of the underlying in one contract.
    The hours speak of the days from `hours_from` to `hours_until`, closed ones among them.
    """

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    primary_exchange: str
    currency: str
    long_name: str
    min_tick: Decimal
    lot_size: Decimal
    time_zone: str
    liquid_hours: tuple[SessionHours, ...]
    fetched_at: datetime
    stock_type: StockType = ""
    local_symbol: str = ""
    trading_class: str = ""
    multiplier: Decimal = Decimal(1)
    expiry: str = ""
    strike: Decimal | None = None
    right: Literal["", "C", "P"] = ""
    under_con_id: int = 0
    trading_hours: tuple[SessionHours, ...] = ()
    increments: tuple[PriceIncrement, ...] = ()
    order_types: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()
    industry: str = ""
    category: str = ""
    hours_from: date | None = None
    hours_until: date | None = None


@dataclass(frozen=True, slots=True)
class ContractMatch:
    """One contract that a search found; resolve it with `contracts` by its `con_id` before anything else."""

    con_id: int
    symbol: str
    sec_type: str
    primary_exchange: str
    currency: str
    description: str
    derivatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OptionChain:
    """The options of one underlying at one exchange: every expiry ("20261218") and strike that exists there."""

    con_id: int
    exchange: str
    trading_class: str
    multiplier: Decimal
    expiries: tuple[str, ...]
    strikes: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class TradingHours:
    """The market calendar of a contract as the broker knows it, some days ahead; `at` is the market's time."""

    con_id: int
    symbol: str
    time_zone: str
    at: datetime
    is_open: bool
    is_liquid: bool
    next_open: datetime | None
    next_close: datetime | None
    liquid_hours: tuple[SessionHours, ...]
    trading_hours: tuple[SessionHours, ...]
