"""Scans of the market: what scans there are, and the first answer of one, which is then ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from broker import types
from broker.ib import requests
from broker.ib.connection import RequestError
from broker.ib.documents import parse_xml
from broker.ib.library import ib_insync

if TYPE_CHECKING:
    from broker.ib.reads import Asking

MOST_ROWS = 50
NO_ITEMS = frozenset({162, 165})
NOTHING_FOUND = ("no items retrieved", "no items", "no data")


async def scanner_codes(asking: Asking, request: types.Nothing) -> tuple[types.ScannerCode, ...]:
    """The scans that the broker knows, by code."""
    connection = asking.connection
    try:
        document = await asking.data.once(connection, "its scans", connection.reqScannerParametersAsync)
    except RequestError as error:
        raise requests.refused("its scans", error) from error
    found = {code.code: code for code in _codes(parse_xml(document, "the broker's list of scans"))}
    return tuple(found[code] for code in sorted(found))


def _codes(root: Element) -> Iterator[types.ScannerCode]:
    for scan in root.iter("ScanType"):
        code = scan.findtext("scanCode", "").strip()
        instruments = scan.findtext("instruments", "")
        if code:
            yield types.ScannerCode(
                code=code,
                name=scan.findtext("displayName", "").strip() or code,
                instruments=tuple(name.strip() for name in instruments.split(",") if name.strip()),
            )


async def scan(asking: Asking, query: types.ScannerQuery) -> tuple[types.ScannerRow, ...]:
    """The finds, best first; none is an empty answer. Raises MarketDataError for an unknown scan."""
    check(query)
    connection = asking.connection
    subscription = _subscription(query)

    def send(request_id: int) -> None:
        connection.client.reqScannerSubscription(request_id, subscription, [], [])

    async with asking.data.scanners:
        try:
            rows = await requests.answer(
                connection,
                send,
                cancel=connection.client.cancelScannerSubscription,
                always_cancel=True,
                ends_on=NO_ITEMS,
            )
        except RequestError as error:
            if error.code in NO_ITEMS and any(words in error.message.lower() for words in NOTHING_FOUND):
                return ()
            raise requests.refused(f"the scan {query.code}", error) from error
    return tuple(sorted((_row(row) for row in rows), key=lambda row: row.rank))


def check(query: types.ScannerQuery) -> None:
    """Raises MarketDataError (BAD_REQUEST) that names the wrong field."""
    for field in ("code", "instrument", "location"):
        if not getattr(query, field):
            raise requests.bad_request(field, f"A scan needs its {field}; scanner_codes lists what there is.")
    if not 1 <= query.rows <= MOST_ROWS:
        raise requests.bad_request("rows", f"A scan has 1 to {MOST_ROWS} rows.")


def _subscription(query: types.ScannerQuery) -> Any:
    limits: dict[str, Any] = {
        "abovePrice": query.above_price,
        "belowPrice": query.below_price,
        "aboveVolume": query.above_volume,
        "marketCapAbove": query.market_cap_above,
    }
    given = {
        name: value if isinstance(value, int) else float(value) for name, value in limits.items() if value is not None
    }
    return ib_insync.ScannerSubscription(
        numberOfRows=query.rows,
        instrument=query.instrument,
        locationCode=query.location,
        scanCode=query.code,
        stockTypeFilter=query.stock_type,
        **given,
    )


def _row(row: Any) -> types.ScannerRow:
    contract = row.contractDetails.contract
    return types.ScannerRow(
        rank=row.rank,
        con_id=contract.conId,
        symbol=contract.symbol,
        sec_type=contract.secType,
        exchange=contract.exchange,
        currency=contract.currency,
        distance=row.distance,
        benchmark=row.benchmark,
        projection=row.projection,
    )
