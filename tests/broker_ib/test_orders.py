"""Brackets, fills, price changes and cancels: what leaves, and what the sink hears of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from broker import types
from broker.errors import OrderInvalid, TradingDisabled
from broker.ib.client import NotSent
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, DAY, HOUR, TIMEOUT, Desk, bracket, frames


def _single(desk: Desk, contract: types.Contract, **changes: object) -> types.OrderLeg:
    leg = types.OrderLeg("X1-E", "entry", "BUY", Decimal(5), "LMT", "GTC", limit_price=desk.price(contract, "0.5"))
    return replace(leg, **changes)  # type: ignore[arg-type]


def _filled_bracket(desk: Desk, gateway: EmbeddedGateway) -> types.Contract:
    contract = desk.contract()
    desk.place(contract, bracket(desk, contract))
    gateway.advance(CLOSE + HOUR)
    desk.client.fence(TIMEOUT)
    return contract


def test_a_bracket_leaves_together_and_is_reported(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    legs = bracket(desk, contract)
    desk.place(contract, legs)
    with ControlClient(gateway.host, gateway.control_port) as control:
        sent = control.frames("placeOrder")
    assert len(sent) == desk.client.frames_written == 3
    assert [frame[26] for frame in sent] == [leg.order_ref for leg in legs]
    assert [frame[27] for frame in sent] == ["0", "0", "1"]  # transmit
    assert [frame[28] for frame in sent] == ["0", sent[0][1], sent[0][1]]  # parentId
    assert {frame[33] for frame in sent} == {"0"}  # outsideRth
    assert {frame[23] for frame in sent} == {gateway.account}
    entry, stop, target = (desk.last(leg.order_ref) for leg in legs)
    assert (entry.status, entry.side, entry.quantity, entry.tif) == ("Submitted", "BUY", 10, "DAY")
    assert entry.limit_price == legs[0].limit_price
    assert (stop.status, stop.stop_price, stop.limit_price) == ("PreSubmitted", legs[1].stop_price, None)
    assert stop.parent_perm_id == target.parent_perm_id == entry.perm_id > 0
    assert stop.oca_group == target.oca_group != ""
    assert {entry.client_id, stop.client_id, target.client_id} == {1}


def test_no_report_says_what_only_the_client_library_believes(desk: Desk) -> None:
    contract = desk.contract()
    desk.place(contract, bracket(desk, contract))
    desk.cancel("G1-E")
    statuses = {report.status for report in desk.all(types.OrderReport)}
    assert statuses <= {"PreSubmitted", "Submitted", "Cancelled"}


def test_a_fill_is_reported_with_its_cost_and_the_account(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = _filled_bracket(desk, gateway)
    (execution,) = desk.all(types.ExecutionReport)
    (commission,) = desk.all(types.CommissionReport)
    summary = desk.all(types.AccountSummary)[-1]
    assert (execution.order_ref, execution.side, execution.quantity) == ("G1-E", "BUY", 10)
    assert CLOSE < execution.time <= CLOSE + HOUR
    assert commission.exec_id == execution.exec_id
    assert (commission.order_ref, commission.commission, commission.currency) == ("G1-E", Decimal(1), "USD")
    assert commission.realized_pnl is None
    assert desk.last("G1-E").status == "Filled"
    assert desk.last("G1-E").average_price == execution.price
    assert summary.cash == Decimal(1_000_000) - 10 * execution.price - 1
    order = [type(event) for event in desk.events]
    assert order.index(types.ExecutionReport) < order.index(types.CommissionReport) < len(order) - 1
    assert len(desk.all(types.AccountSummary)) == 2
    (position,) = desk.client.read("positions", types.Nothing(), TIMEOUT)
    assert (position.con_id, position.symbol, position.quantity) == (contract.con_id, "AAPL", 10)
    assert position.average_cost == execution.price + Decimal("0.1")
    assert position.market_price is not None


def test_the_book_holds_open_completed_and_executed(desk: Desk, gateway: EmbeddedGateway) -> None:
    _filled_bracket(desk, gateway)
    book = desk.client.book(TIMEOUT)
    assert {report.order_ref for report in book.open_orders} == {"G1-S", "G1-T"}
    (done,) = book.completed_orders
    assert (done.order_ref, done.status, done.completed, done.filled) == ("G1-E", "Filled", True, 10)
    (execution,) = book.executions
    assert (execution.order_ref, execution.commission, execution.commission_currency) == ("G1-E", 1, "USD")
    assert execution.realized_pnl is None
    assert len(desk.all(types.ExecutionReport)) == 1
    asked = desk.client.read("order", types.OrderRef(execution.account, "G1-E"), TIMEOUT)
    (listed,) = desk.client.read("completed_orders", types.Nothing(), TIMEOUT)
    assert (asked.average_price, listed.average_price) == (execution.price, execution.price)


def test_a_price_is_changed_and_nothing_else(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = _filled_bracket(desk, gateway)
    before = {ref: desk.last(ref) for ref in ("G1-S", "G1-T")}
    stop, target = desk.price(contract, "0.85"), desk.price(contract, "1.6")
    desk.modify("G1-S", stop_price=stop)
    desk.modify("G1-T", limit_price=target)
    expected = {
        "G1-S": replace(before["G1-S"], stop_price=stop, time=desk.last("G1-S").time),
        "G1-T": replace(before["G1-T"], limit_price=target, time=desk.last("G1-T").time),
    }
    assert {ref: desk.last(ref) for ref in expected} == expected
    with ControlClient(gateway.host, gateway.control_port) as control:
        assert [frame[27] for frame in control.frames("placeOrder")[3:]] == ["1", "1"]  # transmit


def test_an_exit_moves_the_target_and_the_stop_ends_with_it(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = _filled_bracket(desk, gateway)
    desk.modify("G1-T", limit_price=desk.price(contract, "0.95"))
    gateway.advance(CLOSE + 2 * DAY)
    desk.client.fence(TIMEOUT)
    assert desk.last("G1-T").status == "Filled"
    assert desk.last("G1-S").status == "Cancelled"
    assert [message.code for message in desk.all(types.OrderMessage, "G1-S")] == [202]
    (commission,) = desk.all(types.CommissionReport, "G1-T")
    assert commission.realized_pnl is not None
    assert desk.client.read("positions", types.Nothing(), TIMEOUT) == ()


def test_a_cancelled_entry_takes_its_children_along(desk: Desk) -> None:
    contract = desk.contract()
    legs = bracket(desk, contract)
    desk.place(contract, legs)
    desk.cancel("G1-E")
    assert {desk.last(leg.order_ref).status for leg in legs} == {"Cancelled"}
    assert 202 in {message.code for message in desk.all(types.OrderMessage, "G1-E")}
    assert desk.client.book(TIMEOUT).open_orders == ()


def test_an_exit_order_joins_the_group_of_a_lone_stop(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    buy = types.OrderLeg("B1-E", "entry", "BUY", Decimal(10), "MKT", "DAY")
    desk.place(contract, [buy])
    gateway.advance(CLOSE + DAY)
    stop = types.OrderLeg("B2-S", "stop", "SELL", Decimal(10), "STP", "GTC", stop_price=desk.price(contract, "0.8"))
    desk.place(contract, [stop])
    leave = types.OrderLeg(
        "B3-X", "exit", "SELL", Decimal(10), "LMT", "DAY", limit_price=desk.price(contract, "0.95"), oca_ref="B2-S"
    )
    desk.place(contract, [leave])
    assert desk.last("B3-X").oca_group == desk.last("B2-S").oca_group != ""
    gateway.advance(CLOSE + 2 * DAY)
    desk.client.fence(TIMEOUT)
    assert desk.last("B3-X").status == "Filled"
    assert desk.last("B2-S").status == "Cancelled"


def test_a_refused_order_is_a_message_beside_the_broker_s_status(desk: Desk) -> None:
    contract = desk.contract()
    desk.place(contract, [_single(desk, contract, quantity=Decimal(1_000_000))])
    codes = {message.code for message in desk.all(types.OrderMessage, "X1-E")}
    assert 201 in codes
    assert {report.status for report in desk.all(types.OrderReport, "X1-E")} <= {"Inactive"}


def test_a_shut_gate_lets_not_one_frame_out(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    legs = bracket(desk, contract)

    def shut() -> None:
        raise TradingDisabled("the halt file is there")

    def broken() -> None:
        raise PermissionError("unreadable")

    with pytest.raises(TradingDisabled):
        desk.place(contract, legs, gate=shut)
    with pytest.raises(NotSent) as caught:
        desk.place(contract, legs, gate=broken)
    assert caught.value.reason == "GATE_UNREADABLE"
    assert "placeOrder" not in frames(gateway)
    assert desk.client.frames_written == 0


def test_a_shut_gate_stops_changes_and_cancels(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    desk.place(contract, [_single(desk, contract)])

    def shut() -> None:
        raise TradingDisabled("the halt file is there")

    with pytest.raises(TradingDisabled):
        desk.modify("X1-E", limit_price=Decimal(50), gate=shut)
    with pytest.raises(TradingDisabled):
        desk.client.cancel("X1-E", shut)
    assert desk.client.frames_written == frames(gateway)["placeOrder"] == 1
    assert "cancelOrder" not in frames(gateway)


def test_what_is_late_does_not_leave(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    late = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(NotSent) as caught:
        desk.place(contract, bracket(desk, contract), deadline=late)
    assert caught.value.reason == "LATE"
    assert "placeOrder" not in frames(gateway)


@pytest.mark.parametrize(
    "changes",
    [
        {"limit_price": None},
        {"stop_price": Decimal(1)},
        {"order_type": "MKT"},
        {"quantity": Decimal(0)},
        {"parent_ref": "NOBODY"},
        {"oca_ref": "NOBODY"},
    ],
)
def test_wrong_terms_do_not_leave(desk: Desk, gateway: EmbeddedGateway, changes: dict[str, object]) -> None:
    contract = desk.contract()
    with pytest.raises(OrderInvalid):
        desk.place(contract, [_single(desk, contract, **changes)])
    assert "placeOrder" not in frames(gateway)


def test_a_bracket_with_one_wrong_leg_does_not_leave_at_all(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    entry, stop, target = bracket(desk, contract)
    for legs in ((entry, stop, replace(target, limit_price=None)), (entry, stop, replace(target, order_ref="G1-S"))):
        with pytest.raises(OrderInvalid):
            desk.place(contract, legs)
    assert "placeOrder" not in frames(gateway)


def test_only_what_works_can_be_changed_or_cancelled(desk: Desk, gateway: EmbeddedGateway) -> None:
    _filled_bracket(desk, gateway)
    written = desk.client.frames_written
    for order_ref in ("NOBODY", "G1-E"):
        with pytest.raises(OrderInvalid):
            desk.modify(order_ref, limit_price=Decimal(100))
        with pytest.raises(OrderInvalid):
            desk.cancel(order_ref)
    with pytest.raises(OrderInvalid):
        desk.modify("G1-S", limit_price=Decimal(100))
    assert desk.client.frames_written == written


def test_unrelated_orders_of_one_request_are_all_transmitted(desk: Desk) -> None:
    contract = desk.contract()
    legs = [_single(desk, contract), _single(desk, contract, order_ref="X2-E")]
    desk.place(contract, legs)
    assert {desk.last("X1-E").status, desk.last("X2-E").status} == {"Submitted"}
