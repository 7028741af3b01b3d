"""What each look hands to the desk, and what the desk's wishes and a refusal bring about at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from broker import gates, types
from broker.errors import BrokerUnavailable, OrderInvalid, TradingDisabled
from broker.models import BrokerMessage, Submission
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.owner import Owner
from tests.broker_service.house import CLOSE, MemoryDesk, bracket, changed, filling, placed_frames, resolve, soon
from tests.support import PATIENCE_S, eventually


def waiting(order: types.PlaceOrder) -> list[types.UnresolvedIntent]:
    """The intents of an order that was committed this moment: too young to be voided by a look."""
    later = datetime.now(UTC) + timedelta(minutes=10)
    return [types.UnresolvedIntent(order.account, leg.order_ref, "SENDING", later) for leg in order.legs]


def test_an_intent_that_a_gate_refuses_is_void_at_once(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    order = bracket(owner.broker)
    desk.intents = waiting(order)
    gates.halt_set(gates.HaltState.HALTED, actor="t", reason="a test")
    with pytest.raises(TradingDisabled):
        owner.broker.place(order)
    eventually(lambda: {row.state for row in Submission.objects.all()} == {"VOID"})
    assert "HALTED" in eventually(lambda: desk.all(types.SubmissionReport, "G1-E"))[0].detail
    gates.halt_set(gates.HaltState.ACTIVE, actor="t", reason="a test")
    assert {leg.state for leg in owner.broker.place(order).legs} == {"VOID"}
    assert placed_frames(gateway) == 0


def test_an_intent_with_terms_that_no_broker_takes_is_void_at_once(owner: Owner, desk: MemoryDesk) -> None:
    order = changed(bracket(owner.broker), 1, quantity=Decimal(0))
    desk.intents = waiting(order)
    with pytest.raises(OrderInvalid):
        owner.broker.place(order)
    eventually(lambda: Submission.objects.filter(state="VOID").count() == 3)


def test_a_refusal_of_what_the_desk_does_not_wait_for_leaves_no_record(owner: Owner, desk: MemoryDesk) -> None:
    """A program of its own may be refused, put right what was wrong, and send the same reference."""
    order = bracket(owner.broker)
    gates.halt_set(gates.HaltState.HALTED, actor="t", reason="a test")
    with pytest.raises(TradingDisabled):
        owner.broker.place(order)
    owner.broker.drain()
    assert not Submission.objects.exists()
    gates.halt_set(gates.HaltState.ACTIVE, actor="t", reason="a test")
    assert {leg.state for leg in owner.broker.place(order).legs} == {"SENT"}


def test_a_refused_repeat_does_not_touch_what_was_sent(owner: Owner, desk: MemoryDesk) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    desk.intents = waiting(order)
    with pytest.raises(OrderInvalid):
        owner.broker.place(changed(order, 0, quantity=Decimal(0)))
    owner.broker.drain()
    assert {row.state for row in Submission.objects.all()} == {"SENT"}


def test_a_look_tells_the_desk_what_works_in_which_group_and_what_cash_there_is(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    owner.broker.place(filling(owner.broker))
    owner.broker.drain()
    gateway.advance(CLOSE + timedelta(hours=1))
    report = owner.broker.reconcile()
    found = desk.looks[-1]
    assert len(found.working) == 2
    assert len(set(found.working.values())) == 1
    assert "" not in found.working.values()
    assert found.cash is not None
    assert (report.executions, report.positions, report.cash, report.currency) == (
        found.executions, 1, found.cash, "USD",
    )  # fmt: skip
    assert found.executions >= 1
    assert found.unprotectable == ""


def test_a_halt_of_all_orders_lets_no_protection_be_placed_again(owner: Owner, desk: MemoryDesk) -> None:
    gates.halt_set(gates.HaltState.HALTED, actor="t", reason="a test")
    owner.broker.reconcile()
    assert desk.looks[-1].unprotectable == ""
    gates.halt_set(gates.HaltState.HALTED, actor="t", reason="a test", cancel="all")
    owner.broker.reconcile()
    assert "ended all orders" in desk.looks[-1].unprotectable


def test_the_desks_protective_order_leaves_after_the_look_even_when_halted(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    contract = resolve(owner.broker)
    leg = replace(bracket(owner.broker).legs[1], order_ref="P1-S", parent_ref="")
    gates.halt_set(gates.HaltState.HALTED, actor="t", reason="a test")
    account = owner.broker.status().account
    desk.wishes = types.Wishes((types.PlaceOrder(account, contract.con_id, (leg,), True, soon(), "hash"),))  # noqa: FBT003
    eventually(lambda: placed_frames(gateway) == 1)
    assert eventually(lambda: desk.all(types.OrderReport, "P1-S"))
    assert Submission.objects.get().state == "SENT"


def test_a_look_on_demand_without_a_connection_is_no_look(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    gateway.fault("connectivity")
    eventually(lambda: not owner.broker.status().ready)
    for _ in range(2):  # a look that was under way at the loss may have ended meanwhile
        owner.broker._writer.drain(PATIENCE_S)
        looks = len(desk.looks)
        with pytest.raises(BrokerUnavailable):
            owner.broker.reconcile(0.3)
    assert len(desk.looks) == looks


def test_messages_that_cannot_be_applied_are_shown_to_the_desk_until_they_are(owner: Owner, desk: MemoryDesk) -> None:
    desk.failing["G1-E"] = ValueError("no such column")
    owner.broker.place(bracket(owner.broker))
    owner.broker.drain()
    (item,) = eventually(lambda: desk.blocked)
    assert (item.key, item.account, "no such column" in item.problem) == ("G1-E", owner.broker.status().account, True)
    desk.failing.clear()
    eventually(lambda: not desk.blocked)
    assert not BrokerMessage.objects.exclude(state="APPLIED").exists()


def test_messages_that_a_person_set_aside_block_nothing_any_more(owner: Owner, desk: MemoryDesk) -> None:
    desk.failing["G1-E"] = ValueError("no such column")
    owner.broker.place(bracket(owner.broker))
    eventually(lambda: desk.blocked)
    desk.aside.add("G1-E")
    eventually(lambda: BrokerMessage.objects.filter(state="ASIDE").exists() and not desk.blocked)
    desk.aside.clear()
    owner.broker.reconcile()  # tells what was set aside again
    assert not BrokerMessage.objects.filter(state="ERROR").exists()
    desk.failing.clear()
    seen = len(desk.all(types.SubmissionReport, "G1-E"))
    owner.broker._writer.put(
        types.OrderMessage(owner.broker.status().account, "G1-E", 0, 399, "a notice", datetime.now(UTC))
    )
    owner.broker.drain()
    assert desk.all(types.OrderMessage, "G1-E")
    assert len(desk.all(types.SubmissionReport, "G1-E")) == seen
