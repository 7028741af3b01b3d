"""Requests for the past: bars once or kept up to date, schedules, ticks, the first bar, and volume by price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.history import MOST_TICKS, TickKind
from broker.paper_gateway.prices.kinds import SCHEDULE, TRADES
from broker.paper_gateway.prices.requests import DAY_SIZE, INTRADAY_SECONDS, check_reach, parse_bar_size
from broker.paper_gateway.session import Session
from broker.paper_gateway.subscriptions import BarStream
from broker.paper_gateway.types import Bar, ContractFilter, GatewayError, SymbolSpec
from broker.paper_gateway.wire import history as wire
from broker.paper_gateway.wire.contracts import SMART, read_contract, skip_legs
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.times import read_time

MAX_KEPT_BARS = 50
NO_HISTORY = 162
_SERVICE = "Historical Market Data Service error message:"
_SHORTEST_KEPT = 5  # seconds
_TICK_KINDS = {"TRADES", "BID_ASK", "MIDPOINT"}


def historical_data(request: Request, reader: FieldReader) -> None:
    """reqHistoricalData: all bars at once, then each change where they are kept up to date; or the schedule."""
    query = read_contract(reader)
    reader.skip()
    end_text, bar_size, duration = reader.text(), reader.text(), reader.text()
    use_rth, what, date_format = reader.flag(), reader.text().strip().upper(), reader.integer()
    skip_legs(reader, query)
    keep_up_to_date = reader.flag()
    spec = permitted(request, query)
    check_reach(bar_size, duration)
    end = read_time(end_text, spec.time_zone)
    if keep_up_to_date:
        _check_kept(request, bar_size, end)
    if what == SCHEDULE:
        _send_schedule(request, spec, bar_size=bar_size, duration=duration, end=end, use_rth=use_rth)
        return
    stream = BarStream(spec, parse_bar_size(bar_size), what, use_rth, date_format, request.exchange.now())
    bars = request.exchange.bars(
        spec.con_id, bar_size=stream.bar_size, duration=duration, end=end, use_rth=use_rth, what=what
    )
    _send_bars(request, stream, bars, end or request.exchange.now())
    if keep_up_to_date:
        stream.since = bars[-1].start
        stream.last = _update(request.session, request.id, stream, bars[-1])
        request.session.subscriptions.kept_bars[request.id] = stream


def permitted(request: Request, query: ContractFilter) -> SymbolSpec:
    """The contract asked for; raises GatewayError 200, or 162 where the account has no data of it."""
    spec = request.desk.contracts.one(query)
    if request.exchange.feeds.of(spec) == "none":
        venue = query.exchange or SMART
        text = f"No market data permissions for {venue} {spec.sec_type}"
        raise GatewayError(NO_HISTORY, _SERVICE + text)
    return spec


def _check_kept(request: Request, bar_size: str, end: datetime | None) -> None:
    """What forbids keeping bars up to date; raises GatewayError 321 or 322."""
    cause = None
    if end is not None:
        cause = "End date/time cannot be specified if the bars are kept up to date"
    elif INTRADAY_SECONDS.get(parse_bar_size(bar_size), _SHORTEST_KEPT) < _SHORTEST_KEPT:
        cause = f"bars of {bar_size} cannot be kept up to date"
    if cause is not None:
        raise GatewayError(321, f"Error validating request.-'bU' : cause - {cause}")
    kept = request.session.subscriptions.kept_bars
    if request.id in kept:
        raise GatewayError(322, "Error processing request.-'bU' : cause - Duplicate ticker id")
    if len(kept) >= MAX_KEPT_BARS:
        cause = f"Only {MAX_KEPT_BARS} simultaneous API historical data requests allowed"
        raise GatewayError(322, f"Error processing request.-'bU' : cause - {cause}")


def _send_bars(request: Request, stream: BarStream, bars: Sequence[Bar], end: datetime) -> None:
    request.session.send(
        wire.historical_data(
            request.session.version,
            request.id,
            stream.spec,
            bars,
            bar_size=stream.bar_size,
            date_format=stream.date_format,
            end=end,
        )
    )


def _send_schedule(
    request: Request, spec: SymbolSpec, *, bar_size: str, duration: str, end: datetime | None, use_rth: bool
) -> None:
    if parse_bar_size(bar_size) != DAY_SIZE:
        raise GatewayError(321, "Error validating request.-'bD' : cause - A schedule is asked for in bars of 1 day")
    sessions = request.exchange.history.schedule(spec, duration=duration, end=end, use_rth=use_rth)
    request.session.send(wire.schedule(request.id, sessions, spec.time_zone))


def push_kept_bars(desk: Desk, session: Session) -> None:
    """Put in line the bars of every standing request that are new or have changed."""
    for request_id, stream in session.subscriptions.kept_bars.items():
        if not stream.has_news(desk.exchange.quote(stream.spec.con_id).time):
            continue
        bars = desk.exchange.history.bars_since(
            stream.spec, stream.bar_size, stream.since, use_rth=stream.use_rth, what=stream.what
        )
        for bar in bars:
            update = _update(session, request_id, stream, bar)
            if update != stream.last:
                stream.since, stream.last = bar.start, update
                session.send(update)


def _update(session: Session, request_id: int, stream: BarStream, bar: Bar) -> bytes:
    return wire.bar_update(
        session.version, request_id, stream.spec, bar, bar_size=stream.bar_size, date_format=stream.date_format
    )


def cancel_history(request: Request, reader: FieldReader) -> None:
    """cancelHistoricalData: 162 says that it is done; 366 where a query was answered in full, or never made."""
    if request.session.subscriptions.kept_bars.pop(request.id, None) is None:
        raise GatewayError(366, f"No historical data query found for ticker id:{request.id}")
    raise GatewayError(NO_HISTORY, f"{_SERVICE}API historical data query cancelled: {request.id}")


def head_timestamp(request: Request, reader: FieldReader) -> None:
    """reqHeadTimeStamp: the start of the first daily bar."""
    query = read_contract(reader)
    reader.skip(2)
    what, date_format = reader.text(), reader.integer()
    spec = permitted(request, query)
    request.session.send(
        wire.head_timestamp(request.id, request.exchange.history.first(spec, what or TRADES), date_format)
    )


def histogram(request: Request, reader: FieldReader) -> None:
    """reqHistogramData: volume by price over a period."""
    query = read_contract(reader)
    reader.skip()
    use_rth, period = reader.flag(), reader.text()
    spec = permitted(request, query)
    rows = request.exchange.history.histogram(spec, period, use_rth=use_rth)
    request.session.send(wire.histogram(request.id, rows))


def historical_ticks(request: Request, reader: FieldReader) -> None:
    """reqHistoricalTicks: up to 1000 ticks from a time on, or up to a time."""
    query = read_contract(reader)
    reader.skip()
    start_text, end_text, count, what = reader.text(), reader.text(), reader.integer(), reader.text().strip().upper()
    use_rth = reader.flag()
    spec = permitted(request, query)
    start, end = read_time(start_text, spec.time_zone), read_time(end_text, spec.time_zone)
    _check_ticks(start, end, count, what)
    if what == TRADES and spec.sec_type == "CASH":
        raise GatewayError(NO_HISTORY, f"{_SERVICE}No historical market data for {spec.symbol}/CASH {what}")
    kind = cast("TickKind", what)
    found = request.exchange.history.ticks(spec, kind, start=start, end=end, count=count, use_rth=use_rth)
    session = request.session
    if kind == "MIDPOINT":
        session.send(wire.past_midpoints(request.id, found))
    elif kind == "BID_ASK":
        session.send(wire.past_quotes(session.version, request.id, found))
    else:
        session.send(wire.past_trades(session.version, request.id, found, spec.primary_exchange))


def _check_ticks(start: datetime | None, end: datetime | None, count: int, what: str) -> None:
    """Raises GatewayError 321."""
    cause = None
    if (start is None) == (end is None):
        cause = "Either the start or the end of historical ticks is given, not both"
    elif not 1 <= count <= MOST_TICKS:
        cause = f"From 1 to {MOST_TICKS} historical ticks can be had, not {count}"
    elif what not in _TICK_KINDS:
        cause = f"Historical ticks are of {', '.join(sorted(_TICK_KINDS))}, not {what[:40]!r}"
    if cause is not None:
        raise GatewayError(321, f"Error validating request.-'bT' : cause - {cause}")
