"""Market depth: a small book that follows from the quote, sent whole at first and then by its changes."""

from __future__ import annotations

from collections.abc import Iterator

from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.handlers.ticks import live_contract
from broker.paper_gateway.session import Session
from broker.paper_gateway.subscriptions import Book
from broker.paper_gateway.types import GatewayError, Quote, SymbolSpec
from broker.paper_gateway.wire import market_data as wire
from broker.paper_gateway.wire.contracts import read_contract
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.market_data import Level

MAX_BOOKS = 3
MAX_ROWS = 10
_ASK, _BID = 0, 1


def market_depth(request: Request, reader: FieldReader) -> None:
    """reqMktDepth: the book now, then its changes; at most three books a client."""
    query = read_contract(reader)
    rows, smart = reader.integer(), reader.flag()
    books = request.session.subscriptions.books
    if request.id in books:
        raise GatewayError(102, "Duplicate ticker ID.")
    if len(books) >= MAX_BOOKS:
        raise GatewayError(309, f"Max number ({MAX_BOOKS}) of market depth requests has been reached")
    spec = live_contract(request, query)
    if spec.sec_type == "IND":
        raise GatewayError(10092, "Deep market data is not supported for this combination of security type/exchange")
    books[request.id] = Book(spec, max(1, min(rows, MAX_ROWS)), smart)
    _push(request.desk, request.session, request.id, books[request.id])


def cancel_market_depth(request: Request, reader: FieldReader) -> None:
    """cancelMktDepth: silent, unless there is no such book."""
    if request.session.subscriptions.books.pop(request.id, None) is None:
        raise GatewayError(310, f"Can't find the subscribed market depth with tickerId:{request.id}")


def push_books(desk: Desk, session: Session) -> None:
    """Put in line the levels of every book that have changed."""
    for request_id, book in session.subscriptions.books.items():
        _push(desk, session, request_id, book)


def _push(desk: Desk, session: Session, request_id: int, book: Book) -> None:
    for level in _levels(desk.exchange.quote(book.spec.con_id), book):
        key = (level.position, level.side)
        old = book.sent.get(key)
        if level != old:
            operation = wire.INSERT if old is None else wire.UPDATE
            book.sent[key] = level
            session.send(wire.depth(request_id, operation, level, session.version, smart=book.smart))


def _levels(quote: Quote, book: Book) -> Iterator[Level]:
    """A level a tick, each a little larger than the one before; spread over the venues where the book is SMART."""
    tick, venues = book.spec.min_tick, _venues(book.spec)
    for position in range(book.rows):
        maker = venues[position % len(venues)]
        if quote.ask is not None:
            yield Level(position, _ASK, quote.ask + position * tick, quote.ask_size * (position + 1), maker)
        if quote.bid is not None and quote.bid > position * tick:
            yield Level(position, _BID, quote.bid - position * tick, quote.bid_size * (position + 1), maker)


def _venues(spec: SymbolSpec) -> tuple[str, ...]:
    return tuple(venue for venue in spec.exchanges if venue != "SMART") or (spec.primary_exchange,)
