"""Futures: products, their expiries by rule, and the contracts that are listed on a day."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..prices import holidays, hours
from ..prices.seeded_path import Start
from ..types import ContractFilter, SymbolSpec
from .fixed import INDICES
from .ids import FutureKey, future_con_id, future_key

MONTH_CODES = "FGHJKMNQUVXZ"
EXCHANGE_ALIASES = {"GLOBEX": "CME", "ECBOT": "CBOT"}
_FILE = Path(__file__).with_name("futures.csv")
_AHEAD = 18  # months
_EXPIRED_SHOWN = 24  # months
_FIRST_YEAR, _LAST_YEAR = 2005, 2069


def third_friday(year: int, month: int) -> date:
    """The third Friday of the month, or the session before it."""
    return hours.trading_day("us_equity", holidays.nth(year, month, holidays.FRIDAY, 3), 0)


def _before_the_25th_of_the_month_before(year: int, month: int) -> date:
    """Crude oil: three business days before the 25th of the month before delivery."""
    last_of_month_before = date(year, month, 1) - timedelta(days=1)
    pivot = hours.trading_day("us_equity", last_of_month_before.replace(day=25), 0)
    return hours.trading_day("us_equity", pivot, -3)


def _third_last_session(year: int, month: int) -> date:
    return hours.trading_day("us_equity", _last_session(year, month), -2)


def _seven_sessions_before_the_last(year: int, month: int) -> date:
    return hours.trading_day("us_equity", _last_session(year, month), -7)


def _two_sessions_before_the_third_wednesday(year: int, month: int) -> date:
    return hours.trading_day("us_equity", holidays.nth(year, month, 2, 3), -2)


def _last_session(year: int, month: int) -> date:
    return hours.trading_day("us_equity", date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1), 0)


class Product(NamedTuple):
    """One kind of future. `margin` is the initial margin of a contract; `number` is part of contract ids for ever."""

    number: int
    symbol: str
    trading_class: str
    long_name: str
    exchange: str
    months: tuple[int, ...]
    multiplier: Decimal
    tick: Decimal
    market_rule: int
    margin: Decimal
    time_zone: str
    last_day: Callable[[int, int], date]
    under_symbol: str
    start: Start


_LAST_DAYS: dict[str, Callable[[int, int], date]] = {
    "third friday": third_friday,
    "3 before the 25th of the month before": _before_the_25th_of_the_month_before,
    "third last": _third_last_session,
    "7 before the last": _seven_sessions_before_the_last,
    "2 before the third wednesday": _two_sessions_before_the_third_wednesday,
}


def _product(row: dict[str, str]) -> Product:
    return Product(
        number=int(row["number"]),
        symbol=row["symbol"],
        trading_class=row["trading_class"],
        long_name=row["name"],
        exchange=row["exchange"],
        months=tuple(MONTH_CODES.index(code) + 1 for code in row["months"]),
        multiplier=Decimal(row["multiplier"]),
        tick=Decimal(row["tick"]),
        market_rule=int(row["market_rule"]),
        margin=Decimal(row["margin"]),
        time_zone=row["time_zone"],
        last_day=_LAST_DAYS[row["last_day"]],
        under_symbol=row["under"],
        start=Start(
            price=Decimal(row["price"]),
            daily_volume=int(row["daily_volume"]),
            unit=Decimal(row["tick"]),
            path=row["path"],
            hours="cme",
            wildness=float(row["wildness"]),
        ),
    )


def _read() -> tuple[Product, ...]:
    with _FILE.open(newline="") as file:
        return tuple(_product(row) for row in csv.DictReader(file))


PRODUCTS = _read()
_BY_NUMBER = {product.number: product for product in PRODUCTS}
_BY_CLASS = {product.trading_class: product for product in PRODUCTS}
_UNDER = {entry.spec.symbol: entry.spec.con_id for entry in INDICES}


def has_futures(symbol: str) -> bool:
    """Whether a product is written on the index."""
    return any(product.under_symbol == symbol for product in PRODUCTS)


@lru_cache(maxsize=8192)
def contract(product: Product, year: int, month: int) -> SymbolSpec:
    """The contract of one delivery month."""
    return SymbolSpec(
        con_id=future_con_id(FutureKey(product.number, year, month)),
        symbol=product.symbol,
        long_name=product.long_name,
        primary_exchange=product.exchange,
        stock_type="",
        sec_type="FUT",
        min_tick=product.tick,
        time_zone=product.time_zone,
        multiplier=product.multiplier,
        expiry=f"{product.last_day(year, month):%Y%m%d}",
        contract_month=f"{year}{month:02}",
        local_symbol=f"{product.trading_class}{MONTH_CODES[month - 1]}{year % 10}",
        trading_class=product.trading_class,
        exchanges=(product.exchange,),
        market_rule=product.market_rule,
        under_con_id=_UNDER.get(product.under_symbol, 0),
        under_symbol=product.under_symbol or product.symbol,
        hours="cme",
        margin_fixed=product.margin,
    )


def by_con_id(con_id: int) -> SymbolSpec | None:
    """The contract that an id names; None where it is no future's."""
    key = future_key(con_id)
    product = None if key is None else _BY_NUMBER.get(key.product)
    if key is None or product is None or key.month not in product.months:
        return None
    return contract(product, key.year, key.month) if _FIRST_YEAR <= key.year <= _LAST_YEAR else None


def named(wanted: ContractFilter, today: date) -> Iterator[SymbolSpec]:
    """Contracts of the product or with the local symbol that is asked for, by expiry; expired ones only where asked."""
    for product in PRODUCTS:
        names = {product.symbol, product.trading_class}
        if wanted.symbol.upper() in names or (not wanted.symbol and wanted.local_symbol.upper()[:-2] in names):
            yield from listed(product, today, include_expired=wanted.include_expired)


def listed(product: Product, today: date, *, include_expired: bool = False) -> list[SymbolSpec]:
    """The contracts of a product in the order of their expiries."""
    months = (today.year * 12 + today.month - 1 + offset for offset in range(-_EXPIRED_SHOWN, _AHEAD + 1))
    years = [(number // 12, number % 12 + 1) for number in months]
    specs = [contract(product, year, month) for year, month in years if month in product.months]
    return [spec for spec in specs if include_expired or spec.expiry >= f"{today:%Y%m%d}"]


def start(market: str) -> Start | None:
    """Where the prices of a market such as "ESZ6.FUT" begin: all expiries of a product are worth the same."""
    name = market.removesuffix(".FUT")
    product = _BY_CLASS.get(name[:-2])
    is_listed = product is not None and name != market and name[-2] in MONTH_CODES and name[-1].isdigit()
    return product.start if product is not None and is_listed else None
