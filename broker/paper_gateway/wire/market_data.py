"""Bars and quotes as clients read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from broker.paper_gateway.types import Bar, Quote, SymbolSpec
from broker.paper_gateway.wire.fields import LOT, message, price, quote_size
from broker.paper_gateway.wire.framing import PREFIX, frame
from broker.paper_gateway.wire.times import epoch, stamp
from broker.paper_gateway.wire.versions import HISTORY_IN_SHARES

BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN = 1, 2, 4, 6, 7, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE, VOLUME, LAST_TIME = 0, 3, 5, 8, 45
LIVE, FROZEN = 1, 2
EPOCH_FORMAT = 2
NO_QUOTE = "-1"


def is_daily_or_longer(bar_size: str) -> bool:
    """Whether bars of this size are stamped with a date, not with a time."""
    return bar_size.split()[-1].rstrip("s") in {"day", "week", "month", "W", "M", "D"}


def historical_data(
    version: int,
    request_id: int,
    spec: SymbolSpec,
    bars: Sequence[Bar],
    *,
    bar_size: str,
    date_format: int,
    end: datetime,
) -> bytes:
    """Message 17: all bars of a request."""
    in_shares = version >= HISTORY_IN_SHARES
    zone, daily = spec.time_zone, is_daily_or_longer(bar_size)
    head = message(17, request_id, stamp(bars[0].start if bars else end, zone), stamp(end, zone), len(bars))
    # Spelled in one go per bar: history is most of what a gateway sends.
    rows = [
        f"{_bar_date(bar, zone, daily=daily, date_format=date_format)}\0{bar.open!r}\0{bar.high!r}\0{bar.low!r}\0"
        f"{bar.close!r}\0{bar.volume if in_shares else bar.volume // LOT:.0f}\0{bar.wap!r}\0{bar.count}\0"
        for bar in bars
    ]
    return frame(head[PREFIX:] + "".join(rows).encode("ascii"))


def _bar_date(bar: Bar, zone: str, *, daily: bool, date_format: int) -> str:
    if daily:
        return f"{bar.day:%Y%m%d}"
    return str(epoch(bar.start)) if date_format == EPOCH_FORMAT else stamp(bar.start, zone)


def head_timestamp(request_id: int, moment: datetime, date_format: int) -> bytes:
    """Message 88: when a contract's history begins."""
    text = str(epoch(moment)) if date_format == EPOCH_FORMAT else f"{moment:%Y%m%d-%H:%M:%S}"
    return message(88, request_id, text)


def tick_parameters(request_id: int, spec: SymbolSpec) -> bytes:
    """Message 81: the first answer to a request for market data."""
    return message(81, request_id, spec.min_tick, "", 3)


def market_data_type(request_id: int, kind: int) -> bytes:
    """Message 58: 1 = live, 2 = frozen."""
    return message(58, 1, request_id, kind)


def snapshot_end(request_id: int) -> bytes:
    """Message 57: a snapshot is complete."""
    return message(57, 1, request_id)


Tick = tuple[int, int, str, str]


def ticks(quote: Quote, version: int) -> Iterator[Tick]:
    """All ticks of a quote as (message id, tick type, value, size), in the order in which they are sent."""

    def shares(count: int) -> str:
        return quote_size(count, version)

    yield from _side(BID, BID_SIZE, quote.bid, shares(quote.bid_size))
    yield from _side(ASK, ASK_SIZE, quote.ask, shares(quote.ask_size))
    if quote.last is not None:
        yield from _side(LAST, LAST_SIZE, quote.last, shares(quote.last_size))
        yield 46, LAST_TIME, str(epoch(quote.time)), ""
    yield 2, VOLUME, shares(quote.volume), ""
    for kind, value in ((HIGH, quote.high), (LOW, quote.low), (CLOSE, quote.prior_close), (OPEN, quote.open)):
        if value is not None:
            yield 1, kind, price(value), "0"


def _side(kind: int, size_kind: int, value: Decimal | None, size: str) -> Iterator[Tick]:
    if value is None:
        yield 1, kind, NO_QUOTE, "0"
        yield 2, size_kind, "0", ""
    else:
        yield 1, kind, price(value), size
        yield 2, size_kind, size, ""


def tick_message(request_id: int, tick: Tick) -> bytes:
    """Message 1 (price), 2 (size) or 46 (text) of one tick."""
    message_id, kind, value, size = tick
    if message_id == 1:
        return message(1, 6, request_id, kind, value, size, 0)
    return message(message_id, 6, request_id, kind, value)
