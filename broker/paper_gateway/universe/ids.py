"""Contract ids: the same number for the same contract on every machine, for ever."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

_DERIVED_FIRST = 900_000_000
_DERIVED_COUNT = 90_000_000
_OPTION_FIRST = 1_000_000_000
_OPTION_WEEKS = 4096
_OPTION_STRIKES = 8192
_OPTION_END = 1_600_000_000
_FUTURE_FIRST = 1_600_000_000
_FUTURE_MONTHS = 10_000
_FUTURE_END = 1_700_000_000
_FIRST_YEAR = 2000


class FutureKey(NamedTuple):
    """What a future's id says: the product's number, and its contract month."""

    product: int
    year: int
    month: int


class OptionKey(NamedTuple):
    """What an option's id says: the number of its underlying, weeks since 2000-01-07, strike in steps, call or put."""

    underlying: int
    week: int
    strike: int
    is_put: bool


def derived_con_id(name: str) -> int:
    """The id of a contract that has no fixed one: from a stock's symbol, or from "symbol:type:currency" of others."""
    return _DERIVED_FIRST + crc32(name.encode()) % _DERIVED_COUNT


def future_con_id(key: FutureKey) -> int:
    return _FUTURE_FIRST + key.product * _FUTURE_MONTHS + (key.year - _FIRST_YEAR) * 12 + key.month - 1


def future_key(con_id: int) -> FutureKey | None:
    """None where the id is not a future's."""
    if not _FUTURE_FIRST <= con_id < _FUTURE_END:
        return None
    product, months = divmod(con_id - _FUTURE_FIRST, _FUTURE_MONTHS)
    return FutureKey(product, _FIRST_YEAR + months // 12, months % 12 + 1)


def option_con_id(key: OptionKey) -> int:
    place = (key.underlying * _OPTION_WEEKS + key.week) * _OPTION_STRIKES + key.strike
    return _OPTION_FIRST + place * 2 + key.is_put


def option_key(con_id: int) -> OptionKey | None:
    """None where the id is not an option's."""
    if not _OPTION_FIRST <= con_id < _OPTION_END:
        return None
    place, is_put = divmod(con_id - _OPTION_FIRST, 2)
    weeks, strike = divmod(place, _OPTION_STRIKES)
    underlying, week = divmod(weeks, _OPTION_WEEKS)
    return OptionKey(underlying, week, strike, bool(is_put))
