"""Phases of the connection: who is needed, what is replayed, what is opened anew, and no storm of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest

from broker import types
from broker.errors import AccountError
from broker.ib import backoff, budgets, client, session
from broker.ib.backoff import Backoff
from broker.ib.heartbeat import Beat
from broker.ib.restart import Schedule
from broker.ib.session import Endpoint, Session
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, TIMEOUT, Desk, frames, take_paper_account
from tests.broker_ib.proxy import Proxy
from tests.support import eventually, free_port

MINUTE = 60.0


def status(desk: Desk) -> types.BrokerStatus:
    """The status as the adapter completes it."""
    state = desk.client.state()
    return desk.client.described(
        types.BrokerStatus(
            ready=state.synced,
            connected=state.connected,
            reason=state.reason,
            account=state.account,
            accounts=state.accounts,
            clock=state.clock,
            market_now=CLOSE,
            since=state.since,
            owner="test",
        )
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections follow each other closely."""
    monkeypatch.setattr(backoff, "FIRST", 0.02)
    monkeypatch.setattr(backoff, "FLAPPING", 0.02)


def test_a_ready_connection_says_what_it_is(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "SECOND", 3600.0)  # in which messages are counted, and a slow machine sends few
    desk = make_desk(gateway.host, gateway.port)
    desk.wait_synced()
    told = status(desk)
    assert (told.phase, told.action, told.in_restart_window) == ("ready", "", False)
    assert told.library.startswith("ib_")
    assert told.server_version >= 157
    assert told.heartbeat_s is not None
    assert told.pacing is not None
    assert told.pacing.messages >= 5
    assert told.next_restart is told.next_login is None


def test_a_gateway_at_its_login_needs_a_person(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with ControlClient(gateway.host, gateway.control_port) as control, monkeypatch.context() as patch:
        patch.setattr(session, "HANDSHAKE_LIMIT", 0.2)
        control.fault("login")
        desk = make_desk(gateway.host, gateway.port)
        eventually(lambda: status(desk).phase == "needs_person")
        assert "Log in" in status(desk).action
        control.heal()
    eventually(lambda: status(desk).phase == "ready")
    assert status(desk).action == ""


def test_an_account_that_may_not_be_used_needs_a_person(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    def refuse(accounts: tuple[str, ...]) -> str:
        raise AccountError(f"{accounts} are not ours")

    desk = make_desk(gateway.host, gateway.port, accept_account=refuse)
    eventually(lambda: status(desk).phase == "needs_person")
    assert gateway.account in status(desk).action


def test_a_client_id_that_stays_taken_needs_a_person(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], quick: None
) -> None:
    first = make_desk(gateway.host, gateway.port, client_id=7)
    first.client.wait_connected(TIMEOUT)
    second = make_desk(gateway.host, gateway.port, client_id=7)
    eventually(lambda: status(second).phase == "needs_person")
    assert "client id" in status(second).action
    first.client.stop()
    eventually(lambda: status(second).phase == "ready")
    assert status(second).action == ""


def test_farms_that_break_are_shown_and_come_back(gateway: EmbeddedGateway, desk: Desk) -> None:
    def states() -> set[tuple[str, str]]:
        return {(farm.kind, farm.state) for farm in status(desk).farms}

    with ControlClient(gateway.host, gateway.control_port) as control:
        control.fault("farm")
        eventually(lambda: {("market", "broken"), ("historical", "broken"), ("security", "ok")} == states())
        control.heal()
    eventually(lambda: {state for _, state in states()} == {"ok"})
    assert status(desk).phase == "ready"


def test_a_clock_that_is_off_is_measured(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway() as running, ControlClient(running.host, running.control_port) as control:
        control.fault("clock_skew", seconds=-7)
        desk = make_desk(running.host, running.port, beat=Beat(0.2, 10, 10, 0.2))
        desk.client.wait_connected(TIMEOUT)
        assert status(desk).skew_s is not None
        eventually(lambda: -8 < (status(desk).skew_s or 0) < -6)  # one answer may have taken long


def test_who_connects_while_the_broker_is_lost_waits_for_it(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    with ControlClient(gateway.host, gateway.control_port) as control:
        control.fault("connectivity", restore=1101)
        desk = make_desk(gateway.host, gateway.port)
        eventually(lambda: status(desk).phase == "broker_lost")
        eventually(lambda: frames(gateway).get("reqExecutions"))
        assert not desk.client.state().synced
        control.heal()
    eventually(lambda: status(desk).phase == "ready")


def test_a_stopped_client_is_in_no_other_phase(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(gateway.host, gateway.port)
    desk.client.wait_connected(TIMEOUT)
    desk.client.stop()
    assert status(desk).phase == "stopped"
    assert status(desk).heartbeat_s is None


def test_the_restart_window_is_shown(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=55)  # the window begins a minute before
    at = time(soon.hour, soon.minute, soon.second, tzinfo=UTC)
    desk = make_desk(gateway.host, gateway.port, schedule=Schedule(at, (6, at)))
    desk.client.wait_connected(TIMEOUT)
    told = status(desk)
    assert (told.phase, told.in_restart_window) == ("restart_window", True)
    assert told.next_restart == soon.replace(microsecond=0)
    assert told.next_login is not None


@pytest.mark.parametrize("code", [1101, 1102])
def test_streams_are_opened_anew_after_an_outage(
    code: int, gateway: EmbeddedGateway, make_desk: Callable[..., Desk], quick: None
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        (before,) = desk.client.read("quotes", types.ConIds((contract.con_id,)), TIMEOUT, [contract])
        asked = frames(gateway)["reqMktData"]
        proxy.inject(4, 2, -1, 1100, "lost", "")
        eventually(lambda: status(desk).phase == "broker_lost")
        proxy.inject(4, 2, -1, code, "restored", "")
        eventually(lambda: frames(gateway)["reqMktData"] > asked)
        eventually(lambda: status(desk).phase == "ready")
        (after,) = desk.client.read("quotes", types.ConIds((contract.con_id,)), TIMEOUT, [contract])
        assert (after.bid, after.ask) == (before.bid, before.ask)


def test_the_account_summary_is_never_asked_for_over_ten_reconnects_and_three_restorations(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], quick: None
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        for number in range(1, 12):
            eventually(lambda number=number: proxy.connections == number and desk.client.state().synced)  # type: ignore[misc]
            if number < 11:
                proxy.hang_up_after(0)
        for number in range(3):
            syncs = len(desk.syncs)
            proxy.inject(4, 2, -1, 1102, f"restored for time {number}", "")
            eventually(lambda syncs=syncs: len(desk.syncs) > syncs)  # type: ignore[misc]
        eventually(lambda: desk.client.state().synced)
    assert frames(gateway).get("reqAccountSummary", 0) <= 1


def test_every_connect_replays_before_it_is_synced(gateway: EmbeddedGateway, desk: Desk) -> None:
    asked = frames(gateway)
    assert {"reqExecutions", "reqAllOpenOrders", "reqCompletedOrders", "reqPositions"} <= set(asked)


def test_a_paced_session_outlives_the_call_that_began_it(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setattr(client, "STOP_LIMIT", 2.0)
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port, pacing="real", beat=Beat(0.1, 20, 20))
        desk.client.wait_connected(TIMEOUT)
        asked = frames(gateway)["reqCurrentTime"]
        eventually(lambda: frames(gateway)["reqCurrentTime"] > asked + 30)  # longer than those two seconds
        proxy.hang_up_after(0)
        eventually(lambda: proxy.connections == 2 and desk.client.state().synced)


async def test_a_refusing_port_is_no_storm() -> None:
    """A minute of refusals, by a clock that only the waits move: few connects, further and further apart."""
    port = free_port()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if sum(waits) >= MINUTE:
            raise asyncio.CancelledError

    tried = Session(
        Endpoint("127.0.0.1", port, 1, paper=True), take_paper_account, lambda _: None, lambda: None, sleep=sleep
    )
    with pytest.raises(asyncio.CancelledError):
        await tried.run()
    assert 5 <= len(waits) <= 12
    assert max(waits) <= backoff.LONGEST


def test_waits_grow_and_vary_and_begin_anew_after_a_long_life() -> None:
    largest = Backoff(lambda low, high: high)
    assert [largest.after(synced=False, lived=0) for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    assert largest.after(synced=True, lived=1) == backoff.FLAPPING
    assert largest.after(synced=True, lived=backoff.SETTLED) == backoff.FIRST
    flapping = Backoff(lambda low, high: low)
    waits = [flapping.after(synced=True, lived=1) for _ in range(30)]
    assert sum(waits[-10:]) >= 10 * backoff.FLAPPING / 2
    drawn = Backoff()
    assert len({drawn.after(synced=True, lived=backoff.SETTLED) for _ in range(20)}) > 10


async def test_a_connection_that_is_lost_at_once_is_no_storm_either() -> None:
    waits: list[float] = []
    silent = Backoff(lambda low, high: low)
    while sum(waits) < MINUTE:
        waits.append(silent.after(synced=True, lived=0.1))
    assert len(waits) <= MINUTE + 5
