"""A difference is one open row a kind and subject; it ends when the sides agree or a person says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.errors import Conflict, Invalid
from tests.support import in_threads
from tests.trading.builders import ACCOUNT, NOW
from trading.models import Discrepancy
from trading.models.discrepancy import DiscrepancyKind
from trading.selectors.discrepancies import blocking
from trading.services.accounts import account_ensure
from trading.services.discrepancies import discrepancy_open, discrepancy_resolve, discrepancy_settle

POSITION = DiscrepancyKind.POSITION


@pytest.fixture
def ledger(db: None) -> None:
    account_ensure(ACCOUNT)


def opened(theirs: str = "10", **changes: Any) -> Discrepancy:
    with audit.acting(actor="broker"), audit.recording():
        return discrepancy_open(
            ACCOUNT, POSITION, "position:7", detail="d", market_at=NOW, **{"ours": "0", "theirs": theirs} | changes
        )


def settled() -> None:
    with audit.acting(actor="broker"), audit.recording():
        discrepancy_settle(ACCOUNT, POSITION, "position:7", cause="equal", market_at=NOW)


def kinds() -> list[str]:
    found = Event.objects.filter(type__startswith="DISCREPANCY").order_by("seq").values_list("type", flat=True)
    return [kind.removeprefix("DISCREPANCY_") for kind in found]


def test_the_same_difference_is_opened_once_and_only_seen_again(ledger: None) -> None:
    first = opened()
    again = opened()
    assert (again.pk, again.version, kinds()) == (first.pk, 1, ["OPENED"])
    assert again.last_seen_at >= first.last_seen_at


def test_another_size_of_it_changes_the_open_row(ledger: None) -> None:
    first = opened()
    changed = opened("12")
    assert (changed.pk, changed.theirs, kinds()) == (first.pk, "12", ["OPENED", "CHANGED"])
    assert verify_chain().ok


def test_it_ends_when_the_sides_agree_and_a_later_one_is_new(ledger: None) -> None:
    first = opened()
    settled()
    first.refresh_from_db()
    assert (first.state, first.resolved_by, first.resolution) == ("RESOLVED", "reconcile", "equal")
    assert opened().pk != first.pk
    assert kinds() == ["OPENED", "RESOLVED", "OPENED"]


def test_settling_what_is_not_open_is_nothing(ledger: None) -> None:
    settled()
    assert kinds() == []


def test_what_a_person_resolved_stays_so_while_it_is_unchanged(ledger: None) -> None:
    row = opened()
    discrepancy_resolve(row, actor="ann", reason="held on purpose")
    assert (opened().pk, opened().state) == (row.pk, "RESOLVED")
    assert blocking(ACCOUNT) == []
    assert opened("11").pk != row.pk


def test_what_a_person_resolved_comes_back_after_the_sides_agreed_once(ledger: None) -> None:
    row = opened()
    discrepancy_resolve(row, actor="ann", reason="held on purpose")
    settled()
    settled()
    assert opened().pk != row.pk
    assert kinds() == ["OPENED", "RESOLVED", "OPENED"]


def test_a_difference_of_its_own_name_may_move_in_its_numbers(ledger: None) -> None:
    row = opened(difference="10")
    discrepancy_resolve(row, actor="ann", reason="held on purpose")
    assert opened("15", ours="5", difference="10").pk == row.pk


@pytest.mark.parametrize("reason", ["", "  ", "no"])
def test_a_person_must_say_why(ledger: None, reason: str) -> None:
    with pytest.raises(Invalid):
        discrepancy_resolve(opened(), actor="ann", reason=reason)
    assert Discrepancy.objects.get().state == "OPEN"


def test_it_is_resolved_once(ledger: None) -> None:
    row, same = opened(), Discrepancy.objects.get()
    discrepancy_resolve(row, actor="ann", reason="seen")
    for late in (row, same):
        with pytest.raises(Conflict):
            discrepancy_resolve(late, actor="ben", reason="seen too")
    assert Discrepancy.objects.get().resolved_by == "ann"


def test_only_open_and_blocking_ones_block_their_own_account(ledger: None) -> None:
    opened(blocking=False)
    account_ensure("DU2")
    assert blocking(ACCOUNT) == []
    opened(blocking=True)
    assert [row.kind for row in blocking(ACCOUNT)] == ["position"]
    assert blocking("DU2") == []


def test_a_long_subject_is_one_subject(ledger: None) -> None:
    with audit.acting(actor="broker"), audit.recording():
        rows = [discrepancy_open(ACCOUNT, POSITION, "s" * 99, detail="d", market_at=NOW) for _ in range(2)]
    assert rows[0].pk == rows[1].pk


def test_threads_that_find_it_at_the_same_moment_open_one_row(transactional_db: None) -> None:
    account_ensure(ACCOUNT)
    job: Callable[[], Discrepancy] = opened
    rows = in_threads([job] * 8, threads=4)
    connection.close()
    assert len({row.pk for row in rows}) == 1
    assert kinds() == ["OPENED"]
