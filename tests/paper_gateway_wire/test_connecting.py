"""Handshake, session start, client ids, and everything a broken client can do to its connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from datetime import UTC, datetime

import pytest
from ib_insync import IB

from broker.paper_gateway import session
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.wire.framing import frame
from tests.paper_gateway_wire.conftest import (
    ACCOUNT,
    NEXT_CLOSE,
    START,
    Client,
    RawClient,
    advance,
    connected,
    eventually,
)
from tests.paper_gateway_wire.raw_client import encode, order_fields
from tests.support import PATIENCE_S


@pytest.mark.parametrize("version", [157, 163, 169, 176])
@pytest.mark.parametrize("client_id", [0, 5])
async def test_ib_insync_connects(gateway: EmbeddedGateway, version: int, client_id: int) -> None:
    async with connected(gateway.port, client_id, version) as client:
        assert client.ib.client.serverVersion() == version
        assert client.ib.managedAccounts() == [ACCOUNT]
        assert client.ib.positions() == []
        assert any(value.tag == "NetLiquidation" for value in client.ib.accountValues())
        assert await client.fence() == START
        assert {code for _, code, _ in client.errors} == {2104, 2106, 2158}


async def test_connecting_is_quick(gateway: EmbeddedGateway) -> None:
    started = time.perf_counter()
    async with connected(gateway.port):
        assert time.perf_counter() - started < 5


async def test_many_small_requests_are_quick(gateway: EmbeddedGateway, client: Client) -> None:
    contract = await client.contract("SPY")
    started = time.perf_counter()
    details = await asyncio.gather(*[client.ib.reqContractDetailsAsync(contract) for _ in range(272)])
    assert time.perf_counter() - started < 8, "no answer waits for the next, as small packets do for 40 ms each"
    assert all(len(one) == 1 for one in details)


def test_nothing_is_said_before_start_api(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        answer = raw.greet()
        assert answer is not None
        assert answer[0] == "176"
        raw.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            raw.receive()
        raw.socket.settimeout(PATIENCE_S)
        raw.message(71, 2, 1, "")
        assert raw.receive() == ["15", "1", ACCOUNT]
        next_id = raw.receive()
        assert next_id is not None
        assert next_id[:2] == ["9", "1"]
        assert int(next_id[2]) >= 1


def test_no_common_version_closes(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        assert raw.greet("v201..225") is None


def test_a_request_before_start_api_closes(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.greet()
        raw.message(49, 1)
        assert raw.receive() is None


async def test_a_client_id_in_use_is_326_and_closed(gateway: EmbeddedGateway, client: Client) -> None:
    with RawClient(gateway.port) as raw:
        raw.greet()
        raw.message(71, 2, 1, "")
        refused = raw.receive()
        assert refused is not None
        assert refused[2:4] == ["-1", "326"]
        assert raw.receive() is None
    assert client.ib.isConnected()
    assert await client.fence() == START


def test_a_vanished_client_frees_its_id_at_once(gateway: EmbeddedGateway) -> None:
    for _ in range(5):
        with RawClient(gateway.port) as raw:
            raw.start(client_id=9)
            # RST instead of an orderly end
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for _ in range(5):
        with RawClient(gateway.port) as raw:
            raw.start(client_id=9)
            raw.socket.shutdown(socket.SHUT_WR)
            assert raw.receive() is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"API\0\xff\xff\xff\xff",
        b"API\0" + frame(b"hello"),
        b"API\0" + frame(b"v157..176") + b"\x7f\xff\xff\xff",
        b"API\0" + frame(b"v157..176") + (17 * 1024 * 1024).to_bytes(4, "big"),
    ],
)
async def test_garbage_closes_only_its_own_connection(gateway: EmbeddedGateway, client: Client, garbage: bytes) -> None:
    with RawClient(gateway.port) as raw:
        raw.send(garbage)
        while raw.receive() is not None:
            pass
    assert await client.fence() == START


def test_frames_may_be_split_at_any_byte(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"API\0" + frame(b"v157..176"):
            raw.send(bytes([byte]))
        assert raw.receive() is not None
        for byte in frame(b"71\x002\x001\x00\x00") + frame(b"49\x001\x00"):
            raw.send(bytes([byte]))
        assert raw.until("49")[2] == str(int(START.timestamp()))


def test_unknown_and_unreadable_messages_are_answered(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start()
        raw.message(9999, 1)
        assert raw.until("4")[2:4] == ["-1", "505"]
        raw.message("x", 1)
        assert raw.until("4")[2:4] == ["-1", "505"]
        raw.send(frame(b""))
        assert raw.until("4")[2:4] == ["-1", "505"]
        raw.message(20, 33, "not-a-contract-id")
        assert raw.until("4")[2:4] == ["33", "320"]
        raw.message(3, 44, 756733, "SPY")
        assert raw.until("4")[2:4] == ["44", "320"]
        raw.message(21, 2, 55)
        assert raw.until("4")[2:4] == ["55", "322"]
        raw.message(49, 1)
        assert raw.until("49")[2] == str(int(START.timestamp()))


def test_a_slow_reader_keeps_its_order_of_answers(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start()
        for request_id in range(60):
            fields = [20, request_id, 0, "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0]
            raw.message(*fields, "", "1 day", "5 Y", 1, "TRADES", 1, 0, "")
        answers = [raw.until("17") for _ in range(60)]
        assert [int(answer[1]) for answer in answers] == list(range(60))


async def test_a_busy_client_does_not_hold_up_the_others(
    gateway: EmbeddedGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What both have sent lies there when the gateway looks: the one question is answered after few of many orders."""
    handled: list[str] = []
    hub = gateway._running.gateway
    received = hub.received

    def noting(asker: session.Session, fields: list[str]) -> None:
        handled.append(fields[0])
        received(asker, fields)

    monkeypatch.setattr(hub, "received", noting)
    looks_again = threading.Event()
    with RawClient(gateway.port) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        raw.start(client_id=2)
        handled.clear()
        gateway._loop.call_soon_threadsafe(looks_again.wait, PATIENCE_S)
        raw.send(b"".join(encode(*order_fields(order_id, "BUY", 1, 1.0)) for order_id in range(1, 601)))
        answer = asyncio.ensure_future(client.fence())
        await asyncio.sleep(0)  # the question has left
        looks_again.set()
        await answer
    assert handled.index("49") <= 2 * session.FRAMES_A_TURN


def stall(raw: RawClient) -> None:
    """Ask for history until nothing more fits into either direction, and read none of it."""
    fields = [20, 1, 0, "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0]
    text = "\0".join(str(field) for field in [*fields, "", "1 day", "5 Y", 1, "TRADES", 1, 0, ""]) + "\0"
    raw.socket.settimeout(1.0)
    with pytest.raises(TimeoutError):
        while True:
            raw.send(frame(text.encode()))


async def test_a_client_that_never_reads_holds_nobody_up(gateway: EmbeddedGateway, client: Client) -> None:
    with RawClient(gateway.port) as raw:
        stall(raw.start(client_id=2))
        assert await client.fence() == START
    await eventually(lambda: clients_of(gateway) == [1])


async def test_an_advance_cuts_off_who_does_not_read(
    gateway: EmbeddedGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DRAIN_SECONDS", 0.1)
    with RawClient(gateway.port) as raw:
        stall(raw.start(client_id=2))
        await advance(gateway, NEXT_CLOSE, client)
        await eventually(lambda: clients_of(gateway) == [1])


async def test_unsent_frames_are_bounded(
    gateway: EmbeddedGateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_UNSENT", 1)
    with RawClient(gateway.port) as raw:
        raw.start(client_id=2)
        raw.message(6, 2, 1, ACCOUNT)
        stall(raw)
        await advance(gateway, NEXT_CLOSE, client)
        await eventually(lambda: clients_of(gateway) == [1])


def clients_of(gateway: EmbeddedGateway) -> list[int]:
    """Who is connected, by the control port."""
    with ControlClient("127.0.0.1", gateway.control_port) as control:
        clients: list[int] = control.status()["clients"]
        return clients


async def test_the_library_sees_a_stopped_gateway() -> None:
    with EmbeddedGateway(set_clock=datetime(2026, 3, 2, 15, tzinfo=UTC)) as gateway:
        ib = IB()
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=PATIENCE_S)
    await eventually(lambda: not ib.isConnected())
