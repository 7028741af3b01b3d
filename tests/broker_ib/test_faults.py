"""What a gateway says or withholds only on bad days: outages behind TWS, corrections, harmless errors, silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from broker import types
from broker.errors import BrokerUnavailable, OrderInvalid
from broker.ib import account, connection
from broker.ib.client import NotSent
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, HOUR, TIMEOUT, Desk, bracket, frames
from tests.broker_ib.proxy import Proxy
from tests.support import eventually

SYSTEM = -1


@pytest.fixture
def proxy(gateway: EmbeddedGateway) -> Iterator[Proxy]:
    with Proxy(gateway.host, gateway.port) as made:
        yield made


@pytest.fixture
def proxied(proxy: Proxy, make_desk: Callable[..., Desk]) -> Desk:
    """A client whose frames pass through the proxy."""
    made = make_desk(proxy.host, proxy.port)
    made.client.wait_connected(TIMEOUT)
    return made


def _error(proxy: Proxy, request_id: int, code: int, text: str) -> None:
    proxy.inject(4, 2, request_id, code, text, "")


def _entry_id(gateway: EmbeddedGateway) -> int:
    with ControlClient(gateway.host, gateway.control_port) as control:
        return int(control.frames("placeOrder")[0][1])


def test_an_outage_behind_tws_closes_and_1102_opens_again(proxied: Desk, proxy: Proxy) -> None:
    contract = proxied.contract()
    legs = bracket(proxied, contract)
    _error(proxy, SYSTEM, 1100, "Connectivity between IB and TWS has been lost.")
    eventually(lambda: not proxied.client.state().synced)
    assert proxied.client.state().connected
    with pytest.raises(BrokerUnavailable, match="1100"):
        proxied.client.read("positions", types.Nothing(), TIMEOUT)
    with pytest.raises(NotSent, match="1100"):
        proxied.place(contract, legs)
    assert proxied.all(types.ConnectionReport)[-1].state == "LOST"
    _error(proxy, SYSTEM, 1102, "Connectivity has been restored - data maintained.")
    eventually(lambda: proxied.client.state().synced)
    assert len(proxied.syncs) == 2
    assert proxied.all(types.ConnectionReport)[-1].state == "CONNECTED"
    assert proxy.connections == 1


def test_an_outage_that_begins_in_the_replay_is_not_forgotten(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway
) -> None:
    before = frames(gateway)["reqExecutions"]
    _error(proxy, SYSTEM, 1102, "restored")
    _error(proxy, SYSTEM, 1100, "lost again")
    eventually(lambda: frames(gateway)["reqExecutions"] > before)
    eventually(lambda: "lost again" in proxied.client.state().reason)
    assert not proxied.client.state().synced
    _error(proxy, SYSTEM, 1102, "restored")
    eventually(lambda: proxied.client.state().synced)
    assert [report.state for report in proxied.all(types.ConnectionReport)] == ["CONNECTED", "LOST", "CONNECTED"]


def test_a_fill_missed_in_an_outage_comes_with_the_replay(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway
) -> None:
    contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    _error(proxy, SYSTEM, 1100, "lost")
    eventually(lambda: not proxied.client.state().synced)
    proxy.muted = True
    gateway.advance(CLOSE + HOUR)
    proxy.muted = False
    _error(proxy, SYSTEM, 1101, "restored - data lost")
    eventually(lambda: proxied.client.state().synced)
    (execution,) = proxied.all(types.ExecutionReport)
    assert execution.order_ref == "G1-E"
    assert proxied.all(types.CommissionReport, "G1-E")
    assert proxied.last("G1-E").status == "Filled"
    assert proxied.last("G1-T").status == "Submitted"
    with pytest.raises(OrderInvalid):
        proxied.cancel("G1-E")


def test_a_harmless_error_is_a_message_and_no_status(proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway) -> None:
    contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    _error(proxy, _entry_id(gateway), 10349, "Order TIF was set to DAY based on order preset.")
    eventually(lambda: proxied.all(types.OrderMessage))
    (message,) = proxied.all(types.OrderMessage)
    assert (message.order_ref, message.code) == ("G1-E", 10349)
    assert message.perm_id == proxied.last("G1-E").perm_id
    assert proxied.last("G1-E").status == "Submitted"
    price = proxied.price(contract, "0.9")
    proxied.modify("G1-E", limit_price=price)
    assert (proxied.last("G1-E").status, proxied.last("G1-E").limit_price) == ("Submitted", price)


def test_a_correction_of_a_fill_is_reported(proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway) -> None:
    contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    gateway.advance(CLOSE + HOUR)
    proxied.client.fence(TIMEOUT)
    (first,) = proxied.all(types.ExecutionReport)
    corrected = first.exec_id[:-1] + "2"
    what = (contract.con_id, "AAPL", "STK", "", "0.0", "", "", "NASDAQ", "USD", "AAPL", "NMS")
    fill = (corrected, "20190603 16:00:01 US/Eastern", gateway.account, "NASDAQ", "BOT", "10", "208.5", first.perm_id)
    rest = (1, 0, "10", "208.5", "G1-E", "", "", "", 2)
    proxy.inject(11, SYSTEM, _entry_id(gateway), *what, *fill, *rest)
    eventually(lambda: len(proxied.all(types.ExecutionReport)) == 2)
    correction = proxied.all(types.ExecutionReport)[1]
    assert (correction.exec_id, correction.price, correction.order_ref) == (corrected, Decimal("208.5"), "G1-E")
    assert correction.time == first.time


def test_a_status_is_reported_when_it_changes(proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway) -> None:
    contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    report = proxied.last("G1-E")
    number = len(proxied.all(types.OrderReport))
    status = (3, _entry_id(gateway), "Submitted", "0", "10", "0", report.perm_id, 0, "0", 1, "", "0")
    proxy.inject(*status)
    proxied.client.fence(TIMEOUT)
    assert len(proxied.all(types.OrderReport)) == number
    proxy.inject(*(*status[:3], "4", "6", "208.5", *status[6:]))
    eventually(lambda: len(proxied.all(types.OrderReport)) == number + 1)
    changed = proxied.last("G1-E")
    assert (changed.filled, changed.remaining, changed.average_price) == (4, 6, Decimal("208.5"))


def test_silence_is_unavailable_within_the_time_out(proxied: Desk, proxy: Proxy) -> None:
    contract = proxied.contract()
    query = types.BarsQuery(contract.con_id, "1 day", "1 M")
    proxy.muted = True
    for read in (
        lambda: proxied.client.book(0.2),
        lambda: proxied.client.read("bars", query, 0.2, [contract]),
        lambda: proxied.client.read("quote", types.ConId(contract.con_id), 0.2, [contract]),
        lambda: proxied.client.read("contracts", types.ContractQuery("IBM"), 0.2),
    ):
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            read()
        assert time.monotonic() - begun < 2


def test_an_answer_that_stays_out_for_long_replaces_the_connection(
    proxied: Desk, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_LIMIT", 0.3)
    proxy.muted = True
    with pytest.raises(BrokerUnavailable):
        proxied.client.fence(TIMEOUT)
    proxy.muted = False
    eventually(lambda: proxy.connections >= 2 and proxied.client.state().synced)
    proxied.client.fence(TIMEOUT)


def test_calls_in_flight_end_when_the_connection_does(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway(set_clock=CLOSE) as gateway, Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        proxy.muted = True
        proxy.hang_up_after(0.2)
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            desk.client.read("bars", types.BarsQuery(contract.con_id, "1 day", "1 M"), TIMEOUT, [contract])
        assert time.monotonic() - begun < TIMEOUT / 2


def test_values_that_the_broker_has_not_said_are_none() -> None:
    values = {
        ("NetLiquidation", "USD"): "1000.5",
        ("BuyingPower", "USD"): "1.7976931348623157E308",
        ("TotalCashValue", "USD"): "NaN",
        ("UnrealizedPnL", "USD"): "1.0",
        ("UnrealizedPnL", "BASE"): "2.5",
        ("RealizedPnL", "EUR"): "9",
    }
    summary = account.summary("DU1", values, CLOSE)
    assert (summary.currency, summary.net_liquidation) == ("USD", Decimal("1000.5"))
    assert (summary.buying_power, summary.cash, summary.realized_pnl) == (None, None, None)
    assert summary.unrealized_pnl == Decimal("2.5")
