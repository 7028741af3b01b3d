"""Scans on the wire: what a client wants scanned, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from broker.paper_gateway.reference.scans import Find
from broker.paper_gateway.wire.contracts import contract_block, trading_class, usual_exchange
from broker.paper_gateway.wire.fields import FieldReader, Value, message

_RATINGS = 6  # moody, S&P and maturity limits of bonds
_COUPONS = 2


class ScanRequest(NamedTuple):
    """The fields of a scanner subscription that mean something for stocks; None = no limit."""

    rows: int
    instrument: str
    location: str
    code: str
    above_price: Decimal | None
    below_price: Decimal | None
    above_volume: Decimal | None
    market_value_above: Decimal | None
    market_value_below: Decimal | None
    stock_type: str
    filters: str


def read_scan(reader: FieldReader) -> ScanRequest:
    """The fields after the request id; raises BadField where a number is none."""
    rows = reader.number()
    instrument, location, code = reader.text(), reader.text(), reader.text()
    above_price, below_price, above_volume = reader.number(), reader.number(), reader.number()
    value_above, value_below = reader.number(), reader.number()
    reader.skip(_RATINGS + _COUPONS + 1)
    reader.number()
    reader.skip()
    stock_type, filters = reader.text(), reader.text()
    reader.skip()
    return ScanRequest(
        rows=int(rows or -1),
        instrument=instrument,
        location=location,
        code=code,
        above_price=above_price,
        below_price=below_price,
        above_volume=above_volume,
        market_value_above=value_above,
        market_value_below=value_below,
        stock_type=stock_type,
        filters=filters,
    )


def parameters(xml: str) -> bytes:
    """Message 19: what can be scanned."""
    return message(19, 1, xml)


def finds(request_id: int, rows: Sequence[Find]) -> bytes:
    """Message 20: the finds, best first; the first has rank 0, which clears what was told before."""
    fields: list[Value] = [20, 3, request_id, len(rows)]
    for rank, find in enumerate(rows):
        con_id, symbol, sec_type, expiry, strike, right, _, exchange, currency, local_symbol, _ = contract_block(
            find.spec, usual_exchange(find.spec)
        )
        fields += [rank, con_id, symbol, sec_type, expiry, strike, right, exchange, currency, local_symbol]
        fields += [trading_class(find.spec), trading_class(find.spec), find.value, "", "", ""]
    return message(*fields)
