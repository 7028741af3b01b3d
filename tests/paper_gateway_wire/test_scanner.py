"""Scans over the wire: ranked by the market's own prices, told again as they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from xml.etree.ElementTree import fromstring

import pytest
from ib_insync import ScanDataList, ScannerSubscription, TagValue

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.universe import LISTED_BY_SYMBOL
from tests.paper_gateway_wire.conftest import START, Client, advance, connected, eventually


def subscription(code: str = "TOP_PERC_GAIN", **changes: object) -> ScannerSubscription:
    return ScannerSubscription(instrument="STK", locationCode="STK.US.MAJOR", scanCode=code, **changes)  # type: ignore[arg-type]


def symbols(rows: ScanDataList) -> list[str]:
    return [row.contractDetails.contract.symbol for row in rows if row.contractDetails.contract]


@pytest.fixture(scope="module")
def market() -> AsyncIterator[EmbeddedGateway]:
    """One gateway for all tests that only read: its first scan draws hundreds of paths."""
    with EmbeddedGateway(set_clock=START, account="DU1", seed=7) as running:
        yield running  # type: ignore[misc]


@pytest.fixture
async def scanner(market: EmbeddedGateway) -> AsyncIterator[Client]:
    async with connected(market.port) as client:
        yield client


async def scan(client: Client, query: ScannerSubscription, **filters: str) -> ScanDataList:
    tags = [TagValue(name, value) for name, value in filters.items()]
    return await client.ib.reqScannerDataAsync(query, [], tags)


async def test_gainers_are_those_of_the_quotes(scanner: Client) -> None:
    rows = await scan(scanner, subscription(numberOfRows=10))
    assert [row.rank for row in rows] == list(range(10))
    changes = []
    for row in rows[:3]:
        contract = row.contractDetails.contract
        assert contract is not None
        assert (contract.secType, contract.exchange, contract.currency) == ("STK", "SMART", "USD")
        (ticker,) = await scanner.ib.reqTickersAsync(contract)
        changes.append((ticker.last / ticker.close - 1) * 100)
        assert float(row.distance) == pytest.approx(changes[-1], abs=0.001)
    assert changes == sorted(changes, reverse=True)


@pytest.mark.parametrize(
    ("code", "opposite"),
    [
        ("TOP_PERC_GAIN", "TOP_PERC_LOSE"),
        ("HIGH_OPEN_GAP", "LOW_OPEN_GAP"),
        ("HIGH_VS_13W_HL", "LOW_VS_13W_HL"),
        ("MARKET_CAP_USD_DESC", "MARKET_CAP_USD_ASC"),
        ("MOST_ACTIVE", "NOT_OPEN"),
    ],
)
async def test_a_scan_and_its_opposite(scanner: Client, code: str, opposite: str) -> None:
    first, second = await scan(scanner, subscription(code)), await scan(scanner, subscription(opposite))
    assert len(first) == len(second) == 50
    assert not set(symbols(first)) & set(symbols(second))
    values = [float(row.distance) for row in first]
    assert values == sorted(values, reverse=True)


async def test_the_document_names_what_can_be_scanned(scanner: Client) -> None:
    root = fromstring(await scanner.ib.reqScannerParametersAsync())
    codes = [scan_type.findtext("scanCode") or "" for scan_type in root.iter("ScanType")]
    assert {"TOP_PERC_GAIN", "MOST_ACTIVE", "HOT_BY_VOLUME", "TOP_TRADE_COUNT"} <= set(codes)
    assert "STK.US.MAJOR" in {place.findtext("locationCode") for place in root.iter("Location")}
    for code in codes:
        assert len(await scan(scanner, subscription(code, numberOfRows=5))) == 5, code


async def test_limits_leave_out_what_lies_beyond(scanner: Client) -> None:
    dear = await scan(scanner, subscription(abovePrice=500, belowPrice=1500, numberOfRows=5))
    tickers = await scanner.ib.reqTickersAsync(*[row.contractDetails.contract for row in dear])
    assert [500 <= ticker.last <= 1500 for ticker in tickers] == [True] * 5
    funds = await scan(scanner, subscription("MOST_ACTIVE", stockTypeFilter="ETF"))
    assert {LISTED_BY_SYMBOL[symbol].stock_type for symbol in symbols(funds)} == {"ETF"}
    stocks = await scan(scanner, subscription("MOST_ACTIVE", stockTypeFilter="CORP", marketCapAbove=1e12))
    assert "SPY" not in symbols(stocks)
    assert 1 <= len(stocks) < 30
    tagged = await scan(scanner, subscription("MOST_ACTIVE", stockTypeFilter="CORP"), marketCapAbove1e6="1000000")
    assert symbols(tagged) == symbols(stocks)
    rising = await scan(scanner, subscription(), changePercAbove="1")
    assert all(float(row.distance) >= 1 for row in rising)


async def test_places_and_instruments(scanner: Client) -> None:
    listed = await scan(scanner, ScannerSubscription(instrument="STK", locationCode="STK.NYSE", scanCode="MOST_ACTIVE"))
    assert {LISTED_BY_SYMBOL[symbol].primary_exchange for symbol in symbols(listed)} == {"NYSE"}
    query = ScannerSubscription(instrument="STOCK.EU", locationCode="STK.EU.IBIS", scanCode="MOST_ACTIVE")
    assert set(symbols(await scan(scanner, query))) == {"SAP", "SIE", "ALV"}
    query = ScannerSubscription(instrument="ETF.EQ.US", locationCode="ETF.EQ.US.MAJOR", scanCode="MOST_ACTIVE")
    assert {LISTED_BY_SYMBOL[symbol].stock_type for symbol in symbols(await scan(scanner, query))} == {"ETF"}


async def test_nothing_found_is_a_warning_and_an_empty_answer(scanner: Client) -> None:
    rows = await scan(scanner, subscription(abovePrice=1e9))
    assert list(rows) == []
    assert 165 in [code for _, code, _ in scanner.errors]


@pytest.mark.parametrize(
    "query",
    [
        ScannerSubscription(instrument="STK", locationCode="STK.US", scanCode="NO_SUCH"),
        ScannerSubscription(instrument="BOND", locationCode="STK.US", scanCode="MOST_ACTIVE"),
        ScannerSubscription(instrument="STK", locationCode="STK.MARS", scanCode="MOST_ACTIVE"),
        ScannerSubscription(instrument="STK", locationCode="ETF.EQ.US", scanCode="MOST_ACTIVE"),
        ScannerSubscription(instrument="STK", locationCode="STK.US", scanCode="MOST_ACTIVE", stockTypeFilter="X"),
    ],
)
async def test_what_cannot_be_scanned(scanner: Client, query: ScannerSubscription) -> None:
    assert list(await scan(scanner, query)) == []
    assert 162 in [code for _, code, _ in scanner.errors]


async def test_unknown_filters_are_refused(scanner: Client) -> None:
    for tag, value in (("moonPhase", "1"), ("priceAbove", "")):
        scanner.errors.clear()
        assert list(await scan(scanner, subscription(), **{tag: value})) == []
        assert 162 in [code for _, code, _ in scanner.errors]


async def test_ten_at_once_and_cancelling(scanner: Client) -> None:
    lists = [scanner.ib.reqScannerSubscription(subscription()) for _ in range(11)]
    await eventually(lambda: all(lists[:10]))
    assert scanner.codes(lists[10].reqId) == [322]
    for rows in lists:
        scanner.ib.cancelScannerSubscription(rows)
    await scanner.fence()
    assert scanner.codes(lists[0].reqId) == [162]
    assert scanner.codes(lists[10].reqId) == [322, 365]


async def test_a_subscription_is_told_again_as_the_market_moves(gateway: EmbeddedGateway, client: Client) -> None:
    rows = client.ib.reqScannerSubscription(subscription(numberOfRows=20))
    told: list[list[str]] = []
    rows.updateEvent += lambda found: told.append(symbols(found))
    await eventually(lambda: bool(told), seconds=50)
    await advance(gateway, START + timedelta(hours=3), client)
    assert len(told) == 2
    assert told[0] != told[1]
    await advance(gateway, START + timedelta(hours=3), client)
    assert len(told) == 2
    client.ib.cancelScannerSubscription(rows)
    await advance(gateway, START + timedelta(hours=4), client)
    assert len(told) == 2


async def test_a_scan_lets_other_requests_through(client: Client) -> None:
    """The first scan draws every path; a request made meanwhile is answered long before it."""
    rows = client.ib.reqScannerSubscription(subscription())
    await client.fence()
    assert not rows
    client.ib.cancelScannerSubscription(rows)


@pytest.mark.parametrize("version", [157, 176])
async def test_both_versions(market: EmbeddedGateway, version: int) -> None:
    async with connected(market.port, client_id=5, version=version) as client:
        assert len(await scan(client, subscription(numberOfRows=7))) == 7


async def test_symbols_of_a_data_folder_are_scanned_too(replay: EmbeddedGateway) -> None:
    async with connected(replay.port) as client:
        rows = await scan(client, subscription("MOST_ACTIVE"))
        assert symbols(rows) == ["ACME"]
        assert float(rows[0].distance) == 1_000_000


async def test_a_clock_that_moves_during_the_first_scan_is_caught_up_with() -> None:
    with EmbeddedGateway(set_clock=START, account="DU1", seed=7) as gateway:
        async with connected(gateway.port) as client:
            rows = client.ib.reqScannerSubscription(subscription("MOST_ACTIVE", numberOfRows=3))
            await advance(gateway, START + timedelta(hours=3), client)
            await eventually(lambda: bool(rows), seconds=50)
            best = rows[0].contractDetails.contract
            assert best is not None

            async def is_of_now() -> bool:
                (ticker,) = await client.ib.reqTickersAsync(best)
                return float(rows[0].distance) == ticker.volume

            await eventually(is_of_now)


async def test_a_running_clock_measures_each_minute_anew() -> None:
    with EmbeddedGateway(start=START, speed=120.0, account="DU1", seed=7) as gateway:
        async with connected(gateway.port) as client:
            rows = client.ib.reqScannerSubscription(subscription("MOST_ACTIVE", numberOfRows=5))
            told: list[float] = []
            rows.updateEvent += lambda found: told.append(float(found[0].distance))
            await eventually(lambda: len(told) >= 3, seconds=50)
            assert told == sorted(told)  # the volume of a day only grows
