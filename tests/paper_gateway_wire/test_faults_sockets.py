"""Connections cut at any byte, held open in silence, or never let in; nobody else is harmed, orders stay as sent."""

from __future__ import annotations

import asyncio
import socket

import pytest
from ib_insync import IB, LimitOrder

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.wire.framing import frame
from tests.paper_gateway_wire.conftest import START, Client, RawClient, connected, eventually
from tests.paper_gateway_wire.raw_client import encode, order_fields

AT_ONCE = 0.1
ORDER = encode(*order_fields(1, "BUY", 10, 1.0))


def placed(gateway: EmbeddedGateway) -> int:
    """How many orders the exchange has."""
    return len(gateway.truth()["orders"])


def test_a_reset_between_any_two_bytes_of_an_order_means_that_there_is_none(gateway: EmbeddedGateway) -> None:
    for after in range(1, len(ORDER)):
        with RawClient(gateway.port) as raw:
            raw.start(client_id=3)
            gateway.fault("reset", after_bytes=after, direction="in")
            raw.send(ORDER)
            assert raw.receive() is None
        gateway.heal()
    assert placed(gateway) == 0


def test_a_reset_after_the_last_byte_means_that_there_is_an_order(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        gateway.fault("reset", after_bytes=len(ORDER), direction="in")
        raw.send(ORDER)
        while raw.receive() is not None:
            pass
    assert placed(gateway) == 1


@pytest.mark.parametrize("after", range(1, 40, 6))
def test_a_reset_inside_an_answer(gateway: EmbeddedGateway, after: int) -> None:
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)
        gateway.fault("reset", after_bytes=after, direction="out")
        raw.send(ORDER)
        read = b""
        with pytest.raises(ConnectionResetError):
            while data := raw.socket.recv(4096):
                read += data
    assert len(read) <= after
    assert placed(gateway) == 1
    gateway.heal()
    with RawClient(gateway.port) as raw:
        raw.start(client_id=3)


async def test_a_reset_reaches_only_the_client_it_is_for(gateway: EmbeddedGateway, client: Client) -> None:
    async with connected(gateway.port, client_id=2) as other:
        gateway.fault("reset", client=2)
        await eventually(lambda: not other.ib.isConnected())
    assert await client.fence() == START


async def test_half_a_frame_and_then_the_end(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("half_frame", kinds=["openOrder"])
    client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await eventually(lambda: not client.ib.isConnected())
    assert placed(gateway) == 1


async def test_a_black_hole_says_nothing_and_loses_nothing(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    gateway.fault("black_hole")
    trade = client.ib.placeOrder(contract, LimitOrder("BUY", 10, 1.0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.fence(), AT_ONCE)
    assert client.ib.isConnected()
    assert placed(gateway) == 0
    gateway.heal("black_hole")
    await eventually(lambda: trade.orderStatus.status == "Submitted")


def test_who_connects_into_a_black_hole_hears_nothing(gateway: EmbeddedGateway) -> None:
    gateway.fault("black_hole")
    with RawClient(gateway.port) as raw:
        raw.send(b"API\0" + frame(b"v157..176"))
        raw.socket.settimeout(AT_ONCE)
        with pytest.raises(TimeoutError):
            raw.receive()


async def test_a_half_open_connection_frees_its_id_and_meets_a_reset(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("half_open", client=1)
    assert client.ib.isConnected()
    async with connected(gateway.port, client_id=1) as again:
        assert await again.fence() == START
        client.ib.client.reqCurrentTime()
        await eventually(lambda: not client.ib.isConnected())
        assert await again.fence() == START


def test_connections_can_be_refused(gateway: EmbeddedGateway) -> None:
    gateway.fault("refuse_connections")
    with RawClient(gateway.port) as raw:
        assert raw.receive() is None


async def test_a_restart_closes_everything_and_comes_back(gateway: EmbeddedGateway, client: Client) -> None:
    trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    gateway.fault("restart", lasts=0.1)
    await eventually(lambda: not client.ib.isConnected())

    async def comes_back() -> bool:
        ib = IB()
        try:
            await ib.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=20)
            return [order.permId for order in ib.orders()] == [trade.order.permId]
        except (OSError, TimeoutError):
            return False
        finally:
            ib.disconnect()

    await eventually(comes_back)


async def test_a_fault_can_wait_for_a_frame_and_for_a_time(gateway: EmbeddedGateway, client: Client) -> None:
    gateway.fault("restart", on="placeOrder", nth=2)
    gateway.fault("refuse_connections", after=0.1, lasts=0.1)
    contract = await client.contract("SPY")
    for _ in range(3):
        client.ib.placeOrder(contract, LimitOrder("BUY", 10, 1.0))
    await eventually(lambda: not client.ib.isConnected())
    assert placed(gateway) == 1
    await eventually(lambda: [document["state"] for document in gateway.faults()] == ["over", "over"])


def test_a_connection_that_never_starts_is_closed() -> None:
    with (
        EmbeddedGateway(set_clock=START, start_seconds=2) as gateway,
        RawClient(gateway.port) as silent,
        RawClient(gateway.port) as greeted,
        RawClient(gateway.port) as started,
    ):
        started.start(client_id=4)
        greeted.greet()
        assert silent.receive() is None
        assert greeted.receive() is None
        started.message(49, 1)
        assert started.until("49")[2] == str(int(START.timestamp()))


def test_more_clients_than_a_tws_takes_are_served(gateway: EmbeddedGateway) -> None:
    clients = [RawClient(gateway.port).start(client_id=number) for number in range(1, 41)]
    try:
        for number, raw in enumerate(clients):
            raw.order("BUY", number + 1, limit=1.0)
        assert [raw.until("3")[2] for raw in clients] == ["Submitted"] * 40
        with socket.create_connection(("127.0.0.1", gateway.port)) as another:
            another.sendall(b"x" * 100)
        assert len(gateway.status()["clients"]) == 40
    finally:
        for raw in clients:
            raw.socket.close()
