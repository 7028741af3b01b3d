"""Bars and ticks of the past as clients read them, and the bars that are pushed as they form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from broker.paper_gateway.history import PastTick
from broker.paper_gateway.types import Bar, SessionHours, SymbolSpec
from broker.paper_gateway.wire.fields import LOT, Value, message, price, quote_size
from broker.paper_gateway.wire.framing import PREFIX, frame
from broker.paper_gateway.wire.times import epoch, stamp
from broker.paper_gateway.wire.versions import HISTORY_IN_SHARES

EPOCH_FORMAT = 2
LAST, ALL_LAST, BID_ASK, MIDPOINT = 1, 2, 3, 4
NO_ATTRIBUTES = 0
DONE = 1
_LONG_WORDS = {"day", "week", "month", "W", "M", "D"}


def is_daily_or_longer(bar_size: str) -> bool:
    """Whether bars of this size are stamped with a date, not with a time."""
    return bar_size.split()[-1].rstrip("s") in _LONG_WORDS


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
    zone, daily = spec.time_zone, is_daily_or_longer(bar_size)
    head = message(17, request_id, stamp(bars[0].start if bars else end, zone), stamp(end, zone), len(bars))
    # Spelled in one go per bar: history is most of what a gateway sends.
    rows = [
        f"{_bar_date(bar, zone, daily=daily, date_format=date_format)}\0{bar.open!r}\0{bar.high!r}\0{bar.low!r}\0"
        f"{bar.close!r}\0{_volume(bar, version)}\0{bar.wap!r}\0{bar.count}\0"
        for bar in bars
    ]
    return frame(head[PREFIX:] + "".join(rows).encode("ascii"))


def bar_update(version: int, request_id: int, spec: SymbolSpec, bar: Bar, *, bar_size: str, date_format: int) -> bytes:
    """Message 90: a bar that is kept up to date. The close comes before the high here, the volume last."""
    daily = is_daily_or_longer(bar_size)
    date = _bar_date(bar, spec.time_zone, daily=daily, date_format=date_format)
    prices = (bar.open, bar.close, bar.high, bar.low, bar.wap)
    return message(90, request_id, bar.count, date, *prices, _volume(bar, version))


def real_time_bar(version: int, request_id: int, bar: Bar) -> bytes:
    """Message 50: one bar of five seconds."""
    prices = (bar.open, bar.high, bar.low, bar.close)
    return message(50, 3, request_id, epoch(bar.start), *prices, _volume(bar, version), bar.wap, bar.count)


def _volume(bar: Bar, version: int) -> str:
    return f"{bar.volume if version >= HISTORY_IN_SHARES else bar.volume // LOT:.0f}"


def _bar_date(bar: Bar, zone: str, *, daily: bool, date_format: int) -> str:
    if daily:
        return f"{bar.day:%Y%m%d}"
    return str(epoch(bar.start)) if date_format == EPOCH_FORMAT else stamp(bar.start, zone)


def head_timestamp(request_id: int, moment: datetime, date_format: int) -> bytes:
    """Message 88: when a contract's history begins."""
    text = str(epoch(moment)) if date_format == EPOCH_FORMAT else f"{moment:%Y%m%d-%H:%M:%S}"
    return message(88, request_id, text)


def schedule(request_id: int, sessions: Sequence[SessionHours], zone: str) -> bytes:
    """Message 106: the sessions asked for, in the time zone that it names."""

    def clock(moment: datetime | None) -> str:
        return "" if moment is None else f"{moment.astimezone(ZoneInfo(zone)):%Y%m%d-%H:%M:%S}"

    rows: list[Value] = []
    for session in sessions:
        rows += [clock(session.open), clock(session.close), f"{session.day:%Y%m%d}"]
    first, last = (sessions[0].open, sessions[-1].close) if sessions else (None, None)
    return message(106, request_id, clock(first), clock(last), zone, len(sessions), *rows)


def histogram(request_id: int, rows: Sequence[tuple[Decimal, int]]) -> bytes:
    """Message 89: how much traded at which price."""
    fields: list[Value] = []
    for level, size in rows:
        fields += [price(level), size]
    return message(89, request_id, len(rows), *fields)


def past_midpoints(request_id: int, found: Sequence[PastTick]) -> bytes:
    """Message 96: all at once, so that it is done."""
    rows: list[Value] = []
    for tick in found:
        rows += [tick.time, 0, tick.price, 0]
    return message(96, request_id, len(found), *rows, DONE)


def past_quotes(version: int, request_id: int, found: Sequence[PastTick]) -> bytes:
    """Message 97."""
    rows: list[Value] = []
    for tick in found:
        sizes = (quote_size(tick.size, version), quote_size(tick.ask_size, version))
        rows += [tick.time, NO_ATTRIBUTES, tick.price, tick.ask, *sizes]
    return message(97, request_id, len(found), *rows, DONE)


def past_trades(version: int, request_id: int, found: Sequence[PastTick], venue: str) -> bytes:
    """Message 98."""
    rows: list[Value] = []
    for tick in found:
        rows += [tick.time, NO_ATTRIBUTES, tick.price, quote_size(tick.size, version), venue, ""]
    return message(98, request_id, len(found), *rows, DONE)


def tick_by_tick(version: int, request_id: int, kind: int, tick: PastTick, venue: str) -> bytes:
    """Message 99: one trade, one change of the book, or one of the middle."""
    head = (99, request_id, kind, tick.time)
    if kind == MIDPOINT:
        return message(*head, tick.price)
    size = quote_size(tick.size, version)
    if kind == BID_ASK:
        return message(*head, tick.price, tick.ask, size, quote_size(tick.ask_size, version), NO_ATTRIBUTES)
    return message(*head, tick.price, size, NO_ATTRIBUTES, venue, "")
