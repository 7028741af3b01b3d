"""Our row follows the order that stays, whichever of two the broker ends, and no fill of either is lost."""

from __future__ import annotations

import pytest

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from broker import types
from tests.trading.builders import ACCOUNT, NOW, D, bought, claimed, decided, deliver, fill, intent, report, strategy
from trading.models import Fill, Order, Trade
from trading.services.orders import changes_write

DOUBLE = 83


@pytest.fixture
def target(db: None) -> Order:
    """The target of a holding of ten, which works twice at the broker."""
    found = bought(strategy())[2]
    deliver(report(found, "Submitted"), report(found, "Submitted", perm_id=DOUBLE))
    found.refresh_from_db()
    return found


def doubled(order: Order, attempt: int = 1, *, given_up: bool = False) -> types.OrderDoubled:
    assert order.perm_id is not None
    found = (order.perm_id, DOUBLE)
    return types.OrderDoubled(ACCOUNT, order.order_ref, found, attempt, NOW, "two", given_up=given_up)


def rows(order: Order) -> tuple[tuple[int | None, str], tuple[int | None, str]]:
    """permId and state of our row and of the other one."""
    order.refresh_from_db()
    other = Order.objects.get(role="external")
    return (order.perm_id, order.state), (other.perm_id, other.state)


def test_the_end_of_the_second_order_changes_nothing_of_ours(target: Order) -> None:
    first = target.perm_id
    deliver(doubled(target), report(target, "Cancelled", perm_id=DOUBLE))
    assert rows(target) == ((first, "ACCEPTED"), (DOUBLE, "CANCELLED"))


def test_our_row_follows_the_second_order_where_the_first_ends(target: Order) -> None:
    first = target.perm_id
    gone = report(target, "Cancelled")
    deliver(doubled(target), gone, gone)
    assert rows(target) == ((DOUBLE, "ACCEPTED"), (first, "CANCELLED"))
    deliver(report(target, "Cancelled", perm_id=DOUBLE))
    assert rows(target) == ((DOUBLE, "CANCELLED"), (first, "CANCELLED"))
    assert verify_chain().ok


def test_a_copy_that_the_owner_has_not_named_never_becomes_ours(target: Order) -> None:
    first = target.perm_id
    deliver(report(target, "Cancelled"))
    assert rows(target) == ((first, "CANCELLED"), (DOUBLE, "ACCEPTED"))


def test_what_either_order_has_filled_counts_for_the_row_that_stays(target: Order) -> None:
    deliver(doubled(target), fill(target, "2", "110", number=7))
    deliver(fill(target, "3", "110", perm_id=DOUBLE, exec_id="double.01"))
    assert Trade.objects.filter(strategy=None).count() == 1
    deliver(report(target, "Cancelled", "2"))
    target.refresh_from_db()
    assert (target.state, target.filled_quantity) == ("PARTIALLY_FILLED", D(5))
    assert Fill.objects.filter(order=target).count() == 2
    assert Trade.objects.get().open_quantity == D(5)
    deliver(fill(target, "5", "110", perm_id=DOUBLE, exec_id="later.01"))
    target.refresh_from_db()
    assert (target.state, Trade.objects.get().state) == ("FILLED", "CLOSED")
    assert not Event.objects.filter(type="BUST").exists()
    assert verify_chain().ok


def test_the_price_of_the_order_that_stays_is_the_proof_of_its_change(db: None) -> None:
    row = strategy()
    target = bought(row)[2]
    execution = claimed(row)
    decision = decided(execution, "sell", position="10")
    change = changes_write(execution, intent(decision), [target])[0]
    deliver(report(target, "Submitted"))
    deliver(report(target, "Submitted", perm_id=DOUBLE, limit_price=change.limit_price))
    target.refresh_from_db()
    deliver(doubled(target), report(target, "Cancelled"))
    change.refresh_from_db()
    target.refresh_from_db()
    assert (change.state, target.limit_price, target.perm_id) == ("ACKED", change.limit_price, DOUBLE)


def test_each_cancel_is_on_record_and_a_person_is_called_at_the_end(target: Order) -> None:
    deliver(doubled(target), doubled(target, 2), doubled(target, 2, given_up=True))
    kinds = Event.objects.filter(subject=f"order:{target.order_ref}", type__startswith="ORDER_DOUBLED").order_by("seq")
    assert list(kinds.values_list("type", flat=True)) == ["ORDER_DOUBLED", "ORDER_DOUBLED", "ORDER_DOUBLED_UNRESOLVED"]
