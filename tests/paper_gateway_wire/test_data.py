"""Contracts, bars and quotes as ib_insync receives them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from ib_insync import Contract, Forex, Stock

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import NEXT_CLOSE, START, Client, advance, connected


@pytest.mark.parametrize("version", [157, 163, 176])
async def test_contract_details(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        (details,) = await client.ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
        assert details.contract is not None
        assert (details.contract.symbol, details.contract.conId) == ("AAPL", 265598)
        assert (details.contract.exchange, details.contract.primaryExchange) == ("SMART", "NASDAQ")
        assert details.minTick == 0.01
        assert details.timeZoneId == "US/Eastern"
        assert details.longName == "APPLE INC"
        assert details.liquidHours.startswith("20260302:0000-20260303:0000;20260303:0000-20260304:0000;")
        (rule,) = await client.ib.reqMarketRuleAsync(int(details.marketRuleIds.split(",")[0])) or []
        assert (rule.lowEdge, rule.increment) == (0.0, 0.01)


async def test_hours_of_replayed_sessions(replay: EmbeddedGateway) -> None:
    async with connected(replay.port) as client:
        (details,) = await client.ib.reqContractDetailsAsync(Stock("ACME", "SMART", "USD"))
        assert details.liquidHours.startswith("20260302:0930-20260302:1600;20260303:0930-20260303:1600;")
        assert "20260307:CLOSED;20260308:CLOSED" in details.tradingHours
        assert details.timeZoneId == "US/Eastern"


@pytest.mark.parametrize(
    "contract",
    [
        Stock("NOSUCH", "SMART", "USD"),
        Stock("AAPL", "SMART", "EUR"),
        Stock("AAPL", "LSE", "USD"),
        Contract(secType="WAR", symbol="AAPL", exchange="SMART", currency="USD"),
        Contract(conId=1),
        Forex("EURUSD", exchange="SMART"),
    ],
)
async def test_unknown_contracts_are_200(client: Client, contract: Contract) -> None:
    assert await client.ib.reqContractDetailsAsync(contract) == []
    assert [code for _, code, _ in client.errors if code == 200] == [200]


async def test_matching_symbols(client: Client) -> None:
    samples = await client.ib.reqMatchingSymbolsAsync("aapl")
    assert samples is not None
    assert [sample.contract.symbol for sample in samples if sample.contract][:1] == ["AAPL"]


@pytest.mark.parametrize("version", [157, 176])
async def test_daily_hourly_and_weekly_bars(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        spy = await client.contract("SPY")
        daily = await client.ib.reqHistoricalDataAsync(spy, "", "30 D", "1 day", "TRADES", useRTH=True)
        assert len(daily) == 30
        assert all(isinstance(bar.date, date) and bar.low <= bar.open <= bar.high for bar in daily)
        assert daily[-1].date == date(2026, 3, 1)
        hourly = await client.ib.reqHistoricalDataAsync(spy, "", "2 D", "1 hour", "TRADES", useRTH=True)
        stamps = [bar.date for bar in hourly]
        assert all(isinstance(moment, datetime) and moment.tzinfo for moment in stamps)
        assert all(moment + timedelta(hours=1) <= START for moment in stamps if isinstance(moment, datetime))
        weekly = await client.ib.reqHistoricalDataAsync(spy, "", "1 Y", "1 week", "TRADES", useRTH=True)
        assert 50 <= len(weekly) <= 53
        assert [bar.date for bar in weekly] == sorted(bar.date for bar in weekly)


async def test_bars_end_where_asked_and_come_as_epoch(client: Client) -> None:
    spy = await client.contract("SPY")
    end = datetime(2026, 2, 21, 5, 0, tzinfo=UTC)  # midnight in New York
    daily = await client.ib.reqHistoricalDataAsync(spy, end, "5 D", "1 day", "TRADES", useRTH=True)
    assert daily[-1].date == date(2026, 2, 20)
    hourly = await client.ib.reqHistoricalDataAsync(spy, end, "1 D", "1 hour", "TRADES", useRTH=True, formatDate=2)
    assert hourly[-1].date == end - timedelta(hours=1)


async def test_history_that_cannot_be_had(client: Client) -> None:
    spy = await client.contract("SPY")
    for what, end, code in (("REBATE_RATE", "", 162), ("WHATEVER", "", 321), ("TRADES", "noon", 10314)):
        client.errors.clear()
        bars = await client.ib.reqHistoricalDataAsync(spy, end, "5 D", "1 day", what, useRTH=True)
        assert list(bars) == []
        assert [got for _, got, _ in client.errors] == [code]


async def test_head_timestamp(client: Client) -> None:
    head = await client.ib.reqHeadTimeStampAsync(await client.contract("SPY"), "TRADES", useRTH=True, formatDate=1)
    assert isinstance(head, datetime)
    assert head.replace(tzinfo=UTC) < START


@pytest.mark.parametrize("version", [157, 176])
async def test_snapshot(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        (ticker,) = await client.ib.reqTickersAsync(await client.contract("SPY"))
        assert ticker.bid < ticker.ask
        assert ticker.low <= ticker.last <= ticker.high
        assert ticker.close > 0
        assert ticker.marketDataType == 1


async def test_a_stream_follows_the_set_clock_until_cancelled(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    ticker = client.ib.reqMktData(spy)
    await client.fence()
    before = ticker.last
    assert before > 0
    await advance(gateway, NEXT_CLOSE, client)
    after = ticker.last
    assert after != before
    client.ib.cancelMktData(spy)
    await advance(gateway, NEXT_CLOSE + timedelta(days=1), client)
    assert ticker.last == after


async def test_a_second_stream_with_the_same_id_is_refused(client: Client) -> None:
    spy = await client.contract("SPY")
    request_id = client.ib.client.getReqId()
    for _ in range(2):
        client.ib.client.reqMktData(request_id, spy, "", snapshot=False, regulatorySnapshot=False, mktDataOptions=[])
    client.ib.client.cancelMktData(request_id)
    client.ib.client.cancelMktData(request_id)
    await client.fence()
    assert client.codes(request_id) == [102, 300]


async def test_frozen_data_outside_trading_hours(replay: EmbeddedGateway) -> None:
    async with connected(replay.port) as client:
        acme = await client.contract("ACME")
        client.ib.reqMarketDataType(2)
        (during,) = await client.ib.reqTickersAsync(acme)
        assert during.marketDataType == 1
        await advance(replay, NEXT_CLOSE + timedelta(hours=3), client)
        (after,) = await client.ib.reqTickersAsync(acme)
        assert after.marketDataType == 2


async def test_lists_that_are_empty_here(client: Client) -> None:
    assert await client.ib.reqMktDepthExchangesAsync() == []
    client.ib.client.reqFamilyCodes()
    client.ib.client.reqUserInfo(900)
    client.ib.client.reqSoftDollarTiers(901)
    await client.fence()
    assert await client.ib.reqHistoricalTicksAsync(await client.contract("SPY"), "", "", 1, "TRADES", useRth=True) == []
