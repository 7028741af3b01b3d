"""US stocks and funds: the listed set of us_listed.csv, and symbols that a CSV folder adds to it."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Literal, NamedTuple

from ..prices.seeded_path import Start
from ..types import SymbolSpec
from .ids import derived_con_id

_FILE = Path(__file__).with_name("us_listed.csv")
_EASILY_BORROWED = 10_000_000
_BILLION = 1_000_000_000


class Listing(NamedTuple):
    """One row of the listed set; price, daily volume and market value (dollars) are where the seeded market starts."""

    symbol: str
    long_name: str
    primary_exchange: str
    stock_type: Literal["COMMON", "ETF"]
    price: int
    daily_volume: int
    market_value: int
    con_id: int
    industry: str
    category: str
    shortable: int

    @property
    def shares_outstanding(self) -> int:
        return self.market_value // self.price

    @property
    def spec(self) -> SymbolSpec:
        return SymbolSpec(
            con_id=self.con_id,
            symbol=self.symbol,
            long_name=self.long_name,
            primary_exchange=self.primary_exchange,
            stock_type=self.stock_type,
            local_symbol=self.symbol,
            trading_class=_trading_class(self.symbol, self.primary_exchange),
            exchanges=("SMART", self.primary_exchange),
            shortable=self.shortable,
            industry=self.industry,
            category=self.category,
        )

    @property
    def start(self) -> Start:
        return Start(self.price, self.daily_volume)


def added_spec(symbol: str) -> SymbolSpec:
    """The contract of a symbol that only a CSV folder knows."""
    return SymbolSpec(
        con_id=derived_con_id(symbol),
        symbol=symbol,
        long_name=symbol,
        primary_exchange="NYSE",
        local_symbol=symbol,
        trading_class=_trading_class(symbol, "NYSE"),
        exchanges=("SMART", "NYSE"),
    )


def _trading_class(symbol: str, exchange: str) -> str:
    """Stocks of NASDAQ trade in the class NMS, others in one of their own name."""
    return "NMS" if exchange == "NASDAQ" else symbol


def _read() -> tuple[Listing, ...]:
    with _FILE.open(newline="") as file:
        return tuple(_listing(row) for row in csv.DictReader(file))


def _listing(row: dict[str, str]) -> Listing:
    return Listing(
        symbol=row["symbol"],
        long_name=row["name"],
        primary_exchange=row["exchange"],
        stock_type="ETF" if row["type"] == "ETF" else "COMMON",
        price=int(row["price"]),
        daily_volume=int(row["daily_volume"]),
        market_value=int(Decimal(row["market_cap"]) * _BILLION),
        con_id=int(row["con_id"] or derived_con_id(row["symbol"])),
        industry=row["industry"],
        category=row["category"],
        shortable=int(row["shortable"] or _EASILY_BORROWED),
    )


LISTED: tuple[Listing, ...] = _read()
LISTED_BY_SYMBOL = {listing.symbol: listing for listing in LISTED}
