"""What the market takes back, cuts up or forgets: corrections, busts, partial fills, order ids used twice."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ib_insync import LimitOrder, MarketOrder

from broker.paper_gateway.control import ControlClient, ControlError
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.faults.base import FaultError
from tests.paper_gateway_wire.conftest import NEXT_CLOSE, Client, RawClient, advance, connected, eventually
from tests.paper_gateway_wire.raw_client import SPY
from tests.support import eventually as eventually_blocking


async def test_a_correction_replaces_its_execution(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("correct_execution", by=0.05, seconds=0)
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await advance(gateway, NEXT_CLOSE, client)
    await eventually(lambda: len(trade.fills) == 2)
    first, second = (fill.execution for fill in trade.fills)
    assert first.execId.rpartition(".")[0] == second.execId.rpartition(".")[0]
    assert second.price == pytest.approx(first.price + 0.05)
    ((exec_id, execution),) = gateway.truth()["executions"].items()
    assert (exec_id, Decimal(execution["price"])) == (second.execId, Decimal(str(second.price)))


async def test_a_bust_takes_the_position_away(gateway: EmbeddedGateway, client: Client) -> None:
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await advance(gateway, NEXT_CLOSE, client)
    gateway.fault("bust_execution", exec_id=trade.fills[0].execution.execId)
    await client.fence()
    assert gateway.truth()["positions"] == {}
    with pytest.raises(FaultError):
        gateway.fault("bust_execution", exec_id="nothing")


async def test_fills_come_in_parts(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("split_fills", parts=3)
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await advance(gateway, NEXT_CLOSE, client)
    assert [fill.execution.shares for fill in trade.fills] == [4, 3, 3]
    assert [fill.execution.cumQty for fill in trade.fills] == [4, 7, 10]
    assert trade.orderStatus.status == "Filled"
    gateway.heal()
    trade = client.ib.placeOrder(trade.contract, MarketOrder("SELL", 10))
    await advance(gateway, NEXT_CLOSE.replace(day=3), client)
    assert [fill.execution.shares for fill in trade.fills] == [10]


def test_order_ids_are_used_again_after_a_restart(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        for _ in range(3):
            raw.order("BUY", 10, limit=1.0)
            raw.until("3")
        gateway.fault("restart", back=2, lasts=0.01)
        assert raw.receive() is None
    eventually_blocking(lambda: gateway.faults()[0]["state"] == "over")
    with RawClient(gateway.port) as raw:
        raw.greet()
        raw.message(71, 2, 3, "")
        assert raw.until("9")[2] == "2"
        raw.order("BUY", 20, limit=1.0, order_id=2)
        assert raw.until("5")[1] == "2"
    orders = gateway.truth()["orders"].values()
    assert sorted((order["order_id"], order["quantity"]) for order in orders) == [
        (1, "10"),
        (2, "10"),
        (2, "20"),
        (3, "10"),
    ]
    assert {order["status"] for order in orders} == {"Submitted"}


async def test_shares_to_borrow_come_by_the_control_port(gateway: EmbeddedGateway, client: Client) -> None:
    with ControlClient("127.0.0.1", gateway.control_port) as control:
        control.shortable(SPY, 0)
        trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("SELL", 10, 5000.0))
        await client.fence()
        assert trade.orderStatus.whyHeld == "locate"
        control.shortable(SPY, 1000)
        await client.fence()
        assert trade.orderStatus.status == "Submitted"


async def test_a_person_can_enter_an_order_at_the_platform(gateway: EmbeddedGateway, client: Client) -> None:
    with ControlClient("127.0.0.1", gateway.control_port) as control:
        control.manual(SPY, "BUY", 3, limit=1.5)
        with pytest.raises(ControlError):
            control.manual(5, "BUY", 3)
    async with connected(gateway.port, client_id=0) as zero:
        assert [(order.totalQuantity, order.lmtPrice) for order in zero.ib.orders()] == [(3, 1.5)]
    (order,) = gateway.truth()["orders"].values()
    assert (order["client_id"], order["order_ref"]) == (0, "")
    assert await client.ib.reqAllOpenOrdersAsync()
