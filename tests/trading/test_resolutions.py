"""What a person does about a difference is carried out once, with a reason, and is on record."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from broker import types
from tests.trading.builders import ACCOUNT, CON_IDS, NOW, D, bought, bracket, deliver, missing, report, sent, strategy
from trading.models import Discrepancy, Fill, Order, Reconciliation, Trade
from trading.selectors.invariants import Terms, lives
from trading.selectors.positions import booked
from trading.services.cash import CashWatch
from trading.services.order_states import GRAPH
from trading.services.overdue import overdue_raise
from trading.services.resolutions import Remedy, remedies, resolve

AAPL = CON_IDS["AAPL"]
WHY = "sold by phone on Friday"


def mismatch(held: str, ours: str) -> types.PositionMismatch:
    return types.PositionMismatch(ACCOUNT, AAPL, "AAPL", D(held), D(ours), NOW)


@pytest.fixture
def differing(db: None) -> Discrepancy:
    """The broker holds 4, our fills say 10."""
    bought()
    deliver(mismatch("4", "10"))
    return Discrepancy.objects.get()


def test_the_brokers_position_is_booked_into_the_ledger_whose_it_was(differing: Discrepancy) -> None:
    strategy = Trade.objects.get().strategy
    resolve(differing, Remedy("adjust", WHY, D("97.5"), strategy), actor="ann")
    assert booked(ACCOUNT) == {AAPL: D(4)}
    trade = Trade.objects.get()
    assert (trade.open_quantity, trade.exit_price) == (D(4), D("97.5"))
    order = Order.objects.get(role="external")
    assert (order.state, order.side, order.quantity, order.filled_quantity) == ("FILLED", "SELL", D(6), D(6))
    assert Fill.objects.get(order=order).exec_id.startswith("adjust.")
    told = Event.objects.filter(actor="ann").values_list("type", flat=True)
    assert {"DISCREPANCY_RESOLVED", "ORDER_EXTERNAL", "FILL_BOOKED", "ORDER_FILLED"} <= set(told)
    assert verify_chain().ok


def test_what_a_person_resolves_breaks_no_invariant_and_what_another_moves_does(differing: Discrepancy) -> None:
    resolve(differing, Remedy("adjust", WHY, D("97.5")), actor="ann")
    entry = bracket(strategy("other", ["IBM"]), "IBM")[0]
    deliver(sent(entry), missing(entry, proven=False))
    overdue_raise(system_now() + timedelta(minutes=2))
    lost = Discrepancy.objects.get(order=entry)
    resolve(lost, Remedy("ended", WHY), actor="ann")
    terms = Terms(GRAPH, system_now())
    assert list(lives(terms)) == []
    Discrepancy.objects.filter(pk=lost.pk).update(resolved_by="eve")
    assert [found.subject for found in lives(terms)] == [f"order:{entry.order_ref}"]


def test_an_adjustment_outside_the_desk_leaves_the_strategys_trade(differing: Discrepancy) -> None:
    resolve(differing, Remedy("adjust", WHY, D("97.5")), actor="ann")
    assert booked(ACCOUNT) == {AAPL: D(4)}
    assert sorted(Trade.objects.values_list("side", "open_quantity")) == [("long", D(10)), ("short", D(6))]


def test_once_it_agrees_a_new_difference_is_a_new_row(differing: Discrepancy) -> None:
    resolve(differing, Remedy("adjust", WHY, D("97.5")), actor="ann")
    deliver(mismatch("4", "4"), mismatch("4", "10"))
    assert Discrepancy.objects.filter(state="OPEN").count() == 1


def test_what_is_left_stays_resolved_while_it_is_unchanged(differing: Discrepancy) -> None:
    resolve(differing, Remedy("leave", WHY), actor="ann")
    deliver(mismatch("5", "11"))
    assert not Discrepancy.objects.filter(state="OPEN").exists()
    deliver(mismatch("6", "11"))
    assert Discrepancy.objects.filter(state="OPEN").count() == 1
    assert booked(ACCOUNT) == {AAPL: D(10)}


@pytest.mark.parametrize("price", [None, "0", "-1", "NaN", "Infinity"])
def test_an_adjustment_without_a_price_books_nothing(differing: Discrepancy, price: str | None) -> None:
    remedy = Remedy("adjust", WHY, None if price is None else Decimal(price))
    with pytest.raises(Invalid):
        resolve(differing, remedy, actor="ann")
    differing.refresh_from_db()
    assert differing.state == "OPEN"
    assert booked(ACCOUNT) == {AAPL: D(10)}


@pytest.mark.parametrize(("remedy", "error"), [(Remedy("adjust", "", D(1)), Invalid), (Remedy("aside", WHY), Invalid)])
def test_a_remedy_needs_a_reason_and_must_fit(differing: Discrepancy, remedy: Remedy, error: Any) -> None:
    with pytest.raises(error):
        resolve(differing, remedy, actor="ann")
    assert booked(ACCOUNT) == {AAPL: D(10)}


def test_two_persons_at_once_adjust_once(differing: Discrepancy) -> None:
    same = Discrepancy.objects.get()
    resolve(differing, Remedy("adjust", WHY, D(97)), actor="ann")
    with pytest.raises(Conflict):
        resolve(same, Remedy("adjust", WHY, D(97)), actor="ben")
    assert booked(ACCOUNT) == {AAPL: D(4)}


@pytest.fixture
def unknown(db: None) -> Discrepancy:
    """An entry that was sent and that no book shows."""
    entry, *_ = bracket()
    Order.objects.filter(pk=entry.pk).update(sending_at=NOW)
    Order.objects.exclude(pk=entry.pk).update(state="CANCELLED")
    deliver(sent(entry), missing(entry, proven=False))
    overdue_raise(NOW.replace(hour=23))
    return Discrepancy.objects.get()


def test_a_person_ends_an_order_that_is_not_at_the_broker(unknown: Discrepancy) -> None:
    assert remedies(unknown) == ["ended"]
    resolve(unknown, Remedy("ended", "not in TWS"), actor="ann")
    order = Order.objects.get(role="entry")
    assert (order.state, order.missing) == ("ABSENT", "person")
    event = Event.objects.get(type="ORDER_ABSENT")
    assert (event.actor, event.old_state) == ("ann", "UNKNOWN")
    assert "not in TWS" in event.cause


def test_an_order_that_a_person_ended_and_the_broker_shows_all_the_same_lives_again(unknown: Discrepancy) -> None:
    resolve(unknown, Remedy("ended", "not in TWS"), actor="ann")
    order = Order.objects.get(role="entry")
    deliver(report(order, "Submitted"))
    order.refresh_from_db()
    assert order.state == "ACCEPTED"


def test_an_order_that_was_proven_meanwhile_is_not_ended(unknown: Discrepancy) -> None:
    order = Order.objects.get(role="entry")
    deliver(report(order, "Submitted"))
    with pytest.raises((Conflict, Invalid)):
        resolve(unknown, Remedy("ended", "not in TWS"), actor="ann")
    order.refresh_from_db()
    assert order.state == "ACCEPTED"
    assert Discrepancy.objects.get().state == "OPEN"


def look(cash: str, minutes: int = 0) -> types.Compared:
    from datetime import timedelta

    return types.Compared(
        account=ACCOUNT, connection=NOW, started=NOW + timedelta(minutes=minutes), market_now=NOW, working={},
        orders=0, executions=0, positions=(), cash=D(cash), currency="USD",
    )  # fmt: skip


def test_cash_that_a_person_explained_is_the_new_base(db: None) -> None:
    bought()
    watch = CashWatch(60)
    watch.compare(look("1000"))
    for minute in (1, 3):
        watch.compare(look("1250", minute))
    row = Discrepancy.objects.get()
    assert (row.kind, row.ours, row.theirs, row.blocking) == ("cash", "1000.00", "1250.00", False)
    resolve(row, Remedy("accept", "a deposit"), actor="ann")
    watch.compare(look("1250", 9))
    assert Reconciliation.objects.get().expected_cash == D(1250)
    assert not Discrepancy.objects.filter(state="OPEN").exists()
