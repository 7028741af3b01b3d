"""Bars, snapshots and streams of quotes."""

from __future__ import annotations

from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.session import Session
from broker.paper_gateway.subscriptions import MarketDataLine
from broker.paper_gateway.types import ContractFilter, GatewayError, SymbolSpec
from broker.paper_gateway.wire import market_data as wire
from broker.paper_gateway.wire.contracts import SMART, read_contract, skip_legs
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.times import read_time

MAX_LINES = 100
NO_HISTORY = 162
_SERVED = {"TRADES", "ADJUSTED_LAST"}


def historical_data(request: Request, reader: FieldReader) -> None:
    """reqHistoricalData: all bars at once; error 162 when there is none, 321 for bars kept up to date."""
    query = read_contract(reader)
    reader.skip()
    end_text, bar_size, duration = reader.text(), reader.text(), reader.text()
    use_rth, what, date_format = reader.flag(), reader.text(), reader.integer()
    skip_legs(reader, query)
    keep_up_to_date = reader.flag()
    spec = request.desk.contracts.one(query)
    if keep_up_to_date:
        raise GatewayError(321, "Error validating request.-'bU' : cause - Bars kept up to date are not simulated.")
    _require_trades(what)
    end = read_time(end_text, spec.time_zone)
    bars = request.exchange.bars(spec.con_id, bar_size=bar_size, duration=duration, end=end, use_rth=use_rth)
    if not bars:
        raise _no_history(query, spec)
    request.session.send(
        wire.historical_data(
            request.session.version,
            request.id,
            spec,
            bars,
            bar_size=bar_size,
            date_format=date_format,
            end=end or request.exchange.now(),
        )
    )


def head_timestamp(request: Request, reader: FieldReader) -> None:
    """reqHeadTimeStamp: the start of the first daily bar."""
    query = read_contract(reader)
    reader.skip()
    use_rth, what, date_format = reader.flag(), reader.text(), reader.integer()
    spec = request.desk.contracts.one(query)
    _require_trades(what)
    bars = request.exchange.bars(spec.con_id, bar_size="1 day", duration="50 Y", end=None, use_rth=use_rth)
    if not bars:
        raise _no_history(query, spec)
    request.session.send(wire.head_timestamp(request.id, bars[0].start, date_format))


def cancel_history(request: Request, reader: FieldReader) -> None:
    """cancelHistoricalData: every query is answered at once, so there is none left to cancel."""
    raise GatewayError(366, f"No historical data query found for ticker id:{request.id}")


def _require_trades(what: str) -> None:
    if what.upper() not in _SERVED:
        raise GatewayError(
            NO_HISTORY, f"Historical Market Data Service error message:No market data permissions for {what[:40]}"
        )


def _no_history(query: ContractFilter, spec: SymbolSpec) -> GatewayError:
    source = f"{spec.symbol}@{query.exchange or SMART} Trades"
    text = f"Historical Market Data Service error message:HMDS query returned no data: {source}"
    return GatewayError(NO_HISTORY, text)


def market_data(request: Request, reader: FieldReader) -> None:
    """reqMktData: one snapshot that ends with tickSnapshotEnd, or a stream until it is cancelled."""
    query = read_contract(reader)
    skip_legs(reader, query)
    if reader.flag():
        reader.skip(3)
    generic_ticks, snapshot, regulatory = reader.text(), reader.flag(), reader.flag()
    lines = request.session.subscriptions.market_data
    if request.id in lines:
        raise GatewayError(102, "Duplicate ticker ID.")
    if (snapshot or regulatory) and generic_ticks:
        raise GatewayError(414, "Snapshot market data subscription is not applicable to generic ticks.")
    if len(lines) >= MAX_LINES:
        raise GatewayError(101, "Max number of tickers has been reached.")
    spec = request.desk.contracts.one(query)
    _answer_market_data(request, spec, snapshot=snapshot or regulatory)


def _answer_market_data(request: Request, spec: SymbolSpec, *, snapshot: bool) -> None:
    session = request.session
    line = MarketDataLine(spec)
    kind = _data_type(request.desk, session, spec)
    ticks = _changes(request.desk, session, request.id, line)
    session.send(wire.tick_parameters(request.id, spec), wire.market_data_type(request.id, kind), *ticks)
    if snapshot:
        session.send(wire.snapshot_end(request.id))
    else:
        session.subscriptions.market_data[request.id] = line


def _data_type(desk: Desk, session: Session, spec: SymbolSpec) -> int:
    """Frozen data are what a client gets that asked for them outside trading hours."""
    if session.subscriptions.market_data_type in {1, 3}:
        return wire.LIVE
    today = desk.exchange.sessions(spec.con_id, 1)[0]
    is_open = today.open is not None and today.close is not None and today.open <= desk.exchange.now() < today.close
    return wire.LIVE if is_open else wire.FROZEN


def _changes(desk: Desk, session: Session, request_id: int, line: MarketDataLine) -> list[bytes]:
    """The ticks that differ from what this line was sent before."""
    frames = []
    for tick in wire.ticks(desk.exchange.quote(line.spec.con_id), session.version):
        key = tick[:2]
        if line.sent.get(key) != tick:
            line.sent[key] = tick
            frames.append(wire.tick_message(request_id, tick))
    return frames


def push_quotes(desk: Desk, session: Session) -> None:
    """Put in line what changed on every stream of a client."""
    for request_id, line in session.subscriptions.market_data.items():
        session.send(*_changes(desk, session, request_id, line))


def cancel_market_data(request: Request, reader: FieldReader) -> None:
    """cancelMktData: silent, unless there is no such stream."""
    if request.session.subscriptions.market_data.pop(request.id, None) is None:
        raise GatewayError(300, f"Can't find EId with tickerId:{request.id}")


def market_data_type(request: Request, reader: FieldReader) -> None:
    """reqMarketDataType: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen; for later requests."""
    kind = reader.integer()
    if kind not in {1, 2, 3, 4}:
        raise GatewayError(321, f"Error validating request.-'bD' : cause - There is no market data type {kind}.")
    request.session.subscriptions.market_data_type = kind
