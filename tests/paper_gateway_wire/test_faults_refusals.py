"""Orders rejected, ids taken, limits reached, data withheld: each with the code that a real TWS would send."""

from __future__ import annotations

import asyncio

import pytest
from ib_insync import IB, LimitOrder, MarketOrder

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.faults.refusals import Pacing
from tests.paper_gateway_wire.conftest import NEXT_CLOSE, START, Client, RawClient, advance, connected, eventually
from tests.paper_gateway_wire.raw_client import encode

AT_ONCE = 0.1


async def test_the_next_orders_are_rejected(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("reject", times=2, text="Order rejected - reason:no")
    trades = [client.ib.placeOrder(contract, LimitOrder("BUY", 10, 1.0)) for _ in range(3)]
    await client.fence()
    assert [trade.orderStatus.status for trade in trades] == ["Inactive", "Inactive", "Submitted"]
    assert client.codes(trades[0].order.orderId) == [201]
    assert len(gateway.truth()["orders"]) == 1


async def test_any_request_can_be_refused_with_any_code(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("refuse", kinds=["reqContractDetails"], code=200, text="not today")
    assert await client.ib.reqContractDetailsAsync(contract) == []
    assert client.errors[-1][1:] == (200, "not today")


@pytest.mark.parametrize(
    ("name", "request_fields"),
    [
        ("summaries", [62, 1, 9, "All", "NetLiquidation"]),
        ("histories", [87, 9, 0, "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0, 1, "TRADES", 1]),
    ],
)
def test_what_is_open_too_often_is_322(gateway: EmbeddedGateway, name: str, request_fields: list[object]) -> None:
    gateway.fault(name)
    with RawClient(gateway.port) as raw:
        raw.start()
        raw.message(*request_fields)
        assert raw.until("4")[2:4] == ["9", "322"]


async def test_a_ghost_holds_the_client_id(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("ghost", client=5)
    with RawClient(gateway.port) as raw:
        raw.greet()
        raw.message(71, 2, 5, "")
        assert raw.until("4")[2:4] == ["-1", "326"]
        assert raw.receive() is None
    async with connected(gateway.port, client_id=6) as other:
        assert await other.fence() == START
    gateway.heal("ghost")
    async with connected(gateway.port, client_id=5) as other:
        assert await other.fence() == START


async def test_nobody_is_let_in_before_the_second_factor(gateway: EmbeddedGateway) -> None:
    gateway.fault("login")
    ib = IB()
    with pytest.raises(TimeoutError):
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=AT_ONCE)
    waiting = asyncio.create_task(ib.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=45))
    await eventually(lambda: gateway.faults()[0]["acted"] == 2)
    gateway.heal("login")
    await waiting
    assert ib.isConnected()
    ib.disconnect()


async def test_a_competing_session_silences_the_market_data(gateway: EmbeddedGateway, client: Client) -> None:
    ticker = client.ib.reqMktData(await client.contract("SPY"))
    await client.fence()
    last = ticker.last
    gateway.fault("competing")
    await advance(gateway, NEXT_CLOSE, client)
    assert ticker.last == last
    client.ib.reqMktData(await client.contract("QQQ"))
    await client.fence()
    assert [code for _, code, _ in client.errors].count(10197) == 2


async def test_data_farms_go_and_come_back(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("farm")
    bars = await client.ib.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "TRADES", useRTH=True)
    assert list(bars or []) == []
    gateway.heal("farm")
    bars = await client.ib.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "TRADES", useRTH=True)
    assert len(bars) == 5
    assert [code for _, code, _ in client.errors][3:] == [2103, 2105, 162, 2104, 2106]


def test_more_than_fifty_messages_a_second_are_100_and_thrice_the_end() -> None:
    with EmbeddedGateway(set_clock=START, pacing="real") as gateway, RawClient(gateway.port) as raw:
        raw.start()
        for _ in range(49):
            raw.message(49, 1)
        assert not gateway.faults()[0]["acted"]
        raw.send(encode(49, 1) * 150)
        answers = iter(raw.receive, None)
        assert [answer[3] for answer in answers if answer[0] == "4"] == ["100", "100", "100"]


class PacedScene:
    """A time that stands until it is moved."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def history(contract: int, end: str, what: str = "TRADES") -> list[str]:
    """A request of history."""
    return ["20", "9", str(contract), *[""] * 11, "0", end, "1 day", "5 D", "1", what, "1", "0", ""]


def test_history_is_paced_as_by_a_real_tws() -> None:
    pacing, scene = Pacing(), PacedScene()
    refused = lambda fields: pacing._is_too_much(fields, scene.now)  # noqa: E731
    assert not refused(history(1, "a"))
    assert refused(history(1, "a"))
    scene.now = 16
    assert not refused(history(1, "a"))
    assert [refused(history(1, str(end))) for end in range(6)] == [False, False, False, False, True, True]
    scene.now = 700
    answers = []
    for contract in range(61):
        scene.now += 0.1
        answers.append(refused(history(contract, "")))
    assert answers == [False] * 60 + [True]
    scene.now = 1400
    twice = []
    for contract in range(31):
        scene.now += 0.1
        twice.append(refused(history(contract, "", "BID_ASK")))
    assert twice == [False] * 30 + [True]


async def test_a_market_order_is_filled_while_data_is_withheld(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("competing")
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await advance(gateway, NEXT_CLOSE, client)
    assert trade.orderStatus.status == "Filled"
