"""What the broker says becomes the order's life: each known way it goes, and none of them twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from broker import types
from tests.trading.builders import (
    ACCOUNT,
    CLOSE,
    NOW,
    D,
    bought,
    bracket,
    claimed,
    cost,
    decided,
    deliver,
    fill,
    intent,
    missing,
    report,
    said,
    sent,
    strategy,
)
from tests.trading.test_protection import look
from trading.models import Fill, Instrument, Order, OrderChange, Trade
from trading.selectors.discrepancies import blocking
from trading.selectors.positions import booked
from trading.services.compared import Comparison
from trading.services.discrepancies import discrepancy_resolve
from trading.services.instruments import instrument_resolved
from trading.services.intents import new_group
from trading.services.orders import changes_write, entry_write
from trading.services.overdue import overdue_raise


def states(*orders: Order) -> list[str]:
    return [Order.objects.get(pk=order.pk).state for order in orders]


def events(kind: str) -> int:
    return Event.objects.filter(type=kind).count()


@pytest.fixture
def legs(db: None) -> list[Order]:
    """Entry, stop and target, as SENDING."""
    return bracket()


def test_a_bracket_lives(legs: list[Order]) -> None:
    entry, stop, target = legs
    deliver(*(sent(leg) for leg in legs))
    assert states(*legs) == ["SUBMITTED"] * 3
    deliver(*(report(leg, "PreSubmitted") for leg in legs))
    assert states(*legs) == ["ACCEPTED"] * 3
    first, second = fill(entry, "4"), fill(entry, "6", "101", number=2)
    deliver(first, report(entry, "Submitted", "4"), cost(first))
    assert states(entry) == ["PARTIALLY_FILLED"]
    deliver(second, report(entry, "Filled", "10"), cost(second))
    closing = fill(target, "10", "110", number=3)
    deliver(closing, report(target, "Filled", "10"), report(stop, "Cancelled"), cost(closing))
    assert states(*legs) == ["FILLED", "CANCELLED", "FILLED"]
    entry.refresh_from_db()
    assert (entry.filled_quantity, entry.average_price) == (D(10), D("100.6"))
    trade = Trade.objects.get()
    assert (trade.state, trade.pnl) == ("CLOSED", D("91"))
    kinds = list(
        Event.objects.filter(subject=f"order:{entry.order_ref}").order_by("seq").values_list("type", flat=True)
    )
    assert kinds == [
        "ORDER_DRAFTED", "ORDER_APPROVED", "ORDER_SENDING", "ORDER_PLACED", "ORDER_ACCEPTED",
        "ORDER_PARTIALLY_FILLED", "ORDER_FILLED",
    ]  # fmt: skip
    assert entry.ended_at is not None
    assert verify_chain().ok


def test_an_event_twice_changes_nothing(legs: list[Order]) -> None:
    entry = legs[0]
    first = fill(entry, "4")
    told: list[Any] = [sent(entry), report(entry, "Submitted"), said(entry, 399), first, cost(first)]
    told.append(report(entry, "Submitted", "4"))
    deliver(*told)
    before = [Order.objects.filter(pk=entry.pk).values().get(), Event.objects.count(), list(Trade.objects.values())]
    deliver(*told[-4:], first, cost(first), sent(entry))
    after = [Order.objects.filter(pk=entry.pk).values().get(), Event.objects.count(), list(Trade.objects.values())]
    assert after == before


def test_a_fill_before_the_order_is_shown(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(fill(entry, "10"))
    assert states(entry) == ["FILLED"]
    deliver(sent(entry), report(entry, "Submitted"), report(entry, "Filled", "10"))
    entry.refresh_from_db()
    assert (entry.state, entry.perm_id) == ("FILLED", 9000 + entry.pk)


def test_a_fill_after_the_end_is_booked_and_alarmed(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "Submitted"), report(entry, "Cancelled"))
    assert states(entry) == ["CANCELLED"]
    deliver(fill(entry, "4"))
    entry.refresh_from_db()
    assert (entry.state, entry.filled_quantity, events("LATE_FILL")) == ("CANCELLED", D(4), 1)
    deliver(fill(entry, "6", number=2))
    assert (states(entry), events("LATE_FILL")) == (["FILLED"], 2)
    assert Trade.objects.get().open_quantity == 10
    assert verify_chain().ok


def test_the_same_second_of_a_cancel_is_no_late_fill(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "Submitted"), fill(entry, "4"), report(entry, "Cancelled", "4"))
    assert (states(entry), events("LATE_FILL")) == (["CANCELLED"], 0)


def test_a_list_taken_before_the_cancel_does_not_revive_the_order(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "Submitted"), fill(entry, "4"), report(entry, "Cancelled", "4"))
    deliver(report(entry, "Submitted", "4"))
    entry.refresh_from_db()
    assert (entry.state, entry.broker_status) == ("CANCELLED", "Cancelled")


def test_a_correction_replaces_its_predecessor(legs: list[Order]) -> None:
    entry = legs[0]
    first = fill(entry, "10", "100")
    deliver(first, cost(first), fill(entry, "10", "99", correction=2))
    entry.refresh_from_db()
    assert (entry.state, entry.filled_quantity, entry.average_price) == ("FILLED", D(10), D(99))
    assert list(Fill.objects.order_by("id").values_list("superseded", flat=True)) == [True, False]
    assert Trade.objects.get().entry_price == 99
    assert (events("FILL_CORRECTED"), events("BUST")) == (1, 0)
    deliver(first)
    assert Fill.objects.filter(superseded=False).get().price == 99


def test_an_old_version_after_its_correction_is_not_booked(legs: list[Order]) -> None:
    entry = legs[0]
    original, corrected = fill(entry, "10", "100"), fill(entry, "10", "99", correction=2)
    deliver(corrected, original, cost(original), cost(corrected))
    assert Fill.objects.get().price == 99
    assert states(entry) == ["FILLED"]


def test_a_bust_takes_the_shares_back(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(fill(entry, "10"), report(entry, "Filled", "10"))
    deliver(fill(entry, "0", correction=2))
    entry.refresh_from_db()
    assert (entry.state, entry.filled_quantity, events("BUST")) == ("CANCELLED", D(0), 1)
    assert not Trade.objects.exists()
    assert verify_chain().ok
    deliver(fill(entry, "10", correction=3))
    assert (states(entry), events("LATE_FILL")) == (["FILLED"], 1)


def test_a_bust_of_the_closing_fill_opens_the_trade_again(db: None) -> None:
    _, stop, target = bought()
    deliver(fill(target, "10", "110", number=2), report(target, "Filled", "10"), report(stop, "Cancelled"))
    assert Trade.objects.get().state == "CLOSED"
    deliver(fill(target, "0", "110", number=2, correction=2))
    trade = Trade.objects.get()
    assert (trade.state, trade.open_quantity, trade.pnl) == ("OPEN", D(10), None)
    assert events("BUST") == 1


def test_a_partial_bust_of_a_working_order(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "Submitted"), fill(entry, "4"), fill(entry, "1", correction=2))
    entry.refresh_from_db()
    assert (entry.state, entry.filled_quantity, events("BUST")) == ("PARTIALLY_FILLED", D(1), 1)


@pytest.mark.parametrize("inactive_first", [False, True])
def test_a_rejected_order(legs: list[Order], inactive_first: bool) -> None:
    entry = legs[0]
    words: list[Any] = [said(entry, 201, "no margin"), report(entry, "Inactive")]
    deliver(sent(entry), *(words[::-1] if inactive_first else words))
    entry.refresh_from_db()
    assert (entry.state, entry.broker_detail) == ("REJECTED", "201 no margin")
    assert events("ORDER_REJECTED") == 1


def test_a_refusal_after_the_order_was_acknowledged(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "PreSubmitted"), said(entry, 201))
    assert states(entry) == ["ACCEPTED"]
    deliver(report(entry, "Inactive"))
    assert states(entry) == ["REJECTED"]


def test_a_refusal_without_any_status(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), said(entry, 110, "The price does not conform"), said(entry, 110, "The price does not conform"))
    assert (states(entry), events("ORDER_REJECTED")) == (["REJECTED"], 1)


@pytest.mark.parametrize("code", [399, 404, 2109, 10349, 10147, 202])
def test_a_notice_rejects_nothing(legs: list[Order], code: int) -> None:
    entry = legs[0]
    deliver(sent(entry), said(entry, code))
    assert states(entry) == ["SUBMITTED"]


def test_an_order_that_is_held_is_not_rejected(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), said(entry, 404, "held until shares are found"), report(entry, "Inactive"))
    assert states(entry) == ["SUBMITTED"]
    deliver(report(entry, "Submitted"))
    assert states(entry) == ["ACCEPTED"]


def test_an_order_listed_as_finished_and_inactive_was_rejected(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "Inactive", completed=True, detail="no margin"))
    assert states(entry) == ["REJECTED"]


def test_a_rejected_order_that_lives_after_all(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), said(entry, 201), report(entry, "Submitted"))
    entry.refresh_from_db()
    assert (entry.state, entry.ended_at) == ("ACCEPTED", None)


def test_a_sibling_is_cancelled_by_its_group(db: None) -> None:
    _, stop, target = bought()
    deliver(fill(stop, "10", "95", number=2), report(stop, "Filled", "10"), report(target, "Cancelled"))
    assert states(stop, target) == ["FILLED", "CANCELLED"]
    assert Trade.objects.get().pnl == D("-51")


def test_a_group_that_shrinks_its_legs(db: None) -> None:
    """The stop sold 4, the target was cut to 6 and sold them: both have done their part."""
    _, stop, target = bought()
    deliver(fill(stop, "4", "95", number=2), report(stop, "Submitted", "4"), report(target, "Submitted", "0", "6"))
    deliver(fill(target, "6", "110", number=3), report(target, "Filled", "6", "0"), report(stop, "Cancelled", "4"))
    assert states(stop, target) == ["CANCELLED", "FILLED"]
    assert Trade.objects.get().state == "CLOSED"


def test_a_day_order_that_nobody_cancelled_expires(legs: list[Order]) -> None:
    entry, stop, _ = legs
    deliver(sent(entry), sent(stop), report(entry, "Submitted"), report(stop, "PreSubmitted"))
    deliver(report(entry, "Cancelled", time=CLOSE), report(stop, "Cancelled", time=CLOSE))
    assert states(entry, stop) == ["EXPIRED", "CANCELLED"]


def test_a_day_order_that_we_cancelled_does_not_expire(legs: list[Order]) -> None:
    entry = legs[0]
    Order.objects.filter(pk=entry.pk).update(cancel_requested_at=NOW)
    deliver(sent(entry), report(entry, "Submitted"), report(entry, "Cancelled", time=CLOSE + timedelta(seconds=1)))
    assert states(entry) == ["CANCELLED"]


def test_unknown_then_found(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), missing(entry, proven=False), missing(entry, proven=False))
    assert (states(entry), events("ORDER_UNKNOWN")) == (["UNKNOWN"], 1)
    deliver(report(entry, "Submitted"))
    assert states(entry) == ["ACCEPTED"]


def test_unknown_then_filled(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), report(entry, "Submitted"), missing(entry, proven=False), fill(entry, "4"))
    assert states(entry) == ["PARTIALLY_FILLED"]


def test_unknown_then_proven_absent(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), missing(entry, proven=False), missing(entry, proven=True))
    assert states(entry) == ["ABSENT"]


def test_absent_then_found_after_all(legs: list[Order]) -> None:
    entry = legs[0]
    deliver(sent(entry), missing(entry, proven=True), report(entry, "Submitted"))
    entry.refresh_from_db()
    assert (entry.state, entry.ended_at) == ("ACCEPTED", None)


def test_an_entry_that_revives_beside_its_successor_still_books_its_fills(db: None) -> None:
    """The table holds one live entry; the fill of the other must be booked all the same."""
    row = strategy()
    old = bracket(row)[0]
    deliver(sent(old), missing(old, proven=True))
    successor = bracket(row)[0]
    deliver(sent(successor), report(old, "Submitted"), fill(old, "4"))
    old.refresh_from_db()
    assert (old.state, old.filled_quantity, old.broker_status) == ("ABSENT", D(4), "Submitted")
    assert states(successor) == ["SUBMITTED"]
    assert (events("LATE_FILL"), events("BROKER_MESSAGE_FAILED")) == (1, 2)
    (raised,) = [row for row in blocking(ACCOUNT) if row.kind == "unknown_order"]
    assert successor.order_ref in raised.detail
    deliver(report(successor, "Cancelled"), report(old, "Submitted", "4"))
    assert states(old) == ["PARTIALLY_FILLED"]
    assert verify_chain().ok


def revived() -> tuple[Order, Order]:
    """An entry that was proven absent and works all the same, and the one that took its place."""
    row = strategy()
    old = bracket(row)[0]
    deliver(sent(old), missing(old, proven=True))
    successor = bracket(row)[0]
    deliver(sent(successor), report(successor, "Submitted"), report(old, "Submitted"))
    assert states(old, successor) == ["ABSENT", "ACCEPTED"]
    return old, successor


@pytest.mark.parametrize("by_a_person", [False, True])
def test_an_entry_that_revived_lives_on_once_its_place_is_free(db: None, by_a_person: bool) -> None:
    """The broker tells of it once; the next look finds it without another word."""
    old, successor = revived()
    (raised,) = blocking(ACCOUNT)
    comparison = Comparison()
    comparison.look(look())
    overdue_raise(NOW)
    told = Event.objects.count()
    comparison.look(look())
    assert (blocking(ACCOUNT), Event.objects.count()) == ([raised], told)
    if by_a_person:
        discrepancy_resolve(raised, actor="ann", reason="one of them was cancelled")
    deliver(report(successor, "Cancelled"))
    assert states(old) == ["ABSENT"]
    comparison.look(look())
    assert states(old) == ["ACCEPTED"]
    assert blocking(ACCOUNT) == []
    assert verify_chain().ok


def test_an_entry_that_revived_and_ended_is_no_matter_any_more(db: None) -> None:
    old, successor = revived()
    deliver(report(old, "Cancelled"))
    Comparison().look(look())
    assert states(old, successor) == ["CANCELLED", "ACCEPTED"]
    assert blocking(ACCOUNT) == []


def test_a_submission_that_was_never_sent(legs: list[Order]) -> None:
    deliver(*(sent(leg) for leg in legs), *(sent(leg, "VOID", detail="HALTED: by hand") for leg in legs))
    assert states(*legs) == ["ABSENT"] * 3
    legs[0].refresh_from_db()
    assert legs[0].reason == "HALTED: by hand"
    deliver(sent(legs[0]))
    assert states(legs[0]) == ["ABSENT"]


def test_an_order_of_somebody_else(db: None) -> None:
    ours = bracket()[0]
    manual = report(ours, "Submitted", order_ref="", perm_id=77, client_id=0, quantity=D(5), remaining=D(5))
    deliver(manual, manual)
    order = Order.objects.get(role="external")
    assert (order.order_ref, order.state, order.quantity, order.strategy) == ("X77", "ACCEPTED", D(5), None)
    assert order.instrument == ours.instrument
    execution = fill(ours, "5", order_ref="", perm_id=77, exec_id="manual.01")
    deliver(execution, cost(execution), replace_status(manual, "Filled", 5))
    order.refresh_from_db()
    assert (order.state, order.filled_quantity) == ("FILLED", D(5))
    trade = Trade.objects.get()
    assert (trade.strategy, trade.quantity, trade.commission) == (None, D(5), D(1))
    assert states(ours) == ["SENDING"]
    assert events("ORDER_EXTERNAL") == 1
    assert verify_chain().ok


@pytest.mark.parametrize(
    ("change", "blocked"),
    [
        ({"origin": "ours"}, 1),
        ({"origin": "other"}, 0),
        ({"origin": "ours", "order_ref": "by a script"}, 0),
        ({"origin": "ours", "order_ref": ""}, 0),
    ],
    ids=["ours", "of another client", "of a script with our client", "without a reference"],
)
def test_an_order_of_this_desk_that_no_row_knows_stops_entries_until_a_person_has_looked(
    db: None, change: dict[str, str], blocked: int
) -> None:
    ours = bracket()[1]
    lost = {"order_ref": f"{new_group()}-S", "perm_id": 79} | change
    deliver(report(ours, "Submitted", **lost), report(ours, "Submitted", **lost))
    assert [row.kind for row in blocking(ours.account_id)] == ["unrecorded"] * blocked
    deliver(report(ours, "Submitted", perm_id=80, origin="ours"), report(ours, "Submitted", perm_id=81, origin="ours"))
    assert len(blocking(ours.account_id)) == blocked


def replace_status(told: Any, status: str, filled: int) -> Any:
    from dataclasses import replace

    return replace(told, status=status, filled=D(filled), remaining=told.quantity - D(filled))


def test_a_type_of_order_that_is_longer_than_any_of_ours(db: None) -> None:
    ours = bracket()[0]
    deliver(report(ours, "Submitted", order_ref="", perm_id=81, client_id=0, order_type="TRAIL LIMIT"))
    deliver(fill(ours, "5", order_ref="", perm_id=81, exec_id="long.01"))
    order = Order.objects.get(role="external")
    assert (order.order_type, order.filled_quantity) == ("TRAIL LIMI", D(5))


def test_the_fill_of_an_order_nobody_has_shown(db: None) -> None:
    ours = bracket()[0]
    deliver(fill(ours, "5", order_ref="of another desk", perm_id=78, exec_id="other.01"))
    order = Order.objects.get(role="external")
    assert (order.reason, order.state, Fill.objects.get().order) == ("of another desk", "FILLED", order)


def test_a_strange_contract_of_a_known_symbol(db: None) -> None:
    """An option carries its share's symbol; it gets a row of its own."""
    ours = bracket()[0]
    deliver(report(ours, "Submitted", order_ref="", perm_id=79, con_id=999))
    deliver(report(ours, "Submitted", order_ref="", perm_id=80, con_id=1000))
    external = Order.objects.filter(role="external").order_by("perm_id")
    assert [order.instrument.con_id for order in external] == [999, 1000]
    assert Instrument.objects.filter(symbol="AAPL").count() == 3


def test_a_second_order_under_our_reference_is_none_of_ours(db: None) -> None:
    """A copy made by hand keeps the reference; its fills and its end are its own."""
    ours = bracket()[0]
    deliver(report(ours, "Submitted"), report(ours, "Submitted", perm_id=83))
    deliver(fill(ours, "5", perm_id=83, exec_id="copy.01"), report(ours, "Cancelled", perm_id=83))
    ours.refresh_from_db()
    assert (ours.state, ours.filled_quantity, ours.perm_id) == ("ACCEPTED", D(0), 9000 + ours.pk)
    assert events("ORDER_EXTERNAL") == 1


def test_what_a_stranger_bought_is_counted_once_its_contract_is_ours_too(db: None) -> None:
    ours = bracket()[0]
    deliver(fill(ours, "5", order_ref="", perm_id=82, exec_id="hand.01", con_id=4711))
    mine = Instrument.objects.create(symbol="NEW", sec_type="STK", exchange="SMART", currency="USD")
    names = {"con_id": 4711, "symbol": "NEW", "sec_type": "STK", "exchange": "SMART", "primary_exchange": "NYSE"}
    words = {"currency": "USD", "long_name": "New", "time_zone": "US/Eastern"}
    numbers = {"min_tick": D("0.01"), "lot_size": D(1)}
    instrument_resolved(mine, types.Contract(**names, **words, **numbers, liquid_hours=(), fetched_at=NOW))
    assert booked(ours.account_id) == {4711: D(5)}


# Changes of a working order


@pytest.fixture
def change(db: None) -> OrderChange:
    """The wish to sell at the market by moving the target."""
    row = strategy()
    target = bought(row)[2]
    execution = claimed(row)
    decision = decided(execution, "sell", position="10")
    return changes_write(execution, intent(decision), [target])[0]


def test_a_change_is_proven_by_the_new_price(change: OrderChange) -> None:
    deliver(report(change.order, "Submitted"))
    change.refresh_from_db()
    assert change.state == "SENDING"
    shown = report(change.order, "Submitted", limit_price=change.limit_price)
    deliver(shown, shown)
    change.refresh_from_db()
    change.order.refresh_from_db()
    assert (change.state, change.order.limit_price) == ("ACKED", D(99))
    assert events("ORDER_CHANGE_ACKED") == 1


@pytest.mark.parametrize("code", [201, 110, 104, 105, 10148])
def test_a_refused_change_leaves_the_order_at_work(change: OrderChange, code: int) -> None:
    deliver(said(change.order, code))
    change.refresh_from_db()
    assert (change.state, states(change.order)) == ("REJECTED", ["ACCEPTED"])


def test_a_change_whose_frame_never_left(change: OrderChange) -> None:
    deliver(sent(change.order, revision=1), sent(change.order, "VOID", revision=1, detail="LATE"))
    change.refresh_from_db()
    assert (change.state, change.reason, states(change.order)) == ("REJECTED", "LATE", ["ACCEPTED"])


def test_a_change_does_not_outlive_its_order(change: OrderChange) -> None:
    target = change.order
    deliver(fill(target, "10", "99", number=5), report(target, "Filled", "10", limit_price=target.limit_price))
    change.refresh_from_db()
    assert change.state == "UNKNOWN"
    deliver(report(target, "Filled", "10", limit_price=D(99)))
    change.refresh_from_db()
    assert change.state == "ACKED"
    assert verify_chain().ok


def test_a_later_change_overtakes_an_earlier_one(change: OrderChange) -> None:
    execution = claimed(change.order.strategy)  # type: ignore[arg-type]
    decision = decided(execution, "sell", position="10")
    second = changes_write(execution, intent(decision, limit_price=D(98)), [change.order])[0]
    assert second.revision == 2
    deliver(report(change.order, "Submitted", limit_price=D(98)))
    deliver(report(change.order, "Submitted", limit_price=D(99)))
    for row in (change, second, change.order):
        row.refresh_from_db()
    assert (change.state, second.state, change.order.limit_price) == ("REJECTED", "ACKED", D(98))


def test_evidence_about_nothing_we_know_is_let_pass(legs: list[Order]) -> None:
    stranger = Order(account_id=ACCOUNT, order_ref="NOSUCH", pk=5, instrument=legs[0].instrument, quantity=D(1))
    deliver(said(stranger, 201), missing(stranger, proven=True), sent(stranger))
    assert Order.objects.count() == 3


def test_a_commission_without_its_fill_is_an_error_to_be_tried_again(legs: list[Order]) -> None:
    execution = fill(legs[0], "10")
    early = cost(execution)
    with pytest.raises(Fill.DoesNotExist):
        deliver(early)
    nameless = cost(fill(legs[0], "10", account="", order_ref=""))
    deliver(execution, nameless)
    assert Fill.objects.get().commission == 1


def test_an_event_without_a_rule_is_an_error(db: None) -> None:
    with pytest.raises(TypeError):
        deliver("a string")


def test_a_second_entry_waits_for_the_first(db: None) -> None:
    from trading.services.intents import NoRoomLeft

    row = strategy()
    bracket(row)
    execution = claimed(row)
    decision = decided(execution)
    with pytest.raises(NoRoomLeft):
        entry_write(execution, intent(decision))
