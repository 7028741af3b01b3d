"""Several clients at once: who hears of which order, manual orders, ids that are used again, corrections."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from ib_insync import ExecutionFilter, LimitOrder, MarketOrder

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.types import OrderTerms
from tests.paper_gateway_wire.conftest import ACCOUNT, NEXT_CLOSE, START, RawClient, advance, connected

SPY = 756733


@pytest.fixture
def mastered() -> Iterator[EmbeddedGateway]:
    """A gateway whose master client is number 9."""
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, seed=7, master_client=9) as running:
        yield running


def at_the_exchange(gateway: EmbeddedGateway) -> PaperExchange:
    exchange = gateway._running.gateway.exchange
    assert isinstance(exchange, PaperExchange)
    return exchange


def manual(quantity: int = 10) -> OrderTerms:
    return OrderTerms(0, 0, SPY, "SPY", "BUY", Decimal(quantity), "LMT", limit_price=Decimal("1.00"), tif="GTC")


async def test_the_master_client_hears_of_every_order_and_its_fills(mastered: EmbeddedGateway) -> None:
    async with (
        connected(mastered.port, 9) as master,
        connected(mastered.port, 1) as one,
        connected(mastered.port, 2) as two,
    ):
        spy = await one.contract("SPY")
        trade = one.ib.placeOrder(spy, MarketOrder("BUY", 10, orderRef="ones"))
        await advance(mastered, NEXT_CLOSE, one, two, master)
        assert trade.orderStatus.status == "Filled"
        (seen,) = master.ib.trades()
        assert (seen.order.clientId, seen.order.orderRef, seen.orderStatus.status) == (1, "ones", "Filled")
        (fill,) = master.ib.fills()
        assert fill.commissionReport.commission == 1.0
        assert two.ib.trades() == []
        master.ib.client.cancelOrder(trade.order.orderId)  # hearing is not owning
        await master.fence()
        assert master.codes(trade.order.orderId) == [10147]


async def test_manual_orders_are_bound_to_client_0_when_it_asks(mastered: EmbeddedGateway) -> None:
    loop = mastered._loop
    async with connected(mastered.port, 9) as master, connected(mastered.port, 1) as one:
        loop.call_soon_threadsafe(at_the_exchange(mastered).place_manual, manual())
        await master.fence()
        (unbound,) = await one.ib.reqAllOpenOrdersAsync()
        assert (unbound.order.orderId, unbound.order.clientId, unbound.order.orderRef) == (0, 0, "")
        assert await one.ib.reqOpenOrdersAsync() == []
        async with connected(mastered.port, 0) as zero:
            (bound,) = zero.ib.openOrders()
            assert (bound.orderId, bound.permId) == (-1, unbound.order.permId)
            loop.call_soon_threadsafe(at_the_exchange(mastered).place_manual, manual(20))
            await zero.fence()
            assert {trade.order.orderId for trade in zero.ib.openTrades()} == {-1, -2}
            zero.ib.client.cancelOrder(-1)
            bound.totalQuantity = 5
            await zero.fence()
            assert [trade.order.orderId for trade in await zero.ib.reqAllOpenOrdersAsync()] == [-2]
        one.ib.client.cancelOrder(-2)
        await one.fence()
        assert one.codes(-2) == [10147]


def test_a_bound_order_is_announced_under_its_permanent_id(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start(client_id=0)
        raw.message(15, 1, 1)
        raw.message(49, 1)
        raw.until("49")
        gateway._loop.call_soon_threadsafe(at_the_exchange(gateway).place_manual, manual())
        raw.message(5, 1)
        perm_id, client_id, order_id = raw.until("100")[1:4]
        assert (client_id, order_id) == ("0", "-1")
        assert raw.until("3")[1:3] == ["-1", "Submitted"]
        (view,) = at_the_exchange(gateway).open_orders(None)
        assert str(view.perm_id) == perm_id


async def test_ids_that_were_rolled_back_are_used_for_new_orders(gateway: EmbeddedGateway) -> None:
    exchange = at_the_exchange(gateway)
    async with connected(gateway.port) as client:
        spy = await client.contract("SPY")
        old = client.ib.placeOrder(spy, LimitOrder("BUY", 10, 1.0, tif="GTC", orderRef="old"))
        await client.fence()
    with RawClient(gateway.port) as raw:
        exchange.roll_back_order_ids(1, old.order.orderId)
        raw.start(client_id=1)
        raw.message(8, 1, 1)
        assert raw.until("9")[2] == str(old.order.orderId)
        exchange.submit(
            OrderTerms(
                1, old.order.orderId, SPY, "SPY", "BUY", Decimal(7), "LMT", limit_price=Decimal("1.00"), tif="GTC"
            )
        )
        first, second = exchange.open_orders(1)
        assert (first.terms.order_id, first.terms.order_ref) == (second.terms.order_id, "old")
        assert second.perm_id > first.perm_id
        raw.message(4, 1, old.order.orderId, "")
        raw.until("4")
        assert [view.perm_id for view in exchange.open_orders(1)] == [first.perm_id]  # the newest answers to the id
        raw.message(4, 1, old.order.orderId, "")
        raw.until("4")
        assert exchange.open_orders(1) == []


async def test_corrections_and_busts_replace_what_they_correct(gateway: EmbeddedGateway) -> None:
    exchange = at_the_exchange(gateway)
    async with connected(gateway.port) as client:
        trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 100))
        await advance(gateway, NEXT_CLOSE, client)
        (fill,) = trade.fills
        cash = {row.currency: Decimal(row.value) for row in exchange.account_values() if row.key == "CashBalance"}[
            "USD"
        ]
        price = Decimal(str(fill.execution.price))
        gateway._loop.call_soon_threadsafe(lambda: exchange.correct_execution(fill.execution.execId, price=price - 1))
        await client.fence()
        corrected = client.ib.fills()[-1].execution
        assert (corrected.execId, corrected.price) == (fill.execution.execId[:-1] + "2", float(price - 1))
        assert {r.currency: Decimal(r.value) for r in exchange.account_values() if r.key == "CashBalance"}[
            "USD"
        ] == cash + 100
        gateway._loop.call_soon_threadsafe(exchange.bust_execution, corrected.execId)
        await client.fence()
        busted = client.ib.fills()[-1].execution
        assert (busted.execId[-2:], busted.shares, busted.cumQty) == ("03", 0, 0)
        assert exchange.positions() == []
        (held,) = await client.ib.reqExecutionsAsync(ExecutionFilter())
        assert held.execution.execId == busted.execId
