"""Scans through a real socket: one answer, after which the subscription is ended."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.errors import MarketDataError
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, TIMEOUT, Desk, frames
from tests.support import in_threads

LONG = 30.0


@pytest.fixture(scope="module")
def market() -> Iterator[tuple[EmbeddedGateway, Desk]]:
    """One gateway for all scans: the first of them prices the whole universe."""
    with EmbeddedGateway(set_clock=CLOSE) as running:
        desk = Desk(running.host, running.port)
        desk.client.start()
        desk.client.wait_connected(TIMEOUT)
        yield running, desk
        desk.client.stop()


@pytest.fixture
def gateway(market: tuple[EmbeddedGateway, Desk]) -> Iterator[EmbeddedGateway]:
    """The gateway, healed afterwards."""
    yield market[0]
    market[0].heal()


@pytest.fixture
def desk(market: tuple[EmbeddedGateway, Desk]) -> Desk:
    """The client."""
    return market[1]


def scan(desk: Desk, code: str = "TOP_PERC_GAIN", **changes: Any) -> tuple[types.ScannerRow, ...]:
    found: tuple[types.ScannerRow, ...] = desk.client.read("scan", types.ScannerQuery(code, **changes), LONG)
    return found


def test_the_scans_that_there_are(desk: Desk) -> None:
    found = desk.client.read("scanner_codes", types.Nothing(), TIMEOUT)
    codes = [scan.code for scan in found]
    assert codes == sorted(set(codes))
    assert {"TOP_PERC_GAIN", "MOST_ACTIVE"} <= set(codes)
    assert all(scan.name and "STK" in scan.instruments for scan in found)


def test_a_scan_is_answered_once_and_ended(desk: Desk, gateway: EmbeddedGateway) -> None:
    before = frames(gateway).get("cancelScannerSubscription", 0)
    found = scan(desk, rows=10)
    assert [row.rank for row in found] == list(range(10))
    assert all(row.con_id and row.symbol and row.sec_type == "STK" for row in found)
    desk.client.fence(TIMEOUT)
    assert frames(gateway)["cancelScannerSubscription"] == before + 1
    assert scan(desk, rows=5) == found[:5]


def test_filters_narrow_a_scan(desk: Desk) -> None:
    everything = {row.symbol for row in scan(desk)}
    dear = {row.symbol for row in scan(desk, above_price=Decimal(300))}
    assert dear
    assert dear != everything
    funds = scan(desk, stock_type="ETF", rows=5)
    (one,) = desk.client.read("contracts", types.ContractQuery("", con_id=funds[0].con_id), TIMEOUT)
    assert one.stock_type == "ETF"
    assert scan(desk, above_price=Decimal(10**9)) == ()


def test_more_scans_than_the_broker_runs_at_once_wait_their_turn(desk: Desk) -> None:
    answers = in_threads([lambda: scan(desk, rows=3)] * 16, threads=16)
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"code": ""}, "code"), ({"rows": 0}, "rows"), ({"rows": 51}, "rows"), ({"location": ""}, "location")],
)
def test_a_scan_that_cannot_be_is_refused_at_the_door(desk: Desk, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MarketDataError) as caught:
        scan(desk, **changes)
    assert caught.value.details == {"field": field}


def test_an_unknown_scan_is_an_error(desk: Desk) -> None:
    with pytest.raises(MarketDataError) as caught:
        scan(desk, "NO_SUCH_SCAN")
    assert caught.value.details["broker_code"]


def test_nothing_found_is_no_error(desk: Desk, gateway: EmbeddedGateway) -> None:
    text = "Historical Market Data Service query message:no items retrieved"
    gateway.fault("refuse", kinds=("reqScannerSubscription",), code=165, text=text)
    assert scan(desk) == ()
