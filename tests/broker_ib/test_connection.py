"""Life and death of the connection: closed port, wrong account, client-id clash, restart of the gateway."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broker import types
from broker.errors import AccountError, BrokerUnavailable
from broker.ib.client import NotSent
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, HOUR, TIMEOUT, Desk, bracket, frames, open_gate, soon
from tests.support import ROOT, eventually, free_port


@pytest.fixture
def closed_port() -> int:
    return free_port()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_closed_port_is_unavailable_soon(make_desk: Callable[..., Desk], closed_port: int) -> None:
    desk = make_desk("127.0.0.1", closed_port)
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{closed_port}"):
        desk.client.wait_connected(TIMEOUT)
    assert time.monotonic() - begun < TIMEOUT / 2
    assert not desk.client.state().connected


def test_a_silent_peer_is_unavailable_in_time(make_desk: Callable[..., Desk], silent_port: int) -> None:
    desk = make_desk("127.0.0.1", silent_port)
    with pytest.raises(BrokerUnavailable):
        desk.client.wait_connected(0.3)
    with pytest.raises(BrokerUnavailable):
        desk.client.book(0.3)


def test_a_client_that_never_connected_refuses_everything(make_desk: Callable[..., Desk], closed_port: int) -> None:
    desk = make_desk("127.0.0.1", closed_port)
    reads = [partial(desk.client.read, name, types.Nothing()) for name in ("account", "positions", "executions")]
    for read in (*reads, desk.client.book, desk.client.fence):
        with pytest.raises(BrokerUnavailable):
            read(TIMEOUT)
    with pytest.raises(NotSent):
        desk.client.cancel("X", open_gate)


def test_a_connection_that_appears_later_is_taken(make_desk: Callable[..., Desk], closed_port: int) -> None:
    desk = make_desk("127.0.0.1", closed_port)
    eventually(lambda: desk.client.state().refusals >= 2)
    with EmbeddedGateway(set_clock=CLOSE, port=closed_port):
        eventually(lambda: desk.client.state().synced)
        assert desk.client.state().refusals == 0


def test_an_account_that_is_not_ours_is_asked_nothing(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    asked: list[tuple[str, ...]] = []

    def refuse(accounts: tuple[str, ...]) -> str:
        asked.append(accounts)
        raise AccountError("this is not the account of the embedded gateway")

    desk = make_desk(gateway.host, gateway.port, accept_account=refuse)
    eventually(lambda: len(asked) >= 2)
    assert asked[0] == (gateway.account,)
    assert set(frames(gateway)) == {"startApi"}
    with pytest.raises(BrokerUnavailable, match="not the account"):
        desk.client.wait_connected(0.1)
    assert desk.events == []


def test_a_taken_client_id_is_named_and_taken_over(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    first = make_desk(gateway.host, gateway.port, client_id=7)
    first.client.wait_connected(TIMEOUT)
    second = make_desk(gateway.host, gateway.port, client_id=7)
    eventually(lambda: "already in use" in second.client.state().reason)
    with pytest.raises(BrokerUnavailable, match="client id 7 is already in use"):
        second.client.wait_connected(0.5)
    first.client.stop()
    eventually(lambda: second.client.state().synced)


def test_two_clients_with_different_ids(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    mine, other = (make_desk(gateway.host, gateway.port, client_id=number) for number in (1, 2))
    for desk in (mine, other):
        desk.client.wait_connected(TIMEOUT)
    contract = other.contract()
    other.place(contract, bracket(other, contract))
    book = mine.client.book(TIMEOUT)
    assert {report.client_id for report in book.open_orders} == {2}
    assert mine.last("G1-E").client_id == 2


def test_a_lost_gateway_is_unavailable_and_said_so(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway(set_clock=CLOSE) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.wait_synced()
        contract = desk.contract()
        legs = bracket(desk, contract)
    eventually(lambda: not desk.client.state().connected)
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        desk.client.book(TIMEOUT)
    with pytest.raises(NotSent):
        desk.place(contract, legs)
    assert time.monotonic() - begun < TIMEOUT / 2
    eventually(lambda: [report.state for report in desk.all(types.ConnectionReport)] == ["CONNECTED", "LOST"])


def test_a_restarted_gateway_is_replayed_in_full(make_desk: Callable[..., Desk], store: Path) -> None:
    port = free_port()
    with EmbeddedGateway(set_clock=CLOSE, store_path=store, port=port) as gateway:
        desk = make_desk(gateway.host, port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        desk.place(contract, bracket(desk, contract))
        gateway.advance(CLOSE + HOUR)
        desk.client.fence(TIMEOUT)
        before = {ref: desk.last(ref) for ref in ("G1-S", "G1-T")}
        (execution,) = desk.all(types.ExecutionReport)
    eventually(lambda: not desk.client.state().connected)
    seen = len(desk.events)
    with EmbeddedGateway(set_clock=CLOSE + HOUR, store_path=store, port=port) as gateway:
        eventually(lambda: desk.client.state().synced)
        desk.wait_synced()
        replay = desk.events[seen:]
        executions = [event for event in replay if isinstance(event, types.ExecutionReport)]
        orders = {event.order_ref: event for event in replay if isinstance(event, types.OrderReport)}
        assert [(one.exec_id, one.order_ref) for one in executions] == [(execution.exec_id, "G1-E")]
        assert {event.exec_id for event in replay if isinstance(event, types.CommissionReport)} == {execution.exec_id}
        assert orders["G1-E"].completed
        assert {ref: orders[ref].perm_id for ref in before} == {ref: report.perm_id for ref, report in before.items()}
        assert any(isinstance(event, types.AccountSummary) for event in replay)
        assert len(desk.syncs) == 2
        (position,) = desk.client.read("positions", types.Nothing(), TIMEOUT)
        assert position.quantity == 10
        desk.modify("G1-T", limit_price=desk.price(contract, "1.4"))
        assert desk.last("G1-T").limit_price == desk.price(contract, "1.4")
        assert desk.last("G1-T").oca_group == before["G1-T"].oca_group
        desk.cancel("G1-S")
        assert desk.last("G1-S").status == "Cancelled"


def test_the_replay_is_in_the_sink_before_on_synced(make_desk: Callable[..., Desk], gateway: EmbeddedGateway) -> None:
    first = make_desk(gateway.host, gateway.port)
    first.client.wait_connected(TIMEOUT)
    contract = first.contract()
    first.place(contract, bracket(first, contract))
    first.client.stop()
    second = make_desk(gateway.host, gateway.port)
    second.wait_synced()
    (at,) = second.syncs
    refs = {event.order_ref for event in second.events[:at] if isinstance(event, types.OrderReport)}
    assert refs == {"G1-E", "G1-S", "G1-T"}


def test_stop_ends_the_thread_and_is_idempotent(gateway: EmbeddedGateway) -> None:
    others = set(threading.enumerate())
    desk = Desk(gateway.host, gateway.port)
    desk.client.start()
    desk.client.wait_connected(TIMEOUT)
    desk.client.stop()
    desk.client.stop()
    state = desk.client.state()
    assert (state.connected, state.synced, state.reason) == (False, False, "stopped")
    assert "ib" not in {thread.name for thread in set(threading.enumerate()) - others}
    with pytest.raises(BrokerUnavailable):
        desk.client.book(TIMEOUT)
    with pytest.raises(BrokerUnavailable):
        desk.client.ping(TIMEOUT)


def test_stop_while_connecting(make_desk: Callable[..., Desk], silent_port: int) -> None:
    desk = make_desk("127.0.0.1", silent_port)
    desk.client.ping(TIMEOUT)
    desk.client.stop()
    assert desk.client.state().reason == "stopped"


def test_sends_wait_for_the_replay(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the account is accepted and the replay done, nothing leaves."""
    entered, release, asked = threading.Event(), threading.Event(), threading.Event()

    def slowly(accounts: tuple[str, ...]) -> str:
        entered.set()
        release.wait(TIMEOUT)
        return accounts[0]

    known = make_desk(gateway.host, gateway.port, client_id=2)
    known.client.wait_connected(TIMEOUT)
    contract = known.contract()
    legs = bracket(known, contract)
    desk = make_desk(gateway.host, gateway.port, accept_account=slowly)
    assert entered.wait(TIMEOUT)
    errors: list[Exception] = []
    enter = desk.client._thread._enter

    def noting(*call: Any) -> None:
        enter(*call)
        asked.set()

    monkeypatch.setattr(desk.client._thread, "_enter", noting)

    def send() -> None:
        try:
            request = types.PlaceOrder(gateway.account, contract.con_id, legs, False, soon(), "hash")  # noqa: FBT003
            desk.client.send(contract, request, open_gate)
        except NotSent as error:
            errors.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    assert asked.wait(TIMEOUT), "the send waits in the loop, which waits for the account"
    release.set()
    sender.join(TIMEOUT)
    assert len(errors) == 1
    assert "placeOrder" not in frames(gateway)


def test_importing_the_client_in_a_thread() -> None:
    code = (
        "import threading\n"
        "def work(): import broker.ib.client; print('imported')\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "import asyncio\n"
        "asyncio.run(asyncio.sleep(0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "imported"), done.stderr
