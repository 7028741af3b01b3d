"""Quotes as clients read them: prices, sizes and other ticks, the book, and what a stream begins and ends with."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from broker.paper_gateway.types import Quote, SymbolSpec
from broker.paper_gateway.wire.fields import Value, message, price, quote_size
from broker.paper_gateway.wire.framing import PREFIX
from broker.paper_gateway.wire.times import epoch

LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN = 1, 2, 4, 6, 7, 9, 14
BID_SIZE, ASK_SIZE, LAST_SIZE, VOLUME, LAST_TIME = 0, 3, 5, 8, 45
HALTED = 49
_DELAYED_KINDS = {
    BID: 66,
    ASK: 67,
    LAST: 68,
    BID_SIZE: 69,
    ASK_SIZE: 70,
    LAST_SIZE: 71,
    HIGH: 72,
    LOW: 73,
    VOLUME: 74,
    CLOSE: 75,
    OPEN: 76,
    LAST_TIME: 88,
    HALTED: 90,
}
NO_QUOTE = "-1"
NO_ATTRIBUTES = 0
_TICK_VERSION = 6
_PRICE, _SIZE, _GENERIC, _TEXT = (f"{number}\0{_TICK_VERSION}\0".encode() for number in (1, 2, 45, 46))


class Tick(NamedTuple):
    """One tick without the request it answers: what comes before the request's id in a frame, and what after it."""

    kind: int
    head: bytes
    tail: bytes


def tick_frame(request_id: bytes, tick: Tick) -> bytes:
    """The frame of a tick for a request, whose id comes as text with its closing NUL."""
    head, tail = tick.head, tick.tail
    return (len(head) + len(request_id) + len(tail)).to_bytes(PREFIX, "big") + head + request_id + tail


def id_field(request_id: int) -> bytes:
    """A request's id as `tick_frame` takes it."""
    return f"{request_id}\0".encode()


def price_tick(kind: int, value: str, size: str = "0") -> Tick:
    """Message 1, with no attributes."""
    return Tick(kind, _PRICE, f"{kind}\0{value}\0{size}\0{NO_ATTRIBUTES}\0".encode())


def size_tick(kind: int, value: str) -> Tick:
    """Message 2."""
    return Tick(kind, _SIZE, f"{kind}\0{value}\0".encode())


def generic_tick(kind: int, value: str) -> Tick:
    """Message 45."""
    return Tick(kind, _GENERIC, f"{kind}\0{value}\0".encode())


def text_tick(kind: int, value: str) -> Tick:
    """Message 46."""
    return Tick(kind, _TEXT, f"{kind}\0{value}\0".encode())


def ticks(quote: Quote, spec: SymbolSpec, version: int, *, delayed: bool = False) -> tuple[Tick, ...]:
    """All ticks of a quote in the order in which they are sent; an index has no sides, a pair no trades."""
    found = tuple(_ticks(quote, spec, version))
    if not delayed:
        return found
    kinds = [(tick, _DELAYED_KINDS[tick.kind]) for tick in found]
    return tuple(Tick(kind, tick.head, _renumbered(tick, kind)) for tick, kind in kinds)


def _renumbered(tick: Tick, kind: int) -> bytes:
    return f"{kind}\0".encode() + tick.tail.partition(b"\0")[2]


def _ticks(quote: Quote, spec: SymbolSpec, version: int) -> Iterator[Tick]:
    def shares(count: int) -> str:
        return quote_size(count, version)

    if spec.sec_type != "IND":
        yield from _side(BID, BID_SIZE, quote.bid, shares(quote.bid_size))
        yield from _side(ASK, ASK_SIZE, quote.ask, shares(quote.ask_size))
    if spec.sec_type != "CASH":
        if quote.last is not None:
            yield from _side(LAST, LAST_SIZE, quote.last, shares(quote.last_size))
            yield text_tick(LAST_TIME, str(epoch(quote.time)))
        yield size_tick(VOLUME, shares(quote.volume))
    for kind, value in ((HIGH, quote.high), (LOW, quote.low), (CLOSE, quote.prior_close), (OPEN, quote.open)):
        if value is not None:
            yield price_tick(kind, price(value))


def _side(kind: int, size_kind: int, value: Decimal | None, size: str) -> Iterator[Tick]:
    if value is None:
        yield price_tick(kind, NO_QUOTE)
        yield size_tick(size_kind, "0")
    else:
        yield price_tick(kind, price(value), size)
        yield size_tick(size_kind, size)


def halted_tick(*, halted: bool, delayed: bool = False) -> Tick:
    """Whether trading of the contract is halted."""
    return generic_tick(_DELAYED_KINDS[HALTED] if delayed else HALTED, "1" if halted else "0")


def tick_parameters(request_id: int, spec: SymbolSpec) -> bytes:
    """Message 81: the first answer to a request for market data."""
    return message(81, request_id, spec.min_tick, "", 3)


def market_data_type(request_id: int, kind: int) -> bytes:
    """Message 58: 1 = live, 2 = frozen, 3 = delayed, 4 = delayed and frozen."""
    return message(58, 1, request_id, kind)


def snapshot_end(request_id: int) -> bytes:
    """Message 57: a snapshot is complete."""
    return message(57, 1, request_id)


class Level(NamedTuple):
    """One price of the book: `side` 0 = ask, 1 = bid."""

    position: int
    side: int
    price: Decimal
    size: int
    maker: str


INSERT, UPDATE = 0, 1


def depth(request_id: int, operation: int, level: Level, version: int, *, smart: bool) -> bytes:
    """Message 12, or 13 with the venue where the book is made of several."""
    head: tuple[Value, ...] = (12, 1, request_id, level.position)
    if smart:
        head = (13, 1, request_id, level.position, level.maker)
    size = quote_size(level.size, version)
    tail = (True,) if smart else ()
    return message(*head, operation, level.side, price(level.price), size, *tail)
