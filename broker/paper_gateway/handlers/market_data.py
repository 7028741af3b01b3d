"""Snapshots and streams of quotes: live, frozen, delayed or refused, and the push of whatever changed."""

from __future__ import annotations

from collections.abc import Iterable

from broker.paper_gateway.board import GENERIC_TICKS
from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.feeds import Feed
from broker.paper_gateway.handlers.depth import push_books
from broker.paper_gateway.handlers.history import push_kept_bars
from broker.paper_gateway.handlers.ticks import push_real_time_bars, push_ticks
from broker.paper_gateway.session import Session
from broker.paper_gateway.subscriptions import MarketDataLine, Stream
from broker.paper_gateway.types import GatewayError, SymbolSpec
from broker.paper_gateway.wire import market_data as wire
from broker.paper_gateway.wire.contracts import read_contract, skip_legs
from broker.paper_gateway.wire.fields import FieldReader

MAX_LINES = 100
COMPETING = (10197, "No market data during competing live session")
_ALIVE = {wire.LIVE, wire.FROZEN}
_NOT_SUBSCRIBED = "Requested market data is not subscribed."


def market_data(request: Request, reader: FieldReader) -> None:
    """reqMktData: one snapshot that ends with tickSnapshotEnd, or a stream until it is cancelled."""
    query = read_contract(reader)
    skip_legs(reader, query)
    if reader.flag():
        reader.skip(3)
    generic_ticks, snapshot, regulatory = reader.text(), reader.flag(), reader.flag()
    subscriptions = request.session.subscriptions
    if request.id in subscriptions.market_data or request.id in subscriptions.ticks:
        raise GatewayError(102, "Duplicate ticker ID.")
    if (snapshot or regulatory) and generic_ticks:
        raise GatewayError(414, "Snapshot market data subscription is not applicable to generic ticks.")
    if len(subscriptions.market_data) >= MAX_LINES:
        raise GatewayError(101, "Max number of tickers has been reached.")
    spec = request.desk.contracts.one(query)
    line = MarketDataLine(
        spec=spec,
        request_id=wire.id_field(request.id),
        asked=subscriptions.market_data_type,
        generic=_generic(generic_ticks, spec),
    )
    _answer_market_data(request, line, snapshot=snapshot or regulatory)


def _generic(text: str, spec: SymbolSpec) -> frozenset[int]:
    """The numbers of a list such as `233,236,mdoff`; raises GatewayError 321 for one that does not exist."""
    words = [word.partition(":")[0].strip() for word in text.split(",")]
    numbers = [word for word in words if word and word.lower() != "mdoff"]
    wrong = [word for word in numbers if not (word.isascii() and word.isdigit() and int(word) in GENERIC_TICKS)]
    if wrong:
        legal = ",".join(f"{number}({name})" for number, name in GENERIC_TICKS.items())
        cause = f"Incorrect generic tick list of {','.join(wrong)[:60]}. Legal ones for ({spec.sec_type}) are: {legal}"
        raise GatewayError(321, f"Error validating request.-'bL' : cause - {cause}")
    return frozenset(map(int, numbers))


def _answer_market_data(request: Request, line: MarketDataLine, *, snapshot: bool) -> None:
    session, desk = request.session, request.desk
    if desk.exchange.feeds.competing:
        raise GatewayError(*COMPETING)
    refusal = _refusal(desk.exchange.feeds.of(line.spec), line.asked)
    if refusal is not None:
        raise refusal
    desk.board.turn()
    session.send(wire.tick_parameters(request.id, line.spec), *_news(desk, session, request.id, line))
    if snapshot:
        session.send(wire.snapshot_end(request.id))
    else:
        session.subscriptions.market_data[request.id] = line


def _refusal(feed: Feed, asked: int) -> GatewayError | None:
    """What a client is told that asked for data which the account has not."""
    if feed == "none":
        code, rest = (354, "") if asked in _ALIVE else (10186, " Delayed market data is not enabled.")
        return GatewayError(code, _NOT_SUBSCRIBED + rest)
    if feed == "delayed" and asked in _ALIVE:
        return GatewayError(354, f"{_NOT_SUBSCRIBED} Delayed market data is available.")
    return None


def _kind(desk: Desk, line: MarketDataLine) -> int:
    """The type of market data that is sent: frozen ones only to a client that asked for them outside hours."""
    if desk.exchange.feeds.of(line.spec) == "delayed":
        frozen = line.asked == wire.DELAYED_FROZEN and not desk.exchange.is_open(line.spec.con_id)
        return wire.DELAYED_FROZEN if frozen else wire.DELAYED
    frozen = line.asked in {wire.FROZEN, wire.DELAYED_FROZEN} and not desk.exchange.is_open(line.spec.con_id)
    return wire.FROZEN if frozen else wire.LIVE


def _news(desk: Desk, session: Session, request_id: int, line: MarketDataLine) -> list[bytes]:
    """The type of data where it changed, and the ticks that differ from what this line was sent before."""
    frames: list[bytes] = []
    kind = _kind(desk, line)
    delayed = kind in {wire.DELAYED, wire.DELAYED_FROZEN}
    if kind != line.answered:
        if delayed and line.answered not in {wire.DELAYED, wire.DELAYED_FROZEN}:
            session.error(request_id, 10167, f"{_NOT_SUBSCRIBED} Displaying delayed market data.")
        frames.append(wire.market_data_type(request_id, kind))
        line.answered, line.page = kind, None
        line.sent.clear()
    page = desk.board.page(line.spec, session.version, delayed=delayed)
    halted = line.spec.con_id in desk.exchange.feeds.halted
    if page is not line.page or halted != line.halted:
        line.page, line.halted = page, halted
        frames += _changed(line, (*page, wire.halted_tick(halted=halted, delayed=delayed)))
        if line.generic and not delayed:
            frames += _changed(line, desk.board.extras(line.spec, line.generic, session.version))
    return frames


def _changed(line: MarketDataLine, page: tuple[wire.Tick, ...]) -> list[bytes]:
    sent, frames = line.sent, []
    for tick in page:
        if sent.get(tick.kind) != tick.tail:
            sent[tick.kind] = tick.tail
            frames.append(wire.tick_frame(line.request_id, tick))
    return frames


def push_quotes(desk: Desk, sessions: Iterable[Session]) -> None:
    """Put in line what changed on every stream of every client; all of them see the quotes of one instant."""
    desk.board.turn()
    for session in sessions:
        _push(desk, session)


def _push(desk: Desk, session: Session) -> None:
    """Quotes, bars, single ticks, books."""
    subscriptions = session.subscriptions
    for request_id, line in list(subscriptions.market_data.items()):
        if _is_silent(desk, session, request_id, line):
            continue
        refusal = _refusal(desk.exchange.feeds.of(line.spec), line.asked)
        if refusal is None:
            session.send(*_news(desk, session, request_id, line))
        elif line.answered is not None:
            session.error(request_id, refusal.code, refusal.message)
            line.answered = None
    if not desk.exchange.feeds.competing:
        push_kept_bars(desk, session)
        push_real_time_bars(desk, session)
        push_ticks(desk, session)
        push_books(desk, session)


def _is_silent(desk: Desk, session: Session, request_id: int, stream: Stream) -> bool:
    """Whether another session has the data; the client is told once, and not when they come back."""
    competing = desk.exchange.feeds.competing
    if competing and not stream.silent:
        session.error(request_id, *COMPETING)
    stream.silent = competing
    return competing


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
