"""The top of one contract's book as its ticks tell it: -1, 0, nan and unset never become numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from autotrader.core.clock import system_now
from broker import types
from broker.ib import mapping
from broker.ib.ticks import Subscriber
from broker.types.market import Feed

PRICES = {1: "bid", 2: "ask", 4: "last", 6: "high", 7: "low", 9: "close", 14: "open"}
SIZES = {0: "bid_size", 3: "ask_size", 5: "last_size", 8: "volume"}
SIZE_BESIDE = {"bid": "bid_size", "ask": "ask_size", "last": "last_size"}
LAST_TIME, HALTED = 45, 49
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
DELAYED_KINDS = (  # TWS tells delayed data as other ticks: theirs to the live ones'
    {66: 1, 67: 2, 68: 4, 72: 6, 73: 7, 75: 9, 76: 14} | {69: 0, 70: 3, 71: 5, 74: 8} | {88: LAST_TIME, 90: HALTED}
)
FEEDS: dict[int, Feed] = {LIVE: "live", FROZEN: "frozen", DELAYED: "delayed", DELAYED_FROZEN: "frozen"}


class TopOfBook(Subscriber):
    """What the ticks of one request have told so far. `now` is the market's time as far as it is known."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.forget()

    def forget(self) -> None:
        """Know nothing: what was told belongs to another request."""
        self._told: dict[str, float] = {}
        self._is_delayed = False
        self._data_type = LIVE
        self.traded_at: datetime | None = None
        self._ticked_at: datetime | None = None
        self._halted = False
        self.received_at: datetime | None = None

    # Frames

    def price(self, kind: int, price: float, size: float) -> None:
        name = PRICES.get(self._kind(kind))
        if name is None:
            return
        self._told[name] = price
        if name in SIZE_BESIDE:
            self._told[SIZE_BESIDE[name]] = size
        self.ticked()

    def size(self, kind: int, size: float) -> None:
        name = SIZES.get(self._kind(kind))
        if name is not None:
            self._told[name] = size
            self.ticked()

    def generic(self, kind: int, value: float) -> None:
        if self._kind(kind) == HALTED:
            self._halted = value > 0
            self.ticked()

    def text(self, kind: int, value: str) -> None:
        if self._kind(kind) == LAST_TIME and value.isdigit():
            self.traded_at = datetime.fromtimestamp(int(value), UTC)
            self.ticked()

    def data_type(self, kind: int) -> None:
        self._switch(delayed=kind in (DELAYED, DELAYED_FROZEN))
        self._data_type = kind

    def _kind(self, kind: int) -> int:
        """The live tick that this one stands for. A delayed one says by itself that the feed is delayed."""
        if kind in DELAYED_KINDS:
            self._switch(delayed=True)
        return DELAYED_KINDS.get(kind, kind)

    def _switch(self, *, delayed: bool) -> None:
        """Between live and delayed data no number outlives the change: it would be taken for one of the other feed."""
        if delayed != self._is_delayed:
            self.forget()
            self._is_delayed = delayed
            self._data_type = DELAYED if delayed else LIVE

    def ticked(self) -> None:
        """A tick has come."""
        self.received_at, self._ticked_at = system_now(), self._now()

    # What is known

    @property
    def feed(self) -> Feed:
        """Live, delayed or frozen."""
        return FEEDS.get(self._data_type, "frozen")

    def is_complete(self, sec_type: str) -> bool:
        """Both sides have been told, if only that there is none; an index has a last price alone."""
        return "last" in self._told if sec_type == "IND" else {"bid", "ask"} <= self._told.keys()

    def has_price(self) -> bool:
        """Whether there is a bid, an ask or a last price."""
        return any(mapping.price(self._told.get(name)) is not None for name in ("bid", "ask", "last"))

    def quote(self, contract: types.Contract, current_at: datetime | None = None) -> types.Quote:
        """The quote. `current_at`: when a snapshot was true; without it the quote is as old as its last tick.

        A delayed or frozen quote, and one without both sides, is as old as the last trade where that is told.
        """
        tick = contract.min_tick
        bid, ask = self._price("bid", tick), self._price("ask", tick)
        told_at = current_at or self._ticked_at or self._now()
        is_current = self.feed == "live" and bid is not None and ask is not None
        return types.Quote(
            con_id=contract.con_id,
            symbol=contract.symbol,
            bid=bid,
            ask=ask,
            last=self._price("last", tick),
            bid_size=self._size("bid_size") if bid is not None else None,
            ask_size=self._size("ask_size") if ask is not None else None,
            volume=self._size("volume"),
            close=self._price("close", tick),
            time=told_at if is_current or self.traded_at is None else self.traded_at,
            feed=self.feed,
            open=self._price("open", tick),
            high=self._price("high", tick),
            low=self._price("low", tick),
            last_size=self._size("last_size"),
            halted=self._halted,
            received_at=self.received_at,
        )

    def _price(self, name: str, tick: Decimal) -> Decimal | None:
        return mapping.price(self._told.get(name), tick)

    def _size(self, name: str) -> Decimal | None:
        return mapping.size(self._told.get(name))
