"""Orders leave once: recorded before the first byte, gated to the last, never repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from broker import gates, types
from broker.errors import ContractNotFound, OrderError, OrderInvalid, TradingDisabled
from broker.models import Submission
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from broker.service import submissions
from broker.service.owner import Owner
from tests.broker_service.house import MemoryDesk, bracket, changed, placed_frames, price, resolve


def states() -> dict[str, str]:
    """The state of every Submission of revision 0."""
    return dict(Submission.objects.filter(revision=0).values_list("order_ref", "state"))


def test_a_bracket_leaves_whole_and_every_leg_is_on_record(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    outcome = owner.broker.place(bracket(owner.broker))
    owner.broker.drain()
    assert [(leg.order_ref, leg.state, leg.repeated) for leg in outcome.legs] == [
        ("G1-E", "SENT", False),
        ("G1-S", "SENT", False),
        ("G1-T", "SENT", False),
    ]
    assert states() == {"G1-E": "SENT", "G1-S": "SENT", "G1-T": "SENT"}
    assert placed_frames(gateway) == 3
    assert {order.order_ref for order in owner.broker.open_orders()} == set(states())
    for order_ref in states():
        kinds = [type(event) for event in desk.events if getattr(event, "order_ref", "") == order_ref]
        assert kinds[0] is types.SubmissionReport
        assert types.OrderReport in kinds


def test_a_repeat_answers_what_is_on_record_and_sends_nothing(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    again = owner.broker.place(replace(order, deadline=order.deadline + timedelta(seconds=9)))
    assert all(leg.repeated and leg.state == "SENT" for leg in again.legs)
    assert placed_frames(gateway) == 3


def test_a_repeat_that_comes_late_is_not_told_that_nothing_was_sent(owner: Owner, gateway: EmbeddedGateway) -> None:
    order, long_ago = bracket(owner.broker), datetime(2020, 1, 1, tzinfo=UTC)
    again = [owner.broker.place(replace(order, deadline=at)).legs[0].repeated for at in (order.deadline, long_ago)]
    owner.broker.drain()
    change = types.ModifyOrder(order.account, "G1-T", 1, Decimal(300), None, reduces=True, deadline=order.deadline)
    again += [owner.broker.modify(replace(change, deadline=at)).legs[0].repeated for at in (order.deadline, long_ago)]
    assert again == [False, True] * 2
    with pytest.raises(OrderError, match="nothing was sent"):
        owner.broker.modify(replace(change, deadline=long_ago, revision=2))
    assert placed_frames(gateway) == 4


def test_a_repeat_is_answered_even_where_the_gates_have_shut(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    gates.halt_set("HALTED", "ann", "now")
    assert all(leg.repeated for leg in owner.broker.place(order).legs)
    assert placed_frames(gateway) == 3


@pytest.mark.parametrize("change", [{"quantity": Decimal(11)}, {"limit_price": Decimal("1.23")}])
def test_the_same_key_with_other_terms_is_refused(
    owner: Owner, gateway: EmbeddedGateway, change: dict[str, Any]
) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    other = changed(order, 0, **change)
    if "quantity" in change:
        other = changed(changed(other, 1, **change), 2, **change)
    else:
        other = changed(changed(other, 1, stop_price=Decimal("1.22")), 2, limit_price=Decimal("1.24"))
    with pytest.raises(OrderInvalid) as refused:
        owner.broker.place(other)
    assert refused.value.reason == "DIFFERENT_TERMS"
    assert placed_frames(gateway) == 3


def test_one_void_leg_keeps_the_whole_bracket_back(owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk) -> None:
    order = bracket(owner.broker)
    intent = types.UnresolvedIntent(order.account, "G1-S", "SENDING", order.deadline)
    submissions.claim([submissions.void_row(intent, "too late", order.deadline)])
    outcome = owner.broker.place(order)
    owner.broker.drain()
    assert [leg.state for leg in outcome.legs] == ["VOID"] * 3
    assert set(states().values()) == {"VOID"}
    assert placed_frames(gateway) == 0


@pytest.mark.parametrize(
    ("shut", "code"),
    [
        (lambda settings, state: gates.halt_set("HALTED", "ann", "now"), "HALTED"),
        (lambda settings, state: gates.halt_set("REDUCING", "ann", "now"), "REDUCING"),
        (lambda settings, state: gates.halt_file(state).touch(), "HALTED"),
        (lambda settings, state: setattr(settings, "ORDERS_ENABLED", False), "ORDERS_DISABLED"),
    ],
)
def test_a_shut_gate_leaves_no_byte_and_no_record(
    owner: Owner, gateway: EmbeddedGateway, settings: Settings, state: Path, shut: Any, code: str
) -> None:
    order = bracket(owner.broker)
    shut(settings, state)
    with pytest.raises(TradingDisabled) as refused:
        owner.broker.place(order)
    assert refused.value.reason == code
    assert not states()
    assert placed_frames(gateway) == 0


def test_an_order_of_another_account_is_refused(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    for account in ("DU999", "U999"):
        with pytest.raises(TradingDisabled):
            owner.broker.place(replace(order, account=account))
    assert placed_frames(gateway) == 0


def test_a_halt_between_record_and_frame_is_seen_by_the_last_look(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = bracket(owner.broker)
    claim = submissions.claim

    def claim_then_halt(rows: Any) -> submissions.Claim:
        claimed = claim(rows)
        gates.halt_file(state).touch()
        return claimed

    monkeypatch.setattr(submissions, "claim", claim_then_halt)
    outcome = owner.broker.place(order)
    owner.broker.drain()
    assert [leg.state for leg in outcome.legs] == ["VOID"] * 3
    assert "HALTED" in outcome.legs[0].detail
    assert set(states().values()) == {"VOID"}
    assert [report.state for report in desk.all(types.SubmissionReport, "G1-E")] == ["SENT", "VOID"]
    assert placed_frames(gateway) == 0


def test_what_is_late_is_dropped_before_any_record(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    with pytest.raises(OrderError) as refused:
        owner.broker.place(replace(order, deadline=order.deadline - timedelta(minutes=5)))
    assert refused.value.reason == "LATE"
    assert not states()
    assert placed_frames(gateway) == 0


def test_no_call_is_made_inside_a_transaction(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    with transaction.atomic():
        for call in (lambda: owner.broker.place(order), owner.broker.positions, owner.broker.drain):
            with pytest.raises(RuntimeError):
                call()
    assert placed_frames(gateway) == 0


def test_without_a_database_nothing_is_sent_and_reads_go_on(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE broker_submission RENAME TO broker_submission_away")
    try:
        with pytest.raises(TradingDisabled) as refused:
            owner.broker.place(order)
        assert refused.value.reason == "STORAGE"
        assert owner.broker.account().net_liquidation
        assert resolve(owner.broker).symbol == "SPY"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE broker_submission_away RENAME TO broker_submission")
    assert placed_frames(gateway) == 0


def test_a_price_is_changed_once_a_revision(owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    target = order.legs[2].limit_price
    assert target is not None
    change = types.ModifyOrder(
        order.account, "G1-T", 1, price(target, "1.01"), None, reduces=True, deadline=order.deadline
    )
    first, second = owner.broker.modify(change), owner.broker.modify(change)
    owner.broker.drain()
    assert [first.legs[0].repeated, second.legs[0].repeated] == [False, True]
    assert placed_frames(gateway) == 4
    report = desk.all(types.SubmissionReport, "G1-T")[-1]
    assert (report.revision, report.limit_price) == (1, change.limit_price)
    # Not the last of them: a look at the book that was taken before may be told after it.
    assert change.limit_price in {told.limit_price for told in desk.all(types.OrderReport, "G1-T")}
    with pytest.raises(OrderInvalid) as refused:
        owner.broker.modify(replace(change, limit_price=target))
    assert refused.value.reason == "DIFFERENT_TERMS"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"order_ref": "NEVER"}, "order_ref"),
        ({"revision": 0}, "revision"),
        ({"stop_price": Decimal(1)}, "stop_price"),
        ({"limit_price": None}, "limit_price"),
        ({"limit_price": Decimal("1.001")}, "limit_price"),
    ],
)
def test_a_malformed_change_names_its_field(
    owner: Owner, gateway: EmbeddedGateway, changes: dict[str, Any], field: str
) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    fields: dict[str, Any] = {
        "account": order.account,
        "order_ref": "G1-T",
        "revision": 1,
        "limit_price": Decimal(300),
        "stop_price": None,
        "reduces": True,
        "deadline": order.deadline,
    }
    with pytest.raises(OrderInvalid) as refused:
        owner.broker.modify(types.ModifyOrder(**(fields | changes)))
    assert refused.value.details["field"] == field
    assert placed_frames(gateway) == 3


def test_a_change_of_an_order_that_is_gone_is_void(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    owner.broker.cancel(types.OrderRef(order.account, "G1-E"))
    owner.broker.drain()
    change = types.ModifyOrder(order.account, "G1-E", 1, Decimal(1), None, reduces=False, deadline=order.deadline)
    assert owner.broker.modify(change).legs[0].state == "VOID"
    assert placed_frames(gateway) == 3


def test_a_cancel_passes_a_halt(owner: Owner, desk: MemoryDesk) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    gates.halt_set("HALTED", "ann", "now")
    owner.broker.cancel(types.OrderRef(order.account, "G1-E"))
    owner.broker.drain()
    assert desk.all(types.OrderReport, "G1-E")[-1].status == "Cancelled"


def test_an_unknown_contract_must_be_resolved_first(owner: Owner) -> None:
    with pytest.raises(ContractNotFound):
        owner.broker.quote(types.ConId(1))


async def test_each_call_has_an_asynchronous_twin(owner: Owner) -> None:
    broker: Any = owner.broker
    assert (await broker.astatus()).ready
    (contract,) = await broker.acontracts(types.ContractQuery("SPY"))
    assert (await broker.aquote(types.ConId(contract.con_id))).symbol == "SPY"


def test_all_of_ours_are_cancelled_one_by_one_and_nobody_else_s(
    owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    account = owner.broker.status().account
    for group in ("G1", "G2"):
        owner.broker.place(bracket(owner.broker, group))
    gates.halt_set("HALTED", "ann", "now")
    outcome = owner.broker.cancel_all(types.CancelAll(account, "entries"))
    owner.broker.drain()
    assert set(outcome.asked) == {"G1-E", "G2-E"}
    assert set(outcome.left) == {"G1-S", "G1-T", "G2-S", "G2-T"}
    assert owner.broker.open_orders() == ()  # unfilled entries take their children along
    with ControlClient(gateway.host, gateway.control_port) as control:
        frames = control.status()["frames"]
    assert frames["cancelOrder"] == 2
    assert "reqGlobalCancel" not in frames
    assert owner.broker.cancel_all(types.CancelAll(account)) == types.CancelAllOutcome(())


def test_all_means_protection_too(owner: Owner, desk: MemoryDesk) -> None:
    owner.broker.place(bracket(owner.broker))
    outcome = owner.broker.cancel_all(types.CancelAll(owner.broker.status().account))
    owner.broker.drain()
    assert "G1-E" in outcome.asked
    assert outcome.left == ()
    assert owner.broker.open_orders() == ()


def test_a_cancel_of_all_passes_the_gates_of_a_cancel(
    owner: Owner, gateway: EmbeddedGateway, settings: Settings
) -> None:
    account = owner.broker.status().account
    with pytest.raises(TradingDisabled):
        owner.broker.cancel_all(types.CancelAll("DU999"))
    settings.ORDERS_ENABLED = False
    with pytest.raises(TradingDisabled):
        owner.broker.cancel_all(types.CancelAll(account))


def test_an_end_is_possible_without_a_database(owner: Owner, desk: MemoryDesk) -> None:
    owner.broker.place(bracket(owner.broker))
    owner.broker.drain()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE broker_submission RENAME TO broker_submission_away")
    try:
        outcome = owner.broker.cancel_all(types.CancelAll(owner.broker.status().account, "entries"))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE broker_submission_away RENAME TO broker_submission")
    assert (outcome.asked, set(outcome.left)) == (("G1-E",), {"G1-S", "G1-T"})


def preview_of(broker: Broker, **changes: Any) -> types.PreviewOrder:
    """A preview of the entry of a sound bracket."""
    order = bracket(broker)
    return types.PreviewOrder(order.account, order.con_id, replace(order.legs[0], **changes))


def test_a_preview_works_while_nothing_may_leave_and_leaves_no_record(
    owner: Owner, gateway: EmbeddedGateway, settings: Settings
) -> None:
    request = preview_of(owner.broker)
    gates.halt_set("HALTED", "ann", "now")
    settings.ORDERS_ENABLED = False
    found = owner.broker.preview(request)
    assert found.commission == 1
    assert found.init_margin_change
    assert not Submission.objects.exists()
    assert owner.broker.open_orders() == ()
    with ControlClient(gateway.host, gateway.control_port) as control:
        assert [frame[85] for frame in control.frames("placeOrder")] == ["1"]  # whatIf


@pytest.mark.parametrize("account", ["DU999", "U999"])
def test_a_preview_needs_the_account_s_proof(owner: Owner, gateway: EmbeddedGateway, account: str) -> None:
    request = replace(preview_of(owner.broker), account=account)
    with pytest.raises(TradingDisabled):
        owner.broker.preview(request)
    assert placed_frames(gateway) == 0


def test_a_malformed_preview_names_its_field(owner: Owner, gateway: EmbeddedGateway) -> None:
    with pytest.raises(OrderInvalid) as refused:
        owner.broker.preview(preview_of(owner.broker, limit_price=None))
    assert refused.value.details["field"] == "limit_price"
    assert placed_frames(gateway) == 0


def test_quantity_and_trail_are_changed_and_recorded(owner: Owner, gateway: EmbeddedGateway, desk: MemoryDesk) -> None:
    order = bracket(owner.broker)
    trailing = {"order_type": "TRAIL", "stop_price": None, "trail_amount": Decimal(5)}
    owner.broker.place(changed(order, 1, **trailing))
    owner.broker.drain()
    change = types.ModifyOrder(order.account, "G1-S", 1, None, None, reduces=True, deadline=order.deadline)
    change = replace(change, trail_amount=Decimal(4), quantity=Decimal(8))
    outcomes = [owner.broker.modify(change).legs[0].repeated for _ in range(2)]
    owner.broker.drain()
    assert outcomes == [False, True]
    report = desk.all(types.OrderReport, "G1-S")[-1]
    assert (report.trail_amount, report.quantity) == (4, 8)
    for other in ({"quantity": Decimal(9)}, {"quantity": None}):
        with pytest.raises(OrderInvalid) as refused:
            owner.broker.modify(replace(change, **other))  # type: ignore[arg-type]
        assert refused.value.reason == "DIFFERENT_TERMS"


def test_protection_of_what_is_held_leaves_as_a_pair(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    legs = tuple(replace(leg, parent_ref="", oca_group="held") for leg in order.legs[1:])
    pair = replace(order, legs=legs, reduces=True)
    gates.halt_set("REDUCING", "ann", "now")
    assert [leg.state for leg in owner.broker.place(pair).legs] == ["SENT", "SENT"]
    owner.broker.drain()
    assert {(report.order_ref, report.oca_group) for report in owner.broker.open_orders()} == {
        ("G1-S", "held"),
        ("G1-T", "held"),
    }


def test_one_order_is_told_by_its_reference(owner: Owner) -> None:
    order = bracket(owner.broker)
    owner.broker.place(order)
    owner.broker.drain()
    found = owner.broker.order(types.OrderRef(order.account, "G1-T"))
    assert (found.order_ref, found.order_type, found.origin) == ("G1-T", "LMT", "ours")
    with pytest.raises(OrderInvalid):
        owner.broker.order(types.OrderRef(order.account, "NEVER"))
