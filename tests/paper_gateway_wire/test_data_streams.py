"""Streams as ib_insync receives them: live, frozen, delayed, refused, silent; bars, single ticks and books."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from ib_insync import Contract, Forex, Index, Ticker

from broker.paper_gateway.control_client import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import ACCOUNT, START, Client, advance, connected

MINUTE = timedelta(minutes=1)


@pytest.fixture
def gateway() -> Iterator[EmbeddedGateway]:
    """A gateway that stands at START and has no live data of MSFT."""
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, seed=7, delayed=("MSFT",)) as running:
        yield running


@pytest.fixture
async def client(gateway: EmbeddedGateway) -> AsyncIterator[Client]:
    """Client 1 of that gateway."""
    async with connected(gateway.port) as one:
        yield one


@pytest.fixture
def control(gateway: EmbeddedGateway) -> Iterator[ControlClient]:
    """Steers that gateway."""
    with ControlClient("127.0.0.1", gateway.control_port) as steering:
        yield steering


@pytest.mark.parametrize("version", [157, 176])
async def test_generic_ticks(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        ticker = client.ib.reqMktData(await client.contract("SPY"), "100,104,165,221,233,236,375,mdoff")
        await client.fence()
        assert ticker.markPrice == ticker.last
        assert ticker.rtVolume == ticker.rtTradeVolume == ticker.volume
        assert ticker.low52week <= ticker.low26week <= ticker.low13week < ticker.last
        assert ticker.high13week <= ticker.high52week
        assert ticker.shortableShares > 1000
        assert ticker.histVolatility > 0
        assert ticker.halted == 0


async def test_generic_ticks_that_do_not_exist(client: Client) -> None:
    spy = await client.contract("SPY")
    client.ib.reqMktData(spy, "233,7777")
    await client.fence()
    assert client.errors[-1][1] == 321
    assert "7777" in client.errors[-1][2]


async def test_without_live_data_there_are_delayed_ones_for_who_asked(gateway: EmbeddedGateway, client: Client) -> None:
    msft = await client.contract("MSFT")
    client.ib.reqMktData(msft)
    await client.fence()
    assert [code for _, code, _ in client.errors[-1:]] == [354]
    client.ib.cancelMktData(msft)
    client.ib.reqMarketDataType(3)
    delayed = client.ib.reqMktData(msft)
    live = client.ib.reqMktData(await client.contract("SPY"))
    await client.fence()
    assert 10167 in [code for _, code, _ in client.errors]
    assert (delayed.marketDataType, live.marketDataType) == (3, 1)
    at_start = delayed.last
    await advance(gateway, START + 15 * MINUTE, client)
    assert delayed.last != at_start
    async with connected(gateway.port, client_id=2) as other:
        (past,) = await other.ib.reqHistoricalTicksAsync(msft, "", START, 1, "TRADES", useRth=False)
        assert past.price == pytest.approx(delayed.last, abs=0.005)


async def test_a_feed_can_be_switched_under_a_stream(
    gateway: EmbeddedGateway, client: Client, control: ControlClient
) -> None:
    spy = await client.contract("SPY")
    client.ib.reqMarketDataType(3)
    ticker = client.ib.reqMktData(spy)
    await client.fence()
    seen: list[tuple[int, int]] = []
    for minute, feed in enumerate(("delayed", "none", "live"), start=1):
        client.errors.clear()
        control.feed(feed, spy.conId)
        await advance(gateway, START + minute * MINUTE, client)
        seen.append((ticker.marketDataType, client.errors[-1][1] if client.errors else 0))
    assert seen == [(3, 10167), (3, 10186), (1, 0)]
    control.feed("none")
    assert list(await client.ib.reqHistoricalDataAsync(spy, "", "2 D", "1 day", "TRADES", useRTH=True)) == []
    assert client.errors[-1][1] == 162


async def test_another_session_takes_the_data(gateway: EmbeddedGateway, client: Client, control: ControlClient) -> None:
    spy, ibm = await client.contract("SPY"), await client.contract("IBM")
    ticker = client.ib.reqMktData(spy)
    await client.fence()
    before = ticker.last
    control.competing(on=True)
    for minute in (1, 2):
        await advance(gateway, START + minute * MINUTE, client)
    assert ticker.last == before
    client.ib.reqMktData(ibm)
    await client.fence()
    assert [code for _, code, _ in client.errors if code == 10197] == [10197, 10197]
    control.competing(on=False)
    await advance(gateway, START + 3 * MINUTE, client)
    assert ticker.last != before


async def test_a_halt_is_told(gateway: EmbeddedGateway, client: Client, control: ControlClient) -> None:
    spy = await client.contract("SPY")
    ticker = client.ib.reqMktData(spy)
    await client.fence()
    control.halt(spy.conId, on=True)
    await advance(gateway, START + MINUTE, client)
    assert ticker.halted == 1


async def test_only_changes_are_sent(gateway: EmbeddedGateway, client: Client) -> None:
    ticker = client.ib.reqMktData(await client.contract("SPY"), "165")
    await client.fence()
    moved: list[int] = []
    ticker.updateEvent += lambda changed: moved.extend(tick.tickType for tick in changed.ticks)
    await advance(gateway, START + timedelta(seconds=1), client)
    assert len(moved) == len(set(moved))
    assert not set(moved) & {9, 14, 15, 16, 21}


async def test_a_hundred_lines_and_no_more(client: Client) -> None:
    spy = await client.contract("SPY")
    for number in range(101):
        client.ib.client.reqMktData(5000 + number, spy, "", snapshot=False, regulatorySnapshot=False, mktDataOptions=[])
    await client.fence()
    assert client.codes(5099) == []
    assert client.codes(5100) == [101]
    client.ib.client.cancelMktData(5000)
    client.ib.client.reqMktData(5101, spy, "", snapshot=False, regulatorySnapshot=False, mktDataOptions=[])
    await client.fence()
    assert client.codes(5101) == []


async def test_bars_of_five_seconds(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    bars = client.ib.reqRealTimeBars(spy, 5, "TRADES", useRTH=False)
    await advance(gateway, START + MINUTE, client)
    past = await client.ib.reqHistoricalDataAsync(spy, "", "60 S", "5 secs", "TRADES", useRTH=False)
    assert [(bar.time, bar.open_, bar.close, bar.volume) for bar in bars] == [
        (bar.date, bar.open, bar.close, bar.volume) for bar in past
    ]
    assert len(bars) == 12
    client.ib.cancelRealTimeBars(bars)
    await advance(gateway, START + 2 * MINUTE, client)
    assert len(bars) == 12


async def test_single_ticks_of_each_kind(gateway: EmbeddedGateway, client: Client) -> None:
    symbols = {"Last": "SPY", "AllLast": "IBM", "BidAsk": "AAPL", "MidPoint": "QQQ"}
    contracts = {kind: await client.contract(symbol) for kind, symbol in symbols.items()}
    tickers = {kind: client.ib.reqTickByTickData(contract, kind) for kind, contract in contracts.items()}
    await client.fence()
    counts: dict[str, int] = dict.fromkeys(symbols, 0)

    def count(ticker: Ticker, kind: str) -> None:
        counts[kind] += len(ticker.tickByTicks)

    for kind, ticker in tickers.items():
        ticker.updateEvent += lambda changed, kind=kind: count(changed, kind)
    await advance(gateway, START + MINUTE, client)
    assert counts["Last"] == 60
    assert all(0 < number <= 60 for number in counts.values())
    for kind, contract in contracts.items():
        client.ib.cancelTickByTickData(contract, kind)
    await client.fence()
    assert [code for _, code, _ in client.errors if code == 300] == []


async def test_five_streams_of_single_ticks_and_no_more(client: Client) -> None:
    contracts = [await client.contract(symbol) for symbol in ("SPY", "IBM", "AAPL", "QQQ", "BAC", "T")]
    for contract in contracts:
        client.ib.reqTickByTickData(contract, "MidPoint")
    await client.fence()
    assert [code for _, code, _ in client.errors if code > 10000] == [10190]


@pytest.mark.parametrize(("smart", "makers"), [(True, {"ARCA"}), (False, {""})])
async def test_a_small_book(gateway: EmbeddedGateway, client: Client, smart: bool, makers: set[str]) -> None:
    spy = await client.contract("SPY")
    ticker = client.ib.reqMktDepth(spy, 5, isSmartDepth=smart)
    await client.fence()
    first = [level.price for level in ticker.domBids]
    assert first == sorted(first, reverse=True)
    assert (len(ticker.domBids), len(ticker.domAsks)) == (5, 5)
    assert ticker.domBids[0].price < ticker.domAsks[0].price
    assert makers <= {level.marketMaker for level in ticker.domBids}
    await advance(gateway, START + MINUTE, client)
    assert [level.price for level in ticker.domBids] != first
    assert (len(ticker.domBids), len(ticker.domAsks)) == (5, 5)
    client.ib.cancelMktDepth(spy, isSmartDepth=smart)
    client.ib.client.cancelMktDepth(999, smart)
    await client.fence()
    assert client.codes(999) == [310]


async def test_an_index_has_no_sides_and_a_pair_no_trades(client: Client) -> None:
    tickers = {}
    for contract in (Index("SPX", "CBOE", "USD"), Forex("EURUSD")):
        await client.ib.qualifyContractsAsync(contract)
        tickers[contract.secType] = client.ib.reqMktData(contract)
    await client.fence()
    assert tickers["IND"].last > 0
    assert not tickers["IND"].hasBidAsk()
    assert tickers["CASH"].hasBidAsk()
    assert tickers["CASH"].last != tickers["CASH"].last
    pair: Contract = Forex("EURUSD")
    bars = await client.ib.reqHistoricalDataAsync(pair, "", "2 D", "1 hour", "MIDPOINT", useRTH=True)
    assert bars[-1].close == pytest.approx(tickers["CASH"].midpoint(), rel=0.01)
    assert list(await client.ib.reqHistoricalDataAsync(pair, "", "2 D", "1 hour", "TRADES", useRTH=True)) == []
    assert client.errors[-1][1] == 162
