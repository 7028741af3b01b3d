"""Everything that happens between two instants, in the order in which it is played."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .book import OrderBook
from .orders import Order
from .player import Player
from .prices.calendar import eastern_day, epoch, midnight
from .prices.source import PathBar, PriceSource, Split

_SPLIT, _NEW_DAY, _WAKING, _PRICE, _EXPIRY = range(5)


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing to play at epoch second `at`: a split, a corner of a bar, an order's beginning or end, or a new day."""

    at: int
    rank: int
    symbol: str = ""
    order_id: int = 0
    split: Split | None = None
    bar: PathBar | None = None
    corner: int = 0
    order: Order | None = None
    begins: bool = False


def timeline(
    player: Player, book: OrderBook, source: PriceSource, traded: Iterable[str], after: datetime, until: datetime
) -> list[Moment]:
    """All moments in (after, until], by time; then splits, new day, beginnings, prices, ends; then symbol and id."""
    first, last = epoch(after), epoch(until)
    splits = [
        Moment(midnight(split.day), _SPLIT, split.symbol, split=split) for s in traded for split in source.splits(s)
    ]
    new_day = Moment(midnight(eastern_day(until)), _NEW_DAY)
    prices = [
        Moment(at, _PRICE, symbol, bar=bar, corner=corner) for at, symbol, corner, bar in player.bars(after, until)
    ]
    ends = [
        Moment(epoch(order.expires_at), _EXPIRY, order.terms.symbol, order.terms.order_id, order=order)
        for order in book.live()
        if order.expires_at is not None
    ]
    begins = [
        Moment(epoch(o.held_until), _WAKING, o.terms.symbol, o.terms.order_id, order=o, begins=True)
        for o in book.live()
        if o.held_until is not None
    ]
    moments = [moment for moment in (*splits, new_day, *begins, *prices, *ends) if first < moment.at <= last]
    return sorted(moments, key=lambda moment: (moment.at, moment.rank, moment.symbol, moment.order_id))
