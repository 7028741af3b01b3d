"""Frames lost, late, doubled or out of order: clients see it, the market's books do not."""

from __future__ import annotations

import asyncio

import pytest
from ib_insync import LimitOrder, MarketOrder, Trade

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.faults.base import FaultError
from tests.paper_gateway_wire.conftest import NEXT_CLOSE, START, Client, RawClient, advance, eventually

AT_ONCE = 0.05


async def bought(gateway: EmbeddedGateway, client: Client, quantity: int = 10) -> Trade:
    """A market order that the market has filled, whatever the client was told."""
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", quantity))
    await advance(gateway, NEXT_CLOSE, client)
    (order,) = gateway.truth()["orders"].values()
    assert (order["status"], order["filled"]) == ("Filled", str(quantity))
    return trade


async def test_an_execution_that_never_comes_is_in_the_list_of_executions(
    gateway: EmbeddedGateway, client: Client
) -> None:
    gateway.fault("drop", kinds=["execDetails"], times=1)
    trade = await bought(gateway, client)
    assert trade.fills == []
    assert trade.orderStatus.status == "Filled"
    await client.ib.reqExecutionsAsync()
    assert [fill.execution.execId for fill in trade.fills] == list(gateway.truth()["executions"])


async def test_dropped_acknowledgements_leave_the_order_working(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("drop", kinds=["acks"])
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0, orderRef="ours"))
    await client.fence()
    assert trade.orderStatus.status == "PendingSubmit"
    assert trade.order.permId == 0
    (order,) = gateway.truth()["orders"].values()
    assert (order["status"], order["order_ref"]) == ("Submitted", "ours")
    await client.ib.reqOpenOrdersAsync()
    assert trade.orderStatus.status == "Submitted"


async def test_only_the_nth_frame_that_fits_is_dropped(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("drop", kinds=["currentTime"], nth=2, times=1)
    await client.fence()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.fence(), AT_ONCE)
    await client.fence()
    assert gateway.faults()[0]["acted"] == 1


async def test_delayed_frames_come_later(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("delay", kinds=["orders"], seconds=3)
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    assert trade.orderStatus.status == "PendingSubmit"
    await eventually(lambda: trade.orderStatus.status == "Submitted")


async def test_a_slow_gateway_answers_late_and_in_order(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("slow", seconds=0.1)
    started = asyncio.get_running_loop().time()
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    assert asyncio.get_running_loop().time() - started >= 0.2
    assert trade.orderStatus.status == "Submitted"


async def test_doubled_executions_are_one_execution(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("duplicate", kinds=["execDetails", "commissionReport", "orderStatus"], copies=2)
    trade = await bought(gateway, client)
    assert len(gateway.truth()["executions"]) == 1
    assert trade.filled() == 10
    assert gateway.faults()[0]["acted"] >= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_reorders_in_the_same_way(seed: int) -> None:
    assert reordered(seed) == reordered(seed)
    assert sorted(reordered(seed)) == sorted(["5", "3", "5", "3"])


def reordered(seed: int) -> list[str]:
    """The ids of the frames of two orders, as a fresh gateway with that seed delivers them."""
    with EmbeddedGateway(set_clock=START, fault_seed=seed) as gateway, RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        gateway.fault("reorder", kinds=["acks"], window=4, seconds=60)
        for _ in range(2):
            raw.order("BUY", 10, limit=1.0)
        return [raw.until("5", "3")[0] for _ in range(4)]


async def test_a_silent_gateway_never_answers_one_kind(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("silent", kinds=["reqContractDetails"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ib.reqContractDetailsAsync(contract), AT_ONCE)
    assert await client.fence() == START
    gateway.heal("silent")
    assert len(await client.ib.reqContractDetailsAsync(contract)) == 1


async def test_an_order_can_be_handled_without_a_word(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("unanswered")
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    assert trade.orderStatus.status == "PendingSubmit"
    assert [order["status"] for order in gateway.truth()["orders"].values()] == ["Submitted"]


async def test_the_clock_can_be_told_wrong(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("clock_skew", seconds=-90)
    assert (START - await client.fence()).total_seconds() == 90


async def test_chance_comes_from_the_seed(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("clock_skew", seconds=60, probability=0.5, seed=5)
    first = [await client.fence() for _ in range(20)]
    (document,) = gateway.faults()
    assert 0 < document["acted"] < 20
    gateway.heal()
    gateway.fault("clock_skew", seconds=60, probability=0.5, seed=5)
    assert [await client.fence() for _ in range(20)] == first


def test_a_fault_says_how_to_make_it_again(gateway: EmbeddedGateway) -> None:
    gateway.fault("drop", kinds=["acks", "execDetails"], times=2, probability=0.25, seed=9, on="placeOrder")
    (document,) = gateway.faults()
    assert document["state"] == "waiting"
    (healed,) = gateway.heal()
    assert healed == document["reproduce"]
    with EmbeddedGateway(set_clock=START, faults=(healed,)) as other:
        assert other.faults()[0]["reproduce"] == healed


def test_what_fails_beside_a_fault_tells_how_to_make_it_again() -> None:
    with pytest.raises(AssertionError) as raised, EmbeddedGateway(set_clock=START, fault_seed=8) as gateway:
        gateway.fault("drop", kinds=["acks"], times=2)
        raise AssertionError
    (note,) = raised.value.__notes__
    assert "drop:times=2,seed=8,kinds=acks" in note


@pytest.mark.parametrize(
    "text",
    [
        *("", "explode", "drop:what=1", "drop:kinds", "drop:probability=2", "drop:times=-1", "delay:seconds=soon"),
        *("slow:jitter=1", "reorder:window=1", "drop:nth=1.5", "drop:seed=x", "connectivity:restore=1100"),
        *(
            "drop:kinds=execDetail",
            "drop:on=placeOrders",
            "drop:kinds=",
            "reset:direction=up",
            "clock_skew:seconds=nan",
        ),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(gateway: EmbeddedGateway, text: str) -> None:
    with pytest.raises(FaultError), EmbeddedGateway(set_clock=START, faults=(text,)):
        pass
