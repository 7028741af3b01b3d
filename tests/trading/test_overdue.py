"""What waits for the broker's word longer than a minute is a person's to see, and is never taken for refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from broker import types
from tests.trading.builders import ACCOUNT, NOW, bracket, deliver, fill, missing, report, sent
from trading.models import Discrepancy, Order, OrderChange
from trading.selectors.discrepancies import blocking
from trading.services.accounts import account_ensure
from trading.services.discrepancies import discrepancy_resolve
from trading.services.overdue import blocked_raise, overdue_raise

MINUTE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


def open_subjects() -> set[str]:
    return set(Discrepancy.objects.filter(state="OPEN").values_list("subject", flat=True))


@pytest.fixture
def entry(db: None) -> Order:
    """An entry that was SENDING at NOW; its legs too."""
    legs = bracket()
    Order.objects.update(sending_at=NOW)
    return legs[0]


@pytest.mark.parametrize("state", ["SENDING", "SUBMITTED", "UNKNOWN"])
def test_an_order_without_proof_is_raised_at_a_minute_and_not_before(entry: Order, state: str) -> None:
    Order.objects.update(state=state)
    overdue_raise(NOW + MINUTE - SECOND)
    assert open_subjects() == set()
    overdue_raise(NOW + MINUTE)
    assert f"order:{entry.order_ref}" in open_subjects()
    assert len(open_subjects()) == 3
    assert Order.objects.get(pk=entry.pk).state == state
    assert {row.kind for row in blocking(ACCOUNT)} == {"unknown_order"}


def test_raising_it_again_is_nothing_and_proof_settles_it(entry: Order) -> None:
    for _ in range(3):
        overdue_raise(NOW + 2 * MINUTE)
    assert Discrepancy.objects.count() == 3
    deliver(sent(entry), report(entry, "Submitted"))
    overdue_raise(NOW + 2 * MINUTE)
    assert f"order:{entry.order_ref}" not in open_subjects()
    assert Discrepancy.objects.get(order=entry).resolved_by == "reconcile"


def test_an_unknown_order_that_filled_is_settled(entry: Order) -> None:
    deliver(sent(entry), missing(entry, proven=False))
    overdue_raise(NOW + MINUTE)
    deliver(fill(entry, "10"))
    overdue_raise(NOW + MINUTE)
    assert f"order:{entry.order_ref}" not in open_subjects()


def test_what_works_or_ended_is_never_raised(entry: Order) -> None:
    for leg in Order.objects.order_by("id"):
        deliver(sent(leg), report(leg, "Submitted"))
    overdue_raise(NOW + 60 * MINUTE)
    assert open_subjects() == set()


def test_a_change_without_proof_is_raised_and_its_proof_settles_it(entry: Order) -> None:
    deliver(*(sent(leg) for leg in Order.objects.order_by("id")))
    deliver(*(report(leg, "Submitted") for leg in Order.objects.order_by("id")))
    OrderChange.objects.create(order=entry, revision=1, limit_price=99, state="SENDING", created_at=NOW)
    overdue_raise(NOW + MINUTE)
    assert open_subjects() == {f"change:{entry.order_ref}.1"}
    deliver(report(entry, "Submitted", limit_price=99))
    overdue_raise(NOW + MINUTE)
    assert open_subjects() == set()


def blocked(*messages: int, since: datetime = NOW) -> types.Blocked:
    return types.Blocked("G1-E", ACCOUNT, "G1-E", 0, "OrderReport", "ValueError: no", since, messages)


def test_messages_that_cannot_be_applied_block_until_they_are(db: None) -> None:
    assert blocked_raise([blocked(1)]) == ()
    assert blocked_raise([blocked(1, 2)]) == ()
    (row,) = blocking(ACCOUNT)
    assert (row.kind, row.document["messages"]) == ("blocked", [1, 2])
    assert blocked_raise([]) == ()
    assert blocking(ACCOUNT) == []


def test_what_a_person_set_aside_is_handed_to_the_owner_and_later_ones_are_raised_anew(db: None) -> None:
    account_ensure(ACCOUNT)
    blocked_raise([blocked(1, 2)])
    discrepancy_resolve(Discrepancy.objects.get(), actor="ann", reason="a test order")
    assert blocked_raise([blocked(1, 2)]) == (1, 2)
    assert blocking(ACCOUNT) == []
    assert blocked_raise([blocked(1, 2, 3)]) == (1, 2)
    (row,) = blocking(ACCOUNT)
    assert row.document["messages"] == [1, 2, 3]
