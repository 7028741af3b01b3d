"""Time passes: plays everything that happened up to an instant, under a set clock or a running one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from .clock import Clock, SetClock
from .engine import Engine
from .keeper import DayStart, Keeper
from .margin import Valuation
from .orders import Order
from .player import Player
from .prices.calendar import eastern_day, epoch, instant, midnight
from .prices.source import PriceSource, Split, TickingSource
from .pricing import Pricing
from .timeline import Moment, timeline
from .types import AccountChanged, EngineEvent

ZERO = Decimal(0)


class Playback:
    """`ticking` is the market whose price is known at every second; None where bars are all there is."""

    def __init__(
        self,
        *,
        clock: Clock,
        engine: Engine,
        player: Player,
        market: Pricing,
        valuation: Valuation,
        source: PriceSource,
        ticking: TickingSource | None,
        keeper: Keeper,
        day_start: DayStart,
        emit: Callable[[EngineEvent], None],
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._book = engine.book
        self._player = player
        self._market = market
        self._valuation = valuation
        self._source = source
        self._ticking = ticking
        self._keeper = keeper
        self._day_start = day_start
        self._emit = emit
        self._beat_at = clock.now()
        self._con_ids: dict[str, int] = {}

    def advance(self, clock: SetClock, until: datetime) -> None:
        """Move a set clock, playing every event on the way in the order (time, market, order id)."""
        for moment in self._moments(clock.now(), until):
            clock.move(instant(moment.at))
            self._play(moment)
        clock.move(until)
        self.roll_day()
        self._emit(AccountChanged(self._engine.account, tuple(sorted(self._engine.ledger.holdings))))

    def catch_up(self) -> None:
        """Running clock: play what happened since the last beat, ending orders when their time is over."""
        now = self._clock.now()
        if self._clock.is_set or epoch(now) <= epoch(self._beat_at):
            return  # prices are known by the second
        self.roll_day()
        if self._ticking is None:
            for moment in self._moments(self._beat_at, now):
                self._play(moment)
        else:
            self._walk(now, self._ticking)
        self.expire(now)
        self._beat_at = now

    def meet_quote(self, orders: list[Order]) -> None:
        """Running clock: let new or changed orders trade at once where they can."""
        if self._ticking is not None and not self._clock.is_set:
            self._player.meet_quote(orders, self._clock.now(), self._ticking)

    def _walk(self, now: datetime, source: TickingSource) -> None:
        """Walk the path, stopping where an order begins or ends, so that none trades outside its life."""
        since = self._beat_at
        edges = {edge for order in self._book.live() for edge in (order.expires_at, order.held_until) if edge}
        for until in sorted(edge for edge in {*edges, now} if since < edge <= now):
            self.expire(since)
            self._player.beat(since, until, source)
            for order in self._book.live():
                if order.held_until is not None and order.held_until <= until:
                    self._engine.wake(order)
                if order.is_live and order.at_auction and order.expires_at == until:
                    self._player.auction(order, until, source)
            since = until

    def expire(self, now: datetime) -> None:
        for order in self._book.live():
            if order.expires_at is not None and order.expires_at <= now:
                self._player.expire(order, now)

    def _moments(self, after: datetime, until: datetime) -> list[Moment]:
        con_ids = {*self._engine.ledger.holdings, *(order.terms.con_id for order in self._book.live())}
        self._con_ids = {self._market.spec(con_id).market: con_id for con_id in con_ids}
        return timeline(self._player, self._book, self._source, self._con_ids, after, until)

    def _play(self, moment: Moment) -> None:
        if moment.split is not None:
            self._split(moment.split, instant(moment.at))
        elif moment.bar is not None:
            self._player.play_corner(moment.corner, moment.bar, moment.at)
        elif moment.order is None:
            self.roll_day()
        elif not moment.begins:
            self._player.expire(moment.order, instant(moment.at))
        elif moment.order.is_live:
            self._engine.wake(moment.order)

    def _split(self, split: Split, at: datetime) -> None:
        """Multiply the holding, pay out fractions, and cancel the orders whose prices mean nothing any more."""
        spec = self._market.spec(self._con_ids[split.symbol])
        ledger = self._engine.ledger
        if spec.con_id in ledger.holdings:
            ledger.split(spec, split.ratio, self._market.price(spec.con_id))
            self._keeper.holdings_changed = True
            self._emit(AccountChanged(self._engine.account, (spec.con_id,)))
        for order in self._book.live():
            if order.is_live and order.terms.con_id == spec.con_id:
                self._engine.cancel(order, at, f"{split.symbol} splits {split.ratio} for 1", "Cancelled by system")

    def roll_day(self) -> None:
        """At the first look after midnight in US/Eastern, keep the equity with which the new day began."""
        day = eastern_day(self._clock.now())
        if day <= self._day_start.day:
            return
        self._day_start.equity, self._day_start.day = self._equity(instant(midnight(day))), day
        self._engine.forget_executions(instant(midnight(day)))
        self._settle_expired(day)

    def _settle_expired(self, day: date) -> None:
        """Futures whose last day is over are closed at the last price, in cash; their orders end."""
        last, ledger = f"{day:%Y%m%d}", self._engine.ledger
        specs = {con_id: self._market.spec(con_id) for con_id in [*ledger.holdings, *self._book.working_contracts()]}
        for spec in specs.values():
            if spec.sec_type != "FUT" or spec.expiry >= last:
                continue
            for order in self._book.working_of(spec.con_id):
                if order.is_live:
                    self._engine.cancel(order, self._clock.now(), "the contract has expired", "Cancelled by system")
            if spec.con_id in ledger.holdings:
                self._engine.settle(spec, self._market.price(spec.con_id, instant(midnight(day))))
                self._keeper.holdings_changed = True

    def _equity(self, at: datetime) -> Decimal:
        """The account's worth at the prices of an instant that has passed."""
        market, ledger = self._market, self._engine.ledger
        worth = sum((amount * market.rate(code, at) for code, amount in ledger.cash.items()), ZERO)
        for con_id, holding in ledger.holdings.items():
            spec = market.spec(con_id)
            value = self._valuation.equity_at(spec, holding, market.price(con_id, at))
            worth += value * market.rate(spec.currency, at)
        return worth
