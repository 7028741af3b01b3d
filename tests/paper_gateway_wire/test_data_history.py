"""History as ib_insync receives it: every bar size and kind, bars kept up to date, schedules, ticks, histograms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
from ib_insync import BarDataList, Contract

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.prices.requests import BAR_SIZES
from tests.paper_gateway_wire.conftest import ACCOUNT, NEXT_CLOSE, START, Client, advance, connected


async def history(client: Client, contract: Contract, size: str, span: str, what: str = "TRADES") -> BarDataList:
    """Bars up to now."""
    return await client.ib.reqHistoricalDataAsync(contract, "", span, size, what, useRTH=True)


async def test_every_bar_size(client: Client) -> None:
    spy = await client.contract("SPY")
    for size in BAR_SIZES:
        span = "600 S" if "secs" in size else "1 Y" if size in {"1 week", "1 month"} else "2 D"
        bars = await history(client, spy, size, span)
        assert len(bars) > 1, size
        stamps = [bar.date for bar in bars]
        assert all(isinstance(stamp, date) for stamp in stamps)
        assert stamps == sorted(set(stamps))
        assert isinstance(stamps[0], datetime) == (size not in {"1 day", "1 week", "1 month"})


@pytest.mark.parametrize("version", [157, 176])
async def test_every_kind_of_bars(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        spy = await client.contract("SPY")
        closes = {}
        for what in ("BID", "MIDPOINT", "TRADES", "ADJUSTED_LAST", "ASK", "BID_ASK", "HISTORICAL_VOLATILITY"):
            closes[what] = (await history(client, spy, "1 day", "5 D", what))[-1].close
        assert closes["BID"] < closes["MIDPOINT"] == closes["TRADES"] == closes["ADJUSTED_LAST"] < closes["ASK"]
        assert closes["HISTORICAL_VOLATILITY"] < 2


async def test_requests_that_reach_too_far(client: Client) -> None:
    spy = await client.contract("SPY")
    for size, span, code in (("1 secs", "1 D", 162), ("30 secs", "2 D", 162), ("1 day", "400 D", 321)):
        client.errors.clear()
        assert list(await history(client, spy, size, span)) == []
        assert [got for _, got, _ in client.errors] == [code]


async def test_bars_are_kept_up_to_date_until_cancelled(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    bars = await client.ib.reqHistoricalDataAsync(spy, "", "1 D", "1 min", "TRADES", useRTH=True, keepUpToDate=True)
    count = len(bars)
    await advance(gateway, START + timedelta(minutes=3), client)
    assert len(bars) == count + 3
    again = await history(client, spy, "1 min", "1 D")
    assert list(bars)[-3:] == list(again)[-3:]
    client.ib.cancelHistoricalData(bars)
    await advance(gateway, START + timedelta(minutes=5), client)
    assert len(bars) == count + 3
    assert client.codes(bars.reqId) == [162]
    assert "query cancelled" in client.errors[-1][2]


async def test_replayed_bars_are_kept_up_to_date_from_close_to_close(replay: EmbeddedGateway) -> None:
    async with connected(replay.port) as client:
        acme = await client.contract("ACME")
        bars = await client.ib.reqHistoricalDataAsync(
            acme, "", "1 M", "1 day", "TRADES", useRTH=True, keepUpToDate=True
        )
        assert bars[-1].date == date(2026, 2, 27)
        for days in (0, 1):
            await advance(replay, NEXT_CLOSE + timedelta(days=days), client)
            assert bars[-1].date == date(2026, 3, 2 + days)


async def test_what_cannot_be_kept_up_to_date(client: Client) -> None:
    spy = await client.contract("SPY")
    for size, end in (("1 secs", ""), ("1 min", START)):
        client.errors.clear()
        span = "60 S" if size == "1 secs" else "1 D"
        bars = await client.ib.reqHistoricalDataAsync(spy, end, span, size, "TRADES", useRTH=True, keepUpToDate=True)
        assert list(bars) == []
        assert client.errors[0][1] == 321


async def test_a_finished_query_cannot_be_cancelled(client: Client) -> None:
    bars = await history(client, await client.contract("SPY"), "1 day", "2 D")
    client.ib.cancelHistoricalData(bars)
    await client.fence()
    assert client.codes(bars.reqId) == [366]


@pytest.mark.parametrize("version", [157, 176])
async def test_ticks_of_the_past(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        spy = await client.contract("SPY")
        for what in ("TRADES", "BID_ASK", "MIDPOINT"):
            before = await client.ib.reqHistoricalTicksAsync(spy, "", START, 10, what, useRth=True)
            after = await client.ib.reqHistoricalTicksAsync(spy, START - timedelta(hours=1), "", 10, what, useRth=True)
            assert len(before) == len(after) == 10
            assert before[-1].time <= START
            assert after[0].time > START - timedelta(hours=1)
        client.errors.clear()
        assert await client.ib.reqHistoricalTicksAsync(spy, START, START, 10, "TRADES", useRth=True) == []
        assert client.errors[0][1] == 321


async def test_schedule_histogram_and_head_time_stamps(client: Client) -> None:
    spy = await client.contract("SPY")
    schedule = await client.ib.reqHistoricalScheduleAsync(spy, 3)
    assert [session.refDate for session in schedule.sessions] == ["20260228", "20260301", "20260302"]
    assert schedule.timeZone == "US/Eastern"
    rows = await client.ib.reqHistogramDataAsync(spy, useRTH=True, period="1 day")
    assert all(row.count > 0 for row in rows)
    for what in ("TRADES", "BID", "MIDPOINT"):
        assert await client.ib.reqHeadTimeStampAsync(spy, what, useRTH=True, formatDate=1) < datetime(2009, 1, 1)  # noqa: DTZ001


@pytest.fixture
def open_hours() -> Iterator[EmbeddedGateway]:
    """A gateway whose markets keep their exchanges' hours, on a Saturday."""
    with EmbeddedGateway(
        set_clock=datetime.fromisoformat("2026-03-07T15:00Z"), account=ACCOUNT, hours="exchange"
    ) as it:
        yield it


async def test_exchange_hours_on_the_wire(open_hours: EmbeddedGateway) -> None:
    async with connected(open_hours.port) as client:
        spy = await client.contract("SPY")
        regular = await history(client, spy, "1 hour", "1 D")
        assert (len(regular), regular[-1].date.strftime("%d %H:%M")) == (7, "06 15:00")
        whole = await client.ib.reqHistoricalDataAsync(spy, "", "1 D", "1 hour", "TRADES", useRTH=False)
        assert len(whole) == 16
        client.ib.reqMarketDataType(2)
        (ticker,) = await client.ib.reqTickersAsync(spy)
        assert ticker.marketDataType == 2
        (details,) = await client.ib.reqContractDetailsAsync(spy)
        assert details.liquidHours.startswith("20260307:CLOSED;20260308:CLOSED;20260309:0930-20260309:1600")
        assert "20260309:0400-20260309:2000" in details.tradingHours
