"""The contracts that exist at this gateway: a listed set of US stocks and funds, and the symbols of a CSV folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple
from zlib import crc32

from .errors import UniverseError
from .prices.seeded_path import Start
from .types import ContractFilter, SymbolSpec

_DERIVED_FIRST = 900_000_000
_DERIVED_COUNT = 90_000_000
_SMART_NAMES = {"", "SMART", "BEST"}
_EXCHANGE_ALIASES = {"ISLAND": "NASDAQ"}


class Listing(NamedTuple):
    """One row of the listed set; price and daily volume are where the seeded market starts."""

    symbol: str
    long_name: str
    primary_exchange: str
    stock_type: Literal["COMMON", "ETF"]
    price: int
    daily_volume: int
    con_id: int = 0


LISTED: tuple[Listing, ...] = (
    Listing("SPY", "SPDR S&P 500 ETF TRUST", "ARCA", "ETF", 520, 70_000_000, 756733),
    Listing("QQQ", "INVESCO QQQ TRUST SERIES 1", "NASDAQ", "ETF", 440, 45_000_000, 320227571),
    Listing("IWM", "ISHARES RUSSELL 2000 ETF", "ARCA", "ETF", 205, 30_000_000),
    Listing("DIA", "SPDR DJIA TRUST", "ARCA", "ETF", 390, 4_000_000),
    Listing("GLD", "SPDR GOLD SHARES", "ARCA", "ETF", 215, 8_000_000),
    Listing("TLT", "ISHARES 20+ YEAR TREASURY BOND ETF", "NASDAQ", "ETF", 92, 35_000_000),
    Listing("XLF", "FINANCIAL SELECT SECTOR SPDR", "ARCA", "ETF", 41, 40_000_000),
    Listing("XLE", "ENERGY SELECT SECTOR SPDR", "ARCA", "ETF", 92, 16_000_000),
    Listing("AAPL", "APPLE INC", "NASDAQ", "COMMON", 190, 60_000_000, 265598),
    Listing("MSFT", "MICROSOFT CORP", "NASDAQ", "COMMON", 420, 22_000_000, 272093),
    Listing("AMZN", "AMAZON.COM INC", "NASDAQ", "COMMON", 180, 40_000_000, 3691937),
    Listing("GOOGL", "ALPHABET INC-CL A", "NASDAQ", "COMMON", 165, 28_000_000, 208813719),
    Listing("META", "META PLATFORMS INC-CLASS A", "NASDAQ", "COMMON", 490, 15_000_000, 107113386),
    Listing("NVDA", "NVIDIA CORP", "NASDAQ", "COMMON", 120, 220_000_000, 4815747),
    Listing("TSLA", "TESLA INC", "NASDAQ", "COMMON", 210, 90_000_000, 76792991),
    Listing("NFLX", "NETFLIX INC", "NASDAQ", "COMMON", 640, 4_000_000),
    Listing("AMD", "ADVANCED MICRO DEVICES", "NASDAQ", "COMMON", 155, 50_000_000, 4391),
    Listing("INTC", "INTEL CORP", "NASDAQ", "COMMON", 32, 55_000_000, 270639),
    Listing("CSCO", "CISCO SYSTEMS INC", "NASDAQ", "COMMON", 48, 18_000_000),
    Listing("IBM", "INTL BUSINESS MACHINES CORP", "NYSE", "COMMON", 175, 4_000_000, 8314),
    Listing("ORCL", "ORACLE CORP", "NYSE", "COMMON", 130, 9_000_000),
    Listing("BAC", "BANK OF AMERICA CORP", "NYSE", "COMMON", 39, 38_000_000, 10098),
    Listing("JPM", "JPMORGAN CHASE & CO", "NYSE", "COMMON", 200, 9_000_000, 1520593),
    Listing("GS", "GOLDMAN SACHS GROUP INC", "NYSE", "COMMON", 450, 2_200_000),
    Listing("V", "VISA INC-CLASS A SHARES", "NYSE", "COMMON", 275, 7_000_000),
    Listing("MA", "MASTERCARD INC - A", "NYSE", "COMMON", 460, 2_700_000),
    Listing("JNJ", "JOHNSON & JOHNSON", "NYSE", "COMMON", 152, 7_000_000),
    Listing("PFE", "PFIZER INC", "NYSE", "COMMON", 28, 40_000_000),
    Listing("UNH", "UNITEDHEALTH GROUP INC", "NYSE", "COMMON", 500, 3_500_000),
    Listing("PG", "PROCTER & GAMBLE CO", "NYSE", "COMMON", 162, 6_500_000),
    Listing("KO", "COCA-COLA CO", "NYSE", "COMMON", 62, 13_000_000),
    Listing("PEP", "PEPSICO INC", "NASDAQ", "COMMON", 170, 5_500_000),
    Listing("WMT", "WALMART INC", "NYSE", "COMMON", 65, 17_000_000),
    Listing("COST", "COSTCO WHOLESALE CORP", "NASDAQ", "COMMON", 800, 2_000_000),
    Listing("HD", "HOME DEPOT INC", "NYSE", "COMMON", 345, 3_400_000),
    Listing("MCD", "MCDONALD'S CORP", "NYSE", "COMMON", 265, 3_500_000),
    Listing("DIS", "WALT DISNEY CO", "NYSE", "COMMON", 100, 11_000_000),
    Listing("BA", "BOEING CO", "NYSE", "COMMON", 180, 7_500_000),
    Listing("CAT", "CATERPILLAR INC", "NYSE", "COMMON", 335, 2_800_000),
    Listing("XOM", "EXXON MOBIL CORP", "NYSE", "COMMON", 114, 17_000_000),
    Listing("CVX", "CHEVRON CORP", "NYSE", "COMMON", 155, 8_000_000),
    Listing("T", "AT&T INC", "NYSE", "COMMON", 18, 35_000_000),
)
LISTED_BY_SYMBOL = {listing.symbol: listing for listing in LISTED}


class Universe:
    """Finds contracts by id or by symbol. `extra` are symbols beyond the listed set, e.g. those of a CSV folder."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        specs = [_listed_spec(listing) for listing in LISTED]
        specs += [_derived_spec(symbol) for symbol in sorted(set(extra)) if symbol not in LISTED_BY_SYMBOL]
        self._by_con_id: dict[int, SymbolSpec] = {}
        for spec in specs:
            self._add(spec)
        self._by_symbol = {spec.symbol: spec for spec in specs}

    def _add(self, spec: SymbolSpec) -> None:
        other = self._by_con_id.setdefault(spec.con_id, spec)
        if other is not spec:
            raise UniverseError(f"{other.symbol} and {spec.symbol} share contract id {spec.con_id}; rename one of them")

    def by_con_id(self, con_id: int) -> SymbolSpec | None:
        return self._by_con_id.get(con_id)

    def all(self) -> Sequence[SymbolSpec]:
        """Every contract, listed ones first."""
        return tuple(self._by_symbol.values())

    def find(self, wanted: ContractFilter) -> Sequence[SymbolSpec]:
        """The contracts that agree with every part given."""
        symbol = (wanted.symbol or wanted.local_symbol).strip().upper()
        found = self._by_con_id.get(wanted.con_id) if wanted.con_id else self._by_symbol.get(symbol)
        return () if found is None or not _agrees(found, wanted) else (found,)

    def search(self, pattern: str) -> Sequence[SymbolSpec]:
        """The contract of that symbol."""
        found = self._by_symbol.get(pattern)
        return () if found is None else (found,)


def _agrees(spec: SymbolSpec, wanted: ContractFilter) -> bool:
    exchange, primary = wanted.exchange, wanted.primary_exchange
    return (
        wanted.sec_type in ("", spec.sec_type)
        and wanted.currency in ("", spec.currency)
        and (exchange in _SMART_NAMES or _EXCHANGE_ALIASES.get(exchange, exchange) == spec.primary_exchange)
        and (not primary or _EXCHANGE_ALIASES.get(primary, primary) == spec.primary_exchange)
    )


def derived_con_id(symbol: str) -> int:
    """The contract id of a symbol that has no fixed one: the same number on every machine."""
    return _DERIVED_FIRST + crc32(symbol.encode()) % _DERIVED_COUNT


def seeded_start(symbol: str) -> Start | None:
    """Where the seeded path of a listed symbol begins; None for any other symbol."""
    listing = LISTED_BY_SYMBOL.get(symbol)
    return None if listing is None else Start(listing.price, listing.daily_volume)


def _listed_spec(listing: Listing) -> SymbolSpec:
    return SymbolSpec(
        con_id=listing.con_id or derived_con_id(listing.symbol),
        symbol=listing.symbol,
        long_name=listing.long_name,
        primary_exchange=listing.primary_exchange,
        stock_type=listing.stock_type,
    )


def _derived_spec(symbol: str) -> SymbolSpec:
    return SymbolSpec(con_id=derived_con_id(symbol), symbol=symbol, long_name=symbol, primary_exchange="NYSE")
