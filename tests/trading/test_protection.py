"""Protection stays: what a look finds naked is raised and gets its stop again, once, whatever happens between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from broker import types
from tests.trading.builders import (
    ACCOUNT,
    NOW,
    D,
    bought,
    bracket,
    deliver,
    fill,
    report,
    sent,
)
from trading.models import Discrepancy, Order, OrderChange
from trading.selectors.discrepancies import blocking
from trading.selectors.positions import holdings
from trading.services.discrepancies import discrepancy_resolve
from trading.services.protection import Protection


def look(*, minutes: int = 0, groups: dict[int, str] | None = None, **changes: Any) -> types.Compared:
    """A look at a book that shows every working order of ours, each bracket one OCA group unless named."""
    rows = Order.objects.filter(state__in=("ACCEPTED", "PARTIALLY_FILLED")).exclude(perm_id=None)
    working = {row.perm_id or 0: row.group for row in rows} | (groups or {})
    sound: dict[str, Any] = {
        "account": ACCOUNT, "connection": NOW, "started": NOW + timedelta(minutes=minutes), "market_now": NOW,
        "working": working, "orders": len(working), "executions": 0, "positions": tuple(holdings(ACCOUNT)),
        "cash": None, "currency": "USD",
    }  # fmt: skip
    return types.Compared(**(sound | changes))


def looked(protection: Protection, times: int = 2, **changes: Any) -> list[types.PlaceOrder]:
    """What is to be placed after so many looks."""
    return [order for _ in range(times) for order in protection.judge(look(**changes))]


def open_kinds() -> list[str]:
    return list(Discrepancy.objects.filter(state="OPEN").order_by("id").values_list("kind", flat=True))


@pytest.fixture
def protection() -> Protection:
    return Protection()


@pytest.fixture
def legs(db: None) -> list[Order]:
    """Bought 10 at 100; stop and target work."""
    return bought()


def accepted(request: types.PlaceOrder) -> Order:
    """The broker works the replaced stop."""
    row = Order.objects.get(order_ref=request.legs[0].order_ref)
    deliver(sent(row), report(row, "PreSubmitted"))
    row.refresh_from_db()
    return row


def test_a_covered_position_is_left_alone(legs: list[Order], protection: Protection) -> None:
    assert looked(protection) == []
    assert open_kinds() == []


def test_a_stop_that_ended_is_placed_again_at_its_price_beside_the_target(
    legs: list[Order], protection: Protection
) -> None:
    """Cancelled by hand in TWS, say."""
    _, stop, target = legs
    deliver(report(stop, "Cancelled"))
    assert looked(protection, 1) == []
    (request,) = looked(protection, 1)
    (leg,) = request.legs
    assert (leg.role, leg.side, leg.quantity, leg.order_type, leg.tif) == ("stop", "SELL", D(10), "STP", "GTC")
    assert (leg.stop_price, leg.oca_ref, request.reduces) == (stop.stop_price, target.order_ref, True)
    assert (open_kinds(), [row.kind for row in blocking(ACCOUNT)]) == (["naked"], ["naked"])
    row = Order.objects.get(order_ref=leg.order_ref)
    assert row.group == target.group
    assert (row.state, row.role, row.strategy, row.intent_hash) == (
        "SENDING", "stop", legs[0].strategy, request.intent_hash
    )  # fmt: skip
    replaced = accepted(request)
    assert looked(protection, groups={replaced.perm_id or 0: target.group}) == []
    assert open_kinds() == []
    assert verify_chain().ok


def test_while_the_replacement_is_not_proven_no_second_one_is_placed(legs: list[Order], protection: Protection) -> None:
    deliver(report(legs[1], "Cancelled"))
    assert len(looked(protection, 5)) == 1
    assert len(looked(Protection(), 5)) == 0  # nor by an owner that starts anew
    naked = Discrepancy.objects.get(kind="naked")
    assert "SENDING" in naked.detail


def test_a_replacement_that_never_left_is_made_again_but_not_for_ever(
    legs: list[Order], protection: Protection
) -> None:
    deliver(report(legs[1], "Cancelled"))
    made = 0
    for _ in range(10):
        for request in looked(protection, 2):
            made += 1
            deliver(sent(Order.objects.get(order_ref=request.legs[0].order_ref), "VOID"))
    assert made == 3
    assert "none stayed" in Discrepancy.objects.get(kind="naked").detail


def test_a_replacement_that_the_broker_refuses_is_not_tried_again(legs: list[Order], protection: Protection) -> None:
    deliver(report(legs[1], "Cancelled"))
    (request,) = looked(protection)
    row = Order.objects.get(order_ref=request.legs[0].order_ref)
    deliver(sent(row), report(row, "Inactive", completed=True))
    assert looked(protection, 4) == []
    assert open_kinds() == ["naked"]


@pytest.mark.parametrize("state", ["SENDING", "SUBMITTED", "UNKNOWN"])
def test_a_stop_that_may_be_there_gets_no_twin(db: None, protection: Protection, state: str) -> None:
    entry, stop, target = bracket()
    deliver(sent(entry), fill(entry, "10"), report(entry, "Filled", "10"), report(target, "Submitted"))
    Order.objects.filter(pk=stop.pk).update(state=state)
    assert looked(protection, 3) == []
    assert state in Discrepancy.objects.get(kind="naked").detail


def test_a_stop_refused_after_the_entry_filled_is_placed_again(db: None, protection: Protection) -> None:
    entry, stop, target = bracket()
    deliver(*(sent(leg) for leg in (entry, stop, target)), report(entry, "Submitted"), report(target, "PreSubmitted"))
    deliver(fill(entry, "10"), report(entry, "Filled", "10"), report(stop, "Inactive", completed=True))
    (request,) = looked(protection)
    assert (request.legs[0].quantity, request.legs[0].oca_ref) == (D(10), target.order_ref)


def test_a_partly_filled_entry_is_covered_by_its_whole_stop(db: None, protection: Protection) -> None:
    entry, stop, target = bracket()
    deliver(*(sent(leg) for leg in (entry, stop, target)), *(report(leg, "Submitted") for leg in (stop, target)))
    deliver(fill(entry, "4"), report(entry, "Submitted", "4"))
    assert looked(protection) == []
    assert open_kinds() == []


def test_an_entry_that_ended_in_part_leaves_a_stop_that_is_too_large(db: None, protection: Protection) -> None:
    entry, stop, target = bracket()
    deliver(*(sent(leg) for leg in (entry, stop, target)), *(report(leg, "Submitted") for leg in (stop, target)))
    deliver(fill(entry, "4"), report(entry, "Cancelled", "4"))
    assert looked(protection) == []
    assert open_kinds() == ["over_closed"]
    deliver(*(report(leg, "Submitted", remaining="4") for leg in (stop, target)))  # the broker has cut them
    assert looked(protection) == []
    assert open_kinds() == []


def test_a_target_filled_in_part_and_its_stop_cut_by_the_group_are_sound(
    legs: list[Order], protection: Protection
) -> None:
    _, stop, target = legs
    deliver(fill(target, "4", "110", number=2), report(target, "Submitted", "4"))
    deliver(report(stop, "PreSubmitted", remaining="6"))
    assert looked(protection) == []
    assert open_kinds() == []


def test_a_difference_between_two_words_of_the_broker_is_no_finding(legs: list[Order], protection: Protection) -> None:
    """The stop's cut is told before the target's fill."""
    _, stop, target = legs
    deliver(report(stop, "PreSubmitted", remaining="6"))
    assert looked(protection, 1) == []
    deliver(fill(target, "4", "110", number=2), report(target, "Submitted", "4"))
    assert looked(protection, 2) == []
    assert Discrepancy.objects.count() == 0


def test_a_bust_of_the_entry_leaves_closes_that_are_too_large(legs: list[Order], protection: Protection) -> None:
    entry = legs[0]
    deliver(fill(entry, "0", correction=2))
    assert looked(protection) == []
    assert set(open_kinds()) == {"bust", "over_closed"}
    assert "over_closed" in {row.kind for row in blocking(ACCOUNT)}


def test_closes_outside_one_group_that_exceed_the_position_are_raised(
    legs: list[Order], protection: Protection
) -> None:
    _, stop, target = legs
    groups = {stop.perm_id or 0: "one", target.perm_id or 0: "two"}
    assert looked(protection, groups=groups) == []
    assert open_kinds() == ["over_closed"]
    assert looked(protection) == []
    assert open_kinds() == []


def test_a_target_in_no_group_keeps_a_person_deciding(legs: list[Order], protection: Protection) -> None:
    _, stop, target = legs
    deliver(report(stop, "Cancelled"))
    assert looked(protection, groups={target.perm_id or 0: ""}) == []
    assert "no OCA group" in Discrepancy.objects.get(kind="naked").detail


def test_a_stop_that_a_person_had_cancelled_is_not_forced_back(legs: list[Order], protection: Protection) -> None:
    _, stop, _ = legs
    OrderChange.objects.create(
        order=stop, kind="cancel", revision=0, actor="ann", state="ACKED", created_at=NOW, ended_at=NOW
    )
    deliver(report(stop, "Cancelled"))
    assert looked(protection, 3) == []
    assert "on request" in Discrepancy.objects.get(kind="naked").detail


def test_a_person_who_accepts_a_naked_position_is_not_asked_again(legs: list[Order], protection: Protection) -> None:
    deliver(report(legs[1], "Cancelled"))
    looked(protection, 2, unprotectable="ORDERS_DISABLED: no order leaves.")
    discrepancy_resolve(Discrepancy.objects.get(kind="naked"), actor="ann", reason="hedged elsewhere")
    assert looked(protection, 3) == []
    assert open_kinds() == []


def test_what_keeps_a_stop_from_leaving_is_told_and_nothing_is_written(
    legs: list[Order], protection: Protection
) -> None:
    deliver(report(legs[1], "Cancelled"))
    before = Order.objects.count()
    assert looked(protection, 3, unprotectable="ORDERS_DISABLED: no order leaves.") == []
    assert Order.objects.count() == before
    assert "ORDERS_DISABLED" in Discrepancy.objects.get(kind="naked").detail
    (request,) = looked(protection, 1)
    assert request.legs[0].role == "stop"


def test_what_others_bought_is_not_ours_to_protect(db: None, protection: Protection) -> None:
    entry, *_ = bracket()
    stranger = fill(entry, "7", order_ref="", perm_id=424242, exec_id="aa.01")
    deliver(stranger)
    assert looked(protection, 3) == []
    assert open_kinds() == []


def test_a_position_closed_by_hand_in_tws_gets_no_stop_that_would_open_another(
    legs: list[Order], protection: Protection
) -> None:
    """Its shares are sold outside the desk, its stop and target ended there: our ledger alone still holds it."""
    entry, stop, target = legs
    sold = fill(entry, "10", "99", number=7, side="SELL", order_ref="", perm_id=424242, exec_id="aa.01")
    deliver(sold, report(stop, "Cancelled"), report(target, "Cancelled"))
    before = Order.objects.count()
    assert looked(protection, 4) == []
    assert Order.objects.count() == before
    assert "broker holds 10 less" in Discrepancy.objects.get(kind="naked").detail


def test_a_stop_that_works_on_after_its_shares_were_sold_by_hand_is_raised(
    legs: list[Order], protection: Protection
) -> None:
    """Its trigger would open a short position; until a person ends it, nothing is opened."""
    deliver(fill(legs[0], "10", "99", number=7, side="SELL", order_ref="", perm_id=424242, exec_id="aa.01"))
    assert looked(protection) == []
    assert (open_kinds(), [row.kind for row in blocking(ACCOUNT)]) == (["over_closed"], ["over_closed"])
    deliver(*(report(leg, "Cancelled") for leg in legs[1:]))
    looked(protection)
    assert open_kinds() == ["naked"]


def test_a_stop_out_that_was_never_told_gets_no_second_stop(legs: list[Order], protection: Protection) -> None:
    """The broker holds nothing any more; the fill is missing, and the stop's last word was an end."""
    deliver(report(legs[1], "Cancelled"))
    assert looked(protection, 4, positions=()) == []
    assert "broker holds 10 less" in Discrepancy.objects.get(kind="naked").detail
    assert len(looked(protection, 1)) == 1, "as soon as the broker shows the shares"


def test_the_price_of_a_bracket_that_never_filled_is_not_this_trades(legs: list[Order], protection: Protection) -> None:
    """A later bracket's stop may lie beyond the market: placed for this trade it would sell at once."""
    entry, stop, target = legs
    for later in (entry, stop, target):
        later.pk, later._state.adding, later.decision, later.state, later.perm_id = None, True, None, "REFUSED", None
        later.order_ref, later.broker_status = f"later{later.order_ref[-2:]}", ""
        later.parent = None if later.role == "entry" else Order.objects.get(order_ref="later-E")
        later.stop_price = D("108") if later.role == "stop" else later.stop_price
        later.save()
    deliver(report(Order.objects.get(role="stop", state="ACCEPTED"), "Cancelled"))
    (request,) = looked(protection)
    assert request.legs[0].stop_price == D(95)


def test_a_position_that_is_gone_settles_what_was_raised(legs: list[Order], protection: Protection) -> None:
    entry, stop, target = legs
    deliver(report(stop, "Cancelled"))
    looked(protection, 2, unprotectable="closed")
    assert open_kinds() == ["naked"]
    deliver(fill(target, "10", "110", number=3), report(target, "Filled", "10"))
    assert looked(protection, 1) == []
    assert open_kinds() == []
    row = Discrepancy.objects.get(kind="naked")
    assert (row.resolved_by, entry.account_id) == ("reconcile", row.account_id)


def test_each_step_of_a_replacement_is_on_record(legs: list[Order], protection: Protection) -> None:
    deliver(report(legs[1], "Cancelled"))
    (request,) = looked(protection)
    subject = f"order:{request.legs[0].order_ref}"
    kinds = list(Event.objects.filter(subject=subject).order_by("seq").values_list("type", flat=True))
    assert kinds == ["ORDER_DRAFTED", "ORDER_APPROVED", "ORDER_SENDING"]
    assert verify_chain().ok
