"""The life of orders as ib_insync sees it: market, limit and stop orders, brackets, changes, refusals, reconnects."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from ib_insync import (
    Contract,
    ExecutionFilter,
    LimitOrder,
    MarketOrder,
    Order,
    OrderState,
    PriceCondition,
    Stock,
    StopOrder,
    Trade,
)

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import ACCOUNT, NEXT_CLOSE, START, Client, advance, connected

TOMORROW = NEXT_CLOSE + timedelta(days=1)


async def last_price(client: Client, contract: Contract) -> float:
    """The last price, in whole dollars so that offsets from it stay on the tick."""
    (ticker,) = await client.ib.reqTickersAsync(contract)
    return float(round(ticker.last))


def statuses(trade: Trade) -> list[str]:
    """The statuses of a trade in order, without repetitions."""
    seen = [entry.status for entry in trade.log]
    return [status for index, status in enumerate(seen) if index == 0 or seen[index - 1] != status]


@pytest.mark.parametrize("version", [157, 176])
async def test_a_market_order_fills_after_it_was_placed(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        spy = await client.contract("SPY")
        trade = client.ib.placeOrder(spy, MarketOrder("BUY", 100, orderRef="entry-1", account=ACCOUNT))
        await client.fence()
        assert trade.orderStatus.status == "PreSubmitted"
        assert trade.orderStatus.permId > 0
        await advance(gateway, NEXT_CLOSE, client)
        assert trade.orderStatus.status == "Filled"
        assert trade.filled() == 100
        (fill,) = trade.fills
        assert fill.execution.time > START
        assert (fill.execution.side, fill.execution.orderRef, fill.execution.acctNumber) == ("BOT", "entry-1", ACCOUNT)
        assert fill.commissionReport.commission == 1.0
        assert fill.commissionReport.realizedPNL == 0.0
        (position,) = client.ib.positions()
        assert (position.position, position.contract.exchange) == (100, "ARCA")
        assert position.avgCost == pytest.approx(fill.execution.price + 0.01)


async def test_limit_and_stop_wait_and_are_cancelled(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    price = await last_price(client, spy)
    limit = client.ib.placeOrder(spy, LimitOrder("BUY", 10, price - 100, tif="GTC"))
    stop = client.ib.placeOrder(spy, StopOrder("BUY", 10, price + 100, tif="GTC"))
    await client.fence()
    assert (limit.orderStatus.status, stop.orderStatus.status) == ("Submitted", "PreSubmitted")
    assert stop.orderStatus.whyHeld == "trigger"
    for trade in (limit, stop):
        client.ib.cancelOrder(trade.order)
    await client.fence()
    for trade in (limit, stop):
        assert trade.orderStatus.status == "Cancelled"
        assert client.codes(trade.order.orderId) == [202]
    assert await client.ib.reqAllOpenOrdersAsync() == []


async def test_a_price_only_change_keeps_the_order(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    price = await last_price(client, spy)
    trade = client.ib.placeOrder(spy, LimitOrder("BUY", 10, price - 100, tif="GTC"))
    await client.fence()
    perm_id = trade.order.permId
    trade.order.lmtPrice = price - 90
    client.ib.placeOrder(spy, trade.order)
    await client.fence()
    (shown,) = await client.ib.reqAllOpenOrdersAsync()
    assert shown.order.lmtPrice == price - 90
    assert shown.order.permId == perm_id
    assert trade.orderStatus.status == "Submitted"


async def test_a_bracket_waits_is_filled_and_its_target_ends_the_stop(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    price = await last_price(client, spy)
    bracket = client.ib.bracketOrder("BUY", 10, price + 50, price + 100, price - 100, tif="GTC")
    entry, target, stop = [client.ib.placeOrder(spy, order) for order in bracket]
    await client.fence()
    assert target.orderStatus.whyHeld == "child"
    assert stop.orderStatus.whyHeld == "child,trigger"
    await advance(gateway, NEXT_CLOSE, client)
    assert entry.orderStatus.status == "Filled"
    assert (target.orderStatus.status, stop.orderStatus.status) == ("Submitted", "PreSubmitted")
    async with connected(gateway.port, client_id=2) as other:
        children = await other.ib.reqAllOpenOrdersAsync()
        assert {child.order.ocaGroup for child in children} == {str(entry.order.permId)}
        assert {child.order.ocaType for child in children} == {3}
    target.order.lmtPrice, target.order.transmit = price - 50, True
    client.ib.placeOrder(spy, target.order)
    await advance(gateway, TOMORROW, client)
    assert target.orderStatus.status == "Filled"
    assert stop.orderStatus.status == "Cancelled"
    assert client.ib.positions() == []
    assert client.ib.portfolio() == []
    (report,) = [fill.commissionReport for fill in target.fills]
    bought, sold = entry.fills[0].execution.price, target.fills[0].execution.price
    assert report.realizedPNL == pytest.approx((sold - bought) * 10 - 2, abs=1e-6)


async def test_untransmitted_orders_are_seen_by_nobody(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    trade = client.ib.placeOrder(spy, MarketOrder("BUY", 10, transmit=False))
    assert await client.ib.reqAllOpenOrdersAsync() == []
    assert trade.orderStatus.status == "PendingSubmit"


async def test_what_if_previews_and_places_nothing(client: Client) -> None:
    spy = await client.contract("SPY")
    state = await client.ib.whatIfOrderAsync(spy, MarketOrder("BUY", 100))
    assert isinstance(state, OrderState)
    assert float(state.initMarginChange) > 0
    assert float(state.equityWithLoanBefore) == pytest.approx(1_000_000)
    before, change, after = state.initMarginBefore, state.initMarginChange, state.initMarginAfter
    assert float(before) + float(change) == pytest.approx(float(after))
    assert state.commission == 1.0
    assert await client.ib.reqAllOpenOrdersAsync() == []


@pytest.mark.parametrize(
    ("order", "contract", "code"),
    [
        (MarketOrder("BUY", 10), Stock("NOSUCH", "SMART", "USD"), 200),
        (MarketOrder("BUY", 10), Contract(secType="BAG", symbol="SPY", exchange="SMART", currency="USD"), 200),
        (MarketOrder("BUY", 10, account="DU1"), Stock("SPY", "SMART", "USD"), 321),
        (MarketOrder("BUY", 10_000_000), Stock("SPY", "SMART", "USD"), 201),
        (LimitOrder("BUY", 10, 99.999), Stock("SPY", "SMART", "USD"), 110),
        (MarketOrder("BUY", 0), Stock("SPY", "SMART", "USD"), 434),
        (LimitOrder("BUY", 10, 99, conditions=[PriceCondition(conId=1)]), Stock("SPY", "SMART", "USD"), 321),
        (MarketOrder("BUY", 10, parentId=4711), Stock("SPY", "SMART", "USD"), 10006),
        (Order(action="BUY", totalQuantity=10, orderType="REL", auxPrice=1.0), Stock("SPY", "SMART", "USD"), 387),
    ],
)
async def test_refusals_carry_their_code(client: Client, order: Order, contract: Contract, code: int) -> None:
    trade = client.ib.placeOrder(contract, order)
    await client.fence()
    assert code in client.codes(trade.order.orderId)
    assert await client.ib.reqAllOpenOrdersAsync() == []


async def test_another_client_cannot_touch_an_order(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    trade = client.ib.placeOrder(spy, LimitOrder("BUY", 10, 1.0, tif="GTC"))
    await client.fence()
    async with connected(gateway.port, client_id=2) as other:
        (seen,) = await other.ib.reqAllOpenOrdersAsync()
        assert seen.order.clientId == 1
        assert await other.ib.reqOpenOrdersAsync() == []
        other.ib.client.cancelOrder(trade.order.orderId)
        other.ib.client.cancelOrder(9999)
        await other.fence()
        assert other.codes(trade.order.orderId) == [10147]
        assert other.codes(9999) == [10147]
        assert trade.orderStatus.status == "Submitted"
        other.ib.reqGlobalCancel()
        await other.fence()
    await client.fence()
    assert trade.orderStatus.status == "Cancelled"


async def test_events_go_to_the_owner_only(gateway: EmbeddedGateway, client: Client) -> None:
    async with connected(gateway.port, client_id=2) as other:
        client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
        await advance(gateway, NEXT_CLOSE, client, other)
        assert other.ib.trades() == []
        assert other.ib.fills() == []
        assert [position.position for position in other.ib.positions()] == [10]


async def test_a_reconnecting_client_finds_its_day(gateway: EmbeddedGateway) -> None:
    async with connected(gateway.port) as client:
        spy = await client.contract("SPY")
        client.ib.placeOrder(spy, MarketOrder("BUY", 10, orderRef="first"))
        resting = client.ib.placeOrder(spy, LimitOrder("BUY", 10, 1.0, tif="GTC", orderRef="second"))
        dropped = client.ib.placeOrder(spy, LimitOrder("BUY", 10, 1.0, tif="GTC", orderRef="third"))
        await client.fence()
        client.ib.cancelOrder(dropped.order)
        last_id = dropped.order.orderId
        await client.fence()
    await advance(gateway, NEXT_CLOSE)
    async with connected(gateway.port) as client:
        (fill,) = client.ib.fills()
        assert (fill.execution.orderRef, fill.commissionReport.commission) == ("first", 1.0)
        by_ref = {trade.order.orderRef: trade for trade in client.ib.trades()}
        assert {ref: trade.orderStatus.status for ref, trade in by_ref.items()} == {
            "first": "Filled",
            "second": "Submitted",
            "third": "Cancelled",
        }
        assert by_ref["second"].order.permId == resting.order.permId
        assert client.ib.client.getReqId() > last_id
        matching = ExecutionFilter(symbol="SPY", side="BUY", time="20260302-15:00:00")
        assert len(await client.ib.reqExecutionsAsync(matching)) == 1
        for other in (ExecutionFilter(symbol="QQQ"), ExecutionFilter(side="SELL"), ExecutionFilter(clientId=5)):
            assert await client.ib.reqExecutionsAsync(other) == []


async def test_a_restarted_gateway_keeps_orders_and_account(tmp_path: Path) -> None:
    store = tmp_path / "paper.sqlite3"
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, store_path=store) as gateway:
        async with connected(gateway.port) as client:
            spy = await client.contract("SPY")
            client.ib.placeOrder(spy, MarketOrder("BUY", 10, orderRef="filled"))
            working = client.ib.placeOrder(spy, LimitOrder("SELL", 10, 5000.0, tif="GTC", orderRef="working"))
            await advance(gateway, NEXT_CLOSE, client)
            perm_id, last_id = working.order.permId, working.order.orderId
    with EmbeddedGateway(set_clock=NEXT_CLOSE, account=ACCOUNT, store_path=store) as gateway:
        async with connected(gateway.port) as client:
            assert [position.position for position in client.ib.positions()] == [10]
            assert [fill.execution.orderRef for fill in client.ib.fills()] == ["filled"]
            (order,) = client.ib.openOrders()
            assert (order.permId, order.orderRef) == (perm_id, "working")
            assert client.ib.client.getReqId() > last_id
