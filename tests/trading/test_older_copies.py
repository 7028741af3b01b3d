"""Rows of an older copy, and what the broker says of the orders that were sent after it: nothing is sent twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from autotrader.core.audit.verify import verify_chain
from tests.trading.asking import asked, person, say
from tests.trading.builders import (
    ACCOUNT,
    NOW,
    D,
    bought,
    bracket,
    claimed,
    decided,
    deliver,
    fill,
    instrument,
    intent,
    market,
    report,
    strategy,
)
from tests.trading.test_protection import looked, open_kinds
from trading.models import Approval, Discrepancy, Dispatch, Order, Trade
from trading.models.order import SUFFIX, Role
from trading.selectors.approvals import rows_of, sent_of, with_details
from trading.selectors.discrepancies import blocking
from trading.services.approval_states import ApprovalRefused
from trading.services.approvals import approvals_expire
from trading.services.approved_intents import intent_of_approval
from trading.services.discrepancies import discrepancy_resolve
from trading.services.dispatches import dispatch_claim
from trading.services.intents import NoRoomLeft, new_group
from trading.services.orders import changes_write, entry_write, exit_write
from trading.services.protection import Protection

LATER = NOW + timedelta(hours=1)


def waiting(state: str = "PENDING_APPROVAL") -> tuple[Approval, list[Order]]:
    """A bracket as the older copy has it: waiting for a person, approved, or ended unsent."""
    approval = asked()
    if state == "APPROVED":
        say(approval, person())
    if state == "REFUSED":
        approvals_expire(ACCOUNT, LATER)
    rows = rows_of(approval)
    assert {row.state for row in rows} == {state}
    return approval, rows


def filled(rows: list[Order]) -> None:
    """The book after the restore: the entry has filled, stop and target work."""
    entry, stop, target = rows
    deliver(report(stop, "PreSubmitted", origin="ours"), report(target, "Submitted", origin="ours"))
    deliver(report(entry, "Filled", "10", completed=True), fill(entry, "10"))


def book(*rows: Order) -> dict[int, str]:
    """These as the broker's book shows them, in one OCA group."""
    return {9000 + row.pk: rows[0].group for row in rows}


STATES = pytest.mark.parametrize("state", ["PENDING_APPROVAL", "APPROVED", "REFUSED"])


@STATES
def test_what_the_broker_has_of_an_order_that_was_never_sent_stops_entries(db: None, state: str) -> None:
    _, rows = waiting(state)
    filled(rows)
    filled(rows)
    found = blocking(ACCOUNT)
    assert [(row.kind, row.order) for row in found] == [
        ("unrecorded", rows[1]),
        ("unrecorded", rows[2]),
        ("unrecorded", rows[0]),
    ]
    assert "Filled" in found[2].detail
    assert found[2].ours == state
    assert Trade.objects.get().open_quantity == 10
    assert {row.state for row in Order.objects.all()} == {state}
    assert verify_chain().ok


@pytest.mark.parametrize(
    "told",
    [
        lambda row: report(row, "Submitted", origin="ours"),
        lambda row: report(row, "Cancelled", completed=True),
        lambda row: fill(row, "4"),
    ],
    ids=["working", "finished", "a fill alone"],
)
def test_each_word_of_the_broker_is_enough(db: None, told: Callable[[Order], Any]) -> None:
    _, rows = waiting()
    deliver(told(rows[0]), told(rows[0]))
    assert [row.kind for row in blocking(ACCOUNT)] == ["unrecorded"]
    first = blocking(ACCOUNT)[0]
    discrepancy_resolve(first, actor="ann", reason="compared all orders")
    deliver(told(rows[0]))
    assert blocking(ACCOUNT) == []


# No second stop


@STATES
def test_a_stop_that_works_at_the_broker_gets_no_twin(db: None, state: str) -> None:
    _, rows = waiting(state)
    filled(rows)
    assert looked(Protection(), 4, working=book(*rows[1:])) == []
    assert set(open_kinds()) == {"unrecorded"}


@STATES
def test_a_stop_that_the_broker_told_of_and_the_book_lacks_gets_none_either(db: None, state: str) -> None:
    _, rows = waiting(state)
    filled(rows)
    assert looked(Protection(), 4, working=book(rows[2])) == []
    naked = Discrepancy.objects.get(kind="naked")
    assert f"{rows[1].order_ref} is {state}: no second stop" in naked.detail


def test_a_stop_that_has_ended_at_the_broker_is_placed_again(db: None) -> None:
    _, rows = waiting("REFUSED")
    filled(rows)
    deliver(report(rows[1], "Cancelled"))
    (request,) = looked(Protection(), 2, working=book(rows[2]))
    assert (request.legs[0].quantity, request.legs[0].oca_ref) == (D(10), rows[2].order_ref)


def test_orders_that_close_too_much_are_seen(db: None) -> None:
    """Stop and target of the older copy work on; the position was closed by somebody else's order."""
    _, rows = waiting("REFUSED")
    deliver(report(rows[1], "Submitted", origin="ours"))
    assert looked(Protection(), 2, working=book(rows[1])) == []
    assert "over_closed" in open_kinds()


def test_an_exit_does_not_go_beside_a_stop_that_only_the_broker_knows(db: None) -> None:
    approval, rows = waiting("REFUSED")
    filled(rows)
    Discrepancy.objects.all().delete()
    assert approval.decision is not None
    execution = claimed(approval.decision.strategy)
    decision = decided(execution, "sell", position="10")
    with pytest.raises(NoRoomLeft) as caught:
        exit_write(execution, intent(decision))
    assert caught.value.reason == "PROTECTION_UNCERTAIN"


# No second entry


@pytest.mark.parametrize(
    "told",
    [
        lambda row: report(row, "Submitted", origin="ours"),
        lambda row: report(row, "Submitted", perm_id=0),
        lambda row: report(row, "Filled", "10", completed=True),
        lambda row: fill(row, "4"),
    ],
    ids=["working", "without its number", "finished", "a fill alone"],
)
def test_an_approved_order_that_the_broker_has_is_not_sent(db: None, told: Callable[[Order], Any]) -> None:
    approval, rows = waiting("APPROVED")
    assert sent_of(approval, approval.decision_id, None) == []
    dispatch = dispatch_claim("worker-1")
    assert dispatch is not None
    deliver(told(rows[0]))
    assert sent_of(approval, approval.decision_id, None) == rows[:1]
    Discrepancy.objects.all().delete()  # the rows alone are enough
    made = intent_of_approval(with_details().get(pk=approval.pk), market(at=NOW + timedelta(minutes=1)))
    with pytest.raises(NoRoomLeft, match="broker has it already"):
        entry_write(dispatch, made)
    assert not Order.objects.filter(state="SENDING").exists()
    assert Approval.objects.get().state == "APPROVED"


def test_nobody_says_yes_to_what_the_broker_has(db: None) -> None:
    approval, rows = waiting()
    deliver(report(rows[0], "Submitted", origin="ours"))
    with pytest.raises(ApprovalRefused) as caught:
        say(approval, person())
    assert caught.value.reason == "APPROVAL_USED"
    assert not Dispatch.objects.exists()


def test_one_leg_that_the_broker_has_keeps_the_whole_bracket(db: None) -> None:
    approval, rows = waiting("APPROVED")
    dispatch = dispatch_claim("worker-1")
    assert dispatch is not None
    deliver(report(rows[2], "Submitted", origin="ours"))
    Discrepancy.objects.all().delete()
    made = intent_of_approval(with_details().get(pk=approval.pk), market(at=NOW + timedelta(minutes=1)))
    with pytest.raises(NoRoomLeft, match="broker has it already"):
        entry_write(dispatch, made)


# Orders of which the older copy has no row


@pytest.mark.parametrize(
    ("first", "blocked"),
    [
        ({}, 1),
        ({"origin": "ours"}, 1),
        ({"origin": "other"}, 0),
        ({"origin": "manual"}, 0),
    ],
    ids=["told as finished only", "ours", "of another client", "by hand"],
)
def test_a_finished_order_of_this_desk_that_no_row_knows_stops_entries(
    db: None, first: dict[str, Any], blocked: int
) -> None:
    ours = bracket()[0]
    lost: dict[str, Any] = {"order_ref": f"{new_group()}-E", "perm_id": 79}
    if first:
        deliver(report(ours, "Submitted", **lost, **first))
    deliver(report(ours, "Filled", "10", **lost, completed=True))
    assert [row.kind for row in blocking(ACCOUNT)] == ["unrecorded"] * blocked
    deliver(report(ours, "Filled", "10", order_ref="by a script", perm_id=80, completed=True))
    assert len(blocking(ACCOUNT)) == blocked


def lost(symbol: str = "AAPL", role: Role = Role.ENTRY, side: str = "BUY") -> Order:
    """An order that this desk has sent, and of which the older copy has no row."""
    return Order(
        account_id=ACCOUNT, instrument=instrument(symbol), order_ref=new_group() + SUFFIX[role], pk=77, side=side,
        quantity=D(10), order_type="LMT", limit_price=D(99), tif="DAY", role=role,
    )  # fmt: skip


def resolved() -> None:
    """A person has looked at everything that keeps entries out."""
    for found in blocking(ACCOUNT):
        discrepancy_resolve(found, actor="ann", reason="compared all orders")


def test_an_entry_that_was_wanted_before_a_lost_order_showed_is_wanted_anew(db: None) -> None:
    """It may have been that very order, which the broker still works."""
    row = strategy(limits={"duplicate_window_seconds": 0})
    execution = claimed(row)
    entering = intent(decided(execution))
    deliver(report(lost(), "Submitted", origin="ours"))
    resolved()
    with pytest.raises(NoRoomLeft, match="wanted before this turned up") as caught:
        entry_write(execution, entering)
    assert caught.value.reason == "STALE_DECISION"
    deliver(report(lost(), "Cancelled"))
    again = claimed(row)
    assert entry_write(again, intent(decided(again)))


def test_an_exit_that_was_sent_after_the_copy_is_not_sent_again(db: None) -> None:
    """Its fill is booked outside the strategy's ledger, which holds the position still."""
    row = strategy(limits={"duplicate_window_seconds": 0})
    target = bought(row)[2]
    execution = claimed(row)
    leaving = intent(decided(execution, "sell", position="10"))
    gone = lost(role=Role.EXIT, side="SELL")
    deliver(report(gone, "Filled", "10", completed=True), fill(gone, "10", "99"))
    resolved()
    with pytest.raises(NoRoomLeft) as caught:
        changes_write(execution, leaving, [target])
    assert caught.value.reason == "WOULD_INCREASE"


def test_a_lost_order_in_another_contract_keeps_no_entry_back(db: None) -> None:
    execution = claimed(strategy())
    entering = intent(decided(execution))
    instrument("IBM")
    deliver(report(lost("IBM"), "Cancelled", completed=True))
    assert [found.kind for found in blocking(ACCOUNT)] == ["unrecorded"]
    resolved()
    assert entry_write(execution, entering)
