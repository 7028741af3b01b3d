"""Finds the contracts of this gateway by id, by what a request says of them, or by a part of their name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from ..errors import UniverseError
from ..types import ContractFilter, SymbolSpec
from . import futures, options
from .fixed import FIXED
from .listings import LISTED, LISTED_BY_SYMBOL, added_spec
from .options import PriceOf

MAX_FOUND = 16
_SMART_NAMES = {"SMART", "BEST"}
_SMART_TYPES = {"STK", "OPT"}
_EXCHANGE_ALIASES = {"ISLAND": "NASDAQ", **futures.EXCHANGE_ALIASES}
_TYPES_IN_ORDER = ("STK", "IND", "CASH", "FUT", "CRYPTO", "OPT")


class Universe:
    """Every contract. `extra` are US symbols beyond the listed set, e.g. those of a CSV folder."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        added = sorted(set(extra) - set(LISTED_BY_SYMBOL))
        specs = [listing.spec for listing in LISTED] + [added_spec(symbol) for symbol in added]
        # A stock abroad shares the name of its prices with a symbol of the folder: the folder's stands.
        specs += [entry.spec for entry in FIXED if entry.spec.market not in added]
        self._by_con_id: dict[int, SymbolSpec] = {}
        self._named: dict[tuple[str, str], list[SymbolSpec]] = {}
        for spec in specs:
            self._add(spec)

    def _add(self, spec: SymbolSpec) -> None:
        other = self._by_con_id.setdefault(spec.con_id, spec)
        if other is not spec:
            raise UniverseError(f"{other.symbol} and {spec.symbol} share contract id {spec.con_id}; rename one of them")
        for name in {spec.symbol, spec.local_symbol}:
            self._named.setdefault((spec.sec_type, name), []).append(spec)

    def by_con_id(self, con_id: int) -> SymbolSpec | None:
        """The contract of an id, expired ones too."""
        return self._by_con_id.get(con_id) or futures.by_con_id(con_id) or options.by_con_id(con_id)

    def all(self) -> Sequence[SymbolSpec]:
        """Every contract that does not expire, US stocks first."""
        return tuple(self._by_con_id.values())

    def find(self, wanted: ContractFilter, today: date, price_of: PriceOf) -> Sequence[SymbolSpec]:
        """The contracts that agree with every part given, by expiry; without a type, of the first type that has any.

        `price_of` tells the last price of a contract id: listed strikes lie around it.
        """
        if wanted.con_id:
            spec = self.by_con_id(wanted.con_id)
            return () if spec is None or not _agrees(spec, wanted) or _is_hidden(spec, wanted, today) else (spec,)
        for sec_type in (wanted.sec_type,) if wanted.sec_type else _TYPES_IN_ORDER:
            named = self._candidates(sec_type, wanted, today, price_of)
            found = [spec for spec in named if _agrees(spec, wanted) and _is_described(spec, wanted)]
            if found:
                return found
        return ()

    def _candidates(
        self, sec_type: str, wanted: ContractFilter, today: date, price_of: PriceOf
    ) -> Iterable[SymbolSpec]:
        if sec_type == "FUT":
            return futures.named(wanted, today)
        if sec_type == "OPT":
            return options.named(wanted, today, price_of)
        return self._named.get((sec_type, (wanted.symbol or wanted.local_symbol).strip().upper()), ())

    def search(self, pattern: str) -> Sequence[SymbolSpec]:
        """Contracts whose symbol begins with the pattern, shortest first, then those with a word of the name that does.

        At most 16; a symbol that is the pattern comes first. Futures and options are reached through their underlying.
        """
        wanted = pattern.strip().upper()
        if not wanted:
            return ()
        by_symbol = [spec for spec in self.all() if spec.symbol.startswith(wanted)]
        by_symbol.sort(key=lambda spec: len(spec.symbol))
        by_name = [spec for spec in self.all() if not spec.symbol.startswith(wanted) and _has_word(spec, wanted)]
        return (by_symbol + by_name)[:MAX_FOUND]


def _has_word(spec: SymbolSpec, beginning: str) -> bool:
    name = spec.long_name.upper()
    return name.startswith(beginning) or any(word.startswith(beginning) for word in _words(name))


def _words(name: str) -> Iterator[str]:
    yield from name.replace("-", " ").replace("/", " ").replace(".", " ").split()


def _is_hidden(spec: SymbolSpec, wanted: ContractFilter, today: date) -> bool:
    return bool(spec.expiry) and spec.expiry < f"{today:%Y%m%d}" and not wanted.include_expired


def _agrees(spec: SymbolSpec, wanted: ContractFilter) -> bool:
    """Type, currency and venue: what is compared even where the id is given."""
    exchange, primary = wanted.exchange.upper(), wanted.primary_exchange.upper()
    return (
        wanted.sec_type in ("", spec.sec_type)
        and wanted.currency in ("", spec.currency)
        and (not exchange or _is_at(spec, exchange))
        and (not primary or _EXCHANGE_ALIASES.get(primary, primary) == spec.primary_exchange)
    )


def _is_at(spec: SymbolSpec, exchange: str) -> bool:
    if exchange in _SMART_NAMES:
        return spec.sec_type in _SMART_TYPES
    return _EXCHANGE_ALIASES.get(exchange, exchange) in {spec.primary_exchange, *spec.exchanges}


def _is_described(spec: SymbolSpec, wanted: ContractFilter) -> bool:
    """Everything else that a request may say."""
    return (
        (not wanted.local_symbol or wanted.local_symbol.strip().upper() == spec.local_symbol)
        and (not wanted.trading_class or wanted.trading_class.upper() == spec.trading_class)
        and wanted.strike in (None, spec.strike)
        and wanted.right in ("", spec.right)
        and _has_multiplier(spec, wanted.multiplier)
        and (not wanted.expiry or wanted.expiry in {spec.expiry, spec.contract_month})
    )


def _has_multiplier(spec: SymbolSpec, text: str) -> bool:
    return not text or text.strip() == f"{spec.multiplier.normalize():f}"
