"""What the exchange shows of its market: sessions, bars, quotes, and which of them the account may see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from . import economics
from .clock import RunningClock, SetClock
from .feeds import DELAY, Feed, Feeds
from .history import History
from .prices.calendar import eastern_day
from .prices.source import PriceSource
from .quotes import quote_of
from .types import Bar, GatewayError, Quote, SessionHours, SymbolSpec
from .universe import Universe


class MarketData:
    """The part of an exchange that has no orders; the whole of it sets these attributes."""

    history: History
    feeds: Feeds
    _clock: RunningClock | SetClock
    _source: PriceSource
    _universe: Universe

    def now(self) -> datetime:
        return self._clock.now()

    @property
    def speed(self) -> float:
        """Market seconds a second; 0 where time stands."""
        return 0.0 if isinstance(self._clock, SetClock) else self._clock.speed

    def sessions(self, con_id: int, days: int) -> Sequence[SessionHours]:
        market, today = self._spec(con_id).market, eastern_day(self.now())
        return [self._source.session(market, today + timedelta(days=ahead)) for ahead in range(days)]

    def trading_sessions(self, con_id: int, days: int) -> Sequence[SessionHours]:
        market, today = self._spec(con_id).market, eastern_day(self.now())
        return [self._source.trading(market, today + timedelta(days=ahead)) for ahead in range(days)]

    def is_open(self, con_id: int) -> bool:
        return self._source.is_open(self._spec(con_id).market, self.now())

    def bars(
        self,
        con_id: int,
        *,
        bar_size: str,
        duration: str,
        end: datetime | None,
        use_rth: bool,
        what: str = "TRADES",
    ) -> Sequence[Bar]:
        spec = self._spec(con_id)
        return self.history.bars(spec, bar_size=bar_size, duration=duration, end=end, use_rth=use_rth, what=what)

    def quote(self, con_id: int, *, delayed: bool = False) -> Quote:
        spec, now = self._spec(con_id), self.now() - (DELAY if delayed else timedelta(0))
        now = min(now, self.feeds.halted.get(con_id, now))
        return quote_of(self._source.snapshot(spec.market, now), spec.min_tick, now, economics.lot_of(spec))

    def set_feed(self, con_id: int | None, feed: Feed) -> None:
        """Which market data the account has of a contract, or with None of all: "live", "delayed" or "none"."""
        self.feeds.set(con_id, feed)

    @property
    def competing(self) -> bool:
        """Whether another session has all live data: streams fall silent and new ones are refused."""
        return self.feeds.competing

    @competing.setter
    def competing(self, competing: bool) -> None:
        self.feeds.competing = competing

    def set_halted(self, con_id: int, *, halted: bool) -> None:
        """Say that trading of a contract is halted, or goes on: its quotes stand meanwhile, its orders wait."""
        self.feeds.halt(self._spec(con_id).con_id, self.now(), halted=halted)

    def _spec(self, con_id: int) -> SymbolSpec:
        spec = self._universe.by_con_id(con_id)
        if spec is None:
            raise GatewayError(200, "No security definition has been found for the request")
        return spec
