"""The owner as a process: served to others over HTTP, found by its lock, gone without a trace when killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from broker import get_broker, remote, types
from broker.errors import BrokerUnavailable, ContractNotFound, OrderError, OrderInvalid, TradingDisabled
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.remote import RemoteBroker
from broker.service import lock
from broker.service.owner import Place
from tests.broker_service.house import bracket, placed_frames, request, resolve
from tests.support import eventually

pytestmark = pytest.mark.once
IN_LIFE = remote.PING_LIMIT

Process = subprocess.Popen[str]
LIMIT = 100.0


def holder(place: Place) -> lock.Holder:
    """Who owns the connection now."""
    found = lock.read(place.lock_path)
    assert found is not None
    return found


def raw(url: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    """One HTTP exchange with the owner, as anybody could make it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=LIMIT)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_every_call_of_the_port_works_from_another_process(process: Process, gateway: EmbeddedGateway) -> None:
    with get_broker() as broker:
        assert isinstance(broker, RemoteBroker)
        status = broker.status()
        assert status.ready
        assert status.account == gateway.account
        contract = resolve(broker)
        assert len(broker.bars(types.BarsQuery(contract.con_id, "1 day", "1 Y")).close) > 200
        assert broker.account().net_liquidation
        assert broker.positions() == ()
        order = bracket(broker)
        assert [leg.state for leg in broker.place(order).legs] == ["SENT"] * 3
        assert all(leg.repeated for leg in broker.place(order).legs)
        broker.drain()
        target = order.legs[2].limit_price
        assert target is not None
        change = types.ModifyOrder(order.account, "G1-T", 1, target + 1, None, reduces=True, deadline=order.deadline)
        assert broker.modify(change).legs[0].state == "SENT"
        broker.drain()
        broker.cancel(types.OrderRef(order.account, "G1-E"))
        broker.drain()
        assert broker.open_orders() == ()
        assert broker.executions() == ()
    assert placed_frames(gateway) == 4


def test_errors_come_back_as_the_class_that_was_raised(process: Process, settings: Settings) -> None:
    with get_broker() as broker:
        with pytest.raises(ContractNotFound):
            broker.contracts(types.ContractQuery("NOSUCHTHING"))
        contract, account = resolve(broker), broker.status().account
        last = broker.quote(types.ConId(contract.con_id)).last
        assert last is not None
        naked = request(contract.con_id, account, last, "G2")
        with pytest.raises(OrderInvalid) as refused:
            broker.place(types.PlaceOrder(account, contract.con_id, naked.legs[:1], False, naked.deadline, ""))  # noqa: FBT003
        assert refused.value.details == {"field": "legs"}
        (settings.AUTOTRADER_STATE_DIR / "HALT").touch()
        with pytest.raises(TradingDisabled) as halted:
            broker.place(naked)
        assert halted.value.reason == "HALTED"


def test_the_door_is_shut_to_strangers_and_nonsense(process: Process, place: Place, settings: Settings) -> None:
    url = holder(place).url
    secret = {"Authorization": f"Bearer {settings.AUTOTRADER_BROKER_SECRET}"}
    assert raw(url, "GET", "/ping")[0] == 401
    assert raw(url, "GET", "/ping", Authorization="Bearer guess")[0] == 401
    assert raw(url, "GET", "/ping", **secret)[0] == 200
    assert raw(url, "GET", "/call/positions", **secret)[0] == 405
    assert raw(url, "POST", "/call/nothing", **secret)[0] == 404
    assert raw(url, "POST", "/call/quote", b"{", **secret)[0] == 400
    assert raw(url, "POST", "/call/quote", b'{"con_id": "1"}', **secret)[0] == 400
    assert raw(url, "POST", "/call/quote", b" " * 300_000, **secret)[0] == 413
    late = {**secret, "X-Deadline": "1000"}
    assert raw(url, "POST", "/call/positions", b"{}", **late) == (
        503,
        {
            "error": {
                "class": "BrokerUnavailable",
                "code": "LATE",
                "message": "The call reached the owner after its deadline; nothing was done.",
                "details": {},
            }
        },
    )
    with pytest.raises(BrokerUnavailable, match="AUTOTRADER_BROKER_SECRET") as refused:
        RemoteBroker(url, "guess").call("positions", types.Nothing())
    assert refused.value.reason == "UNAUTHORIZED"


def test_a_second_owner_is_refused_at_once_and_told_who_is_first(
    process: Process, spawn: Callable[..., Process], place: Place
) -> None:
    first = holder(place)
    second = spawn()
    _, complaint = second.communicate(timeout=LIMIT)
    assert second.returncode == 3
    assert f"pid {process.pid} at {first.url}, since {first.since}" in complaint
    assert first.pid == process.pid


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_cleanly(process: Process, place: Place, name: str) -> None:
    with get_broker() as broker:
        broker.positions()
        process.send_signal(getattr(signal, name))
        assert process.wait(LIMIT) == 0
    assert lock.read(place.lock_path) is None


def test_a_killed_owner_is_known_to_be_gone_and_another_takes_over(
    process: Process, spawn: Callable[..., Process], place: Place, gateway: EmbeddedGateway
) -> None:
    with get_broker() as broker:
        order = bracket(broker)
        broker.place(order)
        process.kill()
        process.wait(LIMIT)
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            broker.account()
        assert time.monotonic() - began < remote.PING_LIMIT, "nobody waits for a sign of life of what is gone"
        with pytest.raises(BrokerUnavailable), get_broker():
            pass
        successor = spawn()
        assert successor.stdout is not None
        successor.stdout.readline()
        assert successor.stdout.readline().startswith("broker ready")
        assert all(leg.repeated for leg in broker.place(order).legs)
        broker.cancel(types.OrderRef(order.account, order.legs[0].order_ref))
        broker.drain()
        assert broker.open_orders() == ()
    assert placed_frames(gateway) == 3


class Door(BaseHTTPRequestHandler):
    """Shows life, and breaks a call off where its server is told to."""

    def do_GET(self) -> None:
        self._tell(200, {"now": time.time()})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1  # type: ignore[attr-defined]
        if self.server.breaks:  # type: ignore[attr-defined]
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._tell(404, {"error": {"class": "OrderError", "message": "none", "code": "", "details": {}}})

    def _tell(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def door(*, breaks: bool) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.calls, server.breaks = 0, breaks  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("name", "repeated"), [("order", True), ("cancel", False)])
def test_a_call_that_broke_off_is_repeated_at_the_next_owner_unless_it_is_a_cancel(name: str, repeated: bool) -> None:
    asked = types.OrderRef("DU1", "G1-E")
    with door(breaks=True) as old, door(breaks=False) as new:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in (old, new)]
        caller = RemoteBroker(urls[0], "secret", lambda: urls[1])
        with pytest.raises(OrderError if repeated else BrokerUnavailable):
            caller.call(name, asked)
        assert new.calls == repeated  # type: ignore[attr-defined]
        with pytest.raises(OrderError):
            caller.call(name, asked)
        caller.close()


def test_a_stopped_owner_is_noticed_in_a_second_and_remembered(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote.FIRST_BEAT + remote.BEAT + IN_LIFE < 1
    with get_broker() as broker:
        broker.positions()
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(remote, "PING_LIMIT", IN_LIFE)
                patch.setattr(remote, "FRESH", LIMIT)  # so long it is remembered
                for asked in (1, 50):
                    began = time.monotonic()
                    for _ in range(asked):
                        with pytest.raises(BrokerUnavailable):
                            broker.account()
                    assert time.monotonic() - began < 50 * IN_LIFE / 2, "no time-out of the call, and no ping again"
        finally:
            os.kill(process.pid, signal.SIGCONT)
        for life in remote._lives.values():
            life.down_until = float("-inf")

        def answered() -> bool:
            try:
                return bool(broker.account().net_liquidation)
            except BrokerUnavailable:
                return False

        assert eventually(answered)


def test_an_address_that_cannot_be_bound_is_said(spawn: Callable[..., Process], gateway: EmbeddedGateway) -> None:
    process = spawn(AUTOTRADER_BROKER_BIND=f"127.0.0.1:{gateway.port}")
    _, complaint = process.communicate(timeout=LIMIT)
    assert process.returncode == 2
    assert "AUTOTRADER_BROKER_BIND" in complaint
