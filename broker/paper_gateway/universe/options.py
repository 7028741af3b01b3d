"""Options on a handful of underlyings: made when they are asked for, from expiries by rule and strikes by price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from ..prices import holidays, hours
from ..types import ContractFilter, SymbolSpec
from .fixed import INDICES
from .ids import OptionKey, option_con_id, option_key
from .listings import LISTED_BY_SYMBOL

PriceOf = Callable[[int], Decimal]

MULTIPLIER = Decimal(100)
_FIRST_FRIDAY = date(2000, 1, 7)
_WEEKS, _MONTHS = 6, 12
_REACH = Decimal("0.30")
_TICK, _RULE = Decimal("0.01"), 26
_EXCHANGES = ("SMART", "CBOE")
_RIGHTS: tuple[Literal["C", "P"], ...] = ("C", "P")


class Underlying(NamedTuple):
    """What options are written on; `number` is part of contract ids for ever, `step` lies between strikes."""

    number: int
    spec: SymbolSpec
    step: Decimal


def _stock(number: int, symbol: str, step: str) -> Underlying:
    return Underlying(number, LISTED_BY_SYMBOL[symbol].spec, Decimal(step))


UNDERLYINGS = (
    _stock(0, "SPY", "5"),
    _stock(1, "AAPL", "5"),
    _stock(2, "IBM", "5"),
    _stock(3, "MSFT", "5"),
    _stock(4, "QQQ", "5"),
    Underlying(5, next(entry.spec for entry in INDICES if entry.spec.symbol == "SPX"), Decimal(25)),
)
_BY_NUMBER = {under.number: under for under in UNDERLYINGS}
_BY_SYMBOL = {under.spec.symbol: under for under in UNDERLYINGS}
_BY_CON_ID = {under.spec.con_id: under for under in UNDERLYINGS}


class Chain(NamedTuple):
    """The options of one trading class at one exchange; expiries as "20261218"."""

    exchange: str
    under_con_id: int
    trading_class: str
    multiplier: Decimal
    expiries: tuple[str, ...]
    strikes: tuple[Decimal, ...]


def is_underlying(con_id: int) -> bool:
    """Whether options are written on the contract."""
    return con_id in _BY_CON_ID


def expiries(today: date) -> list[date]:
    """The Fridays on which listed options end: six weeks of them, then the third of every month for a year."""
    weekly = hours.fridays(today, _WEEKS)
    months = (today.year * 12 + today.month - 1 + offset for offset in range(_MONTHS + 1))
    monthly = [holidays.nth(number // 12, number % 12 + 1, holidays.FRIDAY, 3) for number in months]
    return [friday for friday in sorted({*weekly, *monthly}) if last_day(friday) >= today]


def last_day(friday: date) -> date:
    """The session on which options of that week end: Friday, or the one before a holiday."""
    return hours.trading_day("us_equity", friday, 0)


def strikes(under: Underlying, price: Decimal) -> list[Decimal]:
    """Every step within 30 % of the price."""
    low, high = int(price * (1 - _REACH) / under.step) + 1, int(price * (1 + _REACH) / under.step)
    return [number * under.step for number in range(max(1, low), high + 1)]


def chains(under_con_id: int, today: date, price: Decimal) -> list[Chain]:
    """All chains on an underlying: one a trading class and exchange; none where it has no options."""
    under = _BY_CON_ID.get(under_con_id)
    if under is None or price <= 0:
        return []
    by_class: dict[str, list[date]] = {}
    for friday in expiries(today):
        by_class.setdefault(_trading_class(under, friday), []).append(last_day(friday))
    listed = tuple(strikes(under, price))
    return [
        Chain(exchange, under_con_id, name, MULTIPLIER, tuple(f"{day:%Y%m%d}" for day in days), listed)
        for exchange in _EXCHANGES
        for name, days in by_class.items()
    ]


def named(wanted: ContractFilter, today: date, price_of: PriceOf) -> Iterator[SymbolSpec]:
    """Options on the symbol that is asked for, by expiry, strike and right; whatever else is asked narrows them."""
    under = _BY_SYMBOL.get(wanted.symbol.upper() or wanted.local_symbol.upper()[:6].strip())
    if under is None:
        return
    listed = strikes(under, price_of(under.spec.con_id))
    for friday in expiries(today):
        if f"{last_day(friday):%Y%m%d}".startswith(wanted.expiry):
            for strike in listed if wanted.strike is None else {wanted.strike} & set(listed):
                yield from (contract(under, friday, strike, right) for right in _RIGHTS)


@lru_cache(maxsize=16384)
def contract(under: Underlying, friday: date, strike: Decimal, right: Literal["C", "P"]) -> SymbolSpec:
    """One option of the week of `friday`."""
    day = last_day(friday)
    key = OptionKey(under.number, (friday - _FIRST_FRIDAY).days // 7, int(strike / under.step), right == "P")
    name = _trading_class(under, friday)
    local_symbol = f"{name:<6}{day:%y%m%d}{right}{int(strike * 1000):08}"
    return SymbolSpec(
        con_id=option_con_id(key),
        symbol=under.spec.symbol,
        long_name=under.spec.long_name,
        primary_exchange="CBOE",
        stock_type="",
        sec_type="OPT",
        min_tick=_TICK,
        multiplier=MULTIPLIER,
        expiry=f"{day:%Y%m%d}",
        contract_month=f"{day:%Y%m}",
        strike=strike,
        right=right,
        local_symbol=local_symbol,
        trading_class=name,
        exchanges=_EXCHANGES,
        market_rule=_RULE,
        under_con_id=under.spec.con_id,
        under_symbol=under.spec.symbol,
        can_trade=False,
        shortable=0,
        industry=under.spec.industry,
        category=under.spec.category,
    )


def by_con_id(con_id: int) -> SymbolSpec | None:
    """The option that an id names; None where it is no option's."""
    key = option_key(con_id)
    under = None if key is None else _BY_NUMBER.get(key.underlying)
    if key is None or under is None or not key.strike:
        return None
    friday = _FIRST_FRIDAY + timedelta(weeks=key.week)
    return contract(under, friday, key.strike * under.step, "P" if key.is_put else "C")


def _trading_class(under: Underlying, friday: date) -> str:
    """Index options of other weeks than the monthly one are a class of their own."""
    is_monthly = friday == holidays.nth(friday.year, friday.month, holidays.FRIDAY, 3)
    return f"{under.spec.symbol}W" if under.spec.sec_type == "IND" and not is_monthly else under.spec.symbol
