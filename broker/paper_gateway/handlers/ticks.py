"""Streams finer than quotes: every trade or change of the book by itself, and bars of five seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.handlers.history import permitted
from broker.paper_gateway.history import PastTick, TickKind
from broker.paper_gateway.prices.kinds import ASK, BID, MIDPOINT, TRADES
from broker.paper_gateway.session import Session
from broker.paper_gateway.subscriptions import BarStream, TickStream
from broker.paper_gateway.types import ContractFilter, GatewayError, SymbolSpec
from broker.paper_gateway.wire import history as wire
from broker.paper_gateway.wire.contracts import read_contract
from broker.paper_gateway.wire.fields import FieldReader

MAX_TICK_STREAMS = 5
_KINDS: dict[str, tuple[TickKind, int]] = {
    "Last": ("TRADES", wire.LAST),
    "AllLast": ("TRADES", wire.ALL_LAST),
    "BidAsk": ("BID_ASK", wire.BID_ASK),
    "MidPoint": ("MIDPOINT", wire.MIDPOINT),
}
_REAL_TIME = (TRADES, MIDPOINT, BID, ASK)
_BAR_SIZE = "5 secs"
_MOST_BARS = 720


def tick_by_tick(request: Request, reader: FieldReader) -> None:
    """reqTickByTickData: past ticks where some are asked for, then every new one; at most five streams a client."""
    query = read_contract(reader)
    kind_text, count = reader.text(), reader.integer()
    subscriptions = request.session.subscriptions
    if kind_text not in _KINDS:
        raise GatewayError(10189, f"Failed to request tick-by-tick data.There is no kind {kind_text[:40]!r}")
    if request.id in subscriptions.ticks or request.id in subscriptions.market_data:
        raise GatewayError(102, "Duplicate ticker ID.")
    if len(subscriptions.ticks) >= MAX_TICK_STREAMS:
        raise GatewayError(10190, "Max number of tick-by-tick requests has been reached.")
    spec = live_contract(request, query)
    kind, number = _KINDS[kind_text]
    if kind == "TRADES" and spec.sec_type == "CASH":
        raise GatewayError(10189, "Failed to request tick-by-tick data.A pair of currencies has no trades")
    history, now = request.exchange.history, request.exchange.now()
    past = history.ticks(spec, kind, start=None, end=now, count=max(1, count), use_rth=False)
    stream = TickStream(spec, kind, number, now)
    _send_ticks(request.session, request.id, stream, past)
    subscriptions.ticks[request.id] = stream


def live_contract(request: Request, query: ContractFilter) -> SymbolSpec:
    """The contract asked for; raises GatewayError 200, 354 or 10197 where there are no live data of it."""
    spec = permitted(request, query)
    if request.exchange.feeds.competing:
        raise GatewayError(10197, "No market data during competing live session")
    if request.exchange.feeds.of(spec) != "live":
        raise GatewayError(354, "Requested market data is not subscribed.")
    return spec


def _send_ticks(session: Session, request_id: int, stream: TickStream, ticks: Sequence[PastTick]) -> None:
    venue = stream.spec.primary_exchange
    session.send(*[wire.tick_by_tick(session.version, request_id, stream.number, tick, venue) for tick in ticks])


def push_ticks(desk: Desk, session: Session) -> None:
    """Put in line what happened on every stream of single ticks; of a long leap the newest thousand."""
    now = desk.exchange.now()
    for request_id, stream in session.subscriptions.ticks.items():
        if now - stream.since >= timedelta(seconds=1):
            ticks = desk.exchange.history.ticks_between(stream.spec, stream.kind, stream.since, now)
            _send_ticks(session, request_id, stream, ticks)
            stream.since = now


def cancel_tick_by_tick(request: Request, reader: FieldReader) -> None:
    """cancelTickByTickData: silent, unless there is no such stream."""
    if request.session.subscriptions.ticks.pop(request.id, None) is None:
        raise GatewayError(300, f"Can't find EId with tickerId:{request.id}")


def real_time_bars(request: Request, reader: FieldReader) -> None:
    """reqRealTimeBars: a bar each five seconds, the first one the next to end."""
    query = read_contract(reader)
    reader.skip()
    what, use_rth = reader.text().strip().upper(), reader.flag()
    if what not in _REAL_TIME:
        raise GatewayError(321, f"Error validating request.-'bJ' : cause - What to show {what[:40]!r} is unknown")
    streams = request.session.subscriptions.real_time_bars
    if request.id in streams:
        raise GatewayError(102, "Duplicate ticker ID.")
    spec, now = live_contract(request, query), request.exchange.now()
    try:
        request.exchange.bars(spec.con_id, bar_size=_BAR_SIZE, duration="60 S", end=None, use_rth=use_rth, what=what)
    except GatewayError as error:
        raise GatewayError(420, f"Invalid Real-time Query:{error.message}") from error
    begin = now.replace(microsecond=0) - timedelta(seconds=now.second % 5)
    streams[request.id] = BarStream(spec, _BAR_SIZE, what, use_rth, wire.EPOCH_FORMAT, begin)


def push_real_time_bars(desk: Desk, session: Session) -> None:
    """Put in line the bars of five seconds that have ended; of a long leap those of its last hour."""
    now = desk.exchange.now()
    for request_id, stream in session.subscriptions.real_time_bars.items():
        length = timedelta(seconds=5)
        if now - stream.since < length or not stream.has_news(desk.exchange.quote(stream.spec.con_id).time):
            continue
        since = max(stream.since, now - _MOST_BARS * length)
        found = desk.exchange.history.bars_since(
            stream.spec, stream.bar_size, since, use_rth=stream.use_rth, what=stream.what
        )
        ended = [bar for bar in found if bar.end - bar.start == length]
        session.send(*[wire.real_time_bar(session.version, request_id, bar) for bar in ended])
        stream.since = ended[-1].end if ended else since


def cancel_real_time_bars(request: Request, reader: FieldReader) -> None:
    """cancelRealTimeBars: silent, unless there is no such stream."""
    if request.session.subscriptions.real_time_bars.pop(request.id, None) is None:
        raise GatewayError(300, f"Can't find EId with tickerId:{request.id}")
