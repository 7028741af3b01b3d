"""The quotes of now as ticks, drawn up once for all the clients that watch them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

from broker.paper_gateway.prices import kinds
from broker.paper_gateway.prices.calendar import eastern_day
from broker.paper_gateway.types import Bar, Exchange, GatewayError, Quote, SymbolSpec
from broker.paper_gateway.wire import market_data as wire
from broker.paper_gateway.wire.fields import decimal_text, price, quote_size
from broker.paper_gateway.wire.market_data import Tick
from broker.paper_gateway.wire.times import epoch
from broker.paper_gateway.wire.versions import SHARES_NOT_LOTS

Page = tuple[Tick, ...]

# Generic ticks that a client may ask for; those without a number of their own in `_extra` carry nothing here.
GENERIC_TICKS = {
    100: "Option Volume",
    101: "Option Open Interest",
    104: "Historical Volatility",
    105: "Average Opt Volume",
    106: "Option Implied Volatility",
    162: "Index Future Premium",
    165: "Misc Statistics",
    221: "Creditman Mark",
    225: "Auction",
    232: "Pl Price",
    233: "RT Volume",
    236: "Shortable",
    256: "Inventory",
    258: "Fundamentals",
    291: "Bond Factor",
    292: "News",
    293: "Trade Count",
    294: "Trade Rate",
    295: "Volume Rate",
    318: "Last RTH Trade",
    375: "RT Trade Volume",
    411: "RT Historical Volatility",
    456: "IB Dividends",
    460: "Bond Factor Multiplier",
    576: "ETF NAV",
    577: "ETF NAV Last",
    578: "ETF NAV Frozen",
    586: "IPO",
    587: "Shortable Shares",
    588: "Futures Open Interest",
    595: "Short-Term Volume",
    614: "ETF NAV High/Low",
    619: "Creditman Slow Mark",
    623: "ETF NAV Frozen Last",
    787: "Closing Price",
}
MISC, MARK, RT_VOLUME, SHORTABLE, VOLATILITY, RT_TRADES = 165, 221, 233, 236, 104, 375
_WEEKS = ((13, 15), (26, 17), (52, 19))  # number of weeks and the kind of the low; that of the high comes after it
_AVERAGE_VOLUME, _MARK_PRICE, _RT_VOLUME, _RT_TRADES, _HIST_VOLATILITY = 21, 37, 48, 77, 23
_SHORTABLE, _SHORTABLE_SHARES = 46, 89
_EASY, _LOCATE, _HARD = "3.0", "2.0", "1.0"
_MANY_SHARES = 1000
_AVERAGE_DAYS = 90


class Board:
    """Pages of ticks by contract, drawn up when somebody wants them and good until the board is turned."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._second = 0
        self._pages: dict[tuple[int, bool, bool], Page] = {}
        self._extras: dict[tuple[int, frozenset[int], bool], Page] = {}
        self._statistics: dict[int, tuple[date, Page]] = {}

    def page(self, spec: SymbolSpec, version: int, *, delayed: bool = False) -> Page:
        """The ticks of the quote of now, the same object as long as nothing can have changed."""
        key = (spec.con_id, delayed, version >= SHARES_NOT_LOTS)
        if key not in self._pages:
            quote = self._exchange.quote(spec.con_id, delayed=delayed)
            self._pages[key] = wire.ticks(quote, spec, version, delayed=delayed)
        return self._pages[key]

    def extras(self, spec: SymbolSpec, generic: frozenset[int], version: int) -> Page:
        """The ticks that were asked for by number."""
        key = (spec.con_id, generic, version >= SHARES_NOT_LOTS)
        if key not in self._extras:
            self._extras[key] = tuple(self._drawn(spec, generic, version))
        return self._extras[key]

    def turn(self) -> None:
        """Forget what was true a second of market time ago."""
        second = epoch(self._exchange.now())
        if second != self._second:
            self._second = second
            self._pages.clear()
            self._extras.clear()

    def _drawn(self, spec: SymbolSpec, generic: frozenset[int], version: int) -> Iterable[Tick]:
        quote = self._exchange.quote(spec.con_id)
        if quote.last is not None:
            if MARK in generic:
                yield wire.price_tick(_MARK_PRICE, price(quote.last))
            for number, kind in ((RT_VOLUME, _RT_VOLUME), (RT_TRADES, _RT_TRADES)):
                if number in generic and spec.sec_type not in {"CASH", "IND"}:
                    yield wire.text_tick(kind, _volume_text(quote, quote.last, version))
        if SHORTABLE in generic and spec.sec_type == "STK":
            yield from _shortable(self._exchange.shortable(spec.con_id))
        if MISC in generic or VOLATILITY in generic:
            yield from self._of_the_year(spec, generic, version)

    def _of_the_year(self, spec: SymbolSpec, generic: frozenset[int], version: int) -> Iterable[Tick]:
        today = eastern_day(self._exchange.now())
        held = self._statistics.get(spec.con_id)
        if held is None or held[0] != today:
            held = self._statistics[spec.con_id] = (today, tuple(self._statistics_of(spec, version)))
        wanted_volatility = VOLATILITY in generic
        for tick in held[1]:
            if wanted_volatility if tick.kind == _HIST_VOLATILITY else MISC in generic:
                yield tick

    def _statistics_of(self, spec: SymbolSpec, version: int) -> Iterable[Tick]:
        try:
            days = self._exchange.bars(
                spec.con_id, bar_size="1 day", duration="1 Y", end=None, use_rth=True, what="TRADES"
            )
        except GatewayError:
            return
        for weeks, kind in _WEEKS:
            part = [day for day in days if (days[-1].day - day.day).days < weeks * 7]
            yield wire.price_tick(kind, repr(min(day.low for day in part)))
            yield wire.price_tick(kind + 1, repr(max(day.high for day in part)))
        yield wire.size_tick(_AVERAGE_VOLUME, quote_size(_average_volume(days[-_AVERAGE_DAYS:]), version))
        if spread := kinds.volatility_bars(days[-1:], days):
            yield wire.generic_tick(_HIST_VOLATILITY, repr(spread[0].close))


def _average_volume(days: Sequence[Bar]) -> int:
    return int(sum(day.volume for day in days) / len(days))


def _volume_text(quote: Quote, last: Decimal, version: int) -> str:
    """`price;size;milliseconds;volume;average price;single trade`."""
    typical = (last + (quote.high or last) + (quote.low or last)) / 3
    sizes = (quote_size(quote.last_size, version), quote_size(quote.volume, version))
    return f"{decimal_text(last)};{sizes[0]};{epoch(quote.time) * 1000};{sizes[1]};{typical:.8f};true"


def _shortable(shares: int) -> Iterable[Tick]:
    """How hard it is to borrow, in IB's three steps, and how much there is."""
    ease = _EASY if shares >= _MANY_SHARES else _LOCATE if shares else _HARD
    yield wire.generic_tick(_SHORTABLE, ease)
    yield wire.size_tick(_SHORTABLE_SHARES, str(shares))
