"""The control port: what it tells, how it advances the clock, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from ib_insync import LimitOrder, MarketOrder

from broker.paper_gateway.control import ControlClient, ControlError
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.faults.base import FaultError
from tests.paper_gateway_wire.conftest import ACCOUNT, NEXT_CLOSE, START, Client, connected
from tests.paper_gateway_wire.raw_client import SPY
from tests.support import PATIENCE_S, eventually


@pytest.fixture
def control(gateway: EmbeddedGateway) -> Iterator[ControlClient]:
    """A client of the control port."""
    with ControlClient("127.0.0.1", gateway.control_port) as one:
        yield one


async def test_status_counts_frames_by_name(control: ControlClient, client: Client) -> None:
    status = control.status()
    assert (status["account"], status["clock"], status["clients"]) == (ACCOUNT, "set", [1])
    assert datetime.fromisoformat(status["now"]) == START
    assert status["frames"]["startApi"] == 1
    assert "placeOrder" not in status["frames"]
    assert control.frames("placeOrder") == []
    client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10, orderRef="seen"))
    await client.fence()
    assert control.status()["frames"]["placeOrder"] == 1
    (fields,) = control.frames("placeOrder")
    assert fields[0] == "3"
    assert "seen" in fields


async def test_advance_and_one_fence_show_every_fill(control: ControlClient, client: Client) -> None:
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 10))
    await client.fence()
    assert await asyncio.to_thread(control.advance, NEXT_CLOSE) == NEXT_CLOSE
    assert await client.fence() == NEXT_CLOSE
    assert trade.isDone()
    assert trade.fills[0].commissionReport.commission == 1.0


def test_the_clock_never_goes_back(control: ControlClient) -> None:
    control.advance(NEXT_CLOSE)
    with pytest.raises(ControlError):
        control.advance(START)
    assert datetime.fromisoformat(control.status()["now"]) == NEXT_CLOSE


def test_a_running_clock_cannot_be_advanced() -> None:
    with (
        EmbeddedGateway() as gateway,
        ControlClient("127.0.0.1", gateway.control_port) as control,
        pytest.raises(ControlError),
    ):
        assert control.status()["clock"] == "running"
        control.advance(datetime.fromisoformat(control.status()["now"]) + timedelta(days=1))


def test_a_set_clock_can_be_stepped(control: ControlClient) -> None:
    assert control.step(90) == START + timedelta(seconds=90)
    with pytest.raises(ControlError):
        control.speed(2)
    with pytest.raises(ControlError):
        control.jump(NEXT_CLOSE)


async def test_a_running_clock_has_a_speed_and_jumps() -> None:
    with EmbeddedGateway(start=START, speed=0) as gateway, ControlClient("127.0.0.1", gateway.control_port) as control:
        async with connected(gateway.port) as client:
            trade = client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
            assert await client.fence() == START
            later = START + timedelta(days=1, hours=7)
            assert control.jump(later) == later
            assert await client.fence() == later
            assert trade.orderStatus.status == "Cancelled"
        assert control.speed(3600) >= later
        eventually(lambda: datetime.fromisoformat(control.status()["now"]) > later)
        with pytest.raises(ControlError):
            control.jump(START)
        with pytest.raises(ControlError):
            control.speed(-1)


def test_what_the_market_data_are_can_be_said(control: ControlClient) -> None:
    control.feed("delayed", SPY)
    control.feed("live")
    control.competing(on=True)
    control.halt(SPY, on=True)
    with pytest.raises(ControlError, match="200"):
        control.feed("live", 5)


async def test_faults_are_started_seen_and_healed(control: ControlClient, client: Client) -> None:
    assert control.fault("drop", kinds=["orderStatus"], times=1, seed=3) == 1
    (document,) = control.faults()
    assert (document["name"], document["state"], document["acted"], document["seed"]) == ("drop", "on", 0, 3)
    client.ib.placeOrder(await client.contract("SPY"), LimitOrder("BUY", 10, 1.0))
    await client.fence()
    assert control.faults()[0]["acted"] == 1
    assert control.status()["faults"] == ["drop"]
    assert control.heal("delay") == []
    assert control.heal() == [document["reproduce"]]
    assert control.faults()[0]["state"] == "over"
    with pytest.raises(ControlError, match="drop"):
        control.fault("explode")


async def test_the_ledger_holds_what_is_true(control: ControlClient, client: Client) -> None:
    contract = await client.contract("SPY")
    filled = client.ib.placeOrder(contract, MarketOrder("BUY", 10, orderRef="one"))
    await client.fence()
    await asyncio.to_thread(control.advance, NEXT_CLOSE)
    await client.fence()
    ledger = control.ledger()
    order = ledger["orders"][str(filled.order.permId)]
    assert (order["status"], order["order_ref"], order["filled"]) == ("Filled", "one", "10")
    ((exec_id, execution),) = ledger["executions"].items()
    assert filled.fills[0].execution.execId == exec_id
    assert (execution["shares"], execution["commission"]) == ("10", "1.00")
    assert ledger["positions"][str(SPY)]["quantity"] == "10"
    paid = 10 * float(execution["price"]) + 1
    assert float(ledger["cash"]["USD"]) == pytest.approx(1_000_000 - paid)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b"{}",
        b'{"cmd": "explode"}',
        b'{"cmd": "advance"}',
        b'{"cmd": "advance", "to": 5}',
        b'{"cmd": "advance", "to": "noon"}',
        b'{"cmd": "advance", "to": "2026-03-03T00:00:00"}',
        b'{"cmd": ["status"]}',
        b'{"cmd": "fault"}',
        b'{"cmd": "fault", "name": "drop", "kinds": 5}',
        b'{"cmd": "heal", "name": []}',
        b'{"cmd": "step", "seconds": "x"}',
        b'{"cmd": "step", "seconds": 1e400}',
        b'{"cmd": "step", "seconds": 1e300}',
        b'{"cmd": "feed", "feed": "loud"}',
        b'{"cmd": "feed", "feed": "live", "con_id": "x"}',
        b'{"cmd": "competing"}',
        b'{"cmd": "halt", "on": true}',
        b"[" * 20_000,
        b"\xff\xfe",
    ],
)
def test_nonsense_is_answered(gateway: EmbeddedGateway, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.control_port), timeout=PATIENCE_S) as raw:
        raw.sendall(line + b"\n" + b'{"cmd": "status"}\n')
        answers = raw.makefile("rb")
        refused = json.loads(answers.readline())
        assert refused["ok"] is False
        assert refused["error"]
        assert json.loads(answers.readline())["ok"] is True


def test_an_endless_line_ends_only_its_own_connection(gateway: EmbeddedGateway, control: ControlClient) -> None:
    with socket.create_connection(("127.0.0.1", gateway.control_port), timeout=PATIENCE_S) as raw:
        try:
            raw.sendall(b"x" * 1_000_000)
            assert raw.recv(1) == b""
        except ConnectionError:
            pass
    assert control.status()["ok"] is True


def test_the_control_port_can_be_left_out() -> None:
    with EmbeddedGateway(set_clock=START, control=None) as gateway, pytest.raises(ValueError, match="control"):
        assert gateway.control_port


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("manual", {"con_id": SPY, "action": "BUY", "quantity": -1}, ["`quantity`", "above 0"]),
        ("manual", {"con_id": SPY, "action": "BUY", "quantity": 1.5}, ["`quantity`", "whole"]),
        ("manual", {"con_id": SPY, "action": "HOLD", "quantity": 1}, ["`action`", "BUY, SELL"]),
        ("manual", {"con_id": SPY, "action": "BUY", "quantity": 1, "limit": -5}, ["price above 0"]),
        ("manual", {"con_id": SPY, "action": "BUY", "quantity": 1, "limit": 10.001}, ["minimum price variation"]),
        ("heal", {"name": "blackhole"}, ["`name`", "black_hole"]),
        ("frames", {"name": "nosuch"}, ["`name`", "placeOrder"]),
        ("frames", {}, ["`name`"]),
    ],
)
def test_an_argument_out_of_range_is_named_with_what_would_do(
    gateway: EmbeddedGateway, command: str, arguments: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ControlError) as refused:
        gateway.command(command, **arguments)
    assert all(word in str(refused.value) for word in words)
    assert gateway.truth()["orders"] == {}


@pytest.mark.parametrize(
    ("name", "parameter", "value", "range_"),
    [
        ("half_frame", "share", 7, "0 and 1"),
        ("pacing", "messages", -1, "1 and 1,000,000"),
        ("duplicate", "copies", 1_000_000_000, "1 and 100"),
        ("slow", "seconds", -1, "0 and 86,400"),
        ("restart", "back", -1, "0 and"),
        ("drop", "after", 1e300, "0 and"),
    ],
)
def test_a_parameter_of_a_fault_out_of_range_is_refused_with_the_range(
    gateway: EmbeddedGateway, name: str, parameter: str, value: float, range_: str
) -> None:
    with pytest.raises(FaultError, match=f"{name}: {parameter} is between {range_}"):
        gateway.fault(name, **{parameter: value})
    assert gateway.faults() == []
