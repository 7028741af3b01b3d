"""What a gateway says or withholds only on bad days: outages behind TWS, corrections, harmless errors, silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from broker import types
from broker.errors import BrokerUnavailable, MarketDataError, OrderInvalid
from broker.ib import account, connection
from broker.ib.client import NotSent
from broker.ib.library import ib_insync
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, HOUR, TIMEOUT, Desk, bracket, frames
from tests.broker_ib.proxy import Proxy
from tests.support import eventually, in_threads

SYSTEM = -1
STATUS = types.BrokerStatus(
    ready=True,
    connected=True,
    reason="",
    account="",
    accounts=(),
    clock="set",
    market_now=CLOSE,
    since=CLOSE,
    owner="test",
)


@pytest.fixture
def proxy(gateway: EmbeddedGateway) -> Iterator[Proxy]:
    with Proxy(gateway.host, gateway.port) as made:
        yield made


@pytest.fixture
def proxied(proxy: Proxy, make_desk: Callable[..., Desk]) -> Desk:
    """A client whose frames pass through the proxy."""
    made = make_desk(proxy.host, proxy.port)
    made.wait_synced()
    return made


def _error(proxy: Proxy, request_id: int, code: int, text: str) -> None:
    proxy.inject(4, 2, request_id, code, text, "")


def _placed(gateway: EmbeddedGateway) -> list[list[str]]:
    with ControlClient(gateway.host, gateway.control_port) as control:
        return control.frames("placeOrder")


def _entry_id(gateway: EmbeddedGateway) -> int:
    return int(_placed(gateway)[0][1])


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
    proxied.wait_synced()
    assert len(proxied.syncs) == 2
    assert proxied.all(types.ConnectionReport)[-1].state == "CONNECTED"
    assert proxy.connections == 1


def test_an_outage_that_begins_in_the_replay_is_not_forgotten(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway
) -> None:
    before = frames(gateway)["reqExecutions"]
    proxy.burst((4, 2, SYSTEM, 1102, "restored", ""), (4, 2, SYSTEM, 1100, "lost again", ""))
    eventually(lambda: frames(gateway)["reqExecutions"] > before)
    eventually(lambda: "lost again" in proxied.client.state().reason)
    assert not proxied.client.state().synced
    _error(proxy, SYSTEM, 1102, "restored")
    eventually(lambda: proxied.client.state().synced)
    proxied.wait_synced()
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
        assert time.monotonic() - begun < TIMEOUT / 2


def test_an_answer_that_stays_out_for_long_replaces_the_connection(
    proxied: Desk, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.muted = True
    with monkeypatch.context() as patch, pytest.raises(BrokerUnavailable):
        patch.setattr(connection, "ANSWER_LIMIT", 0.3)
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
        assert time.monotonic() - begun < 10


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


def test_ids_that_are_reused_after_a_restart_are_not_cross_credited(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway
) -> None:
    """Callbacks of an order of before the restart come with the id of one of after it."""
    contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    mine = proxied.last("G1-E")
    order_id, before = _entry_id(gateway), len(proxied.all(types.OrderReport, "G1-E"))
    others = mine.perm_id + 1000
    what = (contract.con_id, "AAPL", "STK", "", "0.0", "", "", "NASDAQ", "USD", "AAPL", "NMS")
    fill = ("0000.1", "20190603 16:00:01 US/Eastern", gateway.account, "NASDAQ", "BOT", "10", "208.5", others)
    proxy.inject(11, SYSTEM, order_id, *what, *fill, 1, 0, "10", "208.5", "OLD-E", "", "", "", 2)
    proxy.inject(3, order_id, "Filled", "10", "0", "208.5", others, 0, "208.5", 1, "", "0")
    (execution,) = eventually(lambda: proxied.all(types.ExecutionReport))
    proxied.client.fence(TIMEOUT)
    assert (execution.order_ref, execution.perm_id) == ("OLD-E", others)
    assert len(proxied.all(types.OrderReport, "G1-E")) == before
    assert (proxied.last("G1-E").status, proxied.last("G1-E").filled) == ("Submitted", 0)
    proxied.cancel("G1-E")
    assert proxied.last("G1-E").status == "Cancelled"


def test_the_end_of_an_order_is_not_that_of_the_one_that_has_its_id_now(proxied: Desk) -> None:
    """Another client whose ids were rolled back: its old order is listed as finished while the new one works."""
    proxied.client._ask(_reuse_id, TIMEOUT)
    assert [(row.status, row.perm_id) for row in proxied.all(types.OrderReport, "OTHER-2")] == [("Submitted", 902)]


async def _reuse_id(made: connection.Connection) -> None:
    wrapper, contract = made.wrapper, ib_insync.Contract(conId=1, symbol="XYZ")
    for perm_id in (901, 902):
        order = ib_insync.Order(orderId=7, clientId=5, permId=perm_id, orderRef=f"OTHER-{perm_id - 900}", action="BUY")
        wrapper.openOrder(7, contract, order, ib_insync.OrderState(status="Submitted"))
    wrapper._results["completedOrders"] = []
    wrapper.completedOrder(contract, ib_insync.Order(permId=901), ib_insync.OrderState(status="Filled"))
    wrapper._report_waiting()


def test_no_id_is_used_twice_though_the_gateway_forgets_them(
    proxied: Desk, proxy: Proxy, gateway: EmbeddedGateway
) -> None:
    for _ in range(20):  # ids of requests and of orders are one sequence
        contract = proxied.contract()
    proxied.place(contract, bracket(proxied, contract))
    proxied.cancel("G1-E")
    used = {int(fields[1]) for fields in _placed(gateway)}
    proxy.rolled_back_id = 1
    proxy.hang_up_after(0)
    eventually(lambda: proxy.connections == 2 and proxied.client.state().synced)
    proxied.place(contract, bracket(proxied, contract, "G2"))
    now = {int(fields[1]) for fields in _placed(gateway)} - used
    assert len(now) == 3
    assert min(now) > max(used)


def test_requests_keep_to_the_limits_of_a_real_tws(make_desk: Callable[..., Desk], gateway: EmbeddedGateway) -> None:
    """The first hundred contracts, asked by many at once: the gateway finds nothing to complain of."""
    desk = make_desk(gateway.host, gateway.port, pacing="real")
    desk.client.wait_connected(TIMEOUT)
    query = types.ContractQuery("AAPL")
    with ControlClient(gateway.host, gateway.control_port) as control:
        control.fault("pacing")
        in_threads([lambda: desk.client.read("contracts", query, 2 * TIMEOUT)] * 100, threads=20)
        (paced,) = control.faults()
    use = desk.client.described(STATUS).pacing
    assert use is not None
    assert (use.violations, use.message_limit, use.history_limit) == (0, 45, 60)
    assert paced["acted"] == 0


def test_a_wait_behind_a_burst_of_orders_is_no_silence_of_the_gateway(
    make_desk: Callable[..., Desk], gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(gateway.host, gateway.port, pacing="real")
    desk.client.wait_connected(TIMEOUT)
    monkeypatch.setattr(connection, "ANSWER_LIMIT", 0.2)
    since, messages = desk.client.state().since, desk.client._session.pacer._messages
    messages.orders_waiting += 1

    def leave() -> None:
        monkeypatch.setattr(connection, "ANSWER_LIMIT", TIMEOUT)  # from now on it is the gateway that is waited for
        messages.orders_waiting = 0

    threading.Timer(0.6, leave).start()
    assert desk.client.read("server_time", types.Nothing(), TIMEOUT).broker
    assert desk.client.state().since == since


def test_a_pacing_violation_is_counted_and_told(make_desk: Callable[..., Desk], gateway: EmbeddedGateway) -> None:
    desk = make_desk(gateway.host, gateway.port)
    desk.client.wait_connected(TIMEOUT)
    contract = desk.contract()
    query = types.BarsQuery(contract.con_id, "1 day", "1 M")
    with ControlClient(gateway.host, gateway.control_port) as control:
        control.fault("pacing", histories=1)
        desk.client.read("bars", query, TIMEOUT, [contract])
        with pytest.raises(MarketDataError, match="pacing violation"):
            desk.client.read("bars", query, TIMEOUT, [contract])
    use = desk.client.described(STATUS).pacing
    assert use is not None
    assert use.violations == 1


def test_a_wait_for_room_that_is_too_long_is_told_at_once(
    make_desk: Callable[..., Desk], gateway: EmbeddedGateway
) -> None:
    desk = make_desk(gateway.host, gateway.port, pacing="real")
    desk.client.wait_connected(TIMEOUT)
    contract = desk.contract()
    query = types.BarsQuery(contract.con_id, "30 secs", "1800 S")
    desk.client.read("bars", query, TIMEOUT, [contract])
    too_short = 5.0
    with pytest.raises(MarketDataError) as caught:
        desk.client.read("bars", query, too_short, [contract])
    assert caught.value.reason == "PACED", "not that the time has passed"
    assert too_short < caught.value.details["wait_s"] <= 15
