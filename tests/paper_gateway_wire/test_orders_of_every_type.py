"""Order types, times in force and stock abroad as ib_insync sends and reads them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ib_insync import Forex, Future, LimitOrder, MarketOrder, Order, Stock

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import NEXT_CLOSE, START, Client, advance, connected
from tests.paper_gateway_wire.test_orders import last_price


@pytest.mark.parametrize("version", [157, 176])
async def test_trailing_orders_come_back_with_their_stop_percent_and_offset(
    gateway: EmbeddedGateway, version: int
) -> None:
    async with connected(gateway.port, version=version) as client:
        spy = await client.contract("SPY")
        price = await last_price(client, spy)
        percent = Order(action="SELL", totalQuantity=10, orderType="TRAIL", trailingPercent=5.0, tif="GTC")
        limit = Order(
            action="SELL",
            totalQuantity=10,
            orderType="TRAIL LIMIT",
            auxPrice=3.0,
            trailStopPrice=price - 20,
            lmtPriceOffset=0.5,
            tif="GTC",
        )
        trades = [client.ib.placeOrder(spy, order) for order in (percent, limit)]
        await client.fence()
        assert [trade.orderStatus.whyHeld for trade in trades] == ["trigger", "trigger"]
    async with connected(gateway.port, version=version) as client:
        one, two = sorted(client.ib.openOrders(), key=lambda order: order.orderId)
        assert one.trailingPercent == 5.0
        assert one.trailStopPrice == pytest.approx(price * 0.95, abs=1.0)
        assert (two.trailStopPrice, two.lmtPriceOffset, two.lmtPrice) == (price - 20, 0.5, price - 20.5)
        two.auxPrice = 2.0
        client.ib.placeOrder(spy, two)
        client.ib.cancelOrder(one)
        await client.fence()
        assert client.codes(two.orderId) == []
        async with connected(gateway.port, client_id=2) as other:  # the library keeps some old fields of known orders
            (left,) = await other.ib.reqAllOpenOrdersAsync()
        assert left.order.auxPrice == 2.0
        assert left.order.trailStopPrice > price - 20
        (ended,) = await client.ib.reqCompletedOrdersAsync(apiOnly=False)
        assert (ended.order.orderType, ended.order.trailingPercent) == ("TRAIL", 5.0)
        assert ended.order.trailStopPrice == pytest.approx(price * 0.95, abs=1.0)


async def test_good_till_and_good_after_times_are_kept_and_told(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    till = START + timedelta(hours=2)
    order = LimitOrder("BUY", 10, 1.0, tif="GTD", goodTillDate=f"{till:%Y%m%d %H:%M:%S} UTC")
    late = LimitOrder("BUY", 10, 1.0, tif="GTC", goodAfterTime=f"{till:%Y%m%d-%H:%M:%S}")
    ending, waking = client.ib.placeOrder(spy, order), client.ib.placeOrder(spy, late)
    bad = client.ib.placeOrder(spy, LimitOrder("BUY", 10, 1.0, tif="GTD", goodTillDate="next week"))
    await client.fence()
    assert client.codes(bad.order.orderId) == [391]
    (seen, _) = await client.ib.reqAllOpenOrdersAsync()
    assert seen.order.goodTillDate == f"{till:%Y%m%d %H:%M:%S} UTC"
    assert waking.orderStatus.status == "PreSubmitted"
    await advance(gateway, till, client)
    assert (ending.orderStatus.status, waking.orderStatus.status) == ("Cancelled", "Submitted")


async def test_futures_pairs_and_stocks_abroad_trade(gateway: EmbeddedGateway, client: Client) -> None:
    contracts = [Future("ES", exchange="CME", currency="USD"), Forex("EURUSD"), Stock("SAP", "IBIS", "EUR")]
    sizes = (1, 20_000, 10)
    future = sorted(await client.ib.reqContractDetailsAsync(contracts[0]), key=lambda found: found.realExpirationDate)
    contracts[0] = future[0].contract
    await client.ib.qualifyContractsAsync(*contracts[1:])
    trades = [client.ib.placeOrder(c, MarketOrder("BUY", n)) for c, n in zip(contracts, sizes, strict=True)]
    await advance(gateway, NEXT_CLOSE, client)
    assert [trade.orderStatus.status for trade in trades] == ["Filled"] * 3
    reports = [trade.fills[0].commissionReport for trade in trades]
    assert [report.currency for report in reports] == ["USD", "USD", "EUR"]
    values = {
        (row.tag, row.currency): float(row.value) for row in client.ib.accountValues() if row.tag == "CashBalance"
    }
    assert values["CashBalance", "EUR"] == pytest.approx(
        20_000 - 10 * trades[2].fills[0].execution.price - reports[2].commission
    )
    held = {item.contract.symbol: item for item in client.ib.portfolio()}
    assert held["ES"].averageCost == pytest.approx(trades[0].fills[0].execution.price * 50 + 2.25)
    assert held["SAP"].contract.currency == "EUR"
    state = await client.ib.whatIfOrderAsync(contracts[0], MarketOrder("SELL", 1))
    assert float(state.initMarginChange) < 0


async def test_closing_order_is_filled_at_the_close_and_all_or_none_is_refused(
    gateway: EmbeddedGateway, client: Client
) -> None:
    spy = await client.contract("SPY")
    moc = client.ib.placeOrder(spy, Order(action="BUY", totalQuantity=10, orderType="MOC"))
    all_or_none = client.ib.placeOrder(spy, LimitOrder("BUY", 10, 1.0, allOrNone=True))
    await advance(gateway, NEXT_CLOSE, client)
    assert client.codes(all_or_none.order.orderId) == [321]
    assert moc.orderStatus.status == "PreSubmitted"
    await advance(gateway, NEXT_CLOSE + timedelta(days=1), client)  # the seeded session ends at midnight in New York
    assert moc.orderStatus.status == "Filled"
