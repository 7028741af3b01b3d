"""With a running clock the gateway matches and streams by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from ib_insync import LimitOrder, MarketOrder

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import connected, eventually


@pytest.fixture
def live() -> Iterator[EmbeddedGateway]:
    """A gateway with seeded prices at the system's time."""
    with EmbeddedGateway(seed=7) as running:
        yield running


async def test_time_runs(live: EmbeddedGateway) -> None:
    async with connected(live.port) as client:
        before, told, after = datetime.now(UTC), await client.fence(), datetime.now(UTC)
        assert before - timedelta(seconds=1) <= told <= after, "in whole seconds"


async def test_orders_meet_the_quotes_of_now(live: EmbeddedGateway) -> None:
    async with connected(live.port) as client:
        spy = await client.contract("SPY")
        (ticker,) = await client.ib.reqTickersAsync(spy)
        bought = client.ib.placeOrder(spy, MarketOrder("BUY", 1))
        marketable = client.ib.placeOrder(spy, LimitOrder("BUY", 1, round(ticker.ask + 5, 2)))
        resting = client.ib.placeOrder(spy, LimitOrder("BUY", 1, round(ticker.bid / 2, 2), tif="GTC"))
        await eventually(lambda: bought.isDone() and marketable.isDone())
        await client.fence()
        assert bought.fills[0].execution.price == pytest.approx(ticker.ask, rel=0.01)
        assert resting.orderStatus.status == "Submitted"


async def test_quotes_and_results_stream_by_themselves(live: EmbeddedGateway) -> None:
    async with connected(live.port) as client:
        spy = await client.contract("SPY")
        ticker = client.ib.reqMktData(spy)
        await client.fence()
        first = (ticker.bid, ticker.ask, ticker.last, ticker.volume)
        await eventually(lambda: (ticker.bid, ticker.ask, ticker.last, ticker.volume) != first)
        client.ib.placeOrder(spy, MarketOrder("BUY", 100))
        profit = client.ib.reqPnL(client.ib.managedAccounts()[0])
        await eventually(lambda: profit.dailyPnL not in (0, None) and profit.dailyPnL == profit.dailyPnL)
