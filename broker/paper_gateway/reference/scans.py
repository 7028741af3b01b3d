"""Scans of the market: what is measured of each stock, and how a scan picks and ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from ..prices.calendar import eastern_day
from ..types import Exchange, GatewayError, Quote, SymbolSpec
from .company import company_of
from .scan_codes import CODES, PLACES, US_FUNDS

MAX_ROWS = 50
_SHARES_A_TRADE = 100


class History(NamedTuple):
    """The last 13 weeks up to yesterday."""

    high: float
    low: float
    volume: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One stock now; changes in percent, `place_in_13_weeks` 0 at the low and 1 at the high."""

    spec: SymbolSpec
    last: float
    change: float
    since_open: float
    gap: float
    day_range: float
    volume: float
    turnover: float
    volume_ratio: float
    price_ratio: float
    trades: float
    place_in_13_weeks: float
    market_value: float


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure must be at least, or at most, so much."""

    figure: str
    bound: float
    is_least: bool

    def admits(self, figures: Figures) -> bool:
        value = float(getattr(figures, self.figure))
        return value >= self.bound if self.is_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class ScanQuery:
    """What a client wants scanned; code and place are known ones."""

    code: str
    place: str
    rows: int
    stock_type: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Find:
    """One row of the answer; `value` is the figure it was ranked by."""

    spec: SymbolSpec
    value: str


class Market:
    """Measures all stocks and funds at the exchange's clock, step by step, and keeps the result for that minute."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._histories: dict[int, tuple[date, History | None]] = {}
        self.figures: tuple[Figures, ...] = ()
        self.measured_at: datetime | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether what was measured is of this minute."""
        return self.measured_at is not None and self.measured_at == self._minute()

    def measure(self) -> Iterator[None]:
        """Measure one stock after the other; a step is short, `figures` change with the last one."""
        minute, found = self._minute(), []
        for spec in self._exchange.listed():
            if spec.sec_type != "STK":
                continue
            figures = self._measured(spec)
            if figures is not None:
                found.append(figures)
            yield
        self.figures, self.measured_at = tuple(found), minute

    def _minute(self) -> datetime:
        now = self._exchange.now()
        return now if self._exchange.clock_is_set else now.replace(second=0, microsecond=0)

    def _measured(self, spec: SymbolSpec) -> Figures | None:
        """None for a stock without prices."""
        try:
            quote = self._exchange.quote(spec.con_id)
            history = self._history(spec)
        except GatewayError:
            return None
        return None if history is None else _figures(spec, quote, history)

    def _history(self, spec: SymbolSpec) -> History | None:
        today = eastern_day(self._exchange.now())
        day, held = self._histories.get(spec.con_id, (None, None))
        if day != today:
            bars = self._exchange.bars(spec.con_id, bar_size="1 day", duration="13 W", end=None, use_rth=True)
            past = [bar for bar in bars if bar.day < today]
            volume = sum(bar.volume for bar in past) / max(1, len(past))
            held = History(max(b.high for b in past), min(b.low for b in past), volume) if past else None
            self._histories[spec.con_id] = (today, held)
        return held


def _figures(spec: SymbolSpec, quote: Quote, history: History) -> Figures | None:
    prices = (quote.last, quote.prior_close, quote.open, quote.high, quote.low)
    if any(price is None for price in prices):
        return None
    last, before, begin, high, low = (float(price or 0) for price in prices)
    change = _percent(last, before)
    top, bottom = max(history.high, high), min(history.low, low)
    company = company_of(spec)
    return Figures(
        spec=spec,
        last=last,
        change=change,
        since_open=_percent(last, begin),
        gap=_percent(begin, before),
        day_range=_percent(high, low),
        volume=float(quote.volume),
        turnover=quote.volume * last,
        volume_ratio=quote.volume / max(1.0, history.volume),
        price_ratio=abs(change),
        trades=float(quote.volume // _SHARES_A_TRADE),
        place_in_13_weeks=(last - bottom) / (top - bottom) if top > bottom else 0.5,
        market_value=last * company.shares if company else 0.0,
    )


def _percent(now: float, before: float) -> float:
    return (now / before - 1) * 100


def find(market: Iterable[Figures], query: ScanQuery) -> tuple[Find, ...]:
    """The stocks that a scan picks, best first; equal ones by symbol."""
    code = CODES[query.code]
    picked = [one for one in market if _is_there(one.spec, query) and all(limit.admits(one) for limit in query.limits)]
    sign = -1 if code.first == "most" else 1
    picked.sort(key=lambda one: (sign * getattr(one, code.figure), one.spec.symbol))
    return tuple(Find(one.spec, _text(getattr(one, code.figure))) for one in picked[: query.rows])


def _is_there(spec: SymbolSpec, query: ScanQuery) -> bool:
    place = PLACES[query.place]
    is_fund = spec.stock_type == "ETF"
    wanted = {"CORP": not is_fund, "STOCK": not is_fund, "ETF": is_fund}.get(query.stock_type, True)
    return wanted and spec.primary_exchange in place.exchanges and (is_fund or place.instrument != US_FUNDS)


def _text(value: float) -> str:
    return f"{Decimal(repr(value)).quantize(Decimal('0.0001')):f}"
