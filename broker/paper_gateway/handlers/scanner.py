"""Requests for scans of the market."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from broker.paper_gateway.desk import Request
from broker.paper_gateway.enquiries import Scan
from broker.paper_gateway.reference import scan_codes
from broker.paper_gateway.reference.scans import MAX_ROWS, Limit, ScanQuery
from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire import scanner as wire
from broker.paper_gateway.wire.fields import FieldReader, number

REFUSED, TOO_MANY, NO_SCAN = 162, 322, 365
MAX_SCANS = 10
_SERVICE = "Historical Market Data Service error message:"
_STOCK_TYPES = {"", "ALL", "CORP", "STOCK", "ETF"}
_MILLION = Decimal(1_000_000)


def parameters(request: Request, reader: FieldReader) -> None:
    """reqScannerParameters: instruments, locations, scans and filters as XML."""
    request.session.send(wire.parameters(scan_codes.document()))


def subscribe(request: Request, reader: FieldReader) -> None:
    """reqScannerSubscription: the finds, and again whenever they change, until it is cancelled.

    Errors: 322 for an id in use and for more than ten scans, 162 for what cannot be scanned.
    """
    query = _query(wire.read_scan(reader))
    scans = request.session.subscriptions.enquiries.scans
    if request.id in scans:
        raise GatewayError(TOO_MANY, "Error processing request.-'cB' : cause - Duplicate ticker id.")
    if len(scans) >= MAX_SCANS:
        text = f"Error processing request.-'cB' : cause - Only {MAX_SCANS} simultaneous API scanner subscriptions"
        raise GatewayError(TOO_MANY, f"{text} are allowed.")
    scans[request.id] = scan = Scan(query)
    request.desk.scanning.begin(request.session, request.id, scan)


def cancel(request: Request, reader: FieldReader) -> None:
    """cancelScannerSubscription: TWS confirms it as an error; 365 where there is no such scan."""
    if request.session.subscriptions.enquiries.scans.pop(request.id, None) is None:
        raise GatewayError(NO_SCAN, f"No scanner subscription found for ticker id:{request.id}")
    raise GatewayError(REFUSED, f"{_SERVICE}API scanner subscription cancelled: {request.id}")


def _query(asked: wire.ScanRequest) -> ScanQuery:
    place = scan_codes.PLACES.get(asked.location)
    if asked.code not in scan_codes.CODES:
        raise _refused(f"Scanner type with code {asked.code[:40]} is disabled")
    if asked.instrument not in scan_codes.INSTRUMENTS:
        raise _refused(f"Instrument type {asked.instrument[:40]} is not supported")
    if place is None or place.instrument != asked.instrument:
        raise _refused(f"Location {asked.location[:40]} is not one of {asked.instrument}")
    if asked.stock_type.upper() not in _STOCK_TYPES:
        raise _refused(f"Stock type {asked.stock_type[:40]} is not supported")
    return ScanQuery(
        code=asked.code,
        place=asked.location,
        rows=asked.rows if 0 < asked.rows <= MAX_ROWS else MAX_ROWS,
        stock_type=asked.stock_type.upper(),
        limits=(*_limits(asked), *_filters(asked.filters)),
    )


def _limits(asked: wire.ScanRequest) -> Iterator[Limit]:
    rows = (
        ("last", asked.above_price, True),
        ("last", asked.below_price, False),
        ("volume", asked.above_volume, True),
        ("market_value", asked.market_value_above, True),
        ("market_value", asked.market_value_below, False),
    )
    yield from (Limit(figure, float(bound), least) for figure, bound, least in rows if bound is not None)


def _filters(text: str) -> Iterator[Limit]:
    """The limits of `priceAbove=5;marketCapAbove1e6=1000;`."""
    for part in filter(None, text.split(";")):
        name, _, given = part.partition("=")
        bound = number(given)
        if name not in scan_codes.FILTERS or bound is None:
            raise _refused(f"Filter {part[:40]} is not supported")
        scale = _MILLION if name.endswith("1e6") else Decimal(1)
        yield Limit(scan_codes.FILTERS[name], float(bound * scale), "Above" in name)


def _refused(text: str) -> GatewayError:
    return GatewayError(REFUSED, _SERVICE + text)
