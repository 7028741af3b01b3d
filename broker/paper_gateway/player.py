"""Drives orders along the price path: bar by bar under a set clock, second by second under a running one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from operator import is_

from . import economics, matching
from .engine import Engine
from .orders import Order
from .prices.calendar import epoch, instant
from .prices.source import PathBar, PriceSource, Snapshot, TickingSource
from .types import SymbolSpec

EXPIRY_REASON = "the session has ended"
EXPIRY_TEXT = "Expired"
OPEN, FIRST_EXTREME, SECOND_EXTREME, CLOSE = range(4)


@dataclass(slots=True)
class BarProgress:
    """How far a bar has been played: its start, which extreme comes first, the price reached."""

    start: int
    low_first: bool
    price: Decimal


@dataclass(frozen=True, slots=True)
class Reach:
    """Who may trade on a piece of path, and how much: `tag` names the bar or beat whose `capacity` is shared out."""

    tag: int
    capacity: Decimal
    admits: Callable[[Order], bool]
    limits_pay_spread: bool


class Player:
    """Finds which order trades next on each piece of path and has the engine fill it."""

    def __init__(self, engine: Engine, source: PriceSource, spec_of: Callable[[int], SymbolSpec]) -> None:
        self._engine = engine
        self._book = engine.book
        self._source = source
        self._spec_of = spec_of
        self.progress: dict[str, BarProgress] = {}

    def orders_of(self, symbol: str) -> list[Order]:
        return [order for order in self._book.working() if self._spec_of(order.terms.con_id).symbol == symbol]

    def symbols(self) -> list[str]:
        return sorted({self._spec_of(order.terms.con_id).symbol for order in self._book.working()})

    def bars(self, after: datetime, until: datetime) -> list[tuple[int, str, int, PathBar]]:
        """Every corner of every bar in (after, until] of symbols with orders: time, symbol, corner, bar."""
        first, last = epoch(after), epoch(until)
        return [
            (at, symbol, corner, bar)
            for symbol in self.symbols()
            if self._source.has(symbol)
            for bar in self._source.path_bars(symbol, after, until)
            for corner, at in enumerate(matching.corner_times(bar))
            if first < at <= last
        ]

    def play_corner(self, corner: int, bar: PathBar, at: int) -> None:
        """Move the market of one symbol to the next corner of a bar."""
        orders = self.orders_of(bar.symbol)
        if not orders or not matching.is_sound(bar):
            return
        if corner == OPEN:
            self._play_open(bar, at)
        else:
            self._play_piece(corner, bar, at)
        if corner == CLOSE:
            self._play_late_orders(bar, at)
            self.progress.pop(bar.symbol, None)

    def _play_open(self, bar: PathBar, at: int) -> None:
        price = _exact(bar.open)
        self._sweep(bar.symbol, price, price, at, _bar_reach(bar, lambda order: epoch(order.since) <= bar.start))
        orders = self.orders_of(bar.symbol)
        held = self._engine.ledger.quantity(orders[0].terms.con_id) if orders else Decimal(0)
        self.progress[bar.symbol] = BarProgress(bar.start, matching.low_comes_first(held, orders), price)

    def _play_piece(self, corner: int, bar: PathBar, at: int) -> None:
        progress = self.progress.get(bar.symbol)
        if progress is None or progress.start != bar.start:
            return
        extremes = (bar.low, bar.high) if progress.low_first else (bar.high, bar.low)
        target = _exact((*extremes, bar.close)[corner - 1])
        reach = _bar_reach(bar, lambda order: epoch(order.since) <= bar.start)
        self._sweep(bar.symbol, progress.price, target, at, reach)
        progress.price = target

    def _play_late_orders(self, bar: PathBar, at: int) -> None:
        """An order placed inside a bar meets of that bar only its close."""
        price = _exact(bar.close)
        self._sweep(bar.symbol, price, price, at, _bar_reach(bar, lambda order: bar.start < epoch(order.since) < at))

    def beat(self, after: datetime, until: datetime, source: TickingSource) -> None:
        """Running clock: walk every symbol's path since the last beat."""
        pieces: list[tuple[int, str, Decimal, Decimal]] = []
        for symbol in self.symbols():
            price = source.price_at(symbol, after)
            for at, target in source.points(symbol, after, until):
                pieces.append((at, symbol, price, target))
                price = target
        tag = epoch(until)
        capacity = {symbol: self._shown_size(symbol, until) for _, symbol, _, _ in pieces}
        for at, symbol, price, target in sorted(pieces, key=lambda piece: piece[:2]):
            self._sweep(symbol, price, target, at, _quote_reach(tag, capacity[symbol], lambda order: True))

    def meet_quote(self, orders: Iterable[Order], now: datetime, source: TickingSource) -> None:
        """Running clock: orders that have just come trade at once where bid or ask allow it."""
        for order in sorted(orders, key=lambda order: order.key[::-1]):
            spec = self._spec_of(order.terms.con_id)
            price = source.price_at(spec.symbol, now)
            reach = _quote_reach(epoch(now), self._shown_size(spec.symbol, now), partial(is_, order))
            if self._crosses(order, price, spec.min_tick):
                self._sweep(spec.symbol, price, price, epoch(now), reach)

    def expire(self, order: Order, at: datetime) -> None:
        if order.is_live:
            self._engine.cancel(order, at, EXPIRY_REASON, EXPIRY_TEXT)

    def _crosses(self, order: Order, price: Decimal, tick: Decimal) -> bool:
        if order.terms.order_type != "LMT":
            return True
        half = economics.half_spread(price, tick)
        return matching.acts_at(order, matching.order_level(order), price + half if order.is_buy else price - half)

    def _shown_size(self, symbol: str, now: datetime) -> Decimal:
        snapshot: Snapshot | None = self._source.snapshot(symbol, now)
        return Decimal(economics.quote_size(snapshot.minute_volume) if snapshot else 0)

    def _sweep(self, symbol: str, price: Decimal, target: Decimal, at: int, reach: Reach) -> None:
        """Let orders trade in the order in which a market that moves from `price` to `target` reaches them."""
        while True:
            candidates = [
                (abs(touched - price), order.terms.order_id, order.perm_id, touched, order)
                for order in self.orders_of(symbol)
                if reach.admits(order) and self._room(order, reach) > 0
                if (touched := matching.touch(order, price, target)) is not None
            ]
            if not candidates:
                return
            *_, price, order = min(candidates, key=lambda candidate: candidate[:3])
            self._trade(order, price, at, reach)

    def _room(self, order: Order, reach: Reach) -> Decimal:
        return min(self._book.workable(order), order.left_in(reach.tag, reach.capacity))

    def _trade(self, order: Order, touched: Decimal, at: int, reach: Reach) -> None:
        spec = self._spec_of(order.terms.con_id)
        shares = self._room(order, reach)
        price = matching.fill_price(order, touched, spec.min_tick, limits_pay_spread=reach.limits_pay_spread)
        self._engine.trigger(order)
        order.take(reach.tag, shares)
        self._engine.fill(order, shares, price, instant(at), spec)


def _bar_reach(bar: PathBar, admits: Callable[[Order], bool]) -> Reach:
    return Reach(bar.start, economics.bar_capacity(bar.volume), admits, limits_pay_spread=False)


def _quote_reach(tag: int, capacity: Decimal, admits: Callable[[Order], bool]) -> Reach:
    return Reach(tag, capacity, admits, limits_pay_spread=True)


def _exact(price: float) -> Decimal:
    """The decimal that the data file shows."""
    return Decimal(repr(price))
