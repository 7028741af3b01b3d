"""Contracts that never expire beside US stocks: stocks abroad, currency pairs, indices and coins."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ..prices.seeded_path import Start
from ..types import HoursKind, SymbolSpec
from .ids import derived_con_id

CENT = Decimal("0.01")
_PIP, _YEN_PIP = Decimal("0.00005"), Decimal("0.005")
_PAIR_RULE, _YEN_PAIR_RULE, _INDEX_RULE = 239, 59, 110
_PAIR_WILDNESS = 0.4
_RULE_OF_TICK = {
    CENT: 26,
    Decimal("0.0002"): 1874,
    Decimal("0.001"): 1875,
    Decimal("0.02"): 1876,
    Decimal("0.05"): 1877,
    Decimal(1): 1878,
    Decimal("0.25"): 1879,
}


class Entry(NamedTuple):
    """A contract and where its seeded prices begin."""

    spec: SymbolSpec
    start: Start


class _Venue(NamedTuple):
    exchange: str
    currency: str
    time_zone: str
    hours: HoursKind


_XETRA = _Venue("IBIS", "EUR", "Europe/Berlin", "xetra")
_LONDON = _Venue("LSE", "GBP", "Europe/London", "london")
_TORONTO = _Venue("TSE", "CAD", "America/Toronto", "toronto")
_TOKYO = _Venue("TSEJ", "JPY", "Asia/Tokyo", "tokyo")


def _abroad(venue: _Venue, symbol: str, name: str, price: str, tick: str, volume: int, group: tuple[str, str]) -> Entry:
    spec = SymbolSpec(
        con_id=derived_con_id(f"{symbol}:STK:{venue.currency}"),
        symbol=symbol,
        long_name=name,
        primary_exchange=venue.exchange,
        currency=venue.currency,
        min_tick=Decimal(tick),
        time_zone=venue.time_zone,
        local_symbol=symbol,
        trading_class=symbol,
        exchanges=("SMART", venue.exchange),
        market_rule=_RULE_OF_TICK[Decimal(tick)],
        hours=venue.hours,
        shortable=1_000_000,
        industry=group[0],
        category=group[1],
    )
    return Entry(spec, Start(Decimal(price), volume, Decimal(tick), hours=venue.hours))


def _pair(first: str, second: str, name: str, price: str, con_id: int = 0) -> Entry:
    """`con_id` 0: derived."""
    tick, rule = (_YEN_PIP, _YEN_PAIR_RULE) if second == "JPY" else (_PIP, _PAIR_RULE)
    local = f"{first}.{second}"
    spec = SymbolSpec(
        con_id=con_id or derived_con_id(f"{first}:CASH:{second}"),
        symbol=first,
        long_name=name,
        primary_exchange="IDEALPRO",
        stock_type="",
        sec_type="CASH",
        currency=second,
        min_tick=tick,
        local_symbol=local,
        trading_class=local,
        exchanges=("IDEALPRO",),
        market_rule=rule,
        hours="forex",
    )
    return Entry(spec, Start(Decimal(price), 2_000_000_000, tick, hours="forex", wildness=_PAIR_WILDNESS))


def _index(symbol: str, name: str, exchange: str, price: int, path: str, con_id: int = 0) -> Entry:
    spec = SymbolSpec(
        con_id=con_id or derived_con_id(f"{symbol}:IND:USD"),
        symbol=symbol,
        long_name=name,
        primary_exchange=exchange,
        stock_type="",
        sec_type="IND",
        local_symbol=symbol,
        trading_class=symbol,
        exchanges=(exchange,),
        market_rule=_INDEX_RULE,
        can_trade=False,
        shortable=0,
        industry="Indices",
        category="*",
    )
    return Entry(spec, Start(price, 0, path=path))


def _coin(symbol: str, name: str, price: int, tick: str, volume: int, con_id: int = 0) -> Entry:
    spec = SymbolSpec(
        con_id=con_id or derived_con_id(f"{symbol}:CRYPTO:USD"),
        symbol=symbol,
        long_name=name,
        primary_exchange="PAXOS",
        stock_type="",
        sec_type="CRYPTO",
        min_tick=Decimal(tick),
        local_symbol=f"{symbol}.USD",
        trading_class=symbol,
        exchanges=("PAXOS",),
        market_rule=_RULE_OF_TICK[Decimal(tick)],
        hours="always",
        can_trade=False,
        shortable=0,
    )
    return Entry(spec, Start(price, volume, Decimal(tick), hours="always", wildness=1.5))


ABROAD = (
    _abroad(_XETRA, "SAP", "SAP SE", "175", "0.02", 1_900_000, ("Technology", "Software")),
    _abroad(_XETRA, "SIE", "SIEMENS AG-REG", "170", "0.02", 1_100_000, ("Industrial", "Machinery")),
    _abroad(_XETRA, "ALV", "ALLIANZ SE-REG", "260", "0.05", 800_000, ("Financial", "Diversified Finan Serv")),
    _abroad(
        _LONDON, "VOD", "VODAFONE GROUP PLC", "0.72", "0.0002", 60_000_000, ("Communications", "Telecommunications")
    ),
    _abroad(_LONDON, "HSBA", "HSBC HOLDINGS PLC", "6.80", "0.001", 25_000_000, ("Financial", "Banks")),
    _abroad(_TORONTO, "RY", "ROYAL BANK OF CANADA", "145", "0.01", 3_500_000, ("Financial", "Banks")),
    _abroad(_TORONTO, "ENB", "ENBRIDGE INC", "49", "0.01", 7_000_000, ("Energy", "Oil&Gas")),
    _abroad(_TOKYO, "7203", "TOYOTA MOTOR CORP", "2800", "1", 25_000_000, ("Consumer, Cyclical", "Auto Manufacturers")),
    _abroad(_TOKYO, "6758", "SONY GROUP CORP", "3100", "1", 12_000_000, ("Consumer, Cyclical", "Home Furnishings")),
)
PAIRS = (
    _pair("EUR", "USD", "European Monetary Union Euro", "1.08", 12_087_792),
    _pair("GBP", "USD", "British pound", "1.27", 12_087_797),
    _pair("AUD", "USD", "Australian dollar", "0.66", 14_433_401),
    _pair("NZD", "USD", "New Zealand dollar", "0.61"),
    _pair("USD", "JPY", "United States dollar", "155", 15_016_059),
    _pair("USD", "CHF", "United States dollar", "0.90", 12_087_820),
    _pair("USD", "CAD", "United States dollar", "1.37", 15_016_062),
    _pair("USD", "SEK", "United States dollar", "10.50"),
    _pair("USD", "NOK", "United States dollar", "10.70"),
    _pair("USD", "SGD", "United States dollar", "1.34"),
    _pair("USD", "HKD", "United States dollar", "7.81"),
    _pair("USD", "MXN", "United States dollar", "17.20"),
    _pair("EUR", "GBP", "European Monetary Union Euro", "0.85", 12_087_807),
    _pair("EUR", "JPY", "European Monetary Union Euro", "167.40", 14_321_016),
    _pair("EUR", "CHF", "European Monetary Union Euro", "0.97", 12_087_802),
    _pair("GBP", "JPY", "British pound", "196.80"),
)
INDICES = (
    _index("SPX", "S&P 500 Stock Index", "CBOE", 5200, "SPY", 416_904),
    _index("NDX", "NASDAQ 100 Stock Index", "NASDAQ", 18_000, "QQQ", 416_843),
    _index("INDU", "Dow Jones Industrial Average", "CME", 39_000, "DIA"),
    _index("RUT", "Russell 2000 Stock Index", "RUSSELL", 2050, "IWM", 416_888),
    _index("VIX", "CBOE Volatility Index", "CBOE", 15, "", 13_455_763),
)
COINS = (
    _coin("BTC", "Bitcoin cryptocurrency", 60_000, "0.25", 20_000, 479_624_278),
    _coin("ETH", "Ethereum cryptocurrency", 3_000, "0.01", 200_000, 495_759_171),
    _coin("LTC", "Litecoin cryptocurrency", 80, "0.01", 500_000),
    _coin("BCH", "Bitcoin Cash cryptocurrency", 400, "0.01", 100_000),
)
FIXED = (*ABROAD, *PAIRS, *INDICES, *COINS)
