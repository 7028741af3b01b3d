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
from .prices.source import PathBar, PriceSource, TickingSource
from .pricing import Pricing
from .types import SymbolSpec

EXPIRY_REASON = "the session has ended"
EXPIRY_TEXT = "Expired"
AT_ONCE_REASON = "the rest could not be filled at once"
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
    spread: matching.Spread


class Player:
    """Finds which order trades next on each piece of path and has the engine fill it."""

    def __init__(
        self, engine: Engine, source: PriceSource, market: Pricing, may_trade: Callable[[Order, datetime], bool]
    ) -> None:
        self._engine = engine
        self._book = engine.book
        self._source = source
        self._market = market
        self._may_trade = may_trade
        self._specs: dict[str, SymbolSpec] = {}
        self.progress: dict[str, BarProgress] = {}
        self.fill_parts = 1

    def _spec(self, market: str) -> SymbolSpec:
        """The contract of a market that has had a working order."""
        if market not in self._specs:
            self.specs()
        return self._specs[market]

    def specs(self) -> list[SymbolSpec]:
        """Contracts with working orders, by the name of their market."""
        found = sorted((self._market.spec(con_id) for con_id in self._book.working_contracts()), key=_market_of)
        self._specs |= {spec.market: spec for spec in found}
        return found

    def bars(self, after: datetime, until: datetime) -> list[tuple[int, str, int, PathBar]]:
        """Every corner of every bar in (after, until] of markets with orders: time, market, corner, bar."""
        first, last = epoch(after), epoch(until)
        return [
            (at, spec.market, corner, bar)
            for spec in self.specs()
            if self._source.has(spec.market)
            for bar in self._source.path_bars(spec.market, after, until)
            for corner, at in enumerate(matching.corner_times(bar))
            if first < at <= last
        ]

    def play_corner(self, corner: int, bar: PathBar, at: int) -> None:
        """Move the market of one contract to the next corner of a bar."""
        spec = self._spec(bar.symbol)
        if not self._book.working_of(spec.con_id) or not matching.is_sound(bar):
            return
        if corner == OPEN:
            self._play_open(spec, bar, at)
        else:
            self._play_piece(spec, corner, bar, at)
        if corner == CLOSE:
            self._play_late_orders(spec, bar, at)
            self.progress.pop(bar.symbol, None)

    def _play_open(self, spec: SymbolSpec, bar: PathBar, at: int) -> None:
        price = _exact(bar.open)
        self._auction(spec, price, at, self._bar_capacity(spec, bar))
        self._move(spec, price, price, at, self._bar_reach(spec, bar, _since(bar.start)))
        orders = self._book.working_of(spec.con_id)
        held = self._engine.ledger.quantity(spec.con_id)
        self.progress[bar.symbol] = BarProgress(bar.start, matching.low_comes_first(held, orders), price)

    def _play_piece(self, spec: SymbolSpec, corner: int, bar: PathBar, at: int) -> None:
        progress = self.progress.get(bar.symbol)
        if progress is None or progress.start != bar.start:
            return
        extremes = (bar.low, bar.high) if progress.low_first else (bar.high, bar.low)
        target = _exact((*extremes, bar.close)[corner - 1])
        self._move(spec, progress.price, target, at, self._bar_reach(spec, bar, _since(bar.start)))
        progress.price = target

    def _play_late_orders(self, spec: SymbolSpec, bar: PathBar, at: int) -> None:
        """An order placed inside a bar meets of that bar only its close; then comes the closing auction, if any."""
        price = _exact(bar.close)
        self._move(
            spec, price, price, at, self._bar_reach(spec, bar, lambda order: bar.start < epoch(order.since) < at)
        )
        self._auction(spec, price, at, self._bar_capacity(spec, bar))

    def beat(self, after: datetime, until: datetime, source: TickingSource) -> None:
        """Running clock: walk every market's path since the last beat."""
        pieces: list[tuple[int, str, Decimal, Decimal]] = []
        for spec in self.specs():
            price = source.price_at(spec.market, after)
            for at, target in source.points(spec.market, after, until):
                pieces.append((at, spec.market, price, target))
                price = target
        tag = epoch(until)
        capacity = {market: self._shown_size(self._spec(market), until) for _, market, _, _ in pieces}
        for at, market, price, target in sorted(pieces, key=lambda piece: piece[:2]):
            self._move(self._spec(market), price, target, at, _quote_reach(tag, capacity[market], _before(at)))

    def auction(self, order: Order, at: datetime, source: TickingSource) -> None:
        """Running clock: the opening or closing price is made, for the orders that wait for it."""
        spec = self._market.spec(order.terms.con_id)
        snapshot = source.snapshot(spec.market, at)
        capacity = economics.capacity(spec, snapshot.volume) if snapshot else Decimal(0)
        self._auction(spec, source.price_at(spec.market, at), epoch(at), capacity)

    def _auction(self, spec: SymbolSpec, price: Decimal, at: int, capacity: Decimal) -> None:
        orders = self._book.working_of(spec.con_id)
        due = [order for order in orders if order.at_auction and order.expires_at and epoch(order.expires_at) == at]
        if due:
            self._sweep(spec, price, price, at, Reach(at, capacity, lambda order: order in due, "none"))

    def meet_quote(self, orders: Iterable[Order], now: datetime, source: TickingSource) -> None:
        """Running clock: orders that have just come trade at once where bid or ask allow it."""
        for order in sorted(orders, key=lambda order: order.key[::-1]):
            if order.at_auction or order.held_until is not None or not order.is_live:
                continue
            if not self._may_trade(order, now):
                continue
            spec = self._market.spec(order.terms.con_id)
            price = source.price_at(spec.market, now)
            reach = _quote_reach(epoch(now), self._shown_size(spec, now), partial(is_, order))
            if self._crosses(order, price, spec.min_tick):
                self._sweep(spec, price, price, epoch(now), reach)
            self._end_at_once([order], now)

    def expire(self, order: Order, at: datetime) -> None:
        if order.is_live:
            self._engine.cancel(order, at, EXPIRY_REASON, EXPIRY_TEXT)

    def _crosses(self, order: Order, price: Decimal, tick: Decimal) -> bool:
        if order.is_market or order.waits_for_trigger:
            return True
        half = economics.half_spread(price, tick)
        return matching.acts_at(order, order.level, price + half if order.is_buy else price - half)

    def _shown_size(self, spec: SymbolSpec, now: datetime) -> Decimal:
        snapshot = self._source.snapshot(spec.market, now)
        return Decimal(economics.quote_size(snapshot.minute_volume, economics.lot_of(spec)) if snapshot else 0)

    def _move(self, spec: SymbolSpec, price: Decimal, target: Decimal, at: int, reach: Reach) -> None:
        """Move one market along a straight piece: orders trade, trailing stops follow, what cannot wait ends."""
        regular = Reach(reach.tag, reach.capacity, self._regular(reach.admits, instant(at)), reach.spread)
        self._sweep(spec, price, target, at, regular)
        admitted = [order for order in self._book.working_of(spec.con_id) if regular.admits(order)]
        for order in admitted:
            if order.stop is not None and self._book.workable(order) > 0:
                self._engine.follow(order, target, spec.min_tick)
        self._end_at_once(admitted, instant(at))

    def _regular(self, admits: Callable[[Order], bool], at: datetime) -> Callable[[Order], bool]:
        return lambda order: not order.at_auction and admits(order) and self._may_trade(order, at)

    def _end_at_once(self, orders: Iterable[Order], at: datetime) -> None:
        for order in orders:
            if order.ends_at_once and order.is_live and self._book.workable(order) > 0:
                self._engine.cancel(order, at, AT_ONCE_REASON)

    def _sweep(self, spec: SymbolSpec, price: Decimal, target: Decimal, at: int, reach: Reach) -> None:
        """Let orders act in the order in which a market that moves from `price` to `target` reaches them."""
        while True:
            candidates = [
                (abs(touched - price), order.terms.order_id, order.perm_id, touched, order)
                for order in self._book.working_of(spec.con_id)
                if reach.admits(order) and self._can_act(order, reach)
                if (touched := matching.touch(order, price, target)) is not None
            ]
            if not candidates:
                return
            *_, price, order = min(candidates, key=lambda candidate: candidate[:3])
            if order.waits_for_trigger:
                self._engine.trigger(order)
            else:
                self._trade(spec, order, price, at, reach)

    def _can_act(self, order: Order, reach: Reach) -> bool:
        if order.waits_for_trigger:
            return reach.capacity > 0 and self._book.workable(order) > 0
        room = self._room(order, reach)
        return room >= order.remaining if order.terms.tif == "FOK" else room > 0

    def _room(self, order: Order, reach: Reach) -> Decimal:
        return min(self._book.workable(order), order.left_in(reach.tag, reach.capacity))

    def _trade(self, spec: SymbolSpec, order: Order, touched: Decimal, at: int, reach: Reach) -> None:
        shares = self._room(order, reach)
        price = matching.fill_price(order, touched, spec.min_tick, reach.spread)
        order.take(reach.tag, shares)
        for part in economics.parts(shares, self.fill_parts):
            self._engine.fill(order, part, price, instant(at), spec)

    def _bar_reach(self, spec: SymbolSpec, bar: PathBar, admits: Callable[[Order], bool]) -> Reach:
        return Reach(bar.start, self._bar_capacity(spec, bar), admits, "takers")

    @staticmethod
    def _bar_capacity(spec: SymbolSpec, bar: PathBar) -> Decimal:
        return economics.capacity(spec, bar.volume)


def _quote_reach(tag: int, capacity: Decimal, admits: Callable[[Order], bool]) -> Reach:
    return Reach(tag, capacity, admits, "all")


def _since(start: int) -> Callable[[Order], bool]:
    return lambda order: epoch(order.since) <= start


def _before(at: int) -> Callable[[Order], bool]:
    """Running clock: an order meets what comes after it was placed, or after its hours began."""
    return lambda order: epoch(order.since) < at


def _market_of(spec: SymbolSpec) -> str:
    return spec.market


def _exact(price: float) -> Decimal:
    """The decimal that the data file shows."""
    return Decimal(repr(price))
