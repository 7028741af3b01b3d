"""1100 and back: what becomes of orders, fills and requests while TWS has lost the broker's servers."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from ib_insync import Contract, LimitOrder, MarketOrder

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.faults.base import FaultError
from tests.paper_gateway_wire.conftest import NEXT_CLOSE, START, Client, advance, connected, eventually

AT_ONCE = 0.1


def notices(client: Client) -> list[int]:
    """The codes of connectivity that a client was sent."""
    return [code for _, code, _ in client.errors if code in {1100, 1101, 1102, 2110}]


@pytest.mark.parametrize("restore", [1101, 1102])
async def test_a_fill_during_1100_is_known_only_to_the_list_of_executions(
    gateway: EmbeddedGateway, client: Client, restore: int
) -> None:
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await client.fence()
    gateway.fault("connectivity", restore=restore)
    await advance(gateway, NEXT_CLOSE, client)
    gateway.heal("connectivity")
    await client.fence()
    assert notices(client) == [1100, restore]
    assert trade.fills == []
    assert trade.orderStatus.status == "PreSubmitted"
    assert [order["status"] for order in gateway.truth()["orders"].values()] == ["Filled"]
    assert [position.position for position in client.ib.positions()] == [10]
    await client.ib.reqExecutionsAsync()
    assert trade.filled() == 10


async def test_during_1100_tws_answers_with_what_it_knew(gateway: EmbeddedGateway, client: Client) -> None:
    client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await client.fence()
    gateway.fault("connectivity")
    await advance(gateway, NEXT_CLOSE, client)
    assert await client.ib.reqExecutionsAsync() == []
    assert await client.ib.reqPositionsAsync() == []
    assert [trade.orderStatus.status for trade in await client.ib.reqAllOpenOrdersAsync()] == ["PreSubmitted"]


@pytest.mark.parametrize(
    ("orders", "during", "after"),
    [("lost", [], []), ("queued", [], ["Submitted"]), ("unseen", ["Submitted"], ["Submitted"])],
)
async def test_an_order_sent_during_1100(
    gateway: EmbeddedGateway, client: Client, orders: str, during: list[str], after: list[str]
) -> None:
    contract = await client.contract("SPY")
    gateway.fault("connectivity", orders=orders)
    trade = client.ib.placeOrder(contract, LimitOrder("BUY", 10, 1.0))
    await client.fence()
    assert [order["status"] for order in gateway.truth()["orders"].values()] == during
    assert trade.orderStatus.status == "PendingSubmit"
    gateway.heal()
    await client.fence()
    assert [order["status"] for order in gateway.truth()["orders"].values()] == after
    assert trade.orderStatus.status == ("Submitted" if orders == "queued" else "PendingSubmit")


async def test_the_link_breaks_in_the_middle_of_a_burst(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("connectivity", on="placeOrder", nth=4)
    trades = [client.ib.placeOrder(contract, LimitOrder("BUY", 10, 1.0)) for _ in range(8)]
    await client.fence()
    gateway.heal()
    await eventually(lambda: notices(client) == [1100, 1102])
    assert [trade.orderStatus.status for trade in trades] == ["Submitted"] * 3 + ["PendingSubmit"] * 5
    assert len(gateway.truth()["orders"]) == 3


@pytest.mark.parametrize("kind", ["modify", "cancel"])
@pytest.mark.parametrize(("orders", "took_effect"), [("lost", False), ("queued", True), ("unseen", True)])
async def test_a_change_during_1100_never_makes_two_orders(
    gateway: EmbeddedGateway, client: Client, kind: str, orders: str, *, took_effect: bool
) -> None:
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    gateway.fault("connectivity", orders=orders)
    if kind == "cancel":
        client.ib.cancelOrder(trade.order)
    else:
        trade.order.lmtPrice = 2.0
        client.ib.placeOrder(trade.contract, trade.order)
    await client.fence()
    gateway.heal()
    await client.fence()
    (order,) = gateway.truth()["orders"].values()
    if kind == "cancel":
        assert order["status"] == ("Cancelled" if took_effect else "Submitted")
    else:
        assert (order["status"], order["limit_price"]) == ("Submitted", "2.0" if took_effect else "1.0")


async def test_a_change_during_1100_can_leave_two_orders_of_one_id(gateway: EmbeddedGateway, client: Client) -> None:
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    gateway.fault("connectivity", orders="doubled")
    trade.order.lmtPrice = 2.0
    client.ib.placeOrder(trade.contract, trade.order)
    await client.fence()
    gateway.heal()
    first, second = gateway.truth()["orders"].values()
    assert first["order_id"] == second["order_id"] == trade.order.orderId
    assert (first["status"], second["status"]) == ("Submitted", "Submitted")
    assert len(await client.ib.reqAllOpenOrdersAsync()) == 2


async def test_requests_hang_or_fail(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("connectivity", requests="hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ib.reqContractDetailsAsync(contract), AT_ONCE)
    gateway.heal()
    gateway.fault("connectivity", requests="fail")
    assert await client.ib.reqContractDetailsAsync(contract) == []
    assert await client.fence() == START


@pytest.mark.parametrize(("restore", "goes_on"), [(1101, False), (1102, True)])
async def test_streams_end_with_1101_and_go_on_after_1102(
    gateway: EmbeddedGateway, client: Client, restore: int, *, goes_on: bool
) -> None:
    ticker = client.ib.reqMktData(await client.contract("SPY"))
    await client.fence()
    first = ticker.last
    gateway.fault("connectivity", restore=restore)
    await advance(gateway, datetime.fromisoformat("2026-03-02T17:00:00+00:00"), client)
    assert ticker.last == first
    gateway.heal()
    await advance(gateway, NEXT_CLOSE, client)
    assert (ticker.last != first) is goes_on


async def test_quotes_that_stand_still_after_1102_are_told_again(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    ticker = client.ib.reqMktData(contract)
    await client.fence()
    gateway.fault("connectivity")
    await advance(gateway, NEXT_CLOSE, client)
    gateway.heal()
    await advance(gateway, NEXT_CLOSE, client)
    now = await quote(client, contract)
    assert (ticker.bid, ticker.ask, ticker.last) == now


async def quote(client: Client, contract: Contract) -> tuple[float, float, float]:
    """Bid, ask and last of a snapshot of its own; the library keeps one ticker for each contract object."""
    (ticker,) = await client.ib.reqTickersAsync(Contract(conId=contract.conId, exchange="SMART"))
    return ticker.bid, ticker.ask, ticker.last


async def test_connectivity_is_lost_only_once(gateway: EmbeddedGateway) -> None:
    gateway.fault("connectivity")
    with pytest.raises(FaultError):
        gateway.fault("connectivity")
    assert len(gateway.heal()) == 1


async def test_who_connects_during_1100_is_told(gateway: EmbeddedGateway) -> None:
    gateway.fault("connectivity")
    async with connected(gateway.port, client_id=2) as client:
        assert notices(client) == [2110]
        assert await client.fence() == START


async def test_account_summaries_stay_within_two(gateway: EmbeddedGateway, client: Client) -> None:
    """The library asks for one more after each 1102; the gateway refuses the third, as TWS does."""
    await client.ib.accountSummaryAsync()
    for _ in range(3):
        gateway.fault("connectivity")
        await client.fence()
        gateway.heal()
        await client.fence()
    await client.fence()
    assert 322 in [code for _, code, _ in client.errors]
