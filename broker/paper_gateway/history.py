"""What the exchange knows of the past: bars of every kind, ticks, sessions, and how much traded at which price."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import economics
from .clock import as_utc
from .prices import kinds
from .prices.calendar import ONE_DAY, eastern_day, epoch, instant
from .prices.columns import Columns
from .prices.requests import LONG_SIZES, no_data, parse_bar_size, parse_duration
from .prices.source import PriceSource
from .types import Bar, GatewayError, SessionHours, SymbolSpec

TickKind = Literal["TRADES", "BID_ASK", "MIDPOINT"]
MOST_TICKS = 1000
_LONGEST_LOOK = 10 * 86400
_FIRST_LOOK = 1800
_PERIOD = re.compile(r"(\d{1,4}) ?(sec|second|day|week|month|year)s?", re.ASCII)
_PERIOD_UNITS = {"sec": "S", "second": "S", "day": "D", "week": "W", "month": "M", "year": "Y"}


class PastTick(NamedTuple):
    """One second's tick: `price` and `size` of a trade, the middle, or with `ask` the two sides of the book."""

    time: int
    price: float
    size: int
    ask: float = 0.0
    ask_size: int = 0


class History:
    """Answers nothing later than `now` says it is."""

    def __init__(self, source: PriceSource, now: Callable[[], datetime], *, live: bool) -> None:
        self._source = source
        self._now = now
        self._live = live

    def bars(
        self, spec: SymbolSpec, *, bar_size: str, duration: str, end: datetime | None, use_rth: bool, what: str
    ) -> Sequence[Bar]:
        """Bars of `what`, oldest first; raises GatewayError 321 or 162."""
        now, what = self._now(), kinds.parse_what(what, spec)
        until = now if end is None else min(as_utc(end), now)

        def read(size: str, span: str) -> Sequence[Bar]:
            return self._source.bars(
                spec.market, bar_size=size, duration=span, end=until, now=now, live=self._live, use_rth=use_rth
            )

        bars = read(bar_size, duration)
        if what != kinds.VOLATILITY:
            return kinds.shown(bars, what, spec.min_tick)
        if parse_bar_size(bar_size) not in LONG_SIZES:
            raise no_data(f"{spec.symbol} {what} in bars of {bar_size}")
        reach = (eastern_day(until) - bars[0].day).days + 3 * kinds.VOLATILITY_DAYS
        found = kinds.volatility_bars(bars, read("1 day", f"{reach} D"))
        if not found:
            raise no_data(f"{spec.symbol} {what} {duration}")
        return found

    def first(self, spec: SymbolSpec, what: str) -> datetime:
        """When the daily bars of a contract begin; raises GatewayError 162."""
        return self.bars(spec, bar_size="1 day", duration="100 Y", end=None, use_rth=True, what=what)[0].start

    def schedule(self, spec: SymbolSpec, *, duration: str, end: datetime | None, use_rth: bool) -> list[SessionHours]:
        """The sessions of the days up to `end`, closed days left out, oldest first."""
        now = self._now()
        until = now if end is None else min(as_utc(end), now)
        span = parse_duration(duration)
        hours = self._source.session if use_rth else self._source.trading
        last = eastern_day(until)
        first = last - 400 * ONE_DAY if span.unit == "D" else eastern_day(span.start(until))
        days = map(date.fromordinal, range(max(first, last - 7320 * ONE_DAY).toordinal(), last.toordinal() + 1))
        found = [session for day in days if (session := hours(spec.market, day)).open is not None]
        return found[-span.count :] if span.unit == "D" else found

    def ticks(
        self,
        spec: SymbolSpec,
        kind: TickKind,
        *,
        start: datetime | None,
        end: datetime | None,
        count: int,
        use_rth: bool,
    ) -> list[PastTick]:
        """At most `count` ticks from `start` on or up to `end`, oldest first; one a second at most.

        Raises GatewayError 162 where prices are not that fine.
        """
        now, look = epoch(self._now()), _FIRST_LOOK
        count = min(count, MOST_TICKS)
        origin = epoch(start) if start is not None else now if end is None else min(epoch(end), now)
        while True:
            after, until = (origin, min(origin + look, now)) if start is not None else (origin - look, origin)
            found = self._drawn(spec, kind, after, until, use_rth=use_rth) if after < until else []
            if len(found) >= count or look >= _LONGEST_LOOK or (start is not None and until == now):
                return found[:count] if start is not None else found[-count:]
            look *= 8

    def ticks_between(self, spec: SymbolSpec, kind: TickKind, after: datetime, until: datetime) -> list[PastTick]:
        """What happened after one instant up to another, at most the newest 1000 ticks."""
        return self._drawn(spec, kind, epoch(after), epoch(until), use_rth=False)[-MOST_TICKS:]

    def _drawn(self, spec: SymbolSpec, kind: TickKind, after: int, until: int, *, use_rth: bool) -> list[PastTick]:
        seconds = self._source.seconds(spec.market, instant(after), instant(until), use_rth=use_rth)
        if kind == "TRADES":
            chosen = seconds.volume > 0
            rows = zip(*(_chosen(seconds, chosen)), strict=True)
            return [PastTick(time, price, int(size)) for time, price, size in rows]
        moved = np.concatenate((np.ones(min(1, len(seconds)), dtype=np.bool_), np.diff(seconds.close) != 0))
        times, prices, _ = _chosen(seconds, moved)
        if kind == "MIDPOINT":
            return [PastTick(time, price, 0) for time, price in zip(times, prices, strict=True)]
        size = self._shown_size(spec, until)
        both = [kinds.sides(price, spec.min_tick) for price in prices]
        return [PastTick(time, bid, size, ask, size) for time, (bid, ask) in zip(times, both, strict=True)]

    def _shown_size(self, spec: SymbolSpec, until: int) -> int:
        snapshot = self._source.snapshot(spec.market, instant(until))
        return economics.quote_size(snapshot.minute_volume) if snapshot else economics.LOT

    def histogram(self, spec: SymbolSpec, period: str, *, use_rth: bool) -> list[tuple[Decimal, int]]:
        """Volume by price over a period such as "3 days", from the finest bars there are; by price."""
        match = _PERIOD.fullmatch(period.strip().lower())
        if match is None or not int(match[1]):
            raise GatewayError(321, f"Error validating request.-'bC' : cause - period {period[:40]!r} is unknown")
        span = f"{match[1]} {_PERIOD_UNITS[match[2]]}"
        days = parse_duration(span).seconds // 86400
        totals: dict[Decimal, int] = {}
        for bar in self._finest(spec, span, days, use_rth=use_rth):
            if bar.volume > 0:
                price = economics.to_tick(Decimal(repr(bar.close)), spec.min_tick)
                totals[price] = totals.get(price, 0) + int(bar.volume)
        return sorted(totals.items())

    def _finest(self, spec: SymbolSpec, span: str, days: int, *, use_rth: bool) -> Sequence[Bar]:
        for size in ("1 min", "1 hour") if days <= 31 else ("1 hour",):
            try:
                return self.bars(spec, bar_size=size, duration=span, end=None, use_rth=use_rth, what="TRADES")
            except GatewayError as error:
                if error.code != no_data("").code:
                    raise
        return self.bars(spec, bar_size="1 day", duration=span, end=None, use_rth=use_rth, what="TRADES")

    def bars_since(self, spec: SymbolSpec, bar_size: str, since: datetime, *, use_rth: bool, what: str) -> list[Bar]:
        """The bars that began at or after `since`, the one in progress with a running clock; empty if there is none."""
        length = max(timedelta(seconds=1), self._now() - since)
        duration = f"{min(int(length.total_seconds()) + 2, 366 * 86400)} S"
        try:
            bars = self.bars(spec, bar_size=bar_size, duration=duration, end=None, use_rth=use_rth, what=what)
        except GatewayError as error:
            if error.code != no_data("").code:
                raise
            return []
        return [bar for bar in bars if bar.start >= since]


def _chosen(seconds: Columns, chosen: NDArray[np.bool_]) -> tuple[list[int], list[float], list[float]]:
    columns = (seconds.end, seconds.close, seconds.volume)
    times, prices, volumes = (column[chosen].tolist() for column in columns)
    return times, prices, volumes
